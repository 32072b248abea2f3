"""The program itself, behind real servers, under traffic that lives through the scenario. MULTILITH_BIN names it."""

import http.client
import os
import socket
import struct
import subprocess
import threading
import time
from pathlib import Path

import prometheus
import scenario
from sources.applications import Application, monolith, service

BINARY = Path(os.environ.get("MULTILITH_BIN", Path(__file__).resolve().parents[3] / "target/release/multilith"))
EACH_SECOND = 20  # requests of every route
LONGER = 2  # seconds of traffic after the end, so that the last rates are not of a town that goes to sleep

FILE = """\
[server]
listen    = ["127.0.0.1:{port}"]
admin     = "127.0.0.1:{admin}"
state_dir = "{folder}/state"

[server.tls]
listen       = ["127.0.0.1:{tls}"]
certificates = [{{ cert = "{folder}/shop.pem", key = "{folder}/shop.key" }}]

[limits]
body = "1KiB"

[logs]
output = "{folder}/access.log"

[tracing]
otlp   = "http://{collector}"
sample = "1%"

[monolith]
url = "http://{monolith}"

[services.users]
endpoints = ["{users}"]
max_in_flight = 200

[services.orders]
endpoints = ["{orders}"]
health    = {{ connect = true, interval = "500ms", timeout = "200ms", healthy = 1, unhealthy = 2 }}
timeouts  = {{ answer = "250ms" }}

[services.search]
endpoints = ["{search}"]

[services.checkout]
endpoints = ["{checkout}"]

[services.catalog]
endpoints = ["{catalog}", "{catalog_too}"]
health    = {{ connect = true, interval = "2s", timeout = "200ms", healthy = 2, unhealthy = 2 }}

[services.reports]
discover.file = {{ path = "{folder}/reports.endpoints" }}

[routes.account]
path  = "/account/{{id}}"
stage = "monolith"

[routes.search]
path    = "/search/{{id}}"
service = "search"
{search_stage}

[routes.users]
path    = "/users/{{id}}"
service = "users"
stage   = "canary"
weight  = "30%"
sticky  = ["header:x-user-id"]

# The service is slower on purpose.
[routes.users.gate]
steps                = ["30%", "100%"]
interval             = "1s"
settle               = "0s"
min_requests         = 1000000
max_latency_increase = "1000%"
on_fail              = "hold"

[routes.orders]
path     = "/orders/{{id}}"
service  = "orders"
stage    = "canary"
weight   = "50%"
sticky   = ["header:x-user-id"]
breaker  = {{ failures = 10, open = "1h" }}

[routes.orders.shadow]
sample  = "80%"
compare = {{ noise = {{ replay = "50%", per_second = 50 }} }}

# It never has enough to go on by: the outage must stay in the route.
[routes.orders.gate]
steps        = ["50%", "100%"]
interval     = "1s"
settle       = "0s"
min_requests = 1000000
on_fail      = "hold"

[notify.nobody]
url = "http://{collector}"
on  = ["rolled-back"]

[routes.checkout]
path  = "/checkout/{{id}}"
stage = "split"
sticky = ["header:x-user-id"]

[routes.checkout.variants]
blue  = {{ upstream = "monolith", weight = "50%" }}
green = {{ upstream = "checkout", weight = "50%" }}

[routes.catalog]
path    = "/catalog/{{id}}"
service = "catalog"
stage   = "migrated"

[routes.catalog.shadow]
reverse = true
compare = {{}}

[routes.reports]
path    = "/reports/{{id}}"
service = "reports"
stage   = "retired"
"""

IN_SHADOW = """\
stage   = "shadow"

[routes.search.shadow]
compare = {}
"""


