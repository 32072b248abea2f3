"""Tokens as Python programs make and revoke them: PyJWT signs, and python-etcd writes the keys that the published MicroFlack revokes by."""

import time

import etcd
import jwt
import pytest
import requests
import urllib3
from children import eventually, start_etcd

# python-etcd was last released in 2018 and calls what urllib3 has removed since.
urllib3.response.BaseHTTPResponse.getheader = lambda self, name, default=None: self.headers.get(name, default)

SECRET = "a secret of more than thirty-two bytes"
TABLES = """
[monolith]
url = "http://127.0.0.1:{httpbin}"

[services.users]
url = "http://127.0.0.1:{httpbin}"

[routes.mine]
path    = "/headers"
service = "users"
stage   = "migrated"

[routes.mine.auth.jwt]
key     = {{ file = "{key}" }}
issuer  = "https://auth.example"
forward = {{ user_id = "x-user-id" }}
revoked.etcd = {{ endpoints = ["http://127.0.0.1:{etcd}"], prefix = "/revoked-tokens/", api = "v2" }}
"""


@pytest.fixture
def registry(tmp_path):
    """An etcd that still has the API v2."""
    child = start_etcd(tmp_path, "--enable-v2=true")
    yield child
    child.kill()


def token(user, secret=SECRET, issuer="https://auth.example", lives=3600):
    return jwt.encode({"user_id": user, "iss": issuer, "exp": int(time.time()) + lives}, secret, algorithm="HS256")


def test_a_token_is_good_until_it_is_revoked(proxy, httpbin, registry, tmp_path):
    (tmp_path / "key").write_text(SECRET)
    edge = proxy(TABLES.format(httpbin=httpbin.port, key=tmp_path / "key", etcd=registry.port))

    def asked(bearer):
        headers = {"Authorization": f"Bearer {bearer}", "X-User-Id": "1"}
        return requests.get(f"{edge.url}/headers", headers=headers, timeout=20)

    ada, bob = token(7), token(8)
    eventually("the list of revoked tokens read", lambda: asked(ada).status_code == 200)
    assert asked(ada).json()["headers"]["X-User-Id"] == "7"
    for bad in (token(7, secret=SECRET[::-1]), token(7, issuer="https://evil.example"), token(7, lives=-600), ada[:-2]):
        assert asked(bad).status_code == 401
    client = etcd.Client(host="127.0.0.1", port=registry.port)
    client.write(f"/revoked-tokens/{ada}", "", ttl=3600)
    eventually("the token revoked", lambda: asked(ada).status_code == 401)
    assert asked(bob).status_code == 200
