"""The monolith and the services of the scenario: small servers whose answers follow from the number in the path."""

import json
import random
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

JITTER = random.Random(11)


class Application:
    """One server. `answer(kind, number)` gives status, a JSON value, and the seconds it takes."""

    def __init__(self, answer):
        application = self
        self.answer = answer
        self.open = set()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self):
                super().setup()
                application.open.add(self.connection)

            def finish(self):
                application.open.discard(self.connection)
                super().finish()

            def do_GET(self):
                application.reply(self)

            do_POST = do_GET

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.address = f"127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def reply(self, request):
        request.rfile.read(int(request.headers.get("content-length", 0)))
        kind, _, number = request.path.split("?")[0].strip("/").partition("/")
        status, value, seconds = self.answer(kind, int(number) if number.isdigit() else 0)
        time.sleep(seconds * JITTER.uniform(0.8, 1.3))
        body = json.dumps(value).encode()
        head = f"HTTP/1.1 {status} Answer\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        try:
            # In one piece: in two, Nagle's algorithm would hold the second back until the first is acknowledged.
            request.wfile.write(head.encode() + body)
        except OSError:
            request.close_connection = True  # the proxy waited long enough

    def stop(self):
        """Stops listening and ends what is open, as a process that is killed does."""
        self.server.shutdown()
        self.server.server_close()
        for connection in list(self.open):
            try:
                connection.shutdown(2)
            except OSError:
                pass


def item(kind, number):
    return {"kind": kind, "number": number, "total": 100 + number, "items": [{"price": 5}]}


def monolith(kind, number):
    value = item(kind, number)
    if kind == "orders":
        # It does not agree with itself: noise.
        value["updated_at"] = "now" if JITTER.random() < 0.8 else "a moment ago"
    failed = kind == "account" and number % 20 == 0
    return (500 if failed else 200), value, 0.3 if (kind, number) == ("orders", 39) else 0.004


def service(kind, number):
    value = item(kind, number)
    seconds = 0.012
    status = 200
    if kind == "users" and number % 20 == 9:
        seconds = 0.3  # whatever the machine does beside it, the slowest hundredth is slower than the monolith's
    if kind == "search" and number % 10 == 0:
        value["total"] += 1
    if kind == "orders":
        value["updated_at"] = "now"
        if number % 7 == 0:
            value["items"][0]["price"] = 6
        if number % 10 == 1:
            status = 503
        elif number % 50 == 3:
            status = 500
        elif number % 20 == 7:
            seconds = 0.5  # longer than the proxy waits
    if kind == "reports" and number % 25 == 0:
        status = 500
    return status, value, seconds
