"""Certificates by ACME, from Debian's pebble: ordered, proved over both challenges, renewed, while requests go on."""

import base64
import json
import shutil
import socket
import ssl
import stat
import threading
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import requests
from certificates import Pair, self_signed
from children import Child, eventually, free_port, start_etcd
from proxy import BINARY

HOSTS = ["shop.example", "www.shop.example"]


@dataclass
class Authority:
    """A pebble and what it needs. It looks for proofs at the two ports of a proxy."""

    child: Child
    names: Child
    directory: str
    ca: Path
    root: Path

    def stop(self):
        self.child.kill()
        self.names.kill()


@pytest.fixture
def authority(tmp_path):
    """Starts authorities: `authority(http_port, tls_port)`, with `validity` in seconds."""
    assert shutil.which("pebble"), "apt-get install pebble"
    pair = self_signed(tmp_path, "localhost")
    started = []

    def start(http_port, tls_port, validity=7776000):
        port, management, dns, challenges = (free_port() for _ in range(4))
        config = tmp_path / "pebble.json"
        settings = {
            "listenAddress": f"127.0.0.1:{port}",
            "managementListenAddress": f"127.0.0.1:{management}",
            "certificate": str(pair.cert),
            "privateKey": str(pair.key),
            "httpPort": http_port,
            "tlsPort": tls_port,
            "certificateValidityPeriod": validity,
        }
        config.write_text(json.dumps({"pebble": settings}))
        none = ["-http01", "", "-https01", "", "-tlsalpn01", "", "-defaultIPv6", ""]
        command = ["pebble-challtestsrv", *none, "-dns01", f"127.0.0.1:{dns}", "-management", f"127.0.0.1:{challenges}"]
        names = Child("pebble-challtestsrv", command)
        assert names.await_ready(lambda: "Starting management server" in names.log()), names.log()
        # The client tries three nonces; of five in a hundred refused, three in a row are one in eight thousand.
        env = {"PEBBLE_VA_NOSLEEP": "1", "PEBBLE_WFE_NONCEREJECT": "5", "PEBBLE_AUTHZREUSE": "0"}
        child = Child("pebble", ["pebble", "-strict", "-config", config, "-dnsserver", f"127.0.0.1:{dns}"], env=env)
        directory = f"https://127.0.0.1:{port}/dir"

        def answers():
            try:
                return requests.get(directory, verify=pair.cert, timeout=5).ok
            except requests.ConnectionError:
                return False

        assert child.await_ready(answers), child.log()
        root = tmp_path / "root.pem"
        root.write_text(requests.get(f"https://127.0.0.1:{management}/roots/0", verify=pair.cert, timeout=5).text)
        started.append(Authority(child, names, directory, pair.cert, root))
        return started[-1]

    yield start
    for one in started:
        one.stop()


def acme(authority, directory=None, hosts=HOSTS):
    return f"""
[server.tls.acme]
hosts     = {json.dumps(hosts)}
email     = "ops@shop.example"
directory = "{directory or authority.directory}"
ca        = "{authority.ca}"
"""


def shown(proxy, host, root):
    """The certificate that a client which believes this root is shown, or None."""
    context = ssl.create_default_context(cafile=root)
    try:
        with socket.create_connection(("127.0.0.1", proxy.tls_port), 10) as plain:
            with context.wrap_socket(plain, server_hostname=host) as connection:
                return connection.getpeercert()
    except (ssl.SSLError, ConnectionError):
        return None


def expiry(proxy, host):
    lines = [line for line in proxy.metrics().splitlines() if f'certificate_expiry_timestamp_seconds{{name="{host}"}}' in line]
    return float(lines[0].split()[-1]) if lines else None


def tables(httpbin):
    return f'[monolith]\nurl = "http://127.0.0.1:{httpbin.port}"\n'


