"""The library's own contract for storages, on the real database."""

from collections.abc import Iterator

import pytest
from scim2_models import ScimProvider
from scim2_server.testing import ScimStorageContract

from bridge.config import Settings
from scim.resources import build_provider
from scim.storage import MemberStorage
from tests.factories import Customer

pytestmark = pytest.mark.every_postgres


class TestStorageWithTheStandardModels(ScimStorageContract):
    @pytest.fixture
    def storage(self, customer: Customer, provider: ScimProvider) -> Iterator[MemberStorage]:
        with customer.unit(customer.directory) as unit:
            yield MemberStorage(unit, customer.connection_id, provider)


class TestStorageWithOurModels(ScimStorageContract):
    @pytest.fixture
    def provider(self, settings: Settings) -> ScimProvider:
        return build_provider(settings)

    @pytest.fixture
    def storage(self, customer: Customer, provider: ScimProvider) -> Iterator[MemberStorage]:
        with customer.unit(customer.directory) as unit:
            yield MemberStorage(unit, customer.connection_id, provider)
