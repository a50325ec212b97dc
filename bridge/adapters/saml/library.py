"""python3-saml and xmlsec: the one module that talks to them.

python3-saml 1.16 is frozen (its last release is of October 2023). We keep what it is good at, behind the
gate of :mod:`bridge.adapters.saml.gate`: its hardened parser, its rules about signed elements, its
signature verification with several certificates, its schema and its status messages. Its ``is_valid()`` we
replace by :mod:`bridge.adapters.saml.conditions`: it reads the wall clock instead of taking an instant,
allows three different clock differences (300 s for conditions, none for the rest), skips every check whose
input is missing and compiles the schema again for every response.
"""

import base64
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
from onelogin.saml2.response import OneLogin_Saml2_Response
from onelogin.saml2.settings import OneLogin_Saml2_Settings
from onelogin.saml2.utils import OneLogin_Saml2_Utils

from bridge.adapters.saml.gate import check_signature, check_unique_ids
from bridge.adapters.saml.refusals import SamlRefusal, refused
from bridge.adapters.saml.xml import DS, SAML, SAMLP
from bridge.errors import SignInRefusedError

_ERROR = OneLogin_Saml2_ValidationError
_REASONS: Final = {
    _ERROR.UNSUPPORTED_SAML_VERSION: SamlRefusal.VERSION,
    _ERROR.MISSING_ID: SamlRefusal.SCHEMA,
    _ERROR.MISSING_STATUS: SamlRefusal.STATUS,
    _ERROR.MISSING_STATUS_CODE: SamlRefusal.STATUS,
    _ERROR.STATUS_CODE_IS_NOT_SUCCESS: SamlRefusal.STATUS,
    _ERROR.WRONG_NUMBER_OF_ASSERTIONS: SamlRefusal.SEVERAL_ASSERTIONS,
    _ERROR.DEPRECATED_SIGNATURE_METHOD: SamlRefusal.ALGORITHM,
    _ERROR.DEPRECATED_DIGEST_METHOD: SamlRefusal.ALGORITHM,
    _ERROR.NO_SIGNATURE_FOUND: SamlRefusal.NO_SIGNATURE,
    _ERROR.INVALID_SIGNATURE: SamlRefusal.BAD_SIGNATURE,
}
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
    xml: bytes, *, sp_entity_id: str, acs_url: str, certificates: tuple[str, ...]
) -> VerifiedDocument:
    """Verify every signature of a response that has passed the gate, with the certificates we trust (PEM).

    Several certificates are tried in turn (roll-over). What the document says about its own key is ignored.

    Raises:
        SignInRefusedError: When the status is not Success, the document breaks the schema of SAML 2.0, is
        unsigned,
            or one of its signatures was made by another key or over another content.
    """
    try:
        return _verify(OneLogin_Saml2_Response(_settings(sp_entity_id, acs_url), base64.b64encode(xml)), certificates)
    except SignInRefusedError:
        raise
    except _ERROR as problem:
        reason = _REASONS.get(problem.code, SamlRefusal.SIGNATURE_STRUCTURE)
        raise refused(reason, _sentence(problem)) from problem
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
    if not OneLogin_Saml2_Utils.validate_sign(root, xpath="/*/ds:Signature", multicerts=[certificate]):
        raise refused(SamlRefusal.BAD_SIGNATURE, "the document was signed by another key, or changed since")


def _verify(response: Any, certificates: tuple[str, ...]) -> VerifiedDocument:
    document = response.document
    if document.get("Version") != "2.0":
        raise refused(SamlRefusal.VERSION, "The response is not of SAML version 2.0")
    response.check_status()
    assertion = document.find(f"{{{SAML}}}Assertion")
    if assertion is None:
        raise refused(SamlRefusal.NO_ASSERTION, "The response has no assertion, so it names nobody")
    if not response.validate_num_assertions():
        raise refused(SamlRefusal.SEVERAL_ASSERTIONS, "The response must contain exactly one assertion")
    _check_schema(document)
    signed = {f"{{{SAMLP}}}Response": False, f"{{{SAML}}}Assertion": False}
    signed.update(dict.fromkeys(response.process_signed_elements(), True))
    in_response, in_assertion = signed.values()
    if not (in_response or in_assertion):
        raise refused(SamlRefusal.NO_SIGNATURE, "Neither the response nor its assertion is signed")
    if in_response:
        _check_signature(document, OneLogin_Saml2_Utils.RESPONSE_SIGNATURE_XPATH, certificates)
    if in_assertion:
        _check_signature(document, OneLogin_Saml2_Utils.ASSERTION_SIGNATURE_XPATH, certificates)
    return VerifiedDocument(document, assertion, _part(in_response=in_response, in_assertion=in_assertion))


def _part(*, in_response: bool, in_assertion: bool) -> SignedPart:
    if in_response and in_assertion:
        return SignedPart.BOTH
    return SignedPart.RESPONSE if in_response else SignedPart.ASSERTION


def _check_signature(document: Any, xpath: str, certificates: tuple[str, ...]) -> None:
    if not certificates or not OneLogin_Saml2_Utils.validate_sign(document, xpath=xpath, multicerts=list(certificates)):
        raise refused(
            SamlRefusal.BAD_SIGNATURE,
            "The signature was made by none of the connection's certificates, or the content was changed "
            "afterwards: compare the certificates, the identity provider may have renewed its own",
        )


def _settings(sp_entity_id: str, acs_url: str) -> Any:
    # Validating the service provider's half only: the provider's address plays no part in reading a response.
    return OneLogin_Saml2_Settings(
        {
            "strict": True,
            "sp": {"entityId": sp_entity_id, "assertionConsumerService": {"url": acs_url}},
            "security": {"rejectDeprecatedAlgorithm": True, "allowSingleLabelDomains": True},
        },
        sp_validation_only=True,
    )


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
