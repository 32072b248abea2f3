"""Upstreams and balancers as they are in the field: Django's ALLOWED_HOSTS, and the PROXY protocol with HAProxy and nginx."""

import socket
import threading
from pathlib import Path

import pytest
import requests
from children import eventually, start_gunicorn

HERE = Path(__file__).parent
# The balancer connects from here, and the client from there: so it is seen whom the proxy takes for the client.
TRUSTED = 'trusted = ["127.0.0.1"]'
CLIENT = "127.0.0.77"

HAPROXY = """
global
    stats timeout 10s
defaults
    mode {mode}
    timeout connect 5s
    timeout client 20s
    timeout server 20s
{sections}
"""
TOLD = """
    server {{
        listen 127.0.0.1:{port} proxy_protocol;
        location / {{ return 200 "$proxy_protocol_addr:$proxy_protocol_port"; }}
    }}
"""
# The monolith is one of several sites of a server, and every other name is refused.
NAMED = """
    server {{
        listen 127.0.0.1:{port} default_server;
        return 421;
    }}
    server {{
        listen 127.0.0.1:{port};
        server_name legacy.internal;
        location = /old {{ return 302 http://legacy.internal/new?from=old; }}
        location / {{
            add_header Set-Cookie "sid=1; Domain=legacy.internal; Path=/";
            return 200 "$host";
        }}
    }}
"""


def asked_from(address, url, **options):
    """GET over a connection whose own end has this address."""
    session = requests.Session()
    adapter = requests.adapters.HTTPAdapter()
    adapter.init_poolmanager(1, 1, source_address=(address, 0))
    session.mount("http://", adapter)
    session.mount("https://", adapter)
    return session.get(url, timeout=20, **options)


@pytest.mark.parametrize("word", ["send-proxy", "send-proxy-v2"])
def test_a_client_behind_haproxy_is_the_client(proxy, balancer, django, pair, word):
    edge = proxy(
        f'[monolith]\nurl = "http://127.0.0.1:{django.port}"\n',
        server=f'{TRUSTED}\nproxy_protocol = "require"',
        tls=pair,
    )
    section = "listen edge\n    bind 127.0.0.1:{port}\n    server edge 127.0.0.1:{to} {word} check inter 100ms\n"
    text = HAPROXY.format(mode="tcp", sections="{sections}").replace("{sections}", section)
    plain = balancer("haproxy", text, to=edge.port, word=word)
    answer = asked_from(CLIENT, f"http://127.0.0.1:{plain.port}/")
    assert answer.status_code < 500
    line = eventually("the request in the log", lambda: [row for row in edge.child.log().splitlines() if CLIENT in row])
    assert f'"client.address":"{CLIENT}"' in line[0]
    encrypted = balancer("haproxy", text, to=edge.tls_port, word=word)
    url = f"https://127.0.0.1:{encrypted.port}/"
    assert asked_from(CLIENT, url, verify=str(pair.cert)).status_code < 500
    eventually(
        "the request over TLS in the log",
        lambda: [row for row in edge.child.log().splitlines() if CLIENT in row and '"url.scheme":"https"' in row],
    )
    # Without a header the proxy answers 400, and HAProxy's own checks of the port go on.
    assert requests.get(edge.url, timeout=20).status_code == 400


@pytest.mark.parametrize("version", [1, 2])
def test_nginx_and_haproxy_behind_the_proxy_are_told_of_each_client(proxy, balancer, version):
    nginx = balancer("nginx", TOLD)
    section = (
        "frontend told\n    bind 127.0.0.1:{port} accept-proxy\n"
        "    http-request return status 200 content-type text/plain lf-string %[src]:%[src_port]\n"
    )
    haproxy = balancer("haproxy", HAPROXY.format(mode="http", sections="{sections}").replace("{sections}", section))
    for server in (nginx, haproxy):
        edge = proxy(
            f'[monolith]\nurl = "http://127.0.0.1:{server.port}"\nproxy_protocol = {version}\n'
            'health = { path = "/", interval = "100ms" }\n'
        )
        eventually("healthy by its checks", lambda: edge.json("/api/v1/upstreams")[0]["endpoints"][0]["state"] == "healthy")
        told, lock = [], threading.Lock()

        def client(number):
            address = f"127.0.0.{number}"
            with socket.create_connection(("127.0.0.1", edge.port), 20, source_address=(address, 0)) as end:
                own = "%s:%s" % end.getsockname()
                for _ in range(5):
                    end.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                    answer = b""
                    while own.encode() not in answer and len(answer) < 4096:
                        piece = end.recv(4096)
                        if not piece:
                            break
                        answer += piece
                    with lock:
                        told.append((own, answer.rsplit(b"\r\n", 1)[-1].decode()))

        clients = [threading.Thread(target=client, args=(number,)) for number in range(2, 10)]
        for one in clients:
            one.start()
        for one in clients:
            one.join()
        assert len(told) == 40
        assert [pair for pair in told if pair[0] != pair[1]] == []


