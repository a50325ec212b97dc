"""The ceiling: the thinnest honest SCIM service on our own stack, which the benchmark measures beside ours.

Flask, gunicorn, SQLAlchemy core and PostgreSQL; a person is one JSON document beside the columns that are looked up,
a membership is a row. A POST and a PUT are validated by scim2-models; the token is checked by one SELECT; a request is
one transaction. What it leaves out is what a product adds: ETags, audit, seats, decisions, mappings, projection,
several organizations. It is written to be quick: whatever of it could be made quicker without leaving the stack should
be, since the targets are ratios to it.

``gunicorn "tests.bench.ceiling:create_app()"`` with the database's URL in ``CEILING_DATABASE_URL``.
"""

import gc
import hashlib
import os
import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import orjson
from flask import Blueprint, Flask, Response, abort, current_app, request
from scim2_models import Context, EnterpriseUser, Group, User
from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    LargeBinary,
    MetaData,
    Row,
    Table,
    Text,
    Uuid,
    bindparam,
    cast,
    create_engine,
    delete,
    func,
    literal,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, insert

SCIM = "application/scim+json"
LIST = "urn:ietf:params:scim:api:messages:2.0:ListResponse"
DATABASE_VARIABLE = "CEILING_DATABASE_URL"
POOL_SIZE = 8
_EQUALS = re.compile(r'(userName|externalId) eq "([^"\\]*)"')

