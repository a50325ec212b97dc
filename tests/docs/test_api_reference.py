"""The document and the reference of the programming interface are what the operations say; its how-to runs."""

import ast
import os
import re
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask_openapi.models import OpenAPISpec
from werkzeug.serving import make_server

from bridge.runtime import Runtime
from bridge.web.api.document import FILE, build_document, render, write_reference
from bridge.web.api.resources import all_operations
from tests.api import make_key
from tests.factories import Customer
from tests.unit.test_permission_policy import called_by
from wsgi import compose

ROOT = Path(__file__).resolve().parents[2]
HOW_TO = ROOT / "docs" / "how-to" / "use-the-api.md"


def test_the_document_is_the_generated_one() -> None:
    assert FILE.read_text() == render(build_document()), "run: python -m bridge.web.api.document"


def test_the_page_is_the_generated_one() -> None:
    page = ROOT / "docs" / "reference" / "api.md"

    assert page.read_text() == write_reference(build_document()), (
        "run: python -m bridge.web.api.document reference > docs/reference/api.md"
    )


def test_the_document_is_openapi() -> None:
    document = build_document()

    read = OpenAPISpec.model_validate(document)

    assert read.openapi == "3.2.0"
    assert len({operation.name for operation in all_operations()}) == len(all_operations())


def test_models_that_are_called_alike_are_the_same() -> None:
    models = {model for one in all_operations() for model in (one.query, one.body, one.answer) if model is not None}

    assert len({model.__name__ for model in models}) == len(models)


#: What programs have no operation for, and why.
EXCUSED: dict[str, str] = {
    # A browser, or the operator of the installation.
    "api_keys.": "a key makes no keys",
    "apps.": "applications belong to the installation",
    "signing_keys.": "keys of the installation",
    "find_sign_in.": "the page that asks where to sign in",
    "me.": "a person's own page",
    "sign_in_links.": "links are for people, and made by hand",
    "organizations.check_time_zone": "the operator takes customers in",
    "organizations.find_owner_by_email": "the operator lets an owner back in",
    "deliver.": "the operator's queue",
    "reconcile.": "the operator counts seats again",
    "connect_core.": "the operator connects a billing core",
    "reconcile_core.": "the operator compares books",
    "mirror_core.find_connection": "the operator connects a billing core",
    "billing_orders.retry_order": "the operator settles orders",
    "evaluations.change_evaluation": "the operator sets an evaluation",
    "evaluations.end_evaluation": "the operator sets an evaluation",
    "renew_contract.": "the operator sets whether a contract goes on",
    "change_plan.": "prices are agreed with the account manager (rule B1)",
    "ask_owners.submit_plan": "prices are agreed with the account manager (rule B1)",
    "new_plan.": "a plan is begun in the console, by who agreed it with the account manager",
    # Whom a connection believes is set up with the provider's metadata or secret at hand, and with its answers awaited.
    "saml_trust.": "set up in the console or at the command line",
    "oidc_trust.": "set up in the console or at the command line",
    "service_keys.": "a roll-over that both sides take part in",
    "map_claims.": "set up in the console or at the command line",
    "connections.verify_domain": "name servers are asked while no transaction is open",
    # Another operation shows or does the same.
    "actors.": "answers name who acted themselves",
    "amend_contract.amend_contract": "a program looks at a preview first",
    "amend_contract.open_amendment_preview": "the preview is answered when it is made",
    "buy_seats.change_seats": "a program looks at a preview first",
    "buy_seats.open_seats_preview": "the preview is answered when it is made",
    "buy_seats.confirmed_seats": "applying again answers the same",
    "connections.list_connections": "GET /connections",
    "edit_mappings.applied_preview": "applying again answers the same",
    "held_roles.roles_of": "GET /users",
    "licences.licences_if_any": "GET /licences",
    "list_people.list_people": "GET /people, in an order for programs",
    "mapping_drafts.find_draft": "GET /mappings/drafts/{name}",
    "mirror_core.open_order": "GET /billing/orders",
    "overview.": "GET /seats, /people/counts and /events have its parts",
    "people.find_person": "GET /people?search=",
    "preview_mappings.open_preview": "the preview is answered when it is made",
    "preview_mappings.read_document": "POST /mappings/problems",
    "provision_member.check_user_name_is_new": "POST /people says so",
    "provisional.directory_of": "GET /connections says what the directory confirms",
    "provisioning_mode.mode_of": "GET /provisioning",
    "read_holds.open_holds": "GET /brake/holds",
    "read_mappings.identity_providers": "GET /connections",
    "preview_matches.": "a page compares before SCIM is switched on",
    "read_requests.behaviour_of": "GET /connections",
    "read_requests.behaviours": "GET /connections",
    "read_requests.list_requests": "GET /provisioning/requests",
    "search_requests.as_curl": "a program calls by itself",
    "upload_people.": "a page keeps a file between two steps: POST /imports brings it again",
    "setup_checks.": "a guide follows the set-up: GET /connections and /provisioning/requests have the facts",
    "setup_links.": "links are for people, and made by hand",
    "seats.read_ladder": "GET /seats",
    "seats.read_seats": "GET /seats and /contract",
}


def test_every_use_case_of_page_and_command_has_an_operation_or_an_excuse() -> None:
    mirrored = set(called_by("bridge/web/api"))
    elsewhere = {name for name in called_by("bridge/web/console", "bridge/cli") if is_function(name)}

    missing = {name for name in elsewhere - mirrored if not excused(name)}

    assert missing == set()


def test_no_excuse_is_for_nothing() -> None:
    mirrored = set(called_by("bridge/web/api"))
    elsewhere = {name for name in called_by("bridge/web/console", "bridge/cli") if is_function(name)} - mirrored

    assert {excuse for excuse in EXCUSED if not any(name.startswith(excuse) for name in elsewhere)} == set()


def excused(name: str) -> bool:
    return any(name.startswith(excuse) for excuse in EXCUSED)


def is_function(name: str) -> bool:
    module, _, function = name.partition(".")
    tree = ast.parse((ROOT / "bridge" / "usecases" / f"{module}.py").read_text())
    return any(isinstance(node, ast.FunctionDef) and node.name == function for node in tree.body)


@pytest.fixture
def address(runtime: Runtime) -> Iterator[str]:
    server = make_server("127.0.0.1", 0, compose(runtime), threaded=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/api/v1"
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_commands_of_the_how_to_run_as_they_stand(customer: Customer, address: str, tmp_path: Path) -> None:
    blocks = re.findall(r"^```sh\n(.*?)^```", HOW_TO.read_text(), flags=re.MULTILINE | re.DOTALL)
    script = "\n".join(block.replace("curl -sS", "curl -sS --fail-with-body") for block in blocks[1:])
    known = {"SEATBRIDGE_API": address, "SEATBRIDGE_KEY": make_key(customer), "PATH": os.environ["PATH"]}

    done = subprocess.run(
        ["/bin/sh", "-eu", "-c", script],
        capture_output=True,
        text=True,
        env=known,
        cwd=tmp_path,
        check=False,
        timeout=60,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert '"promoted":[]' in done.stdout
    assert '"type":"user.created"' in done.stdout
