"""What a route may say beside its stage, as curl and a balancer before the proxy see it: times, redirects, networks, faults, pages;
and clients without cookies that keep their side."""

import subprocess

import pytest
import requests

HAPROXY = """
global
    stats timeout 10s
defaults
    mode http
    option forwardfor
    timeout connect 5s
    timeout client 20s
    timeout server 20s
listen edge
    bind 127.0.0.1:{port}
    server edge 127.0.0.1:{to}
"""
TABLES = """
[monolith]
url = "http://127.0.0.1:{httpbin}"

[services.new]
url = "http://127.0.0.1:{httpbin}"

[routes.old]
path     = "/old/{{code}}"
stage    = "retired"
redirect = {{ to = "/status/{{code}}" }}

[routes.slow]
path     = "/delay/{{seconds}}"
service  = "new"
stage    = "migrated"
timeouts = {{ answer = "300ms" }}

[routes.inside]
path    = "/uuid"
service = "new"
stage   = "migrated"
allow   = ["127.0.0.77"]

[routes.faulty]
path    = "/get"
service = "new"
stage   = "migrated"
fault   = {{ share = "100%", status = 503 }}

[routes.sides]
path    = "/headers"
service = "new"
stage   = "canary"
weight  = "50%"
sticky  = ["ip"]

[pages]
error = "{folder}/error.html"
"503" = "{folder}/busy.html"
"""


def curl(url, *arguments):
    """The answer's status and its body."""
    command = ["curl", "-sS", "--noproxy", "*", "--max-time", "30", "-w", "\n%{http_code}", *arguments, url]
    body, status = subprocess.run(command, capture_output=True, text=True, check=True).stdout.rsplit("\n", 1)
    return int(status), body


@pytest.fixture
def edge(proxy, httpbin, tmp_path):
    (tmp_path / "error.html").write_text("<h1>sorry: {status}</h1>")
    (tmp_path / "busy.html").write_text("<h1>busy, {reason}: {request_id}</h1>")
    return proxy(
        TABLES.format(httpbin=httpbin.port, folder=tmp_path),
        server='trusted = ["127.0.0.1"]\ndebug_headers = true',
    )


def test_curl_follows_a_redirect_and_gives_up_no_sooner_than_the_route(edge):
    assert curl(f"{edge.url}/old/204", "-L")[0] == 204
    assert curl(f"{edge.url}/old/204")[0] == 308
    assert curl(f"{edge.url}/delay/9")[0] == 504
    assert curl(f"{edge.url}/delay/0")[0] == 200


def test_a_person_sees_the_sites_own_page_and_a_program_problem_json(edge):
    html = ["-H", "Accept: text/html"]
    status, page = curl(f"{edge.url}/get", *html)
    assert status == 503 and page.startswith("<h1>busy, Service Unavailable: ")
    assert curl(f"{edge.url}/delay/9", *html) == (504, "<h1>sorry: 504</h1>")
    status, problem = curl(f"{edge.url}/get")
    assert status == 503 and '"status":503' in problem
    assert '"action":"fault"' in edge.admin("/api/v1/journal").text.replace(" ", "")


def test_clients_behind_haproxy_are_let_in_by_their_own_address(edge, balancer):
    haproxy = balancer("haproxy", HAPROXY, to=edge.port)
    url = f"http://127.0.0.1:{haproxy.port}/uuid"
    assert curl(url, "--interface", "127.0.0.77")[0] == 200
    assert curl(url, "--interface", "127.0.0.78")[0] == 403
    assert curl(url, "--interface", "127.0.0.78", "-H", "X-Forwarded-For: 127.0.0.77")[0] == 403


def test_a_client_without_cookies_keeps_its_side(edge):
    sides = {}
    for number in range(1, 41):
        # Without a jar each request is a client without cookies; from a trusted peer, the address is the one it names.
        asked = [
            requests.get(f"{edge.url}/headers", headers={"X-Forwarded-For": f"203.0.113.{number}"}, timeout=20) for _ in range(3)
        ]
        sides[number] = {answer.headers["X-Multilith-Side"] for answer in asked}
        assert all("Set-Cookie" not in answer.headers for answer in asked)
    assert all(len(seen) == 1 for seen in sides.values()), sides
    assert set().union(*sides.values()) == {"monolith", "service"}