def test_certificates_are_proved_over_http_kept_privately_and_shown(proxy, authority, httpbin, pair, report):
    edge = proxy(tables(httpbin), tls=pair)
    pebble = authority(edge.port, edge.tls_port)
    edge.head += "redirect = true\nstrict_sni = true\n"
    assert shown(edge, HOSTS[0], pebble.root) is None
    edge.head += acme(pebble)
    edge.reload(tables(httpbin))
    for host in HOSTS:
        found = eventually(f"a certificate for {host}", lambda host=host: shown(edge, host, pebble.root))
        assert found["subjectAltName"] == (("DNS", host),)
        assert expiry(edge, host) == ssl.cert_time_to_seconds(found["notAfter"])
    assert shown(edge, "other.example", pebble.root) is None
    kept = list(Path(edge.file.parent, "state", "acme").rglob("*"))
    assert {path.name for path in kept if path.is_file()} == {"account.json", "lock", *(f"{host}.pem" for host in HOSTS)}
    for path in kept:
        assert stat.S_IMODE(path.stat().st_mode) == (0o600 if path.is_file() else 0o700), path
    # What nobody asks for goes its way: it is a request like any other.
    stray = requests.get(f"{edge.url}/.well-known/acme-challenge/unknown", allow_redirects=False, timeout=10)
    assert stray.status_code == 308
    for line in edge.log().splitlines():
        if "issued" in line:
            report(f"acme: {line}")
    # After a start they are there at once, without the authority.
    before = shown(edge, HOSTS[0], pebble.root)["serialNumber"]
    assert edge.child.stop() == 0
    pebble.child.kill()
    edge.child = Child("multilith", [BINARY, "run", "-c", edge.file], env={"NO_COLOR": "1"})
    assert edge.child.await_ready(edge.ready)
    assert shown(edge, HOSTS[0], pebble.root)["serialNumber"] == before


def test_certificates_are_proved_over_tls_where_no_plain_listener_is(proxy, authority, httpbin, pair):
    edge = proxy(tables(httpbin), tls=pair)
    pebble = authority(free_port(), edge.tls_port)
    edge.head = edge.head.replace(f'listen    = ["127.0.0.1:{edge.port}"]', "listen = []") + acme(pebble)
    edge.reload(tables(httpbin))
    for host in HOSTS:
        eventually(f"a certificate for {host}", lambda host=host: shown(edge, host, pebble.root))
    assert shown(edge, "edge.example", pair.cert), "that of the file is shown all along"


def test_a_certificate_is_renewed_while_requests_go_on(proxy, authority, httpbin, pair, report):
    edge = proxy(tables(httpbin), tls=pair)
    pebble = authority(edge.port, edge.tls_port, validity=30)
    edge.head += acme(pebble, hosts=HOSTS[:1])
    edge.reload(tables(httpbin))
    first = eventually("the first certificate", lambda: shown(edge, HOSTS[0], pebble.root))
    failed, over = [], threading.Event()

    def ask():
        session = requests.Session()
        while not over.is_set():
            answer = session.get(f"{edge.url}/status/200", timeout=10)
            if answer.status_code != 200:
                failed.append(answer.status_code)

    asking = threading.Thread(target=ask)
    asking.start()
    again = eventually("a renewal", lambda: (found := shown(edge, HOSTS[0], pebble.root)) and found["serialNumber"] != first["serialNumber"] and found)
    over.set()
    asking.join()
    assert not failed
    assert expiry(edge, HOSTS[0]) > ssl.cert_time_to_seconds(first["notAfter"])
    for line in edge.log().splitlines():
        if "issued" in line:
            report(f"acme: {line}")


class Suggesting(ThreadingHTTPServer):
    """Before pebble, which knows no renewal information (RFC 9773): suggests to renew the first certificate at once."""

    daemon_threads = True

    def __init__(self, authority, pair: Pair):
        super().__init__(("127.0.0.1", 0), Relay)
        self.authority, self.asked = authority, []
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pair.cert, pair.key)
        self.socket = context.wrap_socket(self.socket, server_side=True)
        self.url = f"https://127.0.0.1:{self.server_address[1]}"


