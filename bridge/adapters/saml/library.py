"""python3-saml and xmlsec: the one module that talks to them.

python3-saml 1.16 is frozen (its last release is of October 2023). We keep what it is good at, behind the
gate of :mod:`bridge.adapters.saml.gate`: its signature verification with several certificates, and its schema. The
reading of a response we do ourselves, on the tree that the gate has parsed: the library parses it again, its rules
about signed elements are those of the gate, and its ``is_valid()`` reads the wall clock instead of taking an instant,
allows three different clock differences (300 s for conditions, none for the rest), skips every check whose
input is missing and compiles the schema again for every response. :mod:`bridge.adapters.saml.conditions` replaces it.
"""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Any, Final

import onelogin.saml2
import xmlsec
from lxml import etree
from onelogin.saml2.errors import OneLogin_Saml2_ValidationError
from onelogin.saml2.utils import OneLogin_Saml2_Utils

from bridge.adapters.refusals import refused
from bridge.adapters.saml.encryption import open_assertion
from bridge.adapters.saml.gate import MAX_RESPONSE_BYTES, check_signature, check_structure, check_unique_ids
from bridge.adapters.saml.refusals import SamlRefusal
from bridge.adapters.saml.requests import SpKey
from bridge.adapters.saml.xml import DS, SAML, SAMLP, text_of
from bridge.errors import BridgeError

_ASSERTION = f"{{{SAML}}}Assertion"
_ENCRYPTED = f"{{{SAML}}}EncryptedAssertion"
_SUCCESS: Final = "urn:oasis:names:tc:SAML:2.0:status:Success"
_SCHEMA_LOCK = Lock()


class SignedPart(StrEnum):
    """What the identity provider signed."""

    RESPONSE = "response"
    ASSERTION = "assertion"
    BOTH = "both"


@dataclass(frozen=True, slots=True)
class VerifiedDocument:
    """A response whose signatures hold; ``assertion`` is covered by at least one of them."""

    response: Any
    assertion: Any
    signed: SignedPart


def initialise() -> None:
    """Prepare libxmlsec for strangers' documents: it may open no file and no address. Call once, at start."""
    xmlsec.init()
    xmlsec.cleanup_callbacks()


def verify_signatures(
    response: Any, certificates: Sequence[str], our_keys: Callable[[], Sequence[SpKey]]
) -> VerifiedDocument:
    """Verify every signature of a response that has passed the gate, with the certificates we trust (PEM).

    Several certificates are tried in turn (roll-over). What the document says about its own key is ignored. A signature
    of the response holds over what arrived, an encrypted assertion included; one of the assertion over what was opened.

    Args:
        response: As the gate returned it.
        certificates: Of the identity provider.
        our_keys: Asked for the keys that open an encrypted assertion, only when there is one.

    Raises:
        SignInRefusedError: When the status is not Success, the document breaks the schema of SAML 2.0, is
            unsigned, cannot be decrypted, or one of its signatures was made by another key or over another content.
    """
    try:
        return _verify(response, certificates, our_keys)
    except BridgeError:
        raise
    except Exception as problem:  # the library raises bare Exceptions, and no document may become a 500
        raise refused(SamlRefusal.MALFORMED, f"The response could not be processed: {_sentence(problem)}") from problem


def verify_metadata_signature(root: Any, certificate: str) -> None:
    """Verify that a metadata document (its root element) was signed, as a whole, by this certificate (PEM).

    Raises:
        SignInRefusedError: When it is unsigned, signed in an unusual way, or by another key.
    """
    signatures = root.findall(f"{{{DS}}}Signature")
    if len(signatures) != 1:
        raise refused(SamlRefusal.NO_SIGNATURE, "the document is not signed")
    check_unique_ids(root)
    check_signature(root, signatures[0])
    if not _is_signed(root, "/*/ds:Signature", [certificate]):
        raise refused(SamlRefusal.BAD_SIGNATURE, "the document was signed by another key, or changed since")


def verify_message(message: Any, certificates: Sequence[str] | None) -> None:
    """Verify a message that has passed the gate: its schema, and the signature in it by one of the certificates (PEM).

    With None the signature stood beside the message and was verified there.

    Raises:
        SignInRefusedError: It breaks the schema of SAML 2.0, or was signed by another key or over another content.
    """
    try:
        if certificates is not None:
            _check_signature(message, "/*/ds:Signature", certificates)
        _check_schema(message)
    except BridgeError:
        raise
    except Exception as problem:  # as above
        raise refused(SamlRefusal.MALFORMED, f"The message could not be processed: {_sentence(problem)}") from problem


