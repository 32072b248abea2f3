"""What applications make of the forwarding fields behind a balancer that ends TLS: Falcon reads Forwarded, Flask X-Forwarded-*."""

import pytest
import requests
from children import eventually, start_gunicorn

CLIENT = "203.0.113.9"
# What balancers say of a client that came by https://shop.example/asked.
BALANCERS = {
    "X-Forwarded-*": {"X-Forwarded-For": CLIENT, "X-Forwarded-Proto": "https", "X-Forwarded-Host": "shop.example"},
    "Forwarded": {"Forwarded": f"for={CLIENT};proto=https;host=shop.example"},
    # As nginx and Apache were told to in the days of `X-Forwarded-Ssl`.
    "X-Forwarded-Ssl": {"X-Forwarded-For": CLIENT, "X-Forwarded-Ssl": "on", "X-Forwarded-Host": "shop.example"},
    # The client's own Forwarded passes many balancers unread.
    "X-Forwarded-*, and a forged Forwarded": {
        "Forwarded": "for=10.9.9.9;proto=http;host=evil.example",
        "X-Forwarded-For": CLIENT,
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Host": "shop.example",
    },
}


@pytest.fixture(scope="module", params=["falcon", "flask"])
def application(request):
    child = start_gunicorn(request.param, f"services.asked:{request.param}_application", cwd=request.path.parent)
    yield child
    child.kill()


@pytest.mark.parametrize("forwarded", ["false", "true"])
@pytest.mark.parametrize("balancer", BALANCERS)
def test_an_application_behind_a_balancer_sees_https_and_the_client(proxy, application, balancer, forwarded):
    server = f'trusted = ["127.0.0.0/8"]\nforwarded = {forwarded}'
    edge = proxy(f'[monolith]\nurl = "http://127.0.0.1:{application.port}"\n', server=server)
    answer = requests.get(edge.url + "/asked", headers=BALANCERS[balancer], timeout=30)
    assert answer.json() == {
        "scheme": "https",
        "host": "shop.example",
        "client": CLIENT,
        "uri": "https://shop.example/asked",
    }
    eventually("the log's line", lambda: '"url.scheme":"https"' in edge.log())


def test_an_application_sees_a_client_that_came_to_the_proxy_itself(proxy, application, pair):
    if application.name == "flask":
        pytest.skip("ProxyFix counts proxies, and here is one")
    edge = proxy(f'[monolith]\nurl = "http://127.0.0.1:{application.port}"\n', server="forwarded = true", tls=pair)
    answer = requests.get(edge.tls_url + "/asked", verify=pair.cert, headers=BALANCERS["Forwarded"], timeout=30)
    host = f"127.0.0.1:{edge.tls_port}"
    assert answer.json() == {"scheme": "https", "host": host, "client": "127.0.0.1", "uri": f"https://{host}/asked"}
