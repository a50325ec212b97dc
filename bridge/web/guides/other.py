"""Any identity provider that speaks the standards."""

from bridge.web.guides.model import Entry, Guide, Part, Place, Protocol, Step

OTHER = Guide(
    key="other",
    name="Another identity provider",
    page="connect-another",
    known_by=(),
    parts=(
        Part(
            Protocol.SCIM,
            "Provisioning by SCIM 2.0",
            "What every provisioning client asks for, by whatever name.",
            (
                Step(
                    "Enter these where it asks for the service that people are pushed to.",
                    (
                        Entry("Base URL, tenant URL or endpoint", Place.SCIM_URL),
                        Entry("Bearer token, secret token or API token", Place.SCIM_TOKEN),
                    ),
                ),
                Step("Let it know people by `userName`. Best is the address or login name that never changes."),
                Step("Switch on that it creates, changes and deactivates people, and that it pushes groups."),
                Step("Choose who is pushed, and start with one test person."),
                Step("Try it: take the test person away again, and see that their access is turned off here."),
            ),
        ),
        Part(
            Protocol.SAML,
            "Sign-in by SAML 2.0",
            "Or by OpenID Connect, below: take one of the two.",
            (
                Step(
                    "Make an application, and enter these. A provider that reads metadata takes all of them "
                    "from the entity ID, opened as an address.",
                    (
                        Entry("Assertion consumer service, reply URL or single sign-on URL", Place.ACS),
                        Entry("Entity ID, audience or identifier", Place.ENTITY_ID),
                    ),
                ),
                Step(
                    "Let it send as NameID the userName that SCIM pushes, and the attributes `email`, "
                    "`givenName`, `familyName`, and `groups` if groups shall decide about seats."
                ),
                Step("Let it sign by RSA or ECDSA with SHA-256 or better."),
                Step("Give its metadata here: its address if it has one, else the file."),
            ),
        ),
        Part(
            Protocol.OIDC,
            "Sign-in by OpenID Connect",
            "Instead of SAML.",
            (
                Step(
                    "Make a client for a web application with the code flow, and enter this.",
                    (Entry("Redirect URI", Place.REDIRECT_URI),),
                ),
                Step("Give its issuer, client id and secret here."),
            ),
        ),
    ),
    good_to_know=("What your client really sends, and what it is answered, stands in the provisioning log.",),
)
