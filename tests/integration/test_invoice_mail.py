"""Invoices by mail (rule W8): a real SMTP conversation, the PDF attached, retried, and one mail for one invoice."""

import datetime as dt
import io
import ipaddress
import smtplib
import ssl
from collections.abc import Iterator
from dataclasses import replace
from email.message import Message as Mail
from pathlib import Path

import psycopg
import pytest
from click.testing import CliRunner
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from pypdf import PdfReader
from sqlalchemy import URL, select

from bridge.adapters.mail import SmtpMailer
from bridge.billing.pdf import check_pdf
from bridge.cli import main
from bridge.domain.actors import Actor, ActorKind
from bridge.domain.roles import Role
from bridge.errors import ForbiddenError, InvalidInputError, NotInstalledError
from bridge.jobs.work import deliver_due
from bridge.ports import Attachment, Message
from bridge.runtime import Runtime
from bridge.store.models import AuditEntry, Invoice
from bridge.usecases.billing_details import change_billing_details
from bridge.usecases.deliver import list_open_deliveries, retry_dead_deliveries
from bridge.usecases.send_invoice import send_invoice
from bridge.usecases.workspace_teams import create_team, join_teams
from tests.conftest import KEY, SettableClock
from tests.documents import SELLER
from tests.factories import Customer, create_customer, create_workspace
from tests.smtp import MailServer, mail_server

BUYER = {"legal_name": "Nordlys AS", "country": "NO", "mailboxes": ["ap@nordlys.test", "cfo@nordlys.test"]}


def has_pdf() -> bool:
    try:
        check_pdf()
    except NotInstalledError:
        return False
    return True


needs_pdf = pytest.mark.skipif(not has_pdf(), reason="WeasyPrint or Pango is missing")


@pytest.fixture
def server() -> Iterator[MailServer]:
    with mail_server() as server:
        yield server


@pytest.fixture
def posting(runtime: Runtime, server: MailServer) -> Runtime:
    """The product with a real way out for mail."""
    runtime.seller = SELLER
    runtime.mailer = SmtpMailer(server.url, "seats@seatbridge.test")
    return runtime


def bill_a_month(runtime: Runtime, clock: SettableClock, kind: str) -> Customer:
    """A workspace in its second month: the first one is billed, for one person or one team."""
    workspace = create_workspace(runtime, kind=kind)
    with workspace.unit() as unit:
        change_billing_details(unit, BUYER)
    alice = workspace.push("alice@nordlys.test", displayName="Alice")
    with workspace.unit() as unit:
        create_team(unit, "Red")
        join_teams(unit, alice.id, ["Red"])
    clock.at = dt.datetime(2026, 4, 2, tzinfo=dt.UTC)
    with workspace.unit() as unit:
        unit.lock()
    return workspace


def parts(mail: Mail) -> dict[str, bytes]:
    return {
        part.get_content_type(): bytes(part.get_payload(decode=True)) for part in mail.walk() if not part.is_multipart()
    }


@needs_pdf
def test_w8_an_invoice_of_user_licences_goes_as_pdf_to_the_agreed_mailboxes(
    posting: Runtime, clock: SettableClock, server: MailServer
) -> None:
    bill_a_month(posting, clock, "user_licence")

    deliver_due(posting)

    (mail,) = server.mails
    assert mail["To"] == "ap@nordlys.test, cfo@nordlys.test"
    assert mail["Subject"] == "Invoice NORDLYS-000001 from Seats AB"
    assert mail["Date"]
    content = parts(mail)
    words = content["text/plain"].decode()
    assert "Invoice NORDLYS-000001 from Seats AB for Nordlys AS, 1 April 2026." in words
    assert "Amount due: €5.00" in words
    assert "SE45 5000 0000 0583 9825 7466" in words
    assert "It is attached as PDF." in words
    attached = next(part for part in mail.walk() if part.get_content_type() == "application/pdf")
    assert attached.get_filename() == "invoice-NORDLYS-000001.pdf"
    reader = PdfReader(io.BytesIO(content["application/pdf"]))
    assert "NORDLYS-000001" in reader.pages[0].extract_text()
    assert "factur-x.xml" in reader.attachments


