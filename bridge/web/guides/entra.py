"""Entra ID: one enterprise application for sign-in by SAML and provisioning by SCIM."""

from bridge.web.guides.model import Entry, Guide, Part, Place, Protocol, Step

ENTRA = Guide(
    key="entra",
    name="Entra ID",
    page="connect-entra",
    known_by=("entra", "azure", "microsoft"),
    parts=(
        Part(
            Protocol.SCIM,
            "Provisioning by SCIM",
            "Entra ID creates, changes and turns off the people and groups that are assigned to the application.",
            (
                Step(
                    "In the Entra admin centre open *Enterprise applications → New application → Create your "
                    "own application*, and choose *Integrate any other application you don't find in the "
                    "gallery (Non-gallery)*."
                ),
                Step(
                    "Open *Users and groups → Add user/group* and assign the groups that decide about seats. "
                    "Nested groups are not pushed: assign the inner ones too."
                ),
                Step(
                    "Open *Provisioning*, set the mode to *Automatic*, and enter these as *Admin Credentials*.",
                    (Entry("Tenant URL", Place.SCIM_URL), Entry("Secret Token", Place.SCIM_TOKEN)),
                ),
                Step("Press *Test Connection*, then *Save*."),
                Step(
                    "Under *Mappings* keep what is there: `userPrincipalName` goes to `userName`, which is the "
                    "matching attribute."
                ),
                Step(
                    "Under *Settings* choose *Sync only assigned users and groups*, then switch *Provisioning "
                    "Status* to *On*."
                ),
                Step(
                    "Try it with one person now: *Provision on demand*. Then unassign a test person, and see "
                    "that their access is turned off here with the next cycle."
                ),
            ),
        ),
        Part(
            Protocol.SAML,
            "Sign-in by SAML",
            "In the same enterprise application.",
            (
                Step(
                    "Open *Single sign-on → SAML*, edit *Basic SAML Configuration*, and enter these.",
                    (
                        Entry("Identifier (Entity ID)", Place.ENTITY_ID),
                        Entry("Reply URL (Assertion Consumer Service URL)", Place.ACS),
                        Entry("Sign on URL", Place.START),
                    ),
                ),
                Step(
                    "Under *Attributes & Claims* leave *Unique User Identifier (Name ID)* as it is, which is "
                    "the same as the pushed `userName`.",
                    (Entry("Unique User Identifier", "user.userprincipalname"),),
                ),
                Step(
                    "If groups shall decide about seats before SCIM pushes them: *Add a group claim → Groups "
                    "assigned to the application*, source attribute *Cloud-only group display names*."
                ),
                Step(
                    "Under *SAML Certificates* copy the *App Federation Metadata Url*. Enter it here as the "
                    "metadata's address."
                ),
            ),
        ),
    ),
    good_to_know=(
        (
            "A provisioning cycle runs about every 40 minutes. Who signs in before it reaches them is created "
            "then, and taken over by the later push: one person, one seat."
        ),
        (
            "Entra ID leaves groups out of a sign-in above 150 of them. Nobody loses a seat for it; pushed groups "
            "go on counting."
        ),
        (
            "If other applications of yours use `?aadOptscim062020`, you may add it to the tenant URL: both "
            "dialects are understood."
        ),
    ),
)
