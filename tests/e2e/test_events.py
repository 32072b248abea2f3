"""Events for other programs: CloudEvents to NATS and to RabbitMQ, and no request that waits for them."""

import json
import socket
import statistics
import sys
import threading
import time
from pathlib import Path

import pytest
import requests
from children import Child, eventually, listens, start_on_free_port

HERE = Path(__file__).parent
ROUTES = """
[monolith]
url = "http://127.0.0.1:{monolith}"

[routes.first]
path = "/anything/first/{{*rest}}"
stage = "monolith"

[routes.second]
path = "/anything/second/{{*rest}}"
stage = "monolith"
"""
# Nothing is learned, and no file is written: what is measured is the way of a request.
ALONE = "\n[logs]\nformat = \"off\"\n"


def tables(httpbin, events):
    return ROUTES.format(monolith=httpbin.port) + ALONE + f"[events]\n{events}\n"


class Subscriber:
    """All that is published on a server of NATS."""

    def __init__(self, port):
        self.events, self.subjects = [], []
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._file = self._socket.makefile("rb")
        self._socket.sendall(b'CONNECT {"verbose": false}\r\nSUB > 1\r\nPING\r\n')
        while self._file.readline() != b"PONG\r\n":
            pass
        threading.Thread(target=self._hear, daemon=True).start()

    def _hear(self):
        for line in self._file:
            words = line.split()
            if words[:1] == [b"PING"]:
                self._socket.sendall(b"PONG\r\n")
            if words[:1] == [b"MSG"]:
                body = self._file.read(int(words[-1]) + 2)
                self.subjects.append(words[1].decode())
                self.events.append(json.loads(body))

    def of(self, kind):
        return [event for event in self.events if event["type"] == f"multilith.{kind}.v1"]


@pytest.fixture
def nats():
    child = start_on_free_port("nats", lambda port: ["/usr/sbin/nats-server", "-a", "127.0.0.1", "-p", port])
    yield child
    child.kill()


def counted(front, name):
    lines = [line for line in front.metrics().splitlines() if line.startswith(f"multilith_events_{name}_total ")]
    return int(float(lines[0].split()[1]))


def test_each_exchange_and_each_reload_is_an_event_in_its_order(nats, httpbin, proxy):
    heard = Subscriber(nats.port)
    front = proxy(tables(httpbin, f'nats = {{ servers = ["nats://127.0.0.1:{nats.port}"] }}'))
    for number in range(40):
        route = ["first", "second"][number % 2]
        assert requests.get(f"{front.url}/anything/{route}/{number}?token=s3cret", headers={"Cookie": "c=s3cret"}).status_code == 200
    exchanges = eventually("all events", lambda: len(heard.of("exchange")) == 40 and heard.of("exchange"))
    for route in ("first", "second"):
        own = [event for event in exchanges if event["subject"] == route]
        assert [event["data"]["url.path"].rsplit("/", 1)[1] for event in own] == [str(n) for n in range(40) if (n % 2 == 0) == (route == "first")]
        assert [int(event["sequence"]) for event in own] == list(range(1, 21))
    one = exchanges[0]
    assert (one["specversion"], one["datacontenttype"], one["id"]) == ("1.0", "application/json", one["data"]["request_id"])
    assert "s3cret" not in json.dumps(exchanges) and "multilith.exchange.first" in heard.subjects
    front.reload(tables(httpbin, f'nats = {{ servers = ["nats://127.0.0.1:{nats.port}"] }}') + "\n# another\n")
    eventually("the reload", lambda: heard.of("reload"))
    # The broker may hand an event on before it confirms it.
    eventually("all are counted", lambda: counted(front, "sent") >= 41)
    assert counted(front, "dropped") == 0


def test_an_endpoint_whose_state_changes_is_an_event(nats, httpbin, proxy):
    heard = Subscriber(nats.port)
    front = proxy(tables(httpbin, f'nats = {{ servers = ["nats://127.0.0.1:{nats.port}"] }}'))
    assert requests.get(f"{front.url}/anything/first/0").status_code == 200
    states = lambda: [(event["data"]["from"], event["data"]["to"]) for event in heard.of("upstream")]
    eventually("an endpoint that answers", lambda: ("unchecked", "healthy") in states())
    event = heard.of("upstream")[0]
    assert (event["data"]["upstream"], event["data"]["endpoint"]) == ("monolith", f"127.0.0.1:{httpbin.port}")
    assert "subject" not in event and "multilith.upstream._" in heard.subjects