@needs_pdf
def test_w8_an_invoice_of_team_licences_is_mailed_only_where_a_mailbox_is_set(
    posting: Runtime, clock: SettableClock, server: MailServer
) -> None:
    workspace = bill_a_month(posting, clock, "team_licence")
    with workspace.unit() as unit:
        change_billing_details(unit, {"mailboxes": []})

    deliver_due(posting)

    (notice,) = server.mails
    assert notice["To"] == "owner@nordlys.test"
    assert list(parts(notice)) == ["text/plain"]
    assert "Download it in the console, under Licences & billing." in parts(notice)["text/plain"].decode()


@needs_pdf
def test_a_server_that_is_away_delays_a_pdf_and_one_mail_comes(
    posting: Runtime, clock: SettableClock, server: MailServer
) -> None:
    workspace = bill_a_month(posting, clock, "user_licence")
    server.refuses = True
    before = deliver_due(posting)
    with workspace.unit() as unit:
        (waiting,) = list_open_deliveries(unit)

    server.refuses = False
    clock.at += dt.timedelta(hours=1)
    counts = [deliver_due(posting), deliver_due(posting)]

    assert (before, waiting.last_error, counts) == (0, "SMTPRecipientsRefused", [1, 0])
    assert len(server.mails) == 1


@needs_pdf
def test_an_invoice_that_is_sent_again_is_a_mail_of_its_own_and_audited(
    posting: Runtime, clock: SettableClock, server: MailServer
) -> None:
    workspace = bill_a_month(posting, clock, "user_licence")
    deliver_due(posting)
    with workspace.unit(workspace.owner) as unit:
        invoice = unit.session.scalars(select(Invoice).where(Invoice.org_id == unit.org_id)).one()
        send_invoice(unit, invoice.id)

    deliver_due(posting)

    identifiers = [mail["Message-ID"] for mail in server.mails]
    assert len(set(identifiers)) == 2
    assert identifiers[0] == f"<invoice.{invoice.id}@seatbridge.test>"
    with workspace.unit() as unit:
        entry = unit.session.scalars(select(AuditEntry).where(AuditEntry.action == "invoice.sent_again")).one()
    assert (entry.actor, entry.body) == (f"member:{workspace.owner_id}", {"mailboxes": 2})


def test_z1_only_owners_send_and_nowhere_without_a_mailbox(runtime: Runtime) -> None:
    customer = create_customer(runtime)
    with customer.unit() as unit:
        invoice = unit.session.scalars(select(Invoice).where(Invoice.org_id == unit.org_id)).one()

    with customer.unit(Actor(ActorKind.MEMBER, customer.owner_id, Role.ADMIN)) as unit, pytest.raises(ForbiddenError):
        send_invoice(unit, invoice.id)
    with customer.unit(customer.owner) as unit, pytest.raises(InvalidInputError, match="none is agreed"):
        send_invoice(unit, invoice.id)