def test_one_site_of_an_nginx_is_asked_under_its_own_name_and_nobody_hears_of_it(proxy, balancer):
    nginx = balancer("nginx", NAMED)
    table = f'[monolith]\nurl = "http://127.0.0.1:{nginx.port}"\n'
    asked = {"headers": {"Host": "shop.example"}, "timeout": 20, "allow_redirects": False}
    assert requests.get(proxy(table).url, **asked).status_code == 421
    edge = proxy(table + 'host = "legacy.internal"\nhealth = { path = "/", interval = "100ms" }\n')
    eventually("healthy under the name", lambda: edge.json("/api/v1/upstreams")[0]["endpoints"][0]["state"] == "healthy")
    answer = requests.get(edge.url, **asked)
    assert (answer.status_code, answer.text) == (200, "legacy.internal")
    assert answer.headers["Set-Cookie"] == "sid=1; Domain=shop.example; Path=/"
    moved = requests.get(f"{edge.url}/old", **asked)
    assert (moved.status_code, moved.headers["Location"]) == (302, "/new?from=old")


def test_a_django_site_that_knows_its_names_is_checked_under_one_of_them(proxy, django_env, tmp_path):
    (tmp_path / "named.py").write_text('from monolith.settings import *\nALLOWED_HOSTS = ["shop.example"]\nDEBUG = False\n')
    env = {**django_env, "DJANGO_SETTINGS_MODULE": "named", "PYTHONPATH": f"{tmp_path}:{HERE}"}
    site = start_gunicorn("django", "monolith.wsgi:application", cwd=HERE, env=env)
    try:
        table = f'[monolith]\nurl = "http://127.0.0.1:{site.port}"\n'

        def endpoint(edge):
            return edge.json("/api/v1/upstreams")[0]["endpoints"][0]

        without = proxy(table + 'health = { path = "/", interval = "100ms", timeout = "20s" }\n')
        eventually("a check that says what is missing", lambda: "`health.host` names another" in endpoint(without)["why"])
        assert endpoint(without)["state"] == "unhealthy"
        edge = proxy(table + 'health = { path = "/", host = "shop.example", interval = "100ms", timeout = "20s" }\n')
        eventually("healthy", lambda: endpoint(edge)["state"] == "healthy")
        answer = requests.get(edge.url, headers={"Host": "shop.example"}, timeout=20)
        assert answer.status_code == 200
    finally:
        site.kill()


def test_forty_clients_and_a_limit_of_eight(proxy, django, report):
    edge = proxy(f'[monolith]\nurl = "http://127.0.0.1:{django.port}"\nmax_in_flight = 8\nqueue = {{ timeout = "20s" }}\n')
    statuses = []
    clients = [threading.Thread(target=lambda: statuses.append(requests.get(edge.url, timeout=60).status_code)) for _ in range(40)]
    for one in clients:
        one.start()
    for one in clients:
        one.join()
    assert statuses == [200] * 40
    queue = edge.json("/api/v1/upstreams")[0]["queue"]
    assert (queue["max_in_flight"], queue["in_flight"], queue["waiting"]) == (8, 0, 0)
    page = edge.admin("/metrics").text
    count = next(line for line in page.splitlines() if line.startswith("multilith_queue_wait_seconds_count"))
    assert count.endswith(" 40")
    report("40 clients before Django with max_in_flight = 8: all answered")