def test_what_happens_while_the_server_is_away_arrives_when_it_is_back(nats, httpbin, proxy):
    front = proxy(tables(httpbin, f'nats = {{ servers = ["nats://127.0.0.1:{nats.port}"] }}'))
    requests.get(front.url + "/anything/first/before")
    eventually("an event", lambda: counted(front, "sent") >= 1)
    nats.kill()
    for number in range(30):
        assert requests.get(f"{front.url}/anything/first/{number}").status_code == 200
    again = Child("nats", ["/usr/sbin/nats-server", "-a", "127.0.0.1", "-p", str(nats.port)])
    try:
        assert again.await_ready(lambda: listens(nats.port)), again.log()
        heard = Subscriber(nats.port)
        # What was sent before the subscription was made is heard by nobody; the rest comes in its order.
        eventually("all are sent", lambda: counted(front, "sent") >= 31)
        sequences = [int(event["sequence"]) for event in heard.of("exchange")]
        assert sequences == sorted(sequences) and counted(front, "dropped") == 0
    finally:
        again.kill()


def test_an_event_that_the_server_does_not_take_is_counted_as_dropped_and_the_rest_arrives(httpbin, proxy, tmp_path):
    settings = tmp_path / "nats.conf"
    settings.write_text("max_payload: 2048\n")
    server = start_on_free_port("nats", lambda port: ["/usr/sbin/nats-server", "-c", settings, "-a", "127.0.0.1", "-p", port])
    try:
        heard = Subscriber(server.port)
        front = proxy(tables(httpbin, f'nats = {{ servers = ["nats://127.0.0.1:{server.port}"] }}\nkinds = ["exchange"]'))
        for path in ("before", "x" * 4000, "after"):
            assert requests.get(f"{front.url}/anything/first/{path}").status_code == 200
        eventually("both short ones", lambda: len(heard.events) == 2)
        assert [event["data"]["url.path"].rsplit("/", 1)[1] for event in heard.events] == ["before", "after"]
        assert [event["sequence"] for event in heard.events] == ["1", "3"], "the gap tells of the one that was dropped"
        eventually("both counts", lambda: (counted(front, "sent"), counted(front, "dropped")) == (2, 1))
    finally:
        server.kill()


def test_a_service_of_nameko_reacts_to_exchanges(broker, httpbin, proxy, tmp_path):
    heard = tmp_path / "heard"
    heard.touch()
    config = tmp_path / "config.yaml"
    config.write_text(f"AMQP_URI: {broker.url}\n")
    command = [Path(sys.executable).with_name("nameko"), "run", "--config", config, "services.listener"]
    env = {"PYTHONPATH": str(HERE), "PYTHONWARNINGS": "ignore", "LISTENER_HEARD": str(heard)}
    listener = Child("listener", command, cwd=HERE, env=env)
    try:
        assert listener.await_ready(lambda: "Connected to amqp" in listener.log()), listener.log()
        front = proxy(tables(httpbin, f'amqp = {{ broker = "{broker.url}", exchange = "multilith.events" }}\nkinds = ["exchange"]'))
        # It says that it is connected before its queue is bound: until then nobody hears.
        def heard_of(route):
            return [event for event in map(json.loads, heard.read_text().splitlines()) if event["subject"] == route]

        eventually("a first one", lambda: requests.post(f"{front.url}/anything/first/0").ok and heard_of("first"))
        for number in range(20):
            requests.post(f"{front.url}/anything/second/{number}")
        events = eventually("all of them", lambda: len(heard_of("second")) == 20 and heard_of("second"))
        assert [event["data"]["url.path"].rsplit("/", 1)[1] for event in events] == [str(number) for number in range(20)]
        assert {event["data"]["http.request.method"] for event in events} == {"POST"}
        eventually("all are counted", lambda: counted(front, "sent") >= 21)
    finally:
        listener.kill()


def test_no_request_waits_for_a_broker_that_is_dead_or_hangs_and_what_has_no_room_is_counted(httpbin, proxy, report):
    with socket.create_server(("127.0.0.1", 0)) as hangs:
        hanging = hangs.getsockname()[1]
        front = proxy(ROUTES.format(monolith=httpbin.port) + ALONE)

        def times():
            took = []
            with requests.Session() as session:
                for number in range(300):
                    began = time.perf_counter()
                    answer = session.get(f"{front.url}/anything/first/{number}", timeout=9)
                    assert answer.status_code == 200
                    took.append(1000 * (time.perf_counter() - began))
            return statistics.median(took)

        figures = {"no events": times()}
        for what, port in [("dead", 1), ("hanging", hanging)]:
            front.reload(tables(httpbin, f'nats = {{ servers = ["nats://127.0.0.1:{port}"] }}'))
            figures[what] = times()
        report("events, ms a request (median): " + ", ".join(f"{what} {figure:.2f}" for what, figure in figures.items()))
        # Each was answered before the 10 s for which a broker is waited for: no request waits for it.
        assert counted(front, "sent") == 0
        # The line of each has its path, so that a few thousand fill the room.
        long = "x" * 4000
        with requests.Session() as session:

            def full():
                for _ in range(200):
                    session.get(f"{front.url}/anything/first/{long}")
                return counted(front, "dropped") > 0

            eventually("a queue without room", full)
