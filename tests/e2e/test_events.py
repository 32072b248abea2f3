"""Events for other programs: CloudEvents to NATS, Kafka and RabbitMQ, and no request that waits for them."""

import json
import socket
import ssl
import statistics
import sys
import threading
import time
from pathlib import Path

import pytest
import requests
from children import Child, eventually, listens, start_on_free_port
from kafka import MESSAGE_TOO_LARGE, UNKNOWN_TOPIC, Cluster

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

    def __init__(self, port, tls=None):
        self.events, self.subjects = [], []
        self._socket = socket.create_connection(("127.0.0.1", port))
        if tls:
            # The greeting comes before the handshake.
            while self._socket.recv(1) != b"\n":
                pass
            self._socket = tls.wrap_socket(self._socket, server_hostname="127.0.0.1")
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


def test_nats_over_tls_proves_who_it_is_before_it_gets_a_password(httpbin, proxy, pair, monkeypatch):
    command = ["/usr/sbin/nats-server", "-a", "127.0.0.1", "--user", "shop", "--pass", "s3cret", "--tls", "--tlscert", pair.cert, "--tlskey", pair.key]
    server = start_on_free_port("nats", lambda port: [*command, "-p", port])
    try:
        of_server = f'nats = {{{{ servers = ["{{scheme}}://shop:s3cret@127.0.0.1:{server.port}"] }}}}\nkinds = ["exchange"]'
        front = proxy(tables(httpbin, of_server.format(scheme="tls")))
        assert requests.get(front.url + "/anything/first/0").status_code == 200
        eventually("a certificate that nobody here vouches for", lambda: "events are not delivered" in front.log() and "UnknownIssuer" in front.log())
        assert counted(front, "sent") == 0
        monkeypatch.setenv("SSL_CERT_FILE", str(pair.cert))
        # As NATS' own clients do, one that is told no scheme of TLS speaks it where the server wants it.
        for scheme in ("tls", "nats"):
            front = proxy(tables(httpbin, of_server.format(scheme=scheme)))
            assert requests.get(front.url + "/anything/first/0").status_code == 200
            eventually("an event over TLS", lambda: counted(front, "sent") == 1)
            assert "s3cret" not in front.log()
    finally:
        server.kill()


@pytest.fixture
def kafka():
    cluster = Cluster()
    yield cluster
    cluster.close()


def to_kafka(httpbin, cluster, more='topic = "shop"'):
    brokers = json.dumps(cluster.brokers)
    return tables(httpbin, f'kafka = {{ brokers = {brokers}, {more} }}\nkinds = ["exchange"]')


class Reader:
    """What a topic has, over all its partitions."""

    def __init__(self, cluster, topic):
        self._consumer, self.records = cluster.consumer(topic), []

    def paths(self, route):
        while message := self._consumer.poll(0.1):
            if not message.error():
                self.records.append((message.key(), message.partition(), json.loads(message.value())))
        return [event["data"]["url.path"].rsplit("/", 1)[1] for key, _, event in self.records if key == route.encode()]


def visit(front, route, numbers):
    for number in numbers:
        assert requests.get(f"{front.url}/anything/{route}/{number}", timeout=9).status_code == 200


def as_text(numbers):
    return [str(number) for number in numbers]


def test_each_exchange_is_a_record_of_its_route_in_its_order(kafka, httpbin, proxy):
    kafka.make("shop")
    front = proxy(to_kafka(httpbin, kafka))
    for number in range(40):
        visit(front, ["first", "second"][number % 2], [number])
    eventually("all are acknowledged", lambda: counted(front, "sent") == 40)
    reader = Reader(kafka, "shop")
    eventually("all are there", lambda: len(reader.paths("first")) == 20 and len(reader.paths("second")) == 20)
    assert reader.paths("first") == as_text(range(0, 40, 2)) and reader.paths("second") == as_text(range(1, 40, 2))
    for route in ("first", "second"):
        own = [(partition, event) for key, partition, event in reader.records if key == route.encode()]
        assert len({partition for partition, _ in own}) == 1, "one route is in one partition"
        assert {event["subject"] for _, event in own} == {route} and own[0][1]["specversion"] == "1.0"
    assert counted(front, "dropped") == 0


def test_a_topic_that_is_missing_is_told_once_and_its_events_wait_for_it(kafka, httpbin, proxy):
    kafka.make("shop")
    kafka.fail_topic("shop", UNKNOWN_TOPIC)
    front = proxy(to_kafka(httpbin, kafka))
    visit(front, "first", range(3))
    eventually("a line that names it", lambda: "there is no topic `shop`" in front.log())
    assert counted(front, "sent") == 0 and front.log().count("events are not delivered") == 1
    kafka.fail_topic("shop", 0)
    reader = Reader(kafka, "shop")
    eventually("all of them", lambda: reader.paths("first") == as_text(range(3)))
    eventually("a line that says so", lambda: "events are delivered again" in front.log())
    # The mock makes topics by itself, as most clusters do.
    front = proxy(to_kafka(httpbin, kafka, 'topic = "made-when-asked-for"'))
    visit(front, "first", [0])
    eventually("a topic that was made", lambda: counted(front, "sent") == 1)


