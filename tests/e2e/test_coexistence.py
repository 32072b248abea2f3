"""Two applications under one origin, as a session of requests sees it: addresses, cookies, hosts and versions."""

import pytest
import requests

TABLES = """
[monolith]
url = "http://127.0.0.1:{django}"

[services.people]
url = "http://127.0.0.1:{people}"

[routes.people]
path    = "/people/{{*rest}}"
service = "people"
stage   = "{stage}"
rewrite = {{ path = "/v2/people/{{*rest}}", host = "people.internal" }}
answer  = {{ location = true, cookie_domain = {{ "people.internal" = "" }}, cookie_path = {{ "/v2/people" = "/people" }} }}
"""


@pytest.fixture
def edge(proxy, django, people):
    return proxy(TABLES.format(django=django.port, people=people.port, stage="migrated"))


def test_a_service_on_another_host_and_path_is_part_of_the_site(edge):
    with requests.Session() as visitor:
        for visit in ("1", "2"):
            page = visitor.get(f"{edge.url}/people/7", timeout=10)
            assert page.status_code == 200
            assert f'<p id="visits">{visit}</p>' in page.text
        cookie = next(cookie for cookie in visitor.cookies if cookie.name == "visits")
        assert (cookie.path, cookie.domain_specified) == ("/people", False)
        saved = visitor.post(f"{edge.url}/people/7/save", timeout=10)
        assert saved.url == f"{edge.url}/people/7?saved=yes"
        assert '<p id="saved">yes</p>' in saved.text


def test_a_redirect_out_of_the_service_leads_into_the_monolith(edge):
    left = requests.get(f"{edge.url}/people/7/leave", timeout=10, allow_redirects=False)
    assert left.headers["Location"] == "/admin/"
    assert "Django administration" in requests.get(f"{edge.url}/people/7/leave", timeout=10).text


def test_the_cookie_of_the_service_does_not_go_to_the_monolith(edge):
    with requests.Session() as visitor:
        visitor.get(f"{edge.url}/people/7", timeout=10)
        home = visitor.get(f"{edge.url}/", timeout=10)
        assert "visits" not in (home.request.headers.get("Cookie") or "")


def test_back_at_the_monolith_nothing_is_rewritten(edge, django, people):
    edge.reload(TABLES.format(django=django.port, people=people.port, stage="monolith"))
    response = requests.get(f"{edge.url}/people/7", timeout=10)
    assert response.status_code == 404
    assert "visits" not in response.cookies
