"""Okta: one application for sign-in by SAML and provisioning by SCIM."""

from bridge.web.guides.model import Entry, Guide, Part, Place, Protocol, Step

OKTA = Guide(
    key="okta",
    name="Okta",
    page="connect-okta",
    known_by=("okta",),
    parts=(
        Part(
            Protocol.SAML,
            "Sign-in by SAML",
            "The application that people get as a tile; provisioning is switched on in it afterwards.",
            (
                Step(
                    "In Okta's admin console open *Applications → Applications → Create App Integration*, "
                    "choose *SAML 2.0*."
                ),
                Step("Give it a name that people know, then *Next*."),
                Step(
                    "Under *Configure SAML* enter these. Leave *Use this for Recipient URL and Destination "
                    "URL* ticked.",
                    (
                        Entry("Single sign-on URL", Place.ACS),
                        Entry("Audience URI (SP Entity ID)", Place.ENTITY_ID),
                        Entry("Name ID format", "EmailAddress"),
                        Entry("Application username", "Okta username"),
                    ),
                ),
                Step(
                    "Add these *Attribute Statements*; each row is a name and its value.",
                    (
                        Entry("email", "user.email"),
                        Entry("givenName", "user.firstName"),
                        Entry("familyName", "user.lastName"),
                    ),
                ),
                Step(
                    "If groups shall decide about seats before SCIM pushes them, add a *Group Attribute Statement*.",
                    (Entry("groups", "Matches regex: .*"),),
                ),
                Step(
                    "Finish, open the application's *Sign On* tab, and copy its *Metadata URL*. Enter it here "
                    "as the metadata's address."
                ),
            ),
        ),
        Part(
            Protocol.SCIM,
            "Provisioning by SCIM",
            "Okta creates, changes and turns off the people who are assigned to the application, and pushes groups.",
            (
                Step(
                    "On the application's *General* tab, *App Settings → Edit*, set *Provisioning* to *SCIM*, and save."
                ),
                Step(
                    "On the *Provisioning* tab, *Integration → Edit*, enter these.",
                    (
                        Entry("SCIM connector base URL", Place.SCIM_URL),
                        Entry("Unique identifier field for users", "userName"),
                        Entry("Authentication Mode", "HTTP Header"),
                        Entry("Authorization (Bearer)", Place.SCIM_TOKEN),
                    ),
                ),
                Step(
                    "Tick *Push New Users*, *Push Profile Updates* and *Push Groups*. Press *Test Connector "
                    "Configuration*, then *Save*."
                ),
                Step(
                    "Under *Provisioning → To App → Edit*, enable *Create Users*, *Update User Attributes* and "
                    "*Deactivate Users*."
                ),
                Step("On *Assignments*, assign the people or groups who work with the product."),
                Step(
                    "On *Push Groups*, choose the groups that decide about seats. They must be assigned for "
                    "themselves: who is only in a pushed group isn't pushed."
                ),
                Step("Try it: unassign one test person, and see that their access is turned off here."),
            ),
        ),
    ),
    good_to_know=(
        "Okta deactivates people and never deletes them.",
        (
            "Okta doesn't repeat a request that was refused: correct the cause, then press *Retry Selected* under "
            "*Dashboard → Tasks*."
        ),
        "Okta offers SCIM with applications for SAML and SWA, not with those for OpenID Connect.",
    ),
)
