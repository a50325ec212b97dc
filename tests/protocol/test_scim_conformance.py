"""Two independent conformance checkers against the running endpoint: no error, no failure."""

import httpx2
import pytest
from scim2_client.engines.httpx2 import SyncSCIMClient
from scim2_tester import Status, check_server
from scim_sanity.probe.runner import run_probe_api

from tests.factories import Customer
from tests.protocol.scim_client import make_token
from tests.protocol.scim_live import live_server


@pytest.mark.slow
def test_scim2_tester_finds_no_error(customer: Customer) -> None:
    headers = {"Authorization": f"Bearer {make_token(customer)}"}

    with live_server(customer) as url, httpx2.Client(base_url=url, headers=headers, trust_env=False) as http:
        results = check_server(SyncSCIMClient(http))

    failed = [f"{result.title}: {result.reason}" for result in results if result.status is Status.ERROR]
    assert failed == []
    assert sum(result.status is Status.SUCCESS for result in results) > 100


@pytest.mark.slow
def test_scim_sanity_finds_no_failure(customer: Customer) -> None:
    with live_server(customer) as url:
        report = run_probe_api(url, token=make_token(customer))

    failed = [result for result in report["results"] if result["status"] in {"FAIL", "ERROR"}]
    assert failed == []
    assert report["exit_code"] == 0
