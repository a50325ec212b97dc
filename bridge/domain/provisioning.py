"""Provisioning modes: who brings people in, who changes role and seat, who removes them (rule A9)."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from bridge.errors import InvalidInputError


class ProvisioningMode(StrEnum):
    """How an organization's people come, change and go, beside what administrators do by hand."""

    MANUAL = "manual"
    JIT = "jit"
    SCIM = "scim"
    JIT_AND_SCIM = "jit_and_scim"

    @property
    def takes_pushes(self) -> bool:
        """Whether a directory may write people and groups over SCIM."""
        return self in {ProvisioningMode.SCIM, ProvisioningMode.JIT_AND_SCIM}

    @property
    def follows_sign_ins(self) -> bool:
        """Whether a sign-in may add a new person, and its claims change the people whom only sign-ins describe."""
        return self in {ProvisioningMode.JIT, ProvisioningMode.JIT_AND_SCIM}


class Confirmation(StrEnum):
    """Whether a directory has to confirm who signs in by a connection before it has named them."""

    WHEN_PUSHING = "when_pushing"
    """Where its directory has pushed."""
    ALWAYS = "always"
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class ModeFacts:
    """A row of the table of modes, in words that stand alone; in every mode administrators may do all of it too."""

    creates: str
    changes: str
    removes: str


MODES: Mapping[ProvisioningMode, ModeFacts] = MappingProxyType(
    {
        ProvisioningMode.MANUAL: ModeFacts("an administrator, or an import", "an administrator", "an administrator"),
        ProvisioningMode.JIT: ModeFacts(
            "the first sign-in",
            "mappings at each sign-in, or an administrator",
            "an administrator; sign-in alone never removes",
        ),
        ProvisioningMode.SCIM: ModeFacts(
            "the directory", "mappings at each push, or an administrator", "the directory"
        ),
        ProvisioningMode.JIT_AND_SCIM: ModeFacts(
            "whichever comes first; the directory then takes the person over",
            "mappings, the directory's groups winning over claims",
            "the directory",
        ),
    }
)


def read_mode(text: str) -> ProvisioningMode:
    """Read the name of a mode.

    Raises:
        InvalidInputError: There is no such mode.
    """
    try:
        return ProvisioningMode(text)
    except ValueError as unknown:
        raise InvalidInputError("mode", f"{text!r} is none of {', '.join(ProvisioningMode)}") from unknown
