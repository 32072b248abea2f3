"""TLS with programs that are not ours: certificates as people make them with openssl, nginx behind the proxy, curl before it."""

import base64
import subprocess

import pytest
import requests
from certificates import Pair

BESIDE = """
    server {{
        listen 127.0.0.1:{port} ssl;
        ssl_certificate {pair.cert};
        ssl_certificate_key {pair.key};
        location / {{ return 200 "$ssl_server_name"; }}
    }}
"""


def openssl(*arguments, data=None):
    return subprocess.run(["openssl", *map(str, arguments)], input=data, check=True, capture_output=True).stdout


def made_by_hand(folder, *more):
    """What `openssl req -x509` makes of the first line that a search finds: without more it is an authority, too."""
    pair = Pair(folder / "own.pem", folder / "own.key")
    names = "subjectAltName=DNS:shop.example,DNS:localhost"
    files = ["-keyout", pair.key, "-out", pair.cert]
    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=shop.example", "-addext", names, *more, *files)
    return pair


def pin_of(pair):
    """As the manual of curl says to make one."""
    public = openssl("x509", "-in", pair.cert, "-noout", "-pubkey")
    key = openssl("pkey", "-pubin", "-outform", "der", data=public)
    return "sha256/" + base64.b64encode(openssl("dgst", "-sha256", "-binary", data=key)).decode()


@pytest.mark.parametrize("more", [(), ("-addext", "basicConstraints=critical,CA:FALSE")], ids=["authority", "no authority"])
def test_a_certificate_made_by_hand_is_believed_as_the_file_says(proxy, balancer, tmp_path, more):
    pair = made_by_hand(tmp_path, *more)
    nginx = balancer("nginx", BESIDE, pair=pair)
    other = "sha256/" + base64.b64encode(bytes(32)).decode()
    for tls, status in [
        ("", 502),
        (f'tls = {{ ca = "{pair.cert}" }}', 200),
        (f'tls = {{ ca = "{pair.cert}", server_name = "shop.example" }}', 200),
        (f'tls = {{ ca = "{pair.cert}", server_name = "other.example" }}', 502),
        (f'tls = {{ ca = "{pair.cert}", server_name = "other.example", verify = "chain" }}', 200),
        ('tls = { verify = "none" }', 200),
        (f'tls = {{ verify = "none", pin = ["{pin_of(pair)}"] }}', 200),
        (f'tls = {{ verify = "none", pin = ["{other}"] }}', 502),
        (f'tls = {{ ca = "{pair.cert}", pin = ["{other}", "{pin_of(pair)}"] }}', 200),
    ]:
        edge = proxy(f'[monolith]\nurl = "https://localhost:{nginx.port}"\n{tls}\n')
        answer = requests.get(edge.url, timeout=20)
        assert answer.status_code == status, f"{tls}: {answer.text}\n{edge.log()}"


@pytest.fixture
def curl(pair):
    """Asks with curl: the status, 0 where there was no connection."""

    def ask(edge, host, *arguments):
        command = ["curl", "-sS", "--noproxy", "*", "--max-time", "30", "-o", "/dev/null", "-w", "%{http_code}", "--insecure"]
        command += ["--resolve", f"{host}:{edge.tls_port}:127.0.0.1", *map(str, arguments), f"https://{host}:{edge.tls_port}/"]
        return int(subprocess.run(command, capture_output=True, text=True).stdout)

    return ask


@pytest.fixture
def client(tmp_path):
    """An authority for clients, and one client of it."""
    authority = Pair(tmp_path / "clients.pem", tmp_path / "clients.key")
    files = ["-keyout", authority.key, "-out", authority.cert]
    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=clients", *files)
    one = Pair(tmp_path / "ada.pem", tmp_path / "ada.key")
    request = openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=ada", "-keyout", one.key)
    # With an extension, or else OpenSSL 3.0 makes a certificate of version 1, which rustls refuses.
    (tmp_path / "extensions").write_text("basicConstraints=CA:FALSE\n")
    signing = ["-CA", authority.cert, "-CAkey", authority.key, "-CAcreateserial", "-days", "2", "-out", one.cert]
    signing += ["-extfile", tmp_path / "extensions"]
    openssl("x509", "-req", *signing, data=request)
    return authority, one


def test_clients_show_certificates_where_the_file_asks_for_them(proxy, httpbin, pair, curl, client):
    authority, one = client
    table = f'[monolith]\nurl = "http://127.0.0.1:{httpbin.port}"\n'
    shown = ["--cert", one.cert, "--key", one.key]
    ca = f'client_ca = "{authority.cert}"\n'
    for lines, plain, with_one in [
        (ca, 0, 200),
        (ca + "client_ca_required = false\n", 200, 200),
        (ca + 'client_ca_hosts = ["admin.shop.example"]\n', 200, 200),
    ]:
        edge = proxy(lines + table, tls=pair)
        for version in ("--http1.1", "--http2"):
            assert curl(edge, "shop.example", version) == plain, f"{lines}\n{edge.log()}"
            assert curl(edge, "shop.example", version, *shown) == with_one, f"{lines}\n{edge.log()}"
    # The last one: another host of the same listener.
    assert curl(edge, "admin.shop.example") == 403
    assert curl(edge, "ADMIN.shop.example.", *shown) == 200


def test_old_versions_and_strange_names_are_refused_where_the_file_says_so(proxy, httpbin, pair, curl):
    table = f'[monolith]\nurl = "http://127.0.0.1:{httpbin.port}"\n'
    lax = proxy(table, tls=pair)
    strict = proxy('min_version = "1.3"\nstrict_sni = true\n' + table, tls=pair)
    for host, version, refused in [
        ("edge.example", "1.3", False),
        ("edge.example", "1.2", True),
        ("strange.example", "1.3", True),
    ]:
        assert curl(lax, host, "--tls-max", version) == 200
        assert curl(strict, host, "--tls-max", version) == (0 if refused else 200), strict.log()
