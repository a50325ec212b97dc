"""Set-up guides: one source for the pages of the console and of the documentation."""

from collections.abc import Mapping
from types import MappingProxyType

from bridge.domain.dialects import Dialect
from bridge.web.guides.entra import ENTRA
from bridge.web.guides.google import GOOGLE
from bridge.web.guides.jumpcloud import JUMPCLOUD
from bridge.web.guides.keycloak import KEYCLOAK
from bridge.web.guides.model import Entry, Guide, Part, Place, Protocol, Step
from bridge.web.guides.okta import OKTA
from bridge.web.guides.other import OTHER

__all__ = ["GUIDES", "OTHER", "Entry", "Guide", "Part", "Place", "Protocol", "Step", "likely_guide"]

#: By key, in the order in which pages offer them.
GUIDES: Mapping[str, Guide] = MappingProxyType(
    {guide.key: guide for guide in (OKTA, ENTRA, GOOGLE, JUMPCLOUD, KEYCLOAK, OTHER)}
)


def likely_guide(name: str, dialect: Dialect) -> Guide:
    """Return the guide that a connection most likely needs: by whom its requests look like, else by its name."""
    by_dialect = GUIDES.get(dialect)
    if by_dialect is not None:
        return by_dialect
    called = name.lower()
    return next((guide for guide in GUIDES.values() if any(word in called for word in guide.known_by)), OTHER)
