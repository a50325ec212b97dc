"""Why a SAML sign-in is refused: one stable code per reason, for the connection's sign-in log."""

from enum import StrEnum

from bridge.errors import SignInRefusedError

_SHOWN_CHARACTERS = 120


class SamlRefusal(StrEnum):
    """The ``reason`` of every :class:`~bridge.errors.SignInRefusedError` this package raises."""

    NOT_BASE64 = "saml_not_base64"
    TOO_LARGE = "saml_too_large"
    MALFORMED = "saml_malformed"
    DOCTYPE = "saml_doctype"
    FORBIDDEN_CONTENT = "saml_forbidden_content"
    NOT_A_RESPONSE = "saml_not_a_response"
    SEVERAL_ASSERTIONS = "saml_several_assertions"
    NO_ASSERTION = "saml_no_assertion"
    ENCRYPTED = "saml_encrypted"
    DECRYPTION = "saml_decryption"
    DUPLICATE_ID = "saml_duplicate_id"
    SIGNATURE_PLACE = "saml_signature_place"
    SIGNATURE_STRUCTURE = "saml_signature_structure"
    REFERENCE = "saml_reference"
    TRANSFORM = "saml_transform"
    ALGORITHM = "saml_algorithm"
    KEY_INFO = "saml_key_info"
    SCHEMA = "saml_schema"
    VERSION = "saml_version"
    STATUS = "saml_status"
    NO_SIGNATURE = "saml_no_signature"
    BAD_SIGNATURE = "saml_bad_signature"
    ISSUER = "saml_issuer"
    DESTINATION = "saml_destination"
    IN_RESPONSE_TO = "saml_in_response_to"
    CONDITIONS = "saml_conditions"
    AUDIENCE = "saml_audience"
    NOT_YET_VALID = "saml_not_yet_valid"
    EXPIRED = "saml_expired"
    ISSUED_IN_FUTURE = "saml_issued_in_future"
    SUBJECT_CONFIRMATION = "saml_subject_confirmation"
    RECIPIENT = "saml_recipient"
    NAME_ID = "saml_name_id"
    AUTHN_STATEMENT = "saml_authn_statement"
    ATTRIBUTE = "saml_attribute"


def refused(reason: SamlRefusal, detail: str) -> SignInRefusedError:
    """Return the refusal to raise; ``detail`` is a sentence for whoever reads the sign-in log."""
    return SignInRefusedError(reason.value, detail)


def shown(value: object) -> str:
    """Return a stranger's value fit for one line of a log: quoted, escaped and cut to 120 characters."""
    text = str(value)
    return repr(text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "…")
