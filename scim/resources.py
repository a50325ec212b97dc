"""What the service provider serves: schemas, resource types and capabilities, as discovery publishes them.

The models are built from the published schemas and not from the library's static classes, which refuse what identity
providers really send (a mail address of a private domain, a manager without ``$ref``).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, cast

from scim2_models import (
    AuthenticationScheme,
    Bulk,
    ChangePassword,
    ETag,
    Filter,
    Mutability,
    Pagination,
    Patch,
    Required,
    Resource,
    ResourceType,
    Returned,
    Schema,
    ScimPolicy,
    ScimProvider,
    ServiceProviderConfig,
    Sort,
    Uniqueness,
    default_comparison_key,
)
from scim2_server.utils import load_default_resource_types, load_default_schemas

from bridge.config import Settings
from bridge.domain.documents import ENTERPRISE, comparison_key
from bridge.domain.extension_schemas import ExtensionSchema

USER = "urn:ietf:params:scim:schemas:core:2.0:User"
GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group"
SEAT = "urn:seatbridge:params:scim:schemas:extension:seat:2.0:User"

DEFAULT_PAGE_SIZE = 100
CURSOR_TIMEOUT_SECONDS = 3600


def compare(binding: Any, value: str) -> str:
    """Return what a text is compared by: the very key the database keeps; case-exact attributes as they are."""
    return value if binding.case_exact else comparison_key(value)


#: How far identity providers may depart from the standard; the normalizer covers what this cannot.
POLICY = ScimPolicy(
    unknown=ScimPolicy.Unknown.ignore,
    remove_value_as_filter=ScimPolicy.RemoveValue.apply,
    unmatched_path_filter=ScimPolicy.UnmatchedPathFilter.create,
    comparison_key=compare,
)

#: The same for reading a whole resource, where nothing is compared. Under a key of ours the library asks of every text
#: whether it can be compared, which takes longer than all else; any text can be.
READING_POLICY = POLICY.model_copy(update={"comparison_key": default_comparison_key})


def policy_for(*texts: str) -> ScimPolicy:
    """Return the policy to apply a PATCH under, by what it may compare: the patch and the document, as JSON.

    The library's own key folds to lower case. Where that is what ours does to these texts, it is the quicker one.
    """
    return READING_POLICY if all(text.lower() == text.casefold() for text in texts) else POLICY


_SEAT_SCHEMA = {
    "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Schema"],
    "id": SEAT,
    "name": "Seat",
    "description": "The paid seat of a person, as the organization's rules decided it; read only",
    "attributes": [
        {
            "name": name,
            "type": "string",
            "multiValued": False,
            "description": description,
            "required": False,
            "caseExact": True,
            "mutability": "readOnly",
            "returned": "default",
            "uniqueness": "none",
        }
        for name, description in (
            ("tier", "Key of the seat tier the person holds; absent without a seat"),
            ("state", "assigned, waiting (in line for a seat) or unassigned"),
            ("reason", "Why: the code of the newest decision about the seat"),
        )
    ],
}


def published_schemas(*, with_seat: bool, own: Sequence[ExtensionSchema] = ()) -> list[Schema]:
    """Return the schemas of RFC 7643 as this service really implements them, its seat extension if wanted, and ``own``.

    ``password`` is not among them: people sign in at their identity provider, and none is ever stored here. ``active``
    is required: everybody is on or off, and nothing can take that away. A member's ``display`` is the person's own
    name, shown when it is asked for.
    """
    schemas = load_default_schemas()
    user, group = schemas[USER], schemas[GROUP]
    user.attributes = [attribute for attribute in user.attributes or [] if attribute.name != "password"]
    for attribute in user.attributes:
        if attribute.name == "active":
            attribute.required = Required.true
    for attribute in group.attributes or []:
        if attribute.name == "displayName":
            attribute.uniqueness = Uniqueness.server
        for part in attribute.sub_attributes or []:
            if part.name == "display":
                part.mutability, part.returned = Mutability.read_only, Returned.request
    seat = [Schema.model_validate(_SEAT_SCHEMA)] if with_seat else []
    return [user, group, schemas[ENTERPRISE], *seat, *(Schema.model_validate(schema.document()) for schema in own)]


def published_types(*, with_seat: bool, own: Sequence[ExtensionSchema] = ()) -> list[ResourceType]:
    """Return the resource types, Users and Groups, with their extensions."""
    types = load_default_resource_types()
    extensions = {"User": [ENTERPRISE, SEAT] if with_seat else [ENTERPRISE], "Group": []}
    for schema in own:
        extensions[schema.resource_type].append(schema.urn)
    return [
        ResourceType.model_validate(
            {
                **types[name].model_dump(),
                "schemaExtensions": [{"schema": urn, "required": False} for urn in extensions[name]],
            }
        )
        if extensions[name]
        else types[name]
        for name in ("User", "Group")
    ]


@dataclass(frozen=True, slots=True)
class Announced:
    """What of the settings is announced to clients."""

    public_url: str
    max_operations: int
    max_bulk_bytes: int
    max_results: int

    @classmethod
    def of(cls, settings: Settings) -> "Announced":
        """Pick it."""
        limits = settings.scim
        return cls(settings.server.public_url, limits.max_operations, limits.max_bulk_bytes, limits.max_results)


def capabilities(limits: Announced) -> ServiceProviderConfig:
    """Return what /ServiceProviderConfig announces; every limit is the one that is enforced."""
    public_url = limits.public_url
    return ServiceProviderConfig.model_validate(
        {
            "documentationUri": f"{public_url}/docs/provisioning",
            "patch": Patch(supported=True).model_dump(),
            "bulk": Bulk(
                supported=True, max_operations=limits.max_operations, max_payload_size=limits.max_bulk_bytes
            ).model_dump(),
            "filter": Filter(supported=True, max_results=limits.max_results).model_dump(),
            "changePassword": ChangePassword(supported=False).model_dump(),
            "sort": Sort(supported=True).model_dump(),
            "etag": ETag(supported=True).model_dump(),
            "authenticationSchemes": [
                AuthenticationScheme.model_validate(
                    {
                        "type": "oauthbearertoken",
                        "name": "Bearer token",
                        "description": "A token of the connection, sent as Authorization: Bearer",
                        "specUri": "https://www.rfc-editor.org/info/rfc6750",
                        "documentationUri": f"{public_url}/docs/provisioning",
                        "primary": True,
                    }
                ).model_dump(),
                AuthenticationScheme.model_validate(
                    {
                        "type": "oauth2",
                        "name": "OAuth 2.0 client credentials",
                        "description": f"Hourly tokens from {public_url}/oauth2/token, scope scim.read or scim.write",
                        "specUri": "https://www.rfc-editor.org/info/rfc6749",
                        "documentationUri": f"{public_url}/docs/provisioning",
                    }
                ).model_dump(),
            ],
            "pagination": Pagination(
                cursor=True,
                index=True,
                default_pagination_method=Pagination.DefaultPaginationMethod.index,
                default_page_size=min(DEFAULT_PAGE_SIZE, limits.max_results),
                max_page_size=limits.max_results,
                cursor_timeout=CURSOR_TIMEOUT_SECONDS,
            ).model_dump(),
        }
    )


def build_provider(settings: Settings, *, with_seat: bool = True, own: Sequence[ExtensionSchema] = ()) -> ScimProvider:
    """Describe the service; made once, for building the models takes a while.

    Args:
        settings: The limits to announce.
        with_seat: Whether people carry the read-only seat extension. It is for clients that only read: whoever may
            write would be told of an extension of which nothing can be written.
        own: What the organization declared of its own.
    """
    announced = Announced.of(settings)
    return _provider(announced, with_seat=with_seat, own=own) if own else _standard_provider(announced, with_seat)


@lru_cache(maxsize=8)
def _standard_provider(announced: Announced, with_seat: bool) -> ScimProvider:  # noqa: FBT001 (a cache's key)
    """Describe the service without extensions of anybody's own: the same for all who announce the same."""
    return _provider(announced, with_seat=with_seat, own=())


def _provider(announced: Announced, *, with_seat: bool, own: Sequence[ExtensionSchema]) -> ScimProvider:
    schemas = published_schemas(with_seat=with_seat, own=own)
    for number, schema in enumerate(schemas[len(schemas) - len(own) :]):
        # The library names a model after its schema, and an attribute of the resource after the model: the names that
        # people choose could be those of other attributes.
        schema.name = f"OwnExtension{number}"
    return ScimProvider.from_discovery(
        schemas,
        published_types(with_seat=with_seat, own=own),
        config=capabilities(announced),
        policy=POLICY,
    )


def model_of(provider: ScimProvider, resource_type: ResourceType) -> type[Resource[Any]]:
    """Return the model of a resource type with its extensions."""
    return cast("type[Resource[Any]]", provider.model_for(resource_type))
