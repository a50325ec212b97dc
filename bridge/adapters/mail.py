"""Mail by SMTP: the only place that knows of smtplib."""

import smtplib
import ssl
from email.message import EmailMessage
from email.utils import localtime
from urllib.parse import unquote, urlsplit

import structlog

from bridge.ports import Message

log = structlog.get_logger()

TIMEOUT_SECONDS = 15


class SmtpMailer:
    """Sends mail through one server: plain text, with attachments.

    Args:
        url: ``smtp://user:password@host:587`` (STARTTLS where the server offers it; demanded when a password is given)
            or ``smtps://user:password@host:465``.
        sender: The address mail is sent from.
    """

    def __init__(self, url: str, sender: str) -> None:
        self._url = urlsplit(url)
        self._sender = sender

    def send(self, message: Message) -> None:
        """Send one message.

        Its Message-ID is made of the key, so a mail that comes twice after all is recognised as one. A server that
        takes it for some addresses only has taken it: it isn't sent again, and the others are logged.

        Raises:
            OSError: The server cannot be reached or refuses the mail; smtplib's errors are OSErrors.
        """
        mail = EmailMessage()
        mail["From"], mail["To"] = self._sender, ", ".join(message.to)
        # Of one line: whatever ends one, LINE SEPARATOR too, is white space.
        mail["Subject"] = " ".join(message.subject.split())
        mail["Message-ID"] = f"<{message.key.replace(':', '.')}@{self._sender.rpartition('@')[2]}>"
        mail["Date"] = localtime()
        mail["Auto-Submitted"] = "auto-generated"
        mail.set_content(message.text)
        for attachment in message.attachments:
            kind, _, subtype = attachment.media_type.partition("/")
            mail.add_attachment(attachment.content, maintype=kind, subtype=subtype, filename=attachment.name)
        with self._connect() as server:
            self._sign_in(server)
            refused = server.send_message(mail)
        if refused:
            log.warning("mail.refused_for_some", key=message.key, refused=len(refused), of=len(message.to))

    def check(self) -> None:
        """Connect and sign in as for a mail, and send none.

        Raises:
            OSError: As :meth:`send`.
        """
        with self._connect() as server:
            self._sign_in(server)
            server.noop()

    def _sign_in(self, server: smtplib.SMTP) -> None:
        if self._url.username:
            server.login(unquote(self._url.username), unquote(self._url.password or ""))

    def _connect(self) -> smtplib.SMTP:
        host, context = self._url.hostname or "localhost", ssl.create_default_context()
        if self._url.scheme == "smtps":
            return smtplib.SMTP_SSL(host, self._url.port or 465, timeout=TIMEOUT_SECONDS, context=context)
        server = smtplib.SMTP(host, self._url.port or 587, timeout=TIMEOUT_SECONDS)
        try:
            server.ehlo()
            if server.has_extn("starttls"):
                server.starttls(context=context)
                server.ehlo()
            else:
                self._refuse_to_send_a_password()
        except BaseException:
            server.close()
            raise
        return server

    def _refuse_to_send_a_password(self) -> None:
        if self._url.password:
            raise OSError("the mail server offers no encryption, so the password is not sent")