def test_a_new_leader_and_brokers_that_come_back_lose_no_record(kafka, httpbin, proxy):
    kafka.make("shop")
    kafka.lead("shop", 1)
    front = proxy(to_kafka(httpbin, kafka))
    visit(front, "first", range(10))
    eventually("records at the first leader", lambda: counted(front, "sent") == 10)
    kafka.lead("shop", 2)
    visit(front, "first", range(10, 20))
    eventually("records at the second leader", lambda: counted(front, "sent") == 20)
    kafka.down()
    visit(front, "first", range(20, 30))
    eventually("a line that says so", lambda: "events are not delivered" in front.log())
    kafka.up()
    eventually("records at those that came back", lambda: counted(front, "sent") == 30)
    reader = Reader(kafka, "shop")
    eventually("the last", lambda: "29" in reader.paths("first"))
    # At least once: the first time that each is seen comes in the order of the requests.
    assert list(dict.fromkeys(reader.paths("first"))) == as_text(range(30)) and counted(front, "dropped") == 0


def test_a_slow_cluster_gets_all_records(kafka, httpbin, proxy):
    kafka.make("shop")
    # A batch may take 10 s: three round trips fit, three for each partition after the other would not.
    kafka.delay(1500)
    front = proxy(to_kafka(httpbin, kafka))
    for route in ("first", "second"):
        visit(front, route, range(5))
    eventually("all are acknowledged", lambda: counted(front, "sent") == 10)
    kafka.delay(0)
    reader = Reader(kafka, "shop")
    for route in ("first", "second"):
        eventually("all are there", lambda: list(dict.fromkeys(reader.paths(route))) == as_text(range(5)))


def test_a_record_that_is_too_long_for_its_topic_is_dropped_and_the_rest_arrives(kafka, httpbin, proxy):
    kafka.make("shop")
    kafka.fail_topic("shop", UNKNOWN_TOPIC)
    front = proxy(to_kafka(httpbin, kafka))
    visit(front, "first", range(4))
    eventually("events that wait for the topic", lambda: "there is no topic" in front.log())
    # All four at once, the first two of them, the first alone: too long.
    kafka.refuse(MESSAGE_TOO_LARGE, 3)
    kafka.fail_topic("shop", 0)
    eventually("both counts", lambda: (counted(front, "sent"), counted(front, "dropped")) == (3, 1))
    reader = Reader(kafka, "shop")
    eventually("the rest, in order", lambda: reader.paths("first") == as_text(range(1, 4)))


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


def test_no_request_waits_for_a_broker_that_is_dead_slow_or_full(kafka, nats, httpbin, proxy, report):
    """The figures are for the report: what is claimed is that nobody waits, and that what has no room is counted."""
    kafka.make("shop")

    def times(front):
        took = []
        with requests.Session() as session:
            for number in range(300):
                began = time.perf_counter()
                # A broker is waited for up to 10 s.
                answer = session.get(f"{front.url}/anything/first/{number}", timeout=9)
                assert answer.status_code == 200
                took.append(1000 * (time.perf_counter() - began))
        return statistics.quantiles(took, n=100)

    with socket.create_server(("127.0.0.1", 0)) as hangs:
        hanging = hangs.getsockname()[1]
        to_nats = lambda port: tables(httpbin, f'nats = {{ servers = ["nats://127.0.0.1:{port}"] }}')
        front = proxy(ROUTES.format(monolith=httpbin.port) + ALONE)
        figures = {"no events": times(front)}
        kafka.delay(2000)
        slow = to_kafka(httpbin, kafka)
        hangs_too = tables(httpbin, f'kafka = {{ brokers = ["127.0.0.1:{hanging}"] }}')
        for what, file in [("dead NATS", to_nats(1)), ("hanging Kafka", hangs_too), ("slow Kafka", slow), ("NATS", to_nats(nats.port))]:
            front.reload(file)
            figures[what] = times(front)
        front = proxy(to_nats(hanging))
        # The line of each has its path, so that a few thousand fill the room.
        long = "x" * 4000
        with requests.Session() as session:

            def full():
                for _ in range(200):
                    session.get(f"{front.url}/anything/first/{long}")
                return counted(front, "dropped") > 0

            eventually("a queue without room", full)
        figures["full NATS"] = times(front)
        assert counted(front, "sent") == 0
    shown = ", ".join(f"{what} {of[49]:.2f} and {of[98]:.2f}" for what, of in figures.items())
    report(f"events, ms a request (median and p99): {shown}")
