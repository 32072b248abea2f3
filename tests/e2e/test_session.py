"""A session of Django's, believed by a service that cannot read it: the edge asks the monolith's /whoami."""

import re

import pytest
import requests

TABLES = """
[monolith]
url = "http://127.0.0.1:{django}"

[services.account]
url = "http://127.0.0.1:{account}"

[routes.account]
path    = "/account/{{*rest}}"
service = "account"
stage   = "migrated"
auth.forward = {{ url = "http://127.0.0.1:{django}/whoami", headers = ["x-user-id", "x-user-name"], cache = {cache} }}

[routes.prices]
path    = "/prices"
service = "account"
stage   = "migrated"
"""
FORGED = {"X-User-Id": "1", "X_User_Id": "1", "X-User-Name": "admin"}


@pytest.fixture
def edge(proxy, django, account):
    def start(cache):
        return proxy(TABLES.format(django=django.port, account=account.port, cache=cache))

    return start


def signed_in(edge):
    """A visitor who has signed in as a person does, through the form."""
    visitor = requests.Session()
    form = visitor.get(f"{edge.url}/admin/login/", timeout=10).text
    token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', form).group(1)
    sent = {"username": "admin", "password": "admin", "csrfmiddlewaretoken": token, "next": "/"}
    page = visitor.post(f"{edge.url}/admin/login/", data=sent, headers={"Referer": f"{edge.url}/admin/login/"}, timeout=10)
    assert page.status_code == 200 and "sessionid" in visitor.cookies
    return visitor


def test_a_session_of_the_monolith_is_a_person_to_the_service(edge):
    edge = edge('"30s"')
    with signed_in(edge) as visitor:
        for _ in range(3):
            answer = visitor.get(f"{edge.url}/account/orders?page=2", headers=FORGED, timeout=10).json()
            assert answer == {"served_by": "account", "X_USER_ID": "1", "X_USER_NAME": "admin"}
        answer = visitor.post(f"{edge.url}/account/orders", data={"a": "b"}, timeout=10).json()
        assert answer["X_USER_ID"] == "1"


def test_nobody_is_somebody_without_a_session(edge):
    edge = edge('"30s"')
    for cookies in ({}, {"sessionid": "forged"}):
        refused = requests.get(f"{edge.url}/account/", headers=FORGED, cookies=cookies, timeout=10)
        assert (refused.status_code, refused.text) == (401, "sign in first")
        assert refused.headers["X-Request-Id"]
    prices = requests.get(f"{edge.url}/prices", headers=FORGED, timeout=10).json()
    assert prices == {"served_by": "account", "X_USER_ID": None, "X_USER_NAME": None}


def test_a_session_that_has_ended_passes_no_more(edge):
    edge = edge(0)
    with signed_in(edge) as visitor:
        old = {"sessionid": visitor.cookies["sessionid"]}
        assert requests.get(f"{edge.url}/account/", cookies=old, timeout=10).status_code == 200
        out = {"csrfmiddlewaretoken": visitor.cookies["csrftoken"]}
        referer = {"Referer": f"{edge.url}/admin/"}
        assert visitor.post(f"{edge.url}/admin/logout/", data=out, headers=referer, timeout=10).status_code == 200
        assert requests.get(f"{edge.url}/account/", cookies=old, timeout=10).status_code == 401