class Relay(BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def relay(self):
        server = self.server
        if self.path.startswith("/ari/"):
            server.asked.append(self.path.removeprefix("/ari/"))
            now = datetime.now(timezone.utc)
            first = server.asked[0] == server.asked[-1]
            start, end = (now - timedelta(hours=2), now - timedelta(hours=1)) if first else (now + timedelta(days=1), now + timedelta(days=2))
            window = {"start": start.isoformat(), "end": end.isoformat()}
            body = json.dumps({"suggestedWindow": window, "explanationURL": "https://acme.example/why"}).encode()
            return self.answer(200, {"Retry-After": "21600"}, body)
        length = int(self.headers.get("Content-Length", 0))
        base = server.authority.directory.removesuffix("/dir")
        headers = {name: value for name, value in self.headers.items() if name.lower() != "connection"}
        answer = requests.request(
            self.command, base + self.path, data=self.rfile.read(length), headers=headers, verify=server.authority.ca, timeout=30
        )
        body = answer.content
        if self.path == "/dir":
            body = json.dumps({**answer.json(), "renewalInfo": f"{server.url}/ari"}).encode()
        passed = ("replay-nonce", "location", "content-type", "link", "retry-after")
        self.answer(answer.status_code, {name: value for name, value in answer.headers.items() if name.lower() in passed}, body)

    def answer(self, status, headers, body):
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_POST = do_HEAD = relay


def test_the_authority_may_say_when_to_renew(proxy, authority, httpbin, pair, tmp_path, report):
    edge = proxy(tables(httpbin), tls=pair)
    # By its lifetime alone it would be renewed after 160 s; by the suggestion after a tenth of it.
    pebble = authority(edge.port, edge.tls_port, validity=240)
    with Suggesting(pebble, Pair(tmp_path / "localhost.pem", tmp_path / "localhost.key")) as suggesting:
        threading.Thread(target=suggesting.serve_forever, daemon=True).start()
        edge.head += acme(pebble, f"{suggesting.url}/dir", HOSTS[:1])
        edge.reload(tables(httpbin))
        first = eventually("the first certificate", lambda: shown(edge, HOSTS[0], pebble.root))
        eventually("a renewal", lambda: (found := shown(edge, HOSTS[0], pebble.root)) and found["serialNumber"] != first["serialNumber"])
        eventually("the new certificate's window asked for", lambda: len(set(suggesting.asked)) == 2)
        suggesting.shutdown()
    # The certificate is named by its authority and its serial number.
    serial = base64.urlsafe_b64decode(suggesting.asked[0].split(".")[1] + "==")
    assert int.from_bytes(serial, "big") == int(first["serialNumber"], 16), suggesting.asked
    report(f"acme: renewal information asked for as {suggesting.asked[0]}")


def test_an_authority_that_is_not_there_takes_nothing_with_it(proxy, authority, httpbin, pair):
    edge = proxy(tables(httpbin), tls=pair)
    pebble = authority(edge.port, edge.tls_port)
    pebble.child.kill()
    edge.head += acme(pebble, hosts=HOSTS[:1])
    edge.reload(tables(httpbin))
    eventually("the failure in the log", lambda: "no certificate was issued" in edge.log())
    assert "again_in=" in edge.log()
    assert expiry(edge, HOSTS[0]) == 0, "there is none yet"
    assert requests.get(f"{edge.url}/status/204", timeout=10).status_code == 204
    assert shown(edge, "edge.example", pair.cert)


def test_a_refused_proof_is_said_with_the_authoritys_words(proxy, authority, httpbin, pair):
    edge = proxy(tables(httpbin), tls=pair)
    pebble = authority(free_port(), edge.tls_port)
    edge.head += acme(pebble, hosts=HOSTS[:1])
    edge.reload(tables(httpbin))
    eventually("the refusal in the log", lambda: "did not accept the proof" in edge.log())
    # The next attempt takes the other challenge.
    eventually("a certificate", lambda: shown(edge, HOSTS[0], pebble.root))


# -- a fleet: one replica orders, all answer and show


SECRET = "0123456789abcdef0123456789abcdef"
PREFIX = "/multilith/acme/"


@dataclass
class Registry:
    """An etcd of one node."""

    child: Child
    folder: Path

    def values(self):
        """All values below the prefix, by key."""
        end = PREFIX[:-1] + chr(ord(PREFIX[-1]) + 1)
        body = {"key": base64.b64encode(PREFIX.encode()).decode(), "range_end": base64.b64encode(end.encode()).decode()}
        found = requests.post(f"http://127.0.0.1:{self.child.port}/v3/kv/range", json=body, timeout=10).json().get("kvs", [])
        return {base64.b64decode(each["key"]).decode(): base64.b64decode(each.get("value", "")) for each in found}


@pytest.fixture
def registry(tmp_path):
    child = start_etcd(tmp_path)
    yield Registry(child, tmp_path)
    child.kill()


def fleet(httpbin, registry, name, secret=SECRET):
    file = registry.folder / f"{name}.secret"
    file.write_text(secret + "\n")
    etcd = f'{{ endpoints = ["http://127.0.0.1:{registry.child.port}"], prefix = "{PREFIX}" }}'
    return tables(httpbin) + f'\n[fleet]\nname = "{name}"\nttl = "3s"\nsecret = {{ file = "{file}" }}\netcd = {etcd}\n'


def members(edge):
    return len(edge.json("/api/v1/fleet"))


def times(edges, words):
    return sum(edge.log().count(words) for edge in edges)


def test_one_replica_orders_and_all_answer_and_show_it(proxy, authority, httpbin, pair, registry, report):
    edges = [proxy(fleet(httpbin, registry, f"edge-{number}"), tls=pair) for number in range(3)]
    eventually("all are listed", lambda: all(members(edge) == 3 for edge in edges))
    # The authority asks the second replica, whose file does not even name it.
    pebble = authority(edges[1].port, edges[1].tls_port)
    began = datetime.now()
    for edge in (edges[0], edges[2], edges[1]):
        edge.head += acme(pebble, hosts=HOSTS[:1])
        edge.reload(fleet(httpbin, registry, f"edge-{edges.index(edge)}"))
        found = eventually("the certificate", lambda edge=edge: shown(edge, HOSTS[0], pebble.root))
        report(f"acme: edge-{edges.index(edge)} shows the certificate {(datetime.now() - began).total_seconds():.1f} s after the first file")
        began = datetime.now()
    serials = {shown(edge, HOSTS[0], pebble.root)["serialNumber"] for edge in edges}
    assert serials == {found["serialNumber"]}
    assert times(edges, "a certificate was issued") == 1 and times(edges[:1], "a certificate was issued") == 1
    assert times(edges, "an account at the authority was made") == 1
    assert times(edges, "not every replica shows the proof") == 0
    # Whoever reads etcd learns no key: what is below `sealed/` is no text.
    sealed = {key: value for key, value in registry.values().items() if key.startswith(f"{PREFIX}sealed/")}
    assert sorted(key.rsplit("/", 2)[-1] for key in sealed) == ["account", HOSTS[0]], "the challenge is gone"
    for key, value in registry.values().items():
        assert b"PRIVATE KEY" not in value and b"BEGIN" not in base64.b64decode(value) if key in sealed else b"KEY" not in value, key
    assert not [key for key in registry.values() if "/turns/" in key]
    # A replica that starts without etcd and without the authority shows what it loaded.
    registry.child.kill()
    pebble.child.kill()
    assert edges[2].child.stop() == 0
    edges[2].child = Child("multilith", [BINARY, "run", "-c", edges[2].file], env={"NO_COLOR": "1"})
    assert edges[2].child.await_ready(edges[2].ready)
    assert shown(edges[2], HOSTS[0], pebble.root)["serialNumber"] == found["serialNumber"]


def test_every_replica_answers_over_tls_too_and_a_renewal_reaches_all(proxy, authority, httpbin, pair, registry, report):
    edges = [proxy(fleet(httpbin, registry, f"edge-{number}"), tls=pair) for number in range(2)]
    eventually("all are listed", lambda: all(members(edge) == 2 for edge in edges))
    pebble = authority(free_port(), edges[1].tls_port, validity=30)
    for number, (edge, host) in enumerate(zip(edges, HOSTS)):
        edge.head = edge.head.replace(f'listen    = ["127.0.0.1:{edge.port}"]', "listen = []") + acme(pebble, hosts=[*HOSTS[:1], host][: number + 1])
        edge.reload(fleet(httpbin, registry, f"edge-{number}"))
        # The first is issued while the replica that the authority asks has no `acme` in its file.
        first = eventually("the certificate", lambda edge=edge: shown(edge, HOSTS[0], pebble.root))
    assert times(edges, "not every replica shows the proof") == 0

    def renewed():
        serials = [(found := shown(edge, HOSTS[0], pebble.root)) and found["serialNumber"] for edge in edges]
        return serials[0] == serials[1] and serials[0] not in (None, first["serialNumber"])

    eventually("the renewal on both", renewed)
    report(f"acme: {times(edges, 'a certificate was issued')} certificates issued, {times(edges, 'another replica ordered')} taken over")


def test_a_replica_with_another_secret_orders_nothing_and_says_so(proxy, authority, httpbin, pair, registry):
    edges = [proxy(fleet(httpbin, registry, "edge-0"), tls=pair), proxy(fleet(httpbin, registry, "edge-1", SECRET[::-1]), tls=pair)]
    pebble = authority(edges[0].port, edges[0].tls_port)
    edges[0].head += acme(pebble, hosts=HOSTS[:1])
    edges[0].reload(fleet(httpbin, registry, "edge-0"))
    eventually("the certificate", lambda: shown(edges[0], HOSTS[0], pebble.root))
    edges[1].head += acme(pebble, hosts=HOSTS[:1])
    edges[1].reload(fleet(httpbin, registry, "edge-1", SECRET[::-1]))
    eventually("it says why", lambda: "every replica needs the same `secret`" in edges[1].log())
    assert shown(edges[1], HOSTS[0], pebble.root) is None
    assert times(edges, "a certificate was issued") == 1 and times(edges, "an account at the authority was made") == 1
