"""Google Workspace: a custom SAML application; provisioning where Google offers it."""

from bridge.web.guides.model import Entry, Guide, Part, Place, Protocol, Step

GOOGLE = Guide(
    key="google",
    name="Google Workspace",
    page="connect-google",
    known_by=("google", "workspace", "gsuite"),
    parts=(
        Part(
            Protocol.SAML,
            "Sign-in by SAML",
            "People come at their first sign-in, with the groups that Google sends.",
            (
                Step(
                    "In the Google Admin console open *Apps → Web and mobile apps → Add app → Add custom SAML "
                    "app*, and give it a name that people know."
                ),
                Step(
                    "On *Google Identity Provider details* press *Download metadata*. Give the file here as "
                    "the metadata: Google has no address for it, so do it again when its certificate changes."
                ),
                Step(
                    "On *Service provider details* enter these, and tick *Signed response*.",
                    (
                        Entry("ACS URL", Place.ACS),
                        Entry("Entity ID", Place.ENTITY_ID),
                        Entry("Start URL", Place.START),
                        Entry("Name ID format", "EMAIL"),
                        Entry("Name ID", "Basic Information > Primary email"),
                    ),
                ),
                Step(
                    "On *Attribute mapping* add these; each row is Google's field and the name it is sent under.",
                    (
                        Entry("Primary email", "email"),
                        Entry("First name", "givenName"),
                        Entry("Last name", "familyName"),
                    ),
                ),
                Step(
                    "If groups shall decide about seats, choose them under *Group membership (optional)*; "
                    "Google sends up to 75 of them.",
                    (Entry("App attribute", "groups"),),
                ),
                Step(
                    "Finish, then switch the application on under *User access* for everyone or for some "
                    "organizational units."
                ),
            ),
        ),
        Part(
            Protocol.SCIM,
            "Provisioning by SCIM",
            "Google offers it for applications of its own catalogue: without *Autoprovisioning* on the "
            "application's page, leave this part out.",
            (
                Step(
                    "On the application's page open *Autoprovisioning → Configure autoprovisioning*, and enter these.",
                    (Entry("Access token", Place.SCIM_TOKEN), Entry("Endpoint URL", Place.SCIM_URL)),
                ),
                Step(
                    "On *Attribute mapping* see that the address is the name.",
                    (Entry("userName", "Basic Information > Primary email"),),
                ),
                Step(
                    "Under *Provisioning scope* choose the groups whose members are pushed; under "
                    "*Deprovisioning* choose *within 24 hours* for all of them."
                ),
                Step("Finish, and switch *Autoprovisioning* on."),
            ),
        ),
    ),
    good_to_know=(
        "Google pushes people every few hours, and never groups: they come at a sign-in, as above.",
        (
            "Without provisioning nobody tells us that somebody has left: end their access here, or let the next "
            "sign-in be refused by Google."
        ),
    ),
    pushes_groups=False,
)
