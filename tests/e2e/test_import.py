"""The way in: what `multilith import nginx` reads of a file is what nginx does with it. The same requests go through a running nginx
and through multilith with the routes of its import."""

import random
import re
import subprocess
from collections import Counter

import pytest
from children import Child, free_port, listens
from echo import Asker, program, serve
from proxy import BINARY

REQUESTS = 2_000

CONF = """
worker_processes 1;
events { worker_connections 256; }
http {
    upstream shop { server 127.0.0.1:{monolith}; }
    upstream orders { least_conn; server 127.0.0.1:{orders}; }
    map $http_x_version $search { v2 127.0.0.1:{new_search}; default 127.0.0.1:{search}; }
    server {
        listen 127.0.0.1:{port} default_server;
        server_name shop.example;
        proxy_set_header Host $http_host;
        location / { proxy_pass http://shop; }
        location = /exact { proxy_pass http://orders; }
        location = /renamed { proxy_pass http://orders/other/name; }
        location /api/orders/ { proxy_pass http://orders/v2/; }
        location /api/orders/drafts/ { proxy_pass http://127.0.0.1:{search}; }
        location ~ ^/api/orders/(?<id>[^/]+)/invoice$ { proxy_pass http://127.0.0.1:{invoices}; proxy_set_header Host invoices.internal; }
        location /old/ { rewrite ^/old/(.*)$ /archive/$1 break; proxy_pass http://orders; }
        location /search/ { proxy_pass http://$search; }
        location ~ ^/(de|en)/about/?$ { proxy_pass http://127.0.0.1:{invoices}; }
        location ^~ /static/ { proxy_pass http://127.0.0.1:{search}; }
        location ~ ^/static/[^/]+/never$ { proxy_pass http://orders; }
        location /files/ { proxy_pass http://orders/; }
    }
    server {
        listen 127.0.0.1:{port};
        server_name partner.example *.partner.example;
        proxy_set_header Host $http_host;
        location / { proxy_pass http://127.0.0.1:{invoices}; }
        location /api/ { proxy_pass http://orders; }
    }
}
"""
PATHS = [
    "/", "/exact", "/exact/", "/exact/x", "/renamed", "/api/orders/7", "/api/orders/7/lines/2", "/api/orders/", "/api/orders/drafts/7", "/api/orders/drafts/",
    "/api/orders/7/invoice", "/api/orders/7/invoice/", "/api/orders/7/8/invoice", "/old/a/b", "/old/", "/older",
    "/search/x?q=1", "/search/", "/de/about", "/en/about/", "/fr/about", "/static/app.js", "/files/a/b?x=%20y", "/files/", "/api/",
    "/api/x?a=1&b=2", "/other/thing", "/api/orders/%7e7",
]  # fmt: skip
# Where the import differs from nginx, and how it says so.
SAID = {
    "/api/orders/drafts/invoice": "note: /api/orders/drafts/invoice: nginx takes line 17: location ~ ^/api/orders/(?<id>[^/]+)/invoice$, here the route of",
    "/static/a/never": "/never: nginx takes line 21: location ^~ /static/, here the route of /static/{p1}/never does",
    "/api/orders": "location /api/orders/: the path without its last slash is taken, too",
}
HOSTS = ["shop.example", "edge.example", "partner.example", "a.partner.example", "PARTNER.example:8080", "partner.example.evil"]


@pytest.fixture(scope="module")
def upstreams():
    servers = serve(["monolith", "orders", "search", "new_search", "invoices"])
    yield {name: server.server_address[1] for name, server in servers.items()}
    for server in servers.values():
        server.shutdown()
        server.server_close()


def test_the_routes_of_an_imported_nginx_conf_lead_where_nginx_leads(proxy, tmp_path, upstreams, report):
    port, conf = free_port(), tmp_path / "nginx.conf"
    values = {**upstreams, "port": port}
    conf.write_text(re.sub(r"\{(\w+)\}", lambda name: str(values[name[1]]), CONF))
    done = subprocess.run([BINARY, "import", "nginx", conf], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    # In nginx's place: what has a service is migrated.
    tables = re.sub(r'(?m)^(service = .*\n(?:.+\n)*?)stage = "monolith"', r'\1stage = "migrated"', done.stdout)
    assert tables.count('stage = "migrated"') >= 10, tables
    edge = proxy(tables)
    child = Child("nginx", [program("nginx"), "-c", conf, "-p", tmp_path, "-g", f"daemon off; pid {tmp_path}/nginx.pid; error_log stderr;"])
    try:
        assert child.await_ready(lambda: listens(port)), child.log()
        ours, theirs, drawn, wrong, taken = Asker(edge.port), Asker(port), random.Random(13), [], Counter()
        for _ in range(REQUESTS):
            method = drawn.choice(["GET", "GET", "HEAD", "POST"])
            headers = [("Host", drawn.choice(HOSTS))] + drawn.choice([[], [("X-Version", "v2")], [("X-Version", "v3")]])
            one = (method, drawn.choice(PATHS), headers, b"a=1" if method == "POST" else b"")
            expected, got = theirs(*one), ours(*one)
            taken[expected.get("upstream")] += 1
            if "upstream" not in expected or "upstream" not in got:
                wrong.append((one, expected, got))
                continue
            for answer in (expected, got):
                # A service gets paths in normal form, from nginx as the client has spelt them.
                answer["target"] = answer["target"].replace("%7e", "~").replace("%7E", "~")
                answer["host"] = answer["headers"]["host"].lower()
            if any(expected[key] != got[key] for key in ("upstream", "method", "target", "body", "host")):
                wrong.append((one, expected, got))
        shown = "\n".join(f"{one}\n  nginx     {expected}\n  multilith {got}" for one, expected, got in wrong[:8])
        assert not wrong, f"{len(wrong)} of {REQUESTS} differ:\n{shown}\n{tables}\n{done.stderr}"
        assert min(taken[name] for name in upstreams) > 20, taken
        for path, sentence in SAID.items():
            one = ("GET", path, [("Host", "shop.example")])
            assert ours(*one).get("upstream") != theirs(*one).get("upstream"), path
            assert sentence in done.stderr, done.stderr
        report(f"nginx.conf: {REQUESTS} of {REQUESTS} requests at the same upstream under the same path as by nginx; {dict(taken)}")
    finally:
        child.kill()