def _verify(response: Any, certificates: Sequence[str], our_keys: Callable[[], Sequence[SpKey]]) -> VerifiedDocument:
    if response.get("Version") != "2.0":
        raise refused(SamlRefusal.VERSION, "The response is not of SAML version 2.0")
    _check_status(response)
    if response.find(_ASSERTION) is None and response.find(_ENCRYPTED) is None:
        raise refused(SamlRefusal.NO_ASSERTION, "The response has no assertion, so it names nobody")
    in_response = response.find(f"{{{DS}}}Signature") is not None
    if in_response:
        _check_signature(response, OneLogin_Saml2_Utils.RESPONSE_SIGNATURE_XPATH, certificates)
    clear = response if response.find(_ENCRYPTED) is None else _opened(response, our_keys())
    # Of one that was encrypted only what was opened: the gate knows how it was encrypted, and the schema is older.
    _check_schema(clear)
    assertion = clear.find(_ASSERTION)
    in_assertion = assertion.find(f"{{{DS}}}Signature") is not None
    if in_assertion:
        _check_signature(clear, OneLogin_Saml2_Utils.ASSERTION_SIGNATURE_XPATH, certificates)
    if not (in_response or in_assertion):
        raise refused(SamlRefusal.NO_SIGNATURE, "Neither the response nor its assertion is signed")
    return VerifiedDocument(clear, assertion, _part(in_response=in_response, in_assertion=in_assertion))


def _check_status(response: Any) -> None:
    codes = response.findall(f"{{{SAMLP}}}Status/{{{SAMLP}}}StatusCode")
    if len(codes) != 1:
        raise refused(SamlRefusal.STATUS, "The response says nothing of how the sign-in went")
    if codes[0].get("Value") != _SUCCESS:
        said = [code.get("Value", "").rpartition(":")[2] for code in codes[0].iter(f"{{{SAMLP}}}StatusCode")]
        message = text_of(response.find(f"{{{SAMLP}}}Status/{{{SAMLP}}}StatusMessage"))
        words = _sentence(" -> ".join([*said, *([message] if message else [])]))
        raise refused(SamlRefusal.STATUS, f"The identity provider did not sign the person in: {words}")


def _opened(response: Any, keys: Sequence[SpKey]) -> Any:
    """Return the response with its assertion decrypted, through the same gate as one that came in clear."""
    clear = copy.deepcopy(response)
    for signature in clear.findall(f"{{{DS}}}Signature"):
        clear.remove(signature)  # it was verified over what arrived, and covers no longer what stands here
    encrypted = clear.find(_ENCRYPTED)
    clear.replace(encrypted, open_assertion(encrypted, keys, max_bytes=MAX_RESPONSE_BYTES))
    return check_structure(etree.tostring(clear), decrypted=True)


def _part(*, in_response: bool, in_assertion: bool) -> SignedPart:
    if in_response and in_assertion:
        return SignedPart.BOTH
    return SignedPart.RESPONSE if in_response else SignedPart.ASSERTION


def _check_signature(document: Any, xpath: str, certificates: Sequence[str]) -> None:
    if not certificates or not _is_signed(document, xpath, certificates):
        raise refused(
            SamlRefusal.BAD_SIGNATURE,
            "The signature was made by none of the connection's certificates, or the content was changed "
            "afterwards: compare the certificates, the identity provider may have renewed its own",
        )


def _is_signed(document: Any, xpath: str, certificates: Sequence[str]) -> bool:
    try:
        return bool(OneLogin_Saml2_Utils.validate_sign(document, xpath=xpath, multicerts=list(certificates)))
    except OneLogin_Saml2_ValidationError:
        return False


@cache
def _schema() -> Any:
    folder = Path(onelogin.saml2.__file__).parent / "schemas"
    return etree.XMLSchema(etree.parse(str(folder / "saml-schema-protocol-2.0.xsd")))


def _check_schema(document: Any) -> None:
    with _SCHEMA_LOCK:  # compiled once (1.6 ms); its error log is shared between threads
        schema = _schema()
        if schema.validate(document):
            return
        problem = schema.error_log.last_error
    raise refused(SamlRefusal.SCHEMA, f"The response breaks the SAML 2.0 schema: {_sentence(problem.message)}")


def _sentence(problem: object) -> str:
    return " ".join(str(problem).split())[:300]
