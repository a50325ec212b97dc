"""The ceiling of a sign-in: python3-saml as it is, a table of used assertions, and the person, in one transaction."""

import os
import uuid
from datetime import UTC, datetime

from flask import Blueprint, Flask, Response, abort, current_app, request
from onelogin.saml2.auth import OneLogin_Saml2_Auth
from onelogin.saml2.settings import OneLogin_Saml2_Settings
from sqlalchemy import Column, Table, Text
from sqlalchemy.dialects.postgresql import insert

from tests.bench import ceiling
from tests.bench.ceiling import metadata, person

CERTIFICATE_VARIABLE = "CEILING_IDP_CERTIFICATE"
PATH = "/ceiling"
_BASE = f"http://127.0.0.1:8080{PATH}"

replay = Table("replay", metadata, Column("assertion_id", Text, primary_key=True))
ceiling_sign_in = Blueprint("ceiling_sign_in", __name__)


def create_app() -> Flask:
    """Serve the whole ceiling: what a directory asks, and sign-ins."""
    app = ceiling.create_app()
    app.extensions["saml"] = saml_settings()
    app.register_blueprint(ceiling_sign_in)
    return app


def saml_settings() -> OneLogin_Saml2_Settings:
    """Return the library's settings, checked once, with the certificate that the environment has."""
    return OneLogin_Saml2_Settings(
        {
            "strict": True,
            "sp": {"entityId": f"{_BASE}/metadata", "assertionConsumerService": {"url": f"{_BASE}/acs"}},
            "idp": {
                "entityId": "https://idp.bench.example",
                "singleSignOnService": {"url": "https://idp.bench.example/sso"},
                "x509cert": os.environ[CERTIFICATE_VARIABLE],
            },
            "security": {"wantAssertionsSigned": True, "rejectDeprecatedAlgorithm": True},
        }
    )


@ceiling_sign_in.post(f"{PATH}/acs")
def acs() -> Response:
    """Verify an answer, refuse it a second time, and keep the person."""
    facts = {"https": "off", "http_host": "127.0.0.1:8080", "script_name": f"{PATH}/acs", "post_data": request.form}
    auth = OneLogin_Saml2_Auth(facts, old_settings=current_app.extensions["saml"])
    auth.process_response()
    if auth.get_errors() or not auth.is_authenticated():
        abort(403, str(auth.get_last_error_reason()))
    now, name = datetime.now(UTC), auth.get_nameid()
    known = {"user_name_key": name.casefold(), "document": {"userName": name, **auth.get_attributes()}}
    upsert = insert(person).values(id=uuid.uuid4(), created_at=now, modified_at=now, **known)
    with current_app.extensions["engine"].begin() as connection:
        connection.execute(insert(replay).values(assertion_id=auth.get_last_assertion_id()))
        connection.execute(
            upsert.on_conflict_do_update(
                index_elements=["user_name_key"], set_={"document": upsert.excluded.document, "modified_at": now}
            )
        )
    return Response(status=303, headers={"Location": "/"})
