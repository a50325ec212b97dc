"""A simulated company: its directory, its identity provider, and its provisioning of the product."""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import httpx

from bridge.simulator.dialects import Dialect
from bridge.simulator.directory import Directory, Person
from bridge.simulator.provisioning import ProvisioningClient, PushReport
from bridge.simulator.push import connect
from bridge.simulator.saml import SimulatedIdp, SimulatedUser
from bridge.simulator.wire import Exchange, Wire

SEAT_EXTENSION: Final = "urn:seatbridge:params:scim:schemas:extension:seat:2.0:User"
_PAGE = 200


@dataclass(frozen=True, slots=True)
class Seat:
    """What the product says of somebody's seat in its SCIM extension; ``tier`` is empty for who has none."""

    tier: str
    state: str
    reason: str


@dataclass(slots=True)
class Company:
    """One customer of the product, seen from its own IT department.

    Args:
        slug: Its name in this provider's addresses.
        scim_url: The product's SCIM base for it; empty where it is not provisioned by SCIM.
        token: The SCIM token that provisions.
        reading_token: A SCIM token that only reads: with it the product tells everybody's seat.
        sign_in_url: Where a sign-in at the product starts for it.
    """

    slug: str
    name: str
    directory: Directory
    idp: SimulatedIdp
    dialect: Dialect
    scim_url: str = ""
    token: str = field(default="", repr=False)
    reading_token: str = field(default="", repr=False)
    sign_in_url: str = ""
    notice: str = ""
    lock: threading.RLock = field(default_factory=threading.RLock, init=False, repr=False)
    _client: ProvisioningClient | None = field(default=None, init=False, repr=False)
    _wire: list[Exchange] = field(default_factory=list, init=False, repr=False)

    def push(self) -> PushReport:
        """Send what changed in the directory to the product.

        Raises:
            httpx.HTTPError: The product cannot be reached.
        """
        with self.lock:
            if self._client is None:
                self._client = connect(self.scim_url, self.token, self.dialect)
            report = self._client.synchronize(self.directory)
            self._wire.extend(report.exchanges)
            del self._wire[:-500]
            return report

    def speak_like(self, dialect: Dialect) -> None:
        """Go on with another provider's client, which first has to find everybody again."""
        with self.lock:
            self.close()
            self.dialect = dialect

    @property
    def exchanges(self) -> Sequence[Exchange]:
        """What went over the wire lately, oldest first."""
        with self.lock:
            return tuple(self._wire)

    def seats(self) -> Mapping[str, Seat]:
        """Ask the product for everybody's seat, by user name.

        Raises:
            httpx.HTTPError: The product cannot be reached.
        """
        found: dict[str, Seat] = {}
        if not self.scim_url:
            return found
        with Wire(self.scim_url, self.reading_token, user_agent="seatbridge-simulator") as wire:
            total = 1
            while len(found) < total:
                page = wire.send("GET", "/Users", query={"startIndex": len(found) + 1, "count": _PAGE})
                resources: Sequence[Mapping[str, Any]] = page.answer.get("Resources") or ()
                if not resources:
                    break
                total = int(page.answer["totalResults"])
                found |= {str(one["userName"]): _seat(one) for one in resources}
        return found

    def subject(self, person: Person) -> SimulatedUser:
        """Return what an assertion about somebody says."""
        return SimulatedUser(
            name_id=person.user_name,
            email=person.user_name,
            given_name=person.given_name,
            family_name=person.family_name,
            groups=self.directory.groups_of(person.id),
        )

    def close(self) -> None:
        """Give the connections back."""
        with self.lock:
            if self._client is not None:
                self._client.wire.close()
            self._client = None


def ask_seats(company: Company) -> Mapping[str, Seat] | None:
    """Return everybody's seat, or None while the product does not answer."""
    try:
        return company.seats()
    except httpx.HTTPError:
        return None


def _seat(resource: Mapping[str, Any]) -> Seat:
    extension = resource.get(SEAT_EXTENSION) or {}
    return Seat(
        tier=str(extension.get("tier") or ""),
        state=str(extension.get("state") or ""),
        reason=str(extension.get("reason") or ""),
    )
