"""The document and the reference of the programming interface are what the operations say; its how-to runs."""

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
