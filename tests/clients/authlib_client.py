"""PyPI's Authlib against a demo deployment, in the way its framework integrations (Flask, Django) use it.

Started by authlib.test.mjs, which says in the environment where things are. Prints `ok NAME` or `not ok NAME: WHY` for each
behaviour.
"""

import json
import os
import subprocess
import sys
from urllib.parse import parse_qs, urlsplit

# Authlib refuses plain http otherwise, and the demo has no certificate.
os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"

from authlib.integrations.base_client import OAuthError  # noqa: E402
from authlib.integrations.base_client.sync_app import BaseApp, OAuth2Mixin  # noqa: E402
from authlib.integrations.base_client.sync_openid import OpenIDMixin  # noqa: E402
from authlib.integrations.requests_client import OAuth2Session  # noqa: E402
from authlib.oauth2.rfc8414 import AuthorizationServerMetadata, get_well_known_url  # noqa: E402
from authlib.oidc.discovery import OpenIDProviderMetadata  # noqa: E402
import requests  # noqa: E402

REDIRECT_URI = os.environ["REDIRECT_URI"]
SIGNED_OUT_URI = os.environ["SIGNED_OUT_URI"]
SCOPE = os.environ["SCOPE"]

with open(os.environ["DEMO_JSON"], encoding="utf-8") as file:
    DEMO = json.load(file)


class Framework:
    """What a web framework gives its OAuth clients; tokens are kept by the tests themselves."""

    def update_token(self, token, refresh_token=None, access_token=None):
        pass


class Party(OAuth2Mixin, OpenIDMixin, BaseApp):
    """A relying party."""

    client_cls = OAuth2Session

    def __init__(self, client_id, client_secret=None, method="client_secret_basic"):
        super().__init__(
            Framework(),
            client_id=client_id,
            client_secret=client_secret,
            server_metadata_url=f"{DEMO['issuer']}/.well-known/openid-configuration",
            client_kwargs={
                "scope": SCOPE,
                "code_challenge_method": "S256",
                "token_endpoint_auth_method": method,
                "revocation_endpoint_auth_method": method,
            },
        )

    def send_person(self, cookies=None, **parameters):
        """The front channel: to the issuer and back."""
        begun = self.create_authorization_url(REDIRECT_URI, **parameters)
        return begun, visit(begun["url"], cookies)

    def sign_in(self, cookies=None, **parameters):
        begun, left = self.send_person(cookies, **parameters)
        token = self.fetch_access_token(
            REDIRECT_URI,
            authorization_response=left,
            state=begun["state"],
            code_verifier=begun["code_verifier"],
        )
        return token, self.parse_id_token(token, nonce=begun["nonce"])

    def session(self, token=None):
        return self._get_oauth_client(**self.load_server_metadata(), token=token)


def visit(url, cookies=None):
    """The person's part: the address that the browser ends at."""
    command = [os.environ["NODE"], os.environ["PERSON"]]
    if cookies:
        command += ["--cookies", os.path.join(os.environ["SCRATCH"], cookies)]
    command += [url, DEMO["username"], DEMO["password"]]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    if done.returncode != 0:
        raise AssertionError(done.stderr.strip())
    return done.stdout.strip()


def confidential():
    return Party(DEMO["client_id"], DEMO["client_secret"])


def public():
    return Party(DEMO["public_client_id"], method="none")


def same(actual, expected):
    if actual != expected:
        raise AssertionError(f"{actual!r} is not {expected!r}")


def refused(call, error):
    try:
        call()
    except OAuthError as refusal:
        same(refusal.error, error)
    else:
        raise AssertionError(f"was not refused with {error}")


def discovery_is_valid():
    OpenIDProviderMetadata(confidential().load_server_metadata()).validate()
    address = get_well_known_url(DEMO["issuer"], external=True)
    answer = requests.get(address, timeout=60)
    AuthorizationServerMetadata(answer.json()).validate()


def signs_in(party):
    token, claims = party.sign_in()
    same(claims["iss"], DEMO["issuer"])
    same(claims["aud"], party.client_id)
    same(claims["amr"], ["pwd"])
    same(party.userinfo(token=token)["sub"], claims["sub"])


def userinfo_is_valid():
    party = confidential()
    token, _ = party.sign_in()
    userinfo = party.userinfo(token=token)
    userinfo.validate_locale()
    same((userinfo.email, userinfo.email_verified), ("alice@example.com", True))
    same(userinfo.address["country"], "Austria")
    same(userinfo.phone_number, "+43155501234")


