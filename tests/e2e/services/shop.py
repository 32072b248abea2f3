"""A shop for the console's tests: a monolith and a service in threads of this process, and visitors that ask.

The service writes one address in ten in small letters; every answer says when it was made, which is noise.
"""

import json
import threading
import time
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Side(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, small_letters):
        super().__init__(("127.0.0.1", 0), Handler)
        self.port = self.server_address[1]
        self.small_letters = small_letters
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Head and body in one segment: else the client's delayed acknowledgement holds the body up.
    wbufsize = 65536

    def do_GET(self):
        number = self.path.rstrip("/").rsplit("/", 1)[-1]
        email = f"User.{number}@Shop.example"
        if self.server.small_letters and number.isdigit() and int(number) % 10 == 7:
            email = email.lower()
        body = json.dumps({"id": number, "email": email, "as_of": time.time_ns(), '"><script>x': email[:4]}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def visit(port, targets, agent="Mozilla/5.0 (a visitor)", source="127.0.0.1"):
    """Asks for these targets, one after the other over one connection from this address."""
    connection = HTTPConnection("127.0.0.1", port, timeout=30, source_address=(source, 0))
    for target in targets:
        connection.request("GET", target, headers={"User-Agent": agent})
        connection.getresponse().read()
    connection.close()
