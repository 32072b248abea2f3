"""A service of Nameko behind the proxy: HTTP in front, RabbitMQ behind. The monolith beside it answers what it does not."""

import collections
import concurrent.futures
import http.server
import itertools
import os
import signal
import sys
import threading
import time
from pathlib import Path

import pytest
import requests
from children import Child, eventually

HERE = Path(__file__).parent
# Calls that must be answered with 200 while the broker and the service end and begin; tests/e2e/nameko_restarts asks for more.
CALLS = int(os.environ.get("NAMEKO_CALLS", "300"))
CLIENTS = 16
COPIES = 100


class Service:
    """The process that serves both versions, and what it was called with."""

    def __init__(self, broker, folder):
        self.config, self.called = folder / "config.yaml", folder / "called"
        self.config.write_text(f"AMQP_URI: {broker.url}\nmax_workers: 10\n")
        self.called.touch()
        self.start()

    def start(self):
        nameko = Path(sys.executable).with_name("nameko")
        command = [nameko, "run", "--config", self.config, "services.greeting"]
        env = {"PYTHONPATH": str(HERE), "PYTHONWARNINGS": "ignore", "GREETING_CALLED": str(self.called)}
        self.child = Child("nameko", command, cwd=HERE, env=env)
        assert self.child.await_ready(lambda: "Connected to amqp" in self.child.log()), self.child.log()

    def stays(self):
        """Starts it again if it has ended, as its supervisor would: a Nameko that has a reply to send while its broker is gone ends itself."""
        if self.child.ended():
            Child.running.remove(self.child)
            self.start()
        return True

    def calls(self):
        return self.called.read_text().splitlines()


@pytest.fixture(scope="module")
def service(broker, tmp_path_factory):
    service = Service(broker, tmp_path_factory.mktemp("greeting"))
    yield service
    service.child.kill()


TABLES = """
[monolith]
url = "http://127.0.0.1:{monolith}"

[services.greeter]
nameko = {{ broker = "{broker}", service = "greeting_service" }}

[services.nobody]
nameko = {{ broker = "{broker}", service = "nobody_service" }}

[services.next]
nameko = {{ broker = "{broker}", service = "greeting_service_v2" }}
"""
ROUTE = """
[routes.{name}]
path    = "{path}"
service = "{service}"
stage   = "{stage}"
call    = {{ {call} }}
timeouts = {{ answer = "{answer}" }}
{more}
"""


def route(name, path, call, service="greeter", stage="migrated", answer="5s", more=""):
    return ROUTE.format(**locals())


def tables(broker, monolith, *routes):
    return TABLES.format(broker=broker.url, monolith=monolith.port) + "".join(routes)


GREET = route("greet", "/api/greet/{name}", 'method = "hello", kwargs = { name = "{name}" }')
ORDER = route("order", "/api/orders/{id}", 'method = "order", args = ["{id:int}"], kwargs = { amount = "json:amount" }')
FAIL = route("fail", "/api/fail/{how}", 'method = "fail", args = ["{how}"]', more='answer = { errors = { "services.greeting.NotFound" = 404 } }')
WRONG = route("wrong", "/api/wrong", 'method = "hello", kwargs = { nme = "query:name" }')
MISSING = route("missing", "/api/missing", 'method = "nope"')
SLOW = route("slow", "/api/slow/{seconds}", 'method = "sleep", args = ["{seconds}"]', answer="500ms")
LONG = route("long", "/api/length", 'method = "length", args = ["json:text"]')
# With the monolith behind it.
NOBODY = route("nobody", "/status/{code}", 'method = "hello"', service="nobody", more="fallback = true")


@pytest.fixture(scope="module")
def world(broker, service, httpbin):
    from proxy import Proxy

    proxy = Proxy(tables(broker, httpbin, GREET, ORDER, FAIL, WRONG, MISSING, SLOW, LONG, NOBODY))
    eventually("a service that is known", lambda: requests.get(proxy.url + "/api/greet/x").status_code == 200)
    yield proxy
    proxy.stop()


def test_a_request_is_a_call_and_its_result_the_answer(world):
    answer = requests.get(world.url + "/api/greet/Zo%C3%AB")
    assert (answer.status_code, answer.json()) == (200, "Hello, Zoë!")
    assert answer.headers["content-type"] == "application/json"
    order = requests.post(world.url + "/api/orders/7", json={"amount": 3, "other": 1})
    assert order.json() == {"number": 7, "amount": 3, "price": 1.5}
    assert requests.post(world.url + "/api/orders/8").json()["amount"] == 1, "left out, so Python's default"
    assert requests.head(world.url + "/api/greet/x").headers["content-length"] == "11"


