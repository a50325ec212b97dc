"""Keycloak and authentik: sign-in by OpenID Connect; provisioning by SCIM."""

from bridge.web.guides.model import Entry, Guide, Part, Place, Protocol, Step

KEYCLOAK = Guide(
    key="keycloak",
    name="Keycloak or authentik",
    page="connect-keycloak",
    known_by=("keycloak", "authentik"),
    parts=(
        Part(
            Protocol.OIDC,
            "Sign-in by OpenID Connect",
            "Keycloak's words first; what authentik calls it stands behind.",
            (
                Step(
                    "In Keycloak open *Clients → Create client*, type *OpenID Connect*; in authentik "
                    "*Applications → Applications → New Application* with an *OAuth2/OpenID Provider*."
                ),
                Step(
                    "In Keycloak switch *Client authentication* on and leave only *Standard flow*; in "
                    "authentik choose the client type *Confidential*."
                ),
                Step(
                    "Enter this.",
                    (Entry("Valid redirect URIs (authentik: Redirect URIs, strict)", Place.REDIRECT_URI),),
                ),
                Step(
                    "If groups shall decide about seats: in Keycloak add a mapper *Group Membership* with the "
                    "claim name `groups`, *Full group path* off and *Add to ID token* on. authentik sends "
                    "`groups` with the scope `profile` by itself."
                ),
                Step(
                    "Copy the client id and the secret, and enter them here with the issuer: Keycloak's is "
                    "`https://keycloak.example.com/realms/<realm>`, authentik's stands on the provider's page "
                    "as *OpenID Configuration Issuer*."
                ),
            ),
        ),
        Part(
            Protocol.SCIM,
            "Provisioning by SCIM",
            "authentik has a client of its own. Keycloak needs an extension that pushes; without one, people "
            "come at their first sign-in.",
            (
                Step(
                    "In authentik open *Applications → Providers → New Provider → SCIM Provider*; in Keycloak "
                    "the settings of the extension. Enter these.",
                    (Entry("URL", Place.SCIM_URL), Entry("Token", Place.SCIM_TOKEN)),
                ),
                Step(
                    "In authentik edit the application, and add the SCIM provider under *Backchannel "
                    "Providers*, not as its *Provider*."
                ),
                Step(
                    "Choose which people and groups are pushed: in authentik the provider's *Group filter*, "
                    "and *Exclude service accounts*."
                ),
                Step("Start the first synchronization: in authentik *Run sync again* on the provider's page."),
                Step("Try it: turn one test person off, and see that their access is turned off here."),
            ),
        ),
    ),
    good_to_know=(
        (
            "A service of yours in a private network, or by plain http, is asked only where the operator has named "
            "its host in `sso.internal_hosts`."
        ),
        (
            "Names that people may change themselves, such as `preferred_username`, prove nothing: verify the "
            "domain of their addresses."
        ),
    ),
)
