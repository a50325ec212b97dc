"""``seatbridge simulate push``, where no product answers."""

import pytest
from click.testing import CliRunner

from bridge.cli.simulate import simulate
from bridge.simulator.server import bind


def closed_port_url() -> str:
    server = bind()
    server.server_close()
    return f"http://127.0.0.1:{server.server_port}/scim/v2/acme"


@pytest.mark.parametrize("dialect", ["okta", "entra", "google"])
def test_says_which_address_cannot_be_reached(dialect: str) -> None:
    url = closed_port_url()

    done = CliRunner().invoke(simulate, ["push", "--as", dialect, "--users", "1", "--url", url, "--token", "secret"])

    assert done.exit_code == 1
    assert done.stderr.startswith(f"Error: {url} cannot be reached")
    assert "secret" not in done.output


def test_offers_the_dialects_by_the_names_people_type() -> None:
    done = CliRunner().invoke(simulate, ["push", "--help"])

    assert "[okta|entra|google]" in done.output


def test_takes_the_token_from_the_environment() -> None:
    done = CliRunner().invoke(
        simulate, ["push", "--users", "1", "--url", closed_port_url()], env={"SEATBRIDGE_SCIM_TOKEN": "secret"}
    )

    assert "cannot be reached" in done.stderr
