"""A provisioning client for tests: a token of a connection, and requests to the blueprint."""

import json
import secrets
from datetime import timedelta
from hashlib import sha256
from typing import Any

from flask import Flask
from werkzeug.test import TestResponse

from bridge.domain.identifiers import new_id
from bridge.store.models import ScimToken
from scim.edge import scim_blueprint
from tests.factories import Customer

USER = "urn:ietf:params:scim:schemas:core:2.0:User"
GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group"
ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
SEAT = "urn:seatbridge:params:scim:schemas:extension:seat:2.0:User"


def make_token(customer: Customer, *, can_write: bool = True) -> str:
    """Give the customer's connection a token for a year."""
    token = f"sb_{secrets.token_urlsafe(32)}"
    with customer.unit() as unit:
        unit.session.add(
            ScimToken(
                org_id=customer.org_id,
                id=new_id(),
                connection_id=customer.connection_id,
                label="test",
                prefix=token[:8],
                token_hash=sha256(token.encode()).digest(),
                can_write=can_write,
                created_at=unit.at,
                expires_at=unit.at + timedelta(days=365),
                revoked_at=None,
                last_used_at=None,
            )
        )
    return token


def make_app(customer: Customer) -> Flask:
    """Serve nothing but SCIM."""
    app = Flask(__name__)
    app.register_blueprint(scim_blueprint(customer.runtime))
    return app


class ScimClient:
    """Requests of one token; ``path`` is relative to the organization's SCIM root."""

    def __init__(self, app: Flask, slug: str, token: str | None) -> None:
        self.client, self.root, self.token = app.test_client(), f"/scim/v2/{slug}", token

    def send(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        data: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> TestResponse:
        """Send one request; ``data`` is a body as it is, ``body`` becomes JSON."""
        sent = {"Content-Type": "application/scim+json"}
        if self.token is not None:
            sent["Authorization"] = f"Bearer {self.token}"
        if data is None and body is not None:
            data = json.dumps(body).encode()
        return self.client.open(f"{self.root}{path}", method=method, data=data, headers=sent | (headers or {}))

    def get(self, path: str, **facts: Any) -> TestResponse:
        """Send a GET."""
        return self.send("GET", path, **facts)

    def post(self, path: str, body: Any, **facts: Any) -> TestResponse:
        """Send a POST."""
        return self.send("POST", path, body, **facts)

    def put(self, path: str, body: Any, **facts: Any) -> TestResponse:
        """Send a PUT."""
        return self.send("PUT", path, body, **facts)

    def patch(self, path: str, *operations: dict[str, Any], **facts: Any) -> TestResponse:
        """Send a PATCH with these operations."""
        return self.send("PATCH", path, {"Operations": list(operations)}, **facts)

    def delete(self, path: str, **facts: Any) -> TestResponse:
        """Send a DELETE."""
        return self.send("DELETE", path, **facts)

    def create_user(self, user_name: str, **attributes: Any) -> str:
        """Create a person and return the id."""
        response = self.post("/Users", {"schemas": [USER], "userName": user_name, **attributes})
        assert response.status_code == 201, response.text
        return str(response.get_json(force=True)["id"])

    def create_group(self, display_name: str, *members: str, **attributes: Any) -> str:
        """Create a group and return the id."""
        listed = [{"value": member} for member in members]
        body = {"schemas": [GROUP], "displayName": display_name, "members": listed, **attributes}
        response = self.post("/Groups", body)
        assert response.status_code == 201, response.text
        return str(response.get_json(force=True)["id"])

    def members(self, group_id: str) -> set[str]:
        """Return the ids of a group's members."""
        listed = self.get(f"/Groups/{group_id}").get_json(force=True).get("members", [])
        return {entry["value"] for entry in listed}
