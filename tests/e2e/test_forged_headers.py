"""What a program of the CGI family (WSGI) reads when a client says what only the proxy may say."""

import json
import subprocess
import threading
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import pytest

FORGED = {
    "X-Forwarded-For": "10.9.9.9",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Host": "evil.example",
    "X-Forwarded-Port": "1",
    "X-Forwarded-Client-Subject": "CN=root",
    "X-Real-IP": "10.9.9.9",
    "Forwarded": "for=10.9.9.9;host=evil.example",
    "Proxy": "http://evil.example:1",
    "X-Request-Id": "forged-request-id",
    "X-Multilith-Route": "admin",
    "X-Multilith-Side": "service",
    "X-Multilith-Shadow": "admin",
    "X_Forwarded_For": "10.9.9.9",
    "X_Forwarded-Client_Subject": "CN=root",
    "X_Multilith_Side": "service",
    "X-Multilith_Route": "admin",
    "Proxy-Authorization": "Basic forged",
}
CURLS = {"HTTP/1.0": ["--http1.0"], "HTTP/1.1": ["--http1.1"], "HTTP/2": ["--http2-prior-knowledge"]}


def application(environ, start_response):
    said = {name: value for name, value in environ.items() if name.startswith("HTTP_")}
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(said).encode()]


class Quiet(WSGIRequestHandler):
    def log_message(self, *_):
        pass


class Threads(ThreadingMixIn, WSGIServer):
    daemon_threads = True


@pytest.fixture
def edge(proxy):
    with make_server("127.0.0.1", 0, application, Threads, Quiet) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield proxy(f'[monolith]\nurl = "http://127.0.0.1:{server.server_port}"\n')
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("version", CURLS)
def test_an_application_reads_only_what_the_proxy_says(edge, version):
    fields = [word for name, value in FORGED.items() for word in ("-H", f"{name}: {value}")]
    command = ["curl", "-sS", "--noproxy", "*", "--max-time", "30", *CURLS[version], "-H", "X-Own: kept", "-H", "X_Own: kept too"]
    answer = subprocess.run([*command, *fields, edge.url + "/"], stdout=subprocess.PIPE, check=True).stdout
    said = json.loads(answer)
    host = f"127.0.0.1:{edge.port}"
    assert said.pop("HTTP_X_REQUEST_ID") != FORGED["X-Request-Id"]
    assert len(said.pop("HTTP_TRACEPARENT")) == 55
    assert said.pop("HTTP_USER_AGENT").startswith("curl/")
    # WSGI joins two names that it takes for one.
    assert said == {
        "HTTP_ACCEPT": "*/*",
        "HTTP_HOST": host,
        "HTTP_X_FORWARDED_FOR": "127.0.0.1",
        "HTTP_X_FORWARDED_HOST": host,
        "HTTP_X_FORWARDED_PORT": str(edge.port),
        "HTTP_X_FORWARDED_PROTO": "http",
        "HTTP_X_OWN": "kept,kept too",
        "HTTP_X_REAL_IP": "127.0.0.1",
    }
