"""JumpCloud: a custom application for sign-in by SAML and provisioning by SCIM."""

from bridge.web.guides.model import Entry, Guide, Part, Place, Protocol, Step

JUMPCLOUD = Guide(
    key="jumpcloud",
    name="JumpCloud",
    page="connect-jumpcloud",
    known_by=("jumpcloud",),
    parts=(
        Part(
            Protocol.SAML,
            "Sign-in by SAML",
            "The application that people get as a tile; provisioning is switched on in it afterwards.",
            (
                Step(
                    "In the JumpCloud admin portal open *SSO Applications → Add New Application → Custom "
                    "Application*. Tick *Manage Single Sign-On (SSO)* with SAML, and *Export users to this app "
                    "(Identity Management)*."
                ),
                Step(
                    "On the application's *SSO* tab enter these.",
                    (
                        Entry("SP Entity ID", Place.ENTITY_ID),
                        Entry("ACS URL", Place.ACS),
                        Entry("Login URL", Place.START),
                        Entry("SAMLSubject NameID", "email"),
                        Entry("SAMLSubject NameID Format", "urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress"),
                        Entry("Signature Algorithm", "RSA-SHA256"),
                    ),
                ),
                Step(
                    "Add these *User Attributes*; each row is the name it is sent under, and JumpCloud's field.",
                    (Entry("email", "email"), Entry("givenName", "firstname"), Entry("familyName", "lastname")),
                ),
                Step(
                    "If groups shall decide about seats before SCIM pushes them, tick *include group attribute*.",
                    (Entry("Group attribute name", "groups"),),
                ),
                Step("Save, then copy the *Metadata URL*, or export the metadata as a file, and give it here."),
            ),
        ),
        Part(
            Protocol.SCIM,
            "Provisioning by SCIM",
            "JumpCloud creates, changes and turns off the people of the user groups that have the application.",
            (
                Step(
                    "On the application's *Identity Management* tab choose *SCIM 2.0*, and enter these. The "
                    "test address is that of somebody in JumpCloud.",
                    (
                        Entry("Base URL", Place.SCIM_URL),
                        Entry("Token Key", Place.SCIM_TOKEN),
                    ),
                ),
                Step("Tick *Enable management of User Groups and Group Membership in this application*."),
                Step("Press *Test Connection*, then *Activate*, then *Save*."),
                Step(
                    "On *User Groups* choose the groups whose people work with the product: each is pushed as "
                    "a group, with its people."
                ),
                Step("Try it: take one test person out of the groups, and see that their access is turned off here."),
            ),
        ),
    ),
    good_to_know=(
        "JumpCloud's test creates a person and turns them off again: that is the first line in the provisioning log.",
    ),
)