def test_without_the_optional_part_a_mail_waits_and_says_why_and_then_goes(
    posting: Runtime, clock: SettableClock, server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = bill_a_month(posting, clock, "user_licence")
    monkeypatch.setitem(__import__("sys").modules, "weasyprint", None)

    deliver_due(posting)

    with workspace.unit() as unit:
        (waiting,) = list_open_deliveries(unit)
        assert retry_dead_deliveries(unit) == 0
    assert (waiting.state, waiting.last_error) == ("pending", "not_installed")
    assert server.mails == []


class TestConversation:
    MESSAGE = Message(
        to=("ap@nordlys.test", "gone@nordlys.test"),
        subject="Invoice",
        text="Text with € and å",
        key="invoice:1",
        attachments=(Attachment("invoice-å.pdf", "application/pdf", bytes(range(256)) * 400),),
    )

    @pytest.fixture
    def tls(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
        """A server's side of TLS, whose certificate this process trusts."""
        key = ec.generate_private_key(ec.SECP256R1())
        here = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sink")])
        now = dt.datetime.now(dt.UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(1)
            .not_valid_before(now - dt.timedelta(hours=1))
            .not_valid_after(now + dt.timedelta(hours=1))
            .add_extension(x509.SubjectAlternativeName([here]), critical=False)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(key, hashes.SHA256())
        )
        file = tmp_path / "sink.pem"
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        file.write_bytes(pem + certificate.public_bytes(serialization.Encoding.PEM))
        trusted = tmp_path / "trusted.pem"
        trusted.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        return context

    def test_the_mail_goes_encrypted_and_after_the_password(self, tls: ssl.SSLContext) -> None:
        with mail_server(tls=tls, login="seats:pa55 w%rd") as server:
            mailer = SmtpMailer(f"smtp://seats:pa55%20w%25rd@127.0.0.1:{server.port}", "seats@seatbridge.test")
            mailer.check()
            mailer.send(self.MESSAGE)

        (mail,) = server.mails
        assert parts(mail)["application/pdf"] == bytes(range(256)) * 400
        assert parts(mail)["text/plain"].decode().strip() == "Text with € and å"
        assert server.said[-9:] == ["EHLO", "STARTTLS", "EHLO", "AUTH", "MAIL", "RCPT", "RCPT", "DATA", "QUIT"]

    def test_a_wrong_password_is_an_error_and_nothing_is_sent(self, tls: ssl.SSLContext) -> None:
        with mail_server(tls=tls, login="seats:right") as server:
            mailer = SmtpMailer(f"smtp://seats:wrong@127.0.0.1:{server.port}", "seats@seatbridge.test")
            with pytest.raises(smtplib.SMTPAuthenticationError):
                mailer.send(self.MESSAGE)

        assert server.mails == []

    def test_a_password_is_never_sent_without_encryption(self, server: MailServer) -> None:
        mailer = SmtpMailer(f"smtp://seats:secret@127.0.0.1:{server.port}", "seats@seatbridge.test")

        with pytest.raises(OSError, match="offers no encryption"):
            mailer.send(self.MESSAGE)

        assert "AUTH" not in server.said

    def test_a_certificate_that_nobody_trusts_ends_the_conversation(
        self, tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("SSL_CERT_FILE")
        with mail_server(tls=tls) as server:
            mailer = SmtpMailer(server.url, "seats@seatbridge.test")
            with pytest.raises(ssl.SSLCertVerificationError):
                mailer.send(self.MESSAGE)

        assert server.mails == []

    def test_i7_whatever_ends_a_line_is_a_space_in_the_subject(self, server: MailServer) -> None:
        subject = "The core declined (no\u2028way\r\nBcc: b@x\x85\x0b)"

        SmtpMailer(server.url, "seats@seatbridge.test").send(replace(self.MESSAGE, subject=subject))

        assert server.mails[0]["Subject"] == "The core declined (no way Bcc: b@x )"

    def test_one_refused_address_of_two_does_not_send_the_mail_again(self, server: MailServer) -> None:
        server.refused_addresses = frozenset({"gone@nordlys.test"})

        SmtpMailer(server.url, "seats@seatbridge.test").send(self.MESSAGE)

        assert len(server.mails) == 1


@needs_pdf
def test_an_invoice_is_sent_again_from_the_command_line(
    runtime: Runtime, database_url: URL, monkeypatch: pytest.MonkeyPatch, owner_connection: psycopg.Connection
) -> None:
    monkeypatch.setenv("SEATBRIDGE__DATABASE__URL", database_url.render_as_string(hide_password=False))
    monkeypatch.setenv("SEATBRIDGE__SECRETS__KEYS", KEY)
    customer = create_customer(runtime)
    with customer.unit() as unit:
        change_billing_details(unit, BUYER)

    done = CliRunner().invoke(main, ["invoice", "send", "nordlys", "nordlys-000001"])

    assert done.exit_code == 0, done.output
    assert "NORDLYS-000001 is on its way to ap@nordlys.test, cfo@nordlys.test" in done.output
    again = "SELECT count(*) FROM delivery WHERE key LIKE 'invoice:%:%'"
    assert owner_connection.execute(again).fetchone() == (1,)