class Proxy:
    def __init__(self, folder):
        self.folder = Path(folder)
        names = ("users", "orders", "search", "checkout", "catalog", "catalog_too", "reports")
        self.applications = {"monolith": Application(monolith)} | {name: Application(service) for name in names}
        self.port, self.admin = prometheus.free_port(), prometheus.free_port()
        self.address = f"127.0.0.1:{self.admin}"
        # Nobody listens there: its spans are dropped.
        self.collector = f"127.0.0.1:{prometheus.free_port()}"
        self.tls = prometheus.free_port()
        command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "60"]
        command += ["-subj", "/CN=shop.example", "-addext", "subjectAltName=DNS:shop.example"]
        subprocess.run([*command, "-out", self.folder / "shop.pem", "-keyout", self.folder / "shop.key"], check=True, capture_output=True)
        self.endpoints = self.folder / "reports.endpoints"
        self.endpoints.write_text(self.applications["reports"].address + "\n")
        self.file = self.folder / "routes.toml"
        self.write(self.text('stage   = "monolith"'))
        self.log = (self.folder / "multilith.log").open("w")
        self.process = subprocess.Popen([BINARY, "run", "-c", self.file], stdout=self.log, stderr=self.log)
        prometheus.wait_until(self.ready, f"multilith was ready (its log: {self.log.name})")

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.log.close()

    def ready(self):
        assert self.process.poll() is None, Path(self.log.name).read_text()
        try:
            connection = http.client.HTTPConnection("127.0.0.1", self.admin, timeout=2)
            connection.request("GET", "/readyz")
            return connection.getresponse().status == 200
        except OSError:
            return False

    def text(self, search_stage):
        addresses = {name: application.address for name, application in self.applications.items()}
        return FILE.format(port=self.port, admin=self.admin, tls=self.tls, folder=self.folder, search_stage=search_stage, collector=self.collector, **addresses)

    def write(self, text):
        beside = self.file.with_suffix(".new")
        beside.write_text(text)
        beside.rename(self.file)

    # -- the story --------------------------------------------------------------------------------------------------

    def play(self):
        began = time.monotonic()
        self.over = began + scenario.SECONDS + LONGER
        clients = [threading.Thread(target=self.visit, args=(kind,)) for kind in (*scenario.ROUTES, "elsewhere")]
        clients.append(threading.Thread(target=self.misbehave))
        for client in clients:
            client.start()
        for moment, event in ((scenario.MOVE_AT, self.move), (scenario.REFUSED_AT, self.refuse), (scenario.OUTAGE_AT, self.outage)):
            time.sleep(max(0, began + moment - time.monotonic()))
            event()
        time.sleep(max(0, began + scenario.SECONDS - time.monotonic()))
        end = time.time()
        for client in clients:
            client.join()
        return end

    def move(self):
        self.write(self.text(IN_SHADOW))

    def refuse(self):
        self.write("[routes\n")
        self.applications["catalog_too"].stop()
        self.endpoints.unlink()

    def outage(self):
        self.applications["orders"].stop()

    def visit(self, kind):
        """One client after the other, each with an id of its own, as many a second whatever the answers take."""
        # From two addresses: what one client alone asks for is no endpoint of the inventory.
        sources = [("127.0.0.1", 0), ("127.0.0.2", 0)]
        connections = [http.client.HTTPConnection("127.0.0.1", self.port, 10, source) for source in sources]
        number, due = 0, time.monotonic()
        while time.monotonic() < self.over:
            number += 1
            connection = connections[number % 2]
            connection.request("GET", f"/{kind}/{number}", headers={"X-User-Id": f"{kind}-{number}"})
            connection.getresponse().read()
            due += 1 / EACH_SECOND
            time.sleep(max(0, due - time.monotonic()))

    def misbehave(self):
        """A body that is too large, and a client that does not wait for its answer, a few times a second."""
        while time.monotonic() < self.over:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
            try:
                connection.request("POST", "/elsewhere/0", body=b"x" * 2000)
                connection.getresponse().read()
            except OSError:
                pass  # refused before the body was read
            with socket.create_connection(("127.0.0.1", self.port)) as client:
                client.sendall(b"GET /orders/39 HTTP/1.1\r\nHost: shop\r\nX-User-Id: hasty\r\n\r\n")
                time.sleep(0.1)
                # A reset: a FIN alone could be a client that has no more to send and waits for its answer.
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            time.sleep(0.3)