class Collector:
    """Takes spans and keeps their bytes, in which each text stands as it is."""

    def __init__(self):
        self.got = got = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                got.append(self.rfile.read(int(self.headers["content-length"])))
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()


def test_the_service_is_told_the_trace_and_its_call_is_a_span_of_rpc(broker, service, httpbin, proxy):
    trace, parent = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
    client = {"traceparent": f"00-{trace}-{parent}-01", "tracestate": "shop=1"}
    traced = route("traced", "/api/trace", 'method = "trace"')
    plain = proxy(tables(broker, httpbin, traced))
    eventually("a service", lambda: requests.get(plain.url + "/api/trace").status_code == 200)
    assert requests.get(plain.url + "/api/trace", headers=client).json() == client, "nothing is recorded here: the client is the parent"
    begun = requests.get(plain.url + "/api/trace", headers={"tracestate": "shop=1"}).json()
    assert begun["traceparent"].endswith("-00") and begun["tracestate"] is None, "it belongs to no trace"
    collector = Collector()
    try:
        front = proxy(tables(broker, httpbin, traced) + f'\n[tracing]\notlp = "http://127.0.0.1:{collector.port}"\n')
        eventually("a service", lambda: requests.get(front.url + "/api/trace").status_code == 200)
        told = requests.get(front.url + "/api/trace", headers=client).json()
        _, same, span, sampled = told["traceparent"].split("-")
        assert (same, sampled, told["tracestate"]) == (trace, "01", "shop=1") and span != parent
        spans = lambda: b"".join(collector.got)
        # The span that the service was told of as its parent, and what it is.
        eventually("the call's span", lambda: bytes.fromhex(span) in spans())
        for text in (b"greeting_service/trace", b"rpc.system", b"nameko", b"rpc.service", b"rpc.method"):
            assert text in spans(), text
        assert b"GET greeter" not in spans(), "no request of HTTP"
    finally:
        collector.close()


def test_what_is_longer_than_a_frame_arrives_whole_in_both_directions(world):
    text = "".join(chr(0x61 + number % 26) for number in range(300_000))
    assert requests.post(world.url + "/api/length", json={"text": text}).json() == {"length": len(text), "text": text}
    assert requests.post(world.url + "/api/length", data=b" " * (1024 * 1024 + 1)).status_code == 413


def test_a_failure_without_a_body_leaves_the_connection_in_order(world):
    with requests.Session() as session:
        for _ in range(3):
            assert session.head(world.url + "/api/fail/missing").status_code == 404
            assert session.get(world.url + "/api/greet/x").text == '"Hello, x!"'


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/wrong?name=x", 400),
        ("/api/orders/seven", 400),
        ("/api/missing", 502),
        ("/api/fail/unserializable", 502),
        ("/api/fail/value", 500),
        ("/api/fail/missing", 404),
    ],
)
def test_each_failure_has_its_status_and_says_nothing_of_the_service(world, path, status):
    answer = requests.get(world.url + path)
    assert answer.status_code == status
    # What the service raised has no place here: neither its words nor its name.
    assert not [word for word in ("secret", "ValueError", "NotFound", "nameko", "hello()") if word in answer.text], answer.text


def test_what_nobody_listens_for_goes_to_the_monolith_with_every_method(world):
    for method in ("GET", "POST", "DELETE"):
        began = time.monotonic()
        assert requests.request(method, world.url + "/status/418").status_code == 418, method
        assert time.monotonic() - began < 2, "and at once"
    upstreams = {one["name"]: one["endpoints"][0]["state"] for one in world.json("/api/v1/upstreams")}
    assert (upstreams["greeter"], upstreams["nobody"]) == ("healthy", "unhealthy")


def test_a_call_without_an_answer_in_time_is_504(world):
    assert requests.get(world.url + "/api/slow/0").text == "null"
    assert requests.get(world.url + "/api/slow/2").status_code == 504


def test_a_late_call_is_not_executed_and_no_service_dies(world, service):
    """The three things that hurt: the service is stopped while its queue stays, then started again."""
    service.child.signal(signal.SIGSTOP)
    # As long as the service holds its connection the broker sees a consumer: the call waits in its queue.
    late = requests.get(world.url + "/api/greet/ghost", timeout=30)
    assert late.status_code == 504
    service.child.kill()
    service.start()
    eventually("the service again", lambda: requests.get(world.url + "/api/greet/alive").status_code == 200)
    calls = service.calls()
    assert "hello alive" in calls and "hello ghost" not in calls
    assert not service.child.ended()


