"""TLS with programs that are not ours: certificates as people make them with openssl, nginx behind the proxy, curl before it."""

import base64
import subprocess

import pytest
import requests
from certificates import Pair
from children import eventually
from proxy import BINARY

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


def clients_authority(folder):
    authority = Pair(folder / "clients.pem", folder / "clients.key")
    files = ["-keyout", authority.key, "-out", authority.cert]
    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=clients", *files)
    return authority


def client_of(authority, folder, name):
    one = Pair(folder / f"{name}.pem", folder / f"{name}.key")
    request = openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}", "-keyout", one.key)
    # With an extension, or else OpenSSL 3.0 makes a certificate of version 1, which rustls refuses.
    (folder / "extensions").write_text("basicConstraints=CA:FALSE\n")
    signing = ["-CA", authority.cert, "-CAkey", authority.key, "-CAcreateserial", "-days", "2", "-out", one.cert]
    signing += ["-extfile", folder / "extensions"]
    openssl("x509", "-req", *signing, data=request)
    return one


@pytest.fixture
def client(tmp_path):
    """An authority for clients, and one client of it."""
    authority = clients_authority(tmp_path)
    return authority, client_of(authority, tmp_path, "ada")


ASKS_FOR_ONE = """
    server {{
        listen 127.0.0.1:{port} ssl;
        ssl_certificate {own.cert};
        ssl_certificate_key {own.key};
        ssl_client_certificate {clients.cert};
        ssl_verify_client on;
        location / {{ return 200 "$ssl_client_s_dn"; }}
    }}
"""


def test_a_new_certificate_of_ours_is_shown_to_the_upstream_without_a_restart(proxy, balancer, tmp_path):
    own, authority = made_by_hand(tmp_path), clients_authority(tmp_path)
    ada, bob = client_of(authority, tmp_path, "ada"), client_of(authority, tmp_path, "bob")
    nginx = balancer("nginx", ASKS_FOR_ONE, own=own, clients=authority)
    shown = Pair(tmp_path / "shown.pem", tmp_path / "shown.key")

    def show(cert, key):
        # As tools that renew certificates do it: each file by a rename.
        for source, place in [(cert, shown.cert), (key, shown.key)]:
            beside = place.with_suffix(".new")
            beside.write_bytes(source.read_bytes())
            beside.rename(place)

    show(ada.cert, ada.key)
    tls = f'tls = {{ ca = "{own.cert}", cert = "{shown.cert}", key = "{shown.key}" }}'
    edge = proxy(f'[monolith]\nurl = "https://localhost:{nginx.port}"\n{tls}\n')

    def seen():
        return requests.get(edge.url, timeout=20).text

    def reload():
        admin = f"http://127.0.0.1:{edge.admin_port}"
        return subprocess.run([BINARY, "reload", "--admin", admin], capture_output=True, text=True)

    assert seen() == "CN=ada"
    show(bob.cert, bob.key)
    eventually("the new certificate", lambda: seen() == "CN=bob")
    # The key is another's: what was in force stays, and whoever asks for a reload is told.
    show(ada.cert, bob.key)
    refused = reload()
    assert refused.returncode == 1 and "unusable-certificate" in refused.stdout + refused.stderr, refused
    assert f"{edge.file}:" in refused.stdout + refused.stderr, refused
    assert seen() == "CN=bob"
    checked = subprocess.run([BINARY, "check", edge.file], capture_output=True, text=True)
    assert checked.returncode == 1 and "unusable-certificate" in checked.stdout, checked
    show(ada.cert, ada.key)
    assert reload().returncode == 0
    assert seen() == "CN=ada"


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
