"""The identity providers that the simulator can speak like."""

from enum import StrEnum


class Dialect(StrEnum):
    """Whose habits are followed."""

    OKTA = "okta"
    ENTRA = "entra"
    GOOGLE = "google"