def test_a_broker_that_takes_nothing_is_given_nothing(world, broker, service):
    """It is stopped, as an alarm of its memory would: calls on their way end with 504, then each is refused at once, and none is lost."""
    order = lambda number: requests.post(f"{world.url}/api/orders/{number}", timeout=30).status_code
    number = itertools.count(50_000)
    answered = {}
    broker.signal(signal.SIGSTOP)
    try:

        def refused():
            one = next(number)
            answered[one] = order(one)
            return answered[one] == 503

        eventually("a broker that is known to be slow", refused)
    finally:
        broker.signal(signal.SIGCONT)
    eventually("a broker that takes calls", lambda: order(next(number)) == 200)
    done = collections.Counter(int(line.split()[1]) for line in service.calls() if line.startswith("order "))
    assert set(answered.values()) <= {503, 504} and max(done.values()) == 1
    assert not [one for one, status in answered.items() if status == 503 and done[one]], "said to be refused and done"


def test_no_call_is_lost_or_doubled_while_the_broker_and_the_service_end(world, broker, service, report):
    """Unsafe calls from many clients. Each is answered, and sent once: what was done twice, the broker had handed out twice."""
    before = len(service.calls())
    answered, lock, numbers, enough = {}, threading.Lock(), itertools.count(100_000), threading.Event()

    def client():
        with requests.Session() as session:
            while not enough.is_set():
                with lock:
                    number = next(numbers)
                status = session.post(f"{world.url}/api/orders/{number}", timeout=60).status_code
                with lock:
                    answered[number] = status
                if status != 200:
                    # As a client that was told to come later: it does not use up the numbers while nobody can serve them.
                    enough.wait(0.1)

    def served():
        with lock:
            return collections.Counter(answered.values())[200]

    def serves(more):
        """Waits until this many more were answered 200."""
        goal = served() + more
        eventually(f"{goal} calls answered", lambda: service.stays() and served() >= goal, limit=60 + CALLS / 20)

    with concurrent.futures.ThreadPoolExecutor(CLIENTS) as pool:
        try:
            clients = [pool.submit(client) for _ in range(CLIENTS)]
            serves(CALLS // 3)
            broker.restart()
            serves(CALLS // 3)
            service.child.kill()
            service.start()
            serves(CALLS - served())
        finally:
            enough.set()
    for one in clients:
        one.result()
    done = collections.Counter(int(line.split()[1]) for line in service.calls()[before:] if line.startswith("order "))
    again = {int(line.split()[1]) for line in service.calls()[before:] if line.startswith("again ")}
    counts = dict(collections.Counter(answered.values()))
    doubled = [number for number, times in done.items() if times > 1]
    report(f"Nameko RPC, writes while the broker restarted and the service was killed: {counts}, {len(doubled)} done twice by the broker")
    assert counts[200] >= CALLS and set(counts) <= {200, 502, 503, 504}
    assert not [number for number, status in answered.items() if status == 200 and not done[number]], "answered and not done"
    assert not [number for number, status in answered.items() if status == 503 and done[number]], "said to be refused and done"
    assert not set(done) - set(answered), "done and never answered"
    # A message that a service had taken when it was killed is handed out once more by the broker itself.
    assert set(doubled) <= again and max(done.values()) <= 2 and len(doubled) <= CLIENTS, doubled


HELLO = 'method = "hello", kwargs = { name = "{name}" }'


def test_over_tls_the_broker_proves_who_it_is_before_it_gets_a_password(broker, service, httpbin, proxy, pair):
    tls = f'tls = {{{{ ca = "{pair.cert}"{{more}} }}}}\n'
    greeter = f'[services.{{name}}]\nnameko = {{{{ broker = "{broker.tls_url("localhost")}", service = "greeting_service" }}}}\n'
    front = proxy(
        tables(broker, httpbin, route("named", "/named/{name}", HELLO, service="named"), route("other", "/other/{name}", HELLO, service="other"))
        + greeter.format(name="named")
        + tls.format(more=', server_name = "edge.example"')
        + greeter.format(name="other")
        + tls.format(more="")
    )
    eventually("a service behind TLS", lambda: requests.get(front.url + "/named/x").text == '"Hello, x!"')
    assert requests.get(front.url + "/other/x").status_code in (502, 503), "its certificate is not for localhost"


def test_both_sides_of_a_split_are_asked(broker, service, httpbin, proxy):
    variants = '[routes.ab.variants]\na = { upstream = "greeter", weight = "50%" }\nb = { upstream = "next", weight = "50%" }\n'
    ab = f'[routes.ab]\npath = "/ab/{{name}}"\nstage = "split"\nsticky = ["header:x-user-id"]\ncall = {{ {HELLO} }}\n{variants}'
    front = proxy(tables(broker, httpbin, ab))
    eventually("a service", lambda: requests.get(front.url + "/ab/1").status_code == 200)
    # The versions differ in what ends with 7, and a user stays with one.
    for unit in range(60):
        headers = {"x-user-id": str(unit)}
        assert len({requests.get(front.url + "/ab/7", headers=headers).text for _ in range(2)}) == 1, unit
    found = {requests.get(front.url + "/ab/7", headers={"x-user-id": str(unit)}).text for unit in range(60)}
    assert found == {'"Hello, 7!"', '"Hello, 7?"'}


def test_a_copy_to_the_next_version_is_compared_field_by_field(broker, service, httpbin, proxy):
    """What clients get is the first version's, asked over the bus; the next one gets a copy of each call."""
    front = proxy(tables(broker, httpbin, GREET))
    eventually("a first version", lambda: requests.get(front.url + "/api/greet/x").status_code == 200)
    edge = proxy(tables(broker, front, route("greet", "/api/greet/{name}", HELLO, service="next", stage="shadow")))
    healthy = lambda: {one["name"]: one["endpoints"][0]["state"] for one in edge.json("/api/v1/upstreams")}["next"] == "healthy"
    eventually("a next version", healthy)
    for number in range(COPIES):
        assert requests.get(f"{edge.url}/api/greet/{number}").json() == f"Hello, {number}!"

    def compared():
        found = edge.json("/api/v1/routes/greet/comparisons")
        return found["compared"] + found["waiting"] >= COPIES and found

    found = eventually("all copies", compared)
    fields = {one["field"]: one for one in found["fields"]}
    assert found["compared"] + found["waiting"] == COPIES, found
    assert set(fields) == {"$"}, found
    # Those that end with 7, and no other.
    assert fields["$"]["raw"] == COPIES // 10, found


QUICK_GATE = """
[routes.{name}.gate]
steps = ["40%", "100%"]
interval = "1s"
settle = "2s"
min_requests = 20
confidence = 0.9
max_error_increase = "20%"
max_latency_increase = "1000%"
control = "40%"
"""


def test_a_method_that_raises_opens_the_breaker_and_is_rolled_back_by_the_gate(broker, service, httpbin, proxy):
    def canary(name, weight, more):
        more = f'weight = "{weight}"\nsticky = ["header:x-user-id"]\n{more}'
        return route(name, f"/anything/{name}/{{how}}", 'method = "fail", args = ["{how}"]', stage="canary", more=more)

    breaks = canary("breaks", "100%", 'breaker = { failures = 3, open = "1h" }')
    gated = canary("gated", "40%", "fallback = false\n" + QUICK_GATE.format(name="gated"))
    front = proxy(tables(broker, httpbin, breaks, gated, GREET))
    eventually("a service", lambda: requests.get(front.url + "/api/greet/x").status_code == 200)
    told = lambda name: next(one for one in front.json("/api/v1/status")["routes"] if one["name"] == name)
    assert told("breaks")["breaker"] == "closed"
    for _ in range(4):
        answer = requests.get(front.url + "/anything/breaks/value")
        assert (answer.status_code, answer.json()["method"]) == (200, "GET"), "the monolith's"
    assert told("breaks")["breaker"] == "open"
    assert requests.post(front.url + "/anything/breaks/value").json()["method"] == "POST", "nothing was called"
    users = itertools.count()

    def rolled_back():
        with requests.Session() as session:
            for _ in range(50):
                session.get(front.url + "/anything/gated/value", headers={"x-user-id": str(next(users))})
        return told("gated")["weight"] == "0%"

    eventually("a route that was rolled back", rolled_back)
    entry = front.json("/api/v1/journal?route=gated")["entries"][0]
    assert (entry["action"], entry["by"]) == ("roll-back", "gate") and entry["reason"].startswith("failures: "), entry
