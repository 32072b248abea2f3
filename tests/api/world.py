"""A monolith, a service and two proxies, one of which asks for a token: what the document of the admin API is tried on."""

import http.client
import http.server
import json
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

TOKEN = "a-token"
FILE = """\
[server]
listen    = ["127.0.0.1:{listen}"]
admin     = "127.0.0.1:{admin}"
state_dir = "{folder}/state-{admin}"
{token}
[logs]
output = "{folder}/access.log"

[monolith]
url = "http://127.0.0.1:{monolith}"

[services.users]
url = "http://127.0.0.1:{service}"

[routes.read-user]
path    = "/api/users/{{id}}"
methods = ["GET"]
service = "users"
stage   = "shadow"
shadow  = {{ compare = {{ examples = "values" }} }}

[routes.orders]
path    = "/orders/{{id}}"
service = "users"
stage   = "canary"
weight  = "50%"
"""


class Application(http.server.BaseHTTPRequestHandler):
    """Tells who it is, so that its answers differ."""

    protocol_version = "HTTP/1.1"
    name = ""

    def do_GET(self):
        body = json.dumps({"name": self.name, "path": self.path}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def application(name):
    handler = type(name, (Application,), {"name": name})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_port


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def asked(port, path, **headers):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path, headers=headers)
        return connection.getresponse().status
    except OSError:
        return None


def proxy(folder, ports, token):
    listen, admin = free_port(), free_port()
    file = folder / f"routes-{admin}.toml"
    file.write_text(FILE.format(listen=listen, admin=admin, folder=folder, token=token, **ports))
    log = (folder / f"proxy-{admin}.log").open("w")
    child = subprocess.Popen([os.environ["MULTILITH_BIN"], "run", "-c", file], stdout=log, stderr=log)
    while asked(admin, "/readyz") != 200:
        assert child.poll() is None, Path(log.name).read_text()
        time.sleep(0.05)
    for number in range(40):
        asked(listen, f"/api/users/{number}")
        asked(listen, f"/orders/{number}")
    return child, admin


def main(folder):
    ports = {"monolith": application("monolith"), "service": application("service")}
    (folder / "token").write_text(TOKEN)
    guard = f'token = {{ file = "{folder}/token" }}\n'
    proxies = [proxy(folder, ports, token) for token in ("", guard)]
    ready = folder / "ready.new"
    ready.write_text(" ".join(str(admin) for _, admin in proxies) + "\n")
    ready.rename(folder / "ready")
    try:
        sys.exit(proxies[0][0].wait())
    finally:
        for child, _ in proxies:
            child.kill()


if __name__ == "__main__":
    import signal

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    main(Path(sys.argv[1]))
