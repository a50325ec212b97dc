"""Mail by SMTP: the only place that knows of smtplib."""

import smtplib
import ssl
from email.message import EmailMessage
from urllib.parse import unquote, urlsplit

from bridge.ports import Message

TIMEOUT_SECONDS = 15


class SmtpMailer:
    """Sends plain text mail through one server.

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

        Raises:
            OSError: The server cannot be reached or refuses the mail; smtplib's errors are OSErrors.
        """
        mail = EmailMessage()
        mail["From"], mail["To"] = self._sender, ", ".join(message.to)
        mail["Subject"] = message.subject.replace("\n", " ").replace("\r", " ")
        mail["Message-ID"] = f"<{message.key.replace(':', '.')}@{self._sender.rpartition('@')[2]}>"
        mail.set_content(message.text)
        with self._connect() as server:
            self._sign_in(server)
            server.send_message(mail)

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