metadata = MetaData()
token = Table("token", metadata, Column("hash", LargeBinary, primary_key=True))
person = Table(
    "person",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("position", BigInteger, Identity(), unique=True),
    Column("user_name_key", Text, unique=True, nullable=False),
    Column("external_id", Text, unique=True),
    Column("document", JSONB, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("modified_at", DateTime(timezone=True), nullable=False),
)
group = Table(
    "groups",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("display_name_key", Text, unique=True, nullable=False),
    Column("document", JSONB, nullable=False),
)
membership = Table(
    "membership",
    metadata,
    Column("group_id", Uuid, ForeignKey("groups.id", ondelete="CASCADE"), primary_key=True),
    Column("person_id", Uuid, ForeignKey("person.id", ondelete="CASCADE"), primary_key=True),
    Index("ix_membership_person_id", "person_id"),
)

SHOWN = (person.c.id, person.c.document, person.c.created_at, person.c.modified_at)
FIND_TOKEN = select(token.c.hash).where(token.c.hash == bindparam("hash"))
READ_PERSON = select(*SHOWN).where(person.c.id == bindparam("id"))
FIND_BY = {
    "userName": select(*SHOWN).where(person.c.user_name_key == bindparam("value")),
    "externalId": select(*SHOWN).where(person.c.external_id == bindparam("value")),
}
COUNT = select(func.count()).select_from(person)
PAGE = select(*SHOWN, person.c.position).order_by(person.c.position).limit(bindparam("count"))
INDEX_PAGE = PAGE.offset(bindparam("offset"))
CURSOR_PAGE = PAGE.where(person.c.position > bindparam("after"))
READ_GROUP = select(group.c.document).where(group.c.id == bindparam("id"))
MEMBERS = select(membership.c.person_id).where(membership.c.group_id == bindparam("id"))
IDS = bindparam("ids", type_=ARRAY(Uuid))
# Only who is here becomes a member, whoever is one already stays: one statement for one value and for ten thousand.
KNOWN = select(bindparam("group_id", type_=Uuid), person.c.id).where(person.c.id == func.any(IDS))
ADD_MEMBERS = insert(membership).from_select(["group_id", "person_id"], KNOWN).on_conflict_do_nothing()
REMOVE_MEMBERS = delete(membership).where(
    membership.c.group_id == bindparam("group_id"), membership.c.person_id == func.any(IDS)
)

ceiling = Blueprint("ceiling", __name__)


def create_app() -> Flask:
    """Serve the database that the environment names."""
    app = Flask(__name__)
    app.extensions["engine"] = create_engine(
        os.environ[DATABASE_VARIABLE],
        pool_size=POOL_SIZE,
        json_serializer=lambda value: orjson.dumps(value).decode(),
        json_deserializer=orjson.loads,
    )
    app.register_blueprint(ceiling)
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
    return app


@contextmanager
def _transaction() -> Iterator[Connection]:
    """Open the request's one transaction, in which its token is checked first."""
    sent = request.headers.get("Authorization", "").removeprefix("Bearer ")
    with current_app.extensions["engine"].begin() as connection:
        found = connection.execute(FIND_TOKEN, {"hash": hashlib.sha256(sent.encode()).digest()}).first()
        if found is None:
            abort(401)
        yield connection


def _answer(document: Any, status: int = 200) -> Response:
    if document is None:
        abort(404)
    return Response(orjson.dumps(document), status=status, content_type=SCIM)


def _shown(row: Row[*tuple[Any, ...]] | None) -> dict[str, Any] | None:
    """Return the representation of a person: the document, its id and meta."""
    if row is None:
        return None
    meta = {
        "resourceType": "User",
        "created": row.created_at,
        "lastModified": row.modified_at,
        "location": f"{request.root_url}Users/{row.id}",
    }
    return {"id": row.id, **row.document, "meta": meta}


def _validated(model: type[User[EnterpriseUser]] | type[Group], context: Context) -> dict[str, Any]:
    resource = model.model_validate(orjson.loads(request.get_data(cache=False)), scim_ctx=context)
    return resource.model_dump(scim_ctx=context)


def _columns(document: dict[str, Any]) -> dict[str, Any]:
    return {
        "user_name_key": document["userName"].casefold(),
        "external_id": document.get("externalId"),
        "document": document,
        "modified_at": datetime.now(UTC),
    }


@ceiling.get("/fixed")
def fixed() -> Response:
    """Answer a fixed document: what Flask and gunicorn cost alone."""
    return Response(_FIXED, content_type=SCIM)


@ceiling.post("/Users")
def create_user() -> Response:
    """Create a person."""
    with _transaction() as connection:
        values = _columns(_validated(User[EnterpriseUser], Context.RESOURCE_CREATION_REQUEST))
        values |= {"id": uuid.uuid4(), "created_at": values["modified_at"]}
        row = connection.execute(insert(person).returning(*SHOWN), values).one()
    return _answer(_shown(row), 201)


@ceiling.get("/Users/<uuid:person_id>")
def read_user(person_id: uuid.UUID) -> Response:
    """Read a person."""
    with _transaction() as connection:
        row = connection.execute(READ_PERSON, {"id": person_id}).one_or_none()
    return _answer(_shown(row))


@ceiling.put("/Users/<uuid:person_id>")
def replace_user(person_id: uuid.UUID) -> Response:
    """Replace a person."""
    with _transaction() as connection:
        values = _columns(_validated(User[EnterpriseUser], Context.RESOURCE_REPLACEMENT_REQUEST))
        statement = update(person).where(person.c.id == person_id).returning(*SHOWN)
        row = connection.execute(statement, values).one_or_none()
    return _answer(_shown(row))


@ceiling.patch("/Users/<uuid:person_id>")
def patch_user(person_id: uuid.UUID) -> Response:
    """Set simple attributes, such as title or name.givenName, by one UPDATE."""
    with _transaction() as connection:
        changed: Any = person.c.document
        for operation in orjson.loads(request.get_data(cache=False))["Operations"]:
            path = literal(operation["path"].split("."), ARRAY(Text))
            changed = func.jsonb_set(changed, path, cast(literal(orjson.dumps(operation["value"]).decode()), JSONB))
        statement = update(person).where(person.c.id == person_id).returning(*SHOWN)
        row = connection.execute(statement.values(document=changed, modified_at=datetime.now(UTC))).one_or_none()
    return _answer(_shown(row))


@ceiling.get("/Users")
def list_users() -> Response:
    """Find by userName or externalId, or show a page, by index or by cursor."""
    count = request.args.get("count", 100, type=int)
    answer: dict[str, Any] = {"schemas": [LIST]}
    with _transaction() as connection:
        if "filter" in request.args:
            rows = _find(connection, request.args["filter"])
            answer["totalResults"] = len(rows)
        elif "cursor" in request.args:
            rows = connection.execute(CURSOR_PAGE, {"after": int(request.args["cursor"] or 0), "count": count}).all()
            answer["nextCursor"] = str(rows[-1].position) if rows else None
        else:
            start = request.args.get("startIndex", 1, type=int)
            answer["totalResults"], answer["startIndex"] = connection.execute(COUNT).scalar_one(), start
            rows = connection.execute(INDEX_PAGE, {"offset": start - 1, "count": count}).all()
    answer["itemsPerPage"] = len(rows)
    answer["Resources"] = [_shown(row) for row in rows]
    return _answer(answer)


def _find(connection: Connection, text: str) -> Any:
    """Return who has this userName (without case) or externalId."""
    term = _EQUALS.fullmatch(text)
    if term is None:
        abort(400)
    attribute, value = term.groups()
    return connection.execute(
        FIND_BY[attribute], {"value": value.casefold() if attribute == "userName" else value}
    ).all()


@ceiling.post("/Groups")
def create_group() -> Response:
    """Create a group with its members."""
    with _transaction() as connection:
        document = _validated(Group, Context.RESOURCE_CREATION_REQUEST)
        members, group_id = document.pop("members", []), uuid.uuid4()
        document["id"] = str(group_id)
        key = document["displayName"].casefold()
        connection.execute(insert(group), {"id": group_id, "display_name_key": key, "document": document})
        if members:
            ids = [uuid.UUID(member["value"]) for member in members]
            connection.execute(ADD_MEMBERS, {"group_id": group_id, "ids": ids})
    return _answer(document, 201)


@ceiling.get("/Groups/<uuid:group_id>")
def read_group(group_id: uuid.UUID) -> Response:
    """Read a group, without its members where the request excludes them."""
    with _transaction() as connection:
        document = connection.execute(READ_GROUP, {"id": group_id}).scalar_one_or_none()
        if document is not None and request.args.get("excludedAttributes") != "members":
            ids = connection.execute(MEMBERS, {"id": group_id}).scalars()
            document["members"] = [{"value": member_id} for member_id in ids]
    return _answer(document)


@ceiling.patch("/Groups/<uuid:group_id>")
def patch_group(group_id: uuid.UUID) -> Response:
    """Add and remove members."""
    with _transaction() as connection:
        for operation in orjson.loads(request.get_data(cache=False))["Operations"]:
            statement: Any = REMOVE_MEMBERS if operation["op"] == "remove" else ADD_MEMBERS
            ids = [uuid.UUID(member["value"]) for member in operation["value"]]
            connection.execute(statement, {"group_id": group_id, "ids": ids})
    return Response(status=204)


@ceiling.delete("/Groups/<uuid:group_id>")
def delete_group(group_id: uuid.UUID) -> Response:
    """Remove a group."""
    with _transaction() as connection:
        connection.execute(delete(group).where(group.c.id == group_id))
    return Response(status=204)


_FIXED = orjson.dumps(
    {
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
        "id": "2819c223-7f76-453a-919d-413861904646",
        "userName": "bjensen@example.com",
        "title": "x" * 500,
        "active": True,
    }
)
