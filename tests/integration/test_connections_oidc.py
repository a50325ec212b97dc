"""Connecting an OpenID Connect provider: what its description must say, and what the operator sees."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from bridge.adapters.fetch import Request
from bridge.adapters.oidc import Wire, WireError, choose_auth_method, discover, read_description, read_keys
from bridge.errors import InvalidInputError, SignInRefusedError
from bridge.store.models import AuditEntry, OidcProvider
from bridge.usecases.oidc_trust import secret_place
from tests.factories import Customer
from tests.integration.test_cli import Run, nordlys, run
from tests.op import CLIENT_ID, CLIENT_SECRET, Lies, OpenIdProvider, ec_key, open_id_provider, rsa_key

__all__ = ["nordlys", "run"]


@pytest.fixture(scope="module")
def running() -> Iterator[OpenIdProvider]:
    with open_id_provider() as provider:
        yield provider


@pytest.fixture
def op(running: OpenIdProvider) -> OpenIdProvider:
    running.lies = Lies()
    return running


def described(op: OpenIdProvider, **lies: Any) -> dict[str, Any]:
    op.lies = Lies(description=lies)
    return op.description()


class TestDescriptions:
    def test_a_provider_is_read_from_its_own_description(self, op: OpenIdProvider) -> None:
        facts = discover(Wire(op.issuer))

        assert (facts.issuer, facts.sends_issuer) == (op.issuer, True)
        assert facts.algorithms == ("RS256", "RS384", "RS512", "PS256", "ES256", "ES384", "Ed25519")
        assert facts.token_endpoint == f"{op.issuer}/token"

    @pytest.mark.parametrize(
        ("lies", "problem"),
        [
            ({"issuer": "https://evil.example"}, "enter exactly that"),
            ({"issuer": None}, "enter exactly that"),
            ({"response_types_supported": ["id_token", "code id_token"]}, "authorization code flow"),
            ({"code_challenge_methods_supported": ["plain"]}, "PKCE with S256"),
            ({"id_token_signing_alg_values_supported": ["HS256", "none"]}, "signs by none of"),
            ({"id_token_signing_alg_values_supported": "RS256"}, "no list of names"),
            ({"token_endpoint": None}, "token_endpoint in its description is no address"),
            ({"token_endpoint": "ftp://localhost/token"}, "must start with https://"),
            ({"jwks_uri": "http://user:secret@localhost/keys"}, "no plain address"),
            ({"authorization_endpoint": "javascript:alert(1)"}, "no address"),
            ({"authorization_endpoint": "https://a.example/\r\nSet-Cookie: a=b"}, "no plain address"),
        ],
    )
    def test_what_cannot_be_trusted_is_refused_with_what_to_do(
        self, op: OpenIdProvider, lies: dict[str, Any], problem: str
    ) -> None:
        with pytest.raises(InvalidInputError, match=problem):
            read_description(described(op, **lies), op.issuer)

    @pytest.mark.parametrize("name", ["authorization_endpoint", "token_endpoint", "jwks_uri", "userinfo_endpoint"])
    def test_i8_a_provider_elsewhere_names_no_address_of_this_machine(self, op: OpenIdProvider, name: str) -> None:
        public = {
            key: value.replace(op.issuer, "https://idp.example") if isinstance(value, str) else value
            for key, value in op.description().items()
        }

        for address in ("https://127.0.0.1/x", "https://localhost/x", "http://idp.example/x"):
            with pytest.raises(InvalidInputError, match=name):
                read_description({**public, name: address}, "https://idp.example")

    @pytest.mark.parametrize("issuer", ["http://10.0.0.1", "https://169.254.169.254", "http://idp.example", "nonsense"])
    def test_i8_an_issuer_in_our_network_is_not_asked(self, issuer: str) -> None:
        with pytest.raises(InvalidInputError, match=r"may not be asked|could not be read"):
            discover(Wire(issuer))

    @pytest.mark.parametrize(
        ("announced", "client", "method"),
        [
            ((), "with a secret", "client_secret_basic"),
            (("client_secret_post", "client_secret_basic"), "with a secret", "client_secret_basic"),
            (("client_secret_post", "private_key_jwt"), "with a secret", "client_secret_post"),
            (("client_secret_basic", "none"), "without", "none"),
        ],
    )
    def test_we_make_ourselves_known_as_the_provider_takes_it(
        self, op: OpenIdProvider, announced: tuple[str, ...], client: str, method: str
    ) -> None:
        facts = read_description(
            described(op, token_endpoint_auth_methods_supported=list(announced) or None), op.issuer
        )

        assert choose_auth_method(facts, has_secret=client == "with a secret") == method

    def test_a_client_that_the_provider_does_not_take_is_refused(self, op: OpenIdProvider) -> None:
        facts = read_description(described(op, token_endpoint_auth_methods_supported=["private_key_jwt"]), op.issuer)

        for has_secret in (True, False):
            with pytest.raises(InvalidInputError, match="client_secret"):
                choose_auth_method(facts, has_secret=has_secret)


class TestKeys:
    def test_of_a_key_set_only_what_can_sign_an_id_token_is_read(self) -> None:
        good, other = rsa_key("one").as_dict(private=True), ec_key("two").as_dict(private=False)
        encrypting = {**rsa_key("another").as_dict(private=False), "use": "enc"}
        shared = {"kty": "oct", "kid": "shared", "k": "c2VjcmV0"}
        small = {"kty": "RSA", "kid": "small", "n": "AQAB" * 30, "e": "AQAB"}
        broken = {"kty": "EC", "kid": "broken", "crv": "P-256", "x": "AA", "y": "AA"}

        keys = read_keys({"keys": [good, other, encrypting, shared, small, broken, {"kty": 7}, "x"]})

        assert [key.kid for key in keys] == ["one", "two"]
        assert not any(key.is_private for key in keys)

    @pytest.mark.parametrize("document", [{}, {"keys": []}, {"keys": "x"}, {"keys": [{"kty": "oct", "k": "AA"}]}])
    def test_a_key_set_without_a_usable_key_is_refused(self, document: dict[str, Any]) -> None:
        with pytest.raises(SignInRefusedError):
            read_keys(document)


class TestCommand:
    def connect(self, run: Run, op: OpenIdProvider, *more: str, **facts: Any) -> Result:
        named = ("--issuer", op.issuer, "--client-id", CLIENT_ID)
        return run("connection", "oidc", "nordlys", "Okta", *named, *more, **facts)

    def provider(self, customer: Customer) -> tuple[OidcProvider, str | None]:
        with customer.unit() as unit:
            found = unit.session.get_one(OidcProvider, (unit.org_id, customer.connection_id))
            place = secret_place(unit.org_id, customer.connection_id)
            sealed = found.client_secret
            secret = customer.runtime.secrets.open(sealed, bound_to=place).decode() if sealed else None
            return found, secret

    def test_it_prints_the_redirect_uri_and_keeps_the_secret_sealed(
        self, run: Run, nordlys: Customer, op: OpenIdProvider
    ) -> None:
        done = self.connect(run, op, "--scope", "groups", typed=f"{CLIENT_SECRET}\n")

        base = f"https://seats.example.com/sso/oidc/nordlys/{nordlys.connection_id}"
        assert done.exit_code == 0, done.output
        assert f"redirect URI        {base}/callback\n" in done.stdout
        assert CLIENT_SECRET not in done.output
        found, secret = self.provider(nordlys)
        assert secret == CLIENT_SECRET
        assert (found.scopes, found.auth_method) == (["openid", "profile", "email", "groups"], "client_secret_basic")
        assert CLIENT_SECRET.encode() not in (found.client_secret or b"")
        with nordlys.unit() as unit:
            (entry,) = unit.session.query(AuditEntry).filter_by(action="connection.oidc_trusted").all()
            assert CLIENT_SECRET not in json.dumps(entry.body)

    def test_what_is_not_said_again_stays_as_it_is(self, run: Run, nordlys: Customer, op: OpenIdProvider) -> None:
        self.connect(run, op, "--scope", "groups", "--userinfo", "--no-jit", typed=f"{CLIENT_SECRET}\n")

        done = run("connection", "oidc", "nordlys", "Okta", "--json")

        assert done.exit_code == 0, done.output
        assert json.loads(done.stdout)["creates_who_is_new"] is False
        found, secret = self.provider(nordlys)
        assert (found.scopes[-1], found.asks_userinfo, secret) == ("groups", True, CLIENT_SECRET)

    def test_the_secret_of_another_client_is_never_sent_to_a_new_one(
        self, run: Run, nordlys: Customer, op: OpenIdProvider
    ) -> None:
        self.connect(run, op, typed=f"{CLIENT_SECRET}\n")

        done = run("connection", "oidc", "nordlys", "Okta", "--client-id", "another")

        assert done.exit_code == 1
        assert "--client-secret-file" in done.output

    def test_a_secret_may_come_from_a_file_or_not_at_all(
        self, run: Run, nordlys: Customer, op: OpenIdProvider, tmp_path: Path
    ) -> None:
        file = tmp_path / "secret"
        file.write_text(f"{CLIENT_SECRET}\n")

        self.connect(run, op, "--client-secret-file", str(file))
        by_file = self.provider(nordlys)[1]
        self.connect(run, op, "--public-client")

        assert by_file == CLIENT_SECRET
        assert self.provider(nordlys)[1] is None

    def test_it_says_what_is_missing(self, run: Run, nordlys: Customer, op: OpenIdProvider) -> None:
        del nordlys
        nothing = run("connection", "oidc", "nordlys", "Okta")
        elsewhere = run("connection", "oidc", "nordlys", "Okta", "--issuer", f"{op.issuer}/x", "--client-id", "a")

        assert (nothing.exit_code, elsewhere.exit_code) == (2, 1)
        assert "--issuer, --client-id" in nothing.output
        assert "answered 404 instead of 200" in elsewhere.output


def test_settings_name_hosts_of_the_own_network(op: OpenIdProvider) -> None:
    port = op.issuer.rpartition(":")[2]
    wire = Wire("https://idp.example", internal_hosts=("127.0.0.1",))

    assert wire.read(f"http://127.0.0.1:{port}/keys")["keys"]


def test_a_provider_that_takes_too_long_is_waited_for_no_longer(op: OpenIdProvider) -> None:
    op.lies = Lies(delay_seconds=0.5)

    with pytest.raises(WireError, match="takes too long"):
        Wire(op.issuer, seconds=0.1).send(Request(f"{op.issuer}/token", "POST"))
