"""Two independent conformance checkers against the running endpoint: no error, no failure."""

import json
import re
import threading

import pytest
from click.testing import CliRunner
from flask import Flask
from scim_sanity.probe.runner import run_probe_api
from werkzeug.serving import make_server

from bridge.cli import main
from bridge.observability import configure_logging
from tests.factories import Customer
from tests.protocol.scim_client import make_token
from tests.protocol.scim_live import live_server


@pytest.mark.slow
def test_scim2_tester_finds_no_error(customer: Customer) -> None:
    configure_logging(level="error")  # the server's lines, which are of this process too, are not the command's

    with live_server(customer) as url:
        command = ["scim", "conformance", url, make_token(customer), "--json"]
        told = CliRunner().invoke(main, command, catch_exceptions=False)

    found = json.loads(told.stdout)
    assert [check for check in found["checks"] if check["result"] in {"error", "critical"}] == []
    assert (told.exit_code, found["conforms"]) == (0, True)
    assert found["counts"]["success"] > 100


def test_the_command_ends_with_1_where_a_server_breaks_rules_and_says_which() -> None:
    other = Flask("a server that says yes to everything")
    other.add_url_rule("/<path:_>", view_func=lambda _: {}, methods=["GET", "POST"])
    server = make_server("127.0.0.1", 0, other, threaded=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()

    told = CliRunner().invoke(main, ["scim", "conformance", f"http://127.0.0.1:{server.port}", "secret"])
    server.shutdown()
    thread.join()
    server.server_close()

    assert told.exit_code == 1
    assert re.search(r"^error +schemas_endpoint_methods .* returned 200 instead of 405", told.stdout, re.MULTILINE)
    assert re.search(r"^\d+ checks: \d+ error", told.stdout, re.MULTILINE)
    assert "secret" not in told.output


@pytest.mark.slow
def test_scim_sanity_finds_no_failure(customer: Customer) -> None:
    with live_server(customer) as url:
        report = run_probe_api(url, token=make_token(customer))

    failed = [result for result in report["results"] if result["status"] in {"FAIL", "ERROR"}]
    assert failed == []
    assert report["exit_code"] == 0
