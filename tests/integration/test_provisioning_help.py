"""ServiceProviderConfig leads to a page that helps whoever sets the identity provider up."""

from urllib.parse import urlsplit

from tests.factories import Customer
from tests.protocol.scim_client import ScimClient, make_token
from wsgi import compose


def test_the_documentation_link_of_the_service_provider_leads_to_a_page(customer: Customer) -> None:
    app = compose(customer.runtime)
    scim = ScimClient(app, customer.slug, make_token(customer))

    announced = scim.get("/ServiceProviderConfig").get_json(force=True)

    page = app.test_client().get(urlsplit(announced["documentationUri"]).path)
    assert page.status_code == 200
    assert f"{customer.runtime.settings.server.public_url}/scim/v2/" in page.get_data(as_text=True)
