"""An example of an application that people sign in to through Seatbridge: one page, by an ordinary OpenID library.

    pip install flask authlib requests
    export CLIENT_ID=... CLIENT_SECRET=...        # what `seatbridge apps add` printed
    python example_app.py --issuer http://127.0.0.1:8080 --port 5000

It is registered with the redirect URI http://127.0.0.1:5000/callback and the post-logout redirect URI
http://127.0.0.1:5000/signed-out.
"""

import argparse
import os
import secrets
from urllib.parse import urlencode

from authlib.integrations.flask_client import OAuth, OAuthError
from flask import Flask, jsonify, redirect, session, url_for
from flask.typing import ResponseReturnValue

KEPT = ("sub", "org", "role", "seat_tier", "entitlements", "name")


def create_app(issuer: str, client_id: str, client_secret: str) -> Flask:
    """Build the application: whom it signs in is whoever the issuer says."""
    app = Flask(__name__)
    app.config.update(SECRET_KEY=secrets.token_bytes(32), SESSION_COOKIE_NAME="example", SESSION_COOKIE_HTTPONLY=True)
    seatbridge = OAuth(app).register(
        "seatbridge",
        client_id=client_id,
        client_secret=client_secret,
        server_metadata_url=f"{issuer}/.well-known/openid-configuration",
        client_kwargs={"scope": "openid profile email", "code_challenge_method": "S256"},
    )

    @app.get("/")
    def page() -> ResponseReturnValue:
        person = session.get("person")
        if person is None:
            return redirect(url_for("sign_in"))
        if person["seat_tier"] is None:
            return f"Hello {person['name']}. You have no seat yet: your company's administrators know."
        return jsonify(person)

    @app.get("/sign-in")
    def sign_in() -> ResponseReturnValue:
        answer: ResponseReturnValue = seatbridge.authorize_redirect(url_for("callback", _external=True))
        return answer

    @app.get("/callback")
    def callback() -> ResponseReturnValue:
        try:
            token = seatbridge.authorize_access_token()  # checks state, issuer, signature, audience, nonce and times
        except OAuthError as error:
            return f"You could not be signed in: {error.description or error.error}", 403
        person = token["userinfo"]
        session.clear()
        session["person"] = {claim: person[claim] for claim in KEPT}
        session["id_token"] = token["id_token"]
        return redirect(url_for("page"))

    @app.get("/sign-out")
    def sign_out() -> ResponseReturnValue:
        address = seatbridge.load_server_metadata()["end_session_endpoint"]
        hint = session.get("id_token", "")
        session.clear()
        back = url_for("signed_out", _external=True)
        return redirect(f"{address}?{urlencode({'id_token_hint': hint, 'post_logout_redirect_uri': back})}")

    @app.get("/signed-out")
    def signed_out() -> ResponseReturnValue:
        return f'You are signed out. <a href="{url_for("page")}">Sign in again</a>'

    return app


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--issuer", required=True)
    options.add_argument("--port", type=int, default=5000)
    chosen = options.parse_args()
    built = create_app(chosen.issuer, os.environ["CLIENT_ID"], os.environ["CLIENT_SECRET"])
    built.run("127.0.0.1", chosen.port)