def refreshes(party):
    first, claims = party.sign_in()
    with party.session(first) as session:
        endpoint = party.server_metadata["token_endpoint"]
        second = dict(session.refresh_token(endpoint, refresh_token=first["refresh_token"]))
    if second["refresh_token"] == first["refresh_token"]:
        raise AssertionError("the refresh token did not change")
    same(party.parse_id_token(second, nonce=None)["sub"], claims["sub"])
    same(party.userinfo(token=second)["sub"], claims["sub"])


def narrower_scope():
    party = confidential()
    first, _ = party.sign_in()
    with party.session(first) as session:
        endpoint = party.server_metadata["token_endpoint"]
        second = dict(
            session.refresh_token(endpoint, refresh_token=first["refresh_token"], scope="openid email")
        )
    same(second["scope"], "openid email")
    same(sorted(party.userinfo(token=second)), ["email", "email_verified", "sub"])


def introspects_and_revokes():
    party = confidential()
    token, claims = party.sign_in()
    with party.session(token) as session:
        introspection = party.server_metadata["introspection_endpoint"]
        revocation = party.server_metadata["revocation_endpoint"]
        before = session.introspect_token(introspection, token=token["access_token"]).json()
        same((before["active"], before["sub"]), (True, claims["sub"]))
        same(session.revoke_token(revocation, token=token["refresh_token"]).status_code, 200)
        after = session.introspect_token(introspection, token=token["access_token"]).json()
        same(after, {"active": False})
        endpoint = party.server_metadata["token_endpoint"]
        refused(lambda: session.refresh_token(endpoint, refresh_token=token["refresh_token"]), "invalid_grant")


def client_credentials():
    party = confidential()
    with party.session() as session:
        token = session.fetch_token(
            party.load_server_metadata()["token_endpoint"], grant_type="client_credentials", scope=""
        )
        introspection = party.server_metadata["introspection_endpoint"]
        same(session.introspect_token(introspection, token=token["access_token"]).json()["active"], True)


def registers(method):
    metadata = confidential().load_server_metadata()
    answer = requests.post(
        metadata["registration_endpoint"],
        json={
            "redirect_uris": [REDIRECT_URI],
            "grant_types": ["authorization_code", "refresh_token"],
            "token_endpoint_auth_method": method,
        },
        timeout=60,
    )
    same(answer.status_code, 201)
    client = answer.json()
    signs_in(Party(client["client_id"], client.get("client_secret"), method))

    address = client["registration_client_uri"]
    headers = {"Authorization": f"Bearer {client['registration_access_token']}"}
    same(requests.get(address, headers=headers, timeout=60).json()["redirect_uris"], [REDIRECT_URI])
    change = {
        "client_id": client["client_id"],
        "redirect_uris": [REDIRECT_URI],
        "token_endpoint_auth_method": method,
        "client_name": "Changed",
    }
    same(requests.put(address, headers=headers, json=change, timeout=60).json()["client_name"], "Changed")
    same(requests.delete(address, headers=headers, timeout=60).status_code, 204)
    same(requests.get(address, headers=headers, timeout=60).status_code, 401)


def signs_out():
    party = confidential()
    token, _ = party.sign_in(cookies="signs-out")
    silent, _ = party.sign_in(cookies="signs-out", prompt="none")
    to = party.create_logout_url(SIGNED_OUT_URI, id_token_hint=silent["id_token"])
    same(visit(to["url"], "signs-out"), f"{SIGNED_OUT_URI}?state={to['state']}")
    _, left = party.send_person(cookies="signs-out", prompt="none")
    same(parse_qs(urlsplit(left).query)["error"], ["login_required"])


BEHAVIOURS = {
    "discovery and RFC 8414 metadata pass Authlib's validation": discovery_is_valid,
    "a confidential client signs a person in, with PKCE and a verified ID token": lambda: signs_in(confidential()),
    "a public client signs a person in, with PKCE and a verified ID token": lambda: signs_in(public()),
    "UserInfo has all claims, in their formats": userinfo_is_valid,
    "a confidential client refreshes": lambda: refreshes(confidential()),
    "a public client refreshes": lambda: refreshes(public()),
    "a refresh may ask for less": narrower_scope,
    "a revoked grant is inactive and refreshes no more": introspects_and_revokes,
    "client_credentials gives a token": client_credentials,
    "a registered confidential client signs a person in and manages its registration": lambda: registers(
        "client_secret_post"
    ),
    "a registered public client signs a person in and manages its registration": lambda: registers("none"),
    "RP-initiated sign-out ends the session and comes back with its state": signs_out,
}


def main():
    failed = False
    for name, behaviour in BEHAVIOURS.items():
        try:
            behaviour()
            print(f"ok {name}", flush=True)
        except Exception as error:
            failed = True
            why = f"{type(error).__name__}: {error}".replace("\n", " ")
            print(f"not ok {name}: {why}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
