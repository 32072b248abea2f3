"""gRPC through the proxy, with the library that people use at both ends: every kind of call, trailers, deadlines."""

import json
import subprocess
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest
from children import eventually, start_on_free_port

PATIENCE = 60
LARGE = 3 * 1024 * 1024
TABLES = """
[monolith]
url = "http://127.0.0.1:1"

[services.calls]
{upstream}
http = "2"

[routes.calls]
path    = "/calls.Calls/{{*rest}}"
service = "calls"
stage   = "migrated"

[timeouts]
connect = "60s"
"""
# What is plain, and what is not: client to proxy, proxy to service.
WIRES = {"plain": (False, False), "tls": (True, False), "tls both ways": (True, True)}


class Calls(grpc.GenericRpcHandler):
    """A service whose messages are bytes.

    `called` counts calls that never end by themselves, `cancelled` is set when one has ended, `seen` counts the messages that
    a client has got of a stream.
    """

    def __init__(self, name=b"service"):
        self.name = name
        self.cancelled = threading.Event()
        self.called = threading.Semaphore(0)
        self.seen = threading.Semaphore(0)
        self.kinds = {
            "Reverse": grpc.unary_unary_rpc_method_handler(self.reverse),
            "Refuse": grpc.unary_unary_rpc_method_handler(self.refuse),
            "Fail": grpc.unary_unary_rpc_method_handler(self.fail),
            "Name": grpc.unary_unary_rpc_method_handler(lambda message, context: self.name),
            "Hang": grpc.unary_unary_rpc_method_handler(self.hang),
            "Count": grpc.unary_stream_rpc_method_handler(self.count),
            "Break": grpc.unary_stream_rpc_method_handler(self.break_off),
            "Join": grpc.stream_unary_rpc_method_handler(self.join),
            "Chat": grpc.stream_stream_rpc_method_handler(self.chat),
        }

    def service(self, call):
        return self.kinds.get(call.method.removeprefix("/calls.Calls/"))

    def reverse(self, message, context):
        asked = dict(context.invocation_metadata())
        context.send_initial_metadata((("x-asked", asked.get("x-asked", "")), ("x-route", asked["x-multilith-route"])))
        context.set_trailing_metadata((("x-checksum", str(sum(message))), ("x-raw-bin", b"\x00\xff")))
        return message[::-1]

    def refuse(self, message, context):
        context.set_trailing_metadata((("x-why", "no such order"),))
        context.abort(grpc.StatusCode.NOT_FOUND, "order 7: nö")

    def fail(self, message, context):
        """The service fails; the monolith, which is behind the same handlers in these tests, does not."""
        if self.name == b"service":
            context.abort(grpc.StatusCode.INTERNAL, "made to fail")
        return self.name

    def hang(self, message, context):
        context.add_callback(self.cancelled.set)
        self.called.release()
        self.cancelled.wait(PATIENCE)
        return b""

    def count(self, message, context):
        """Says a number only when the one before was seen."""
        for number in range(int(message)):
            yield b"%d" % number
            assert self.seen.acquire(timeout=PATIENCE)

    def break_off(self, message, context):
        yield b"one"
        context.abort(grpc.StatusCode.DATA_LOSS, "the rest is lost")

    def join(self, messages, context):
        return b"".join(messages)

    def chat(self, messages, context):
        for message in messages:
            yield message.upper()


@pytest.fixture(scope="module")
def servers(pair):
    """The service behind a plain and a TLS port."""
    calls = Calls()
    server = grpc.server(ThreadPoolExecutor(16), handlers=[calls])
    calls.port = server.add_insecure_port("127.0.0.1:0")
    credentials = grpc.ssl_server_credentials([(pair.key.read_bytes(), pair.cert.read_bytes())])
    calls.tls_port = server.add_secure_port("127.0.0.1:0", credentials)
    server.start()
    yield calls
    server.stop(0).wait()


@pytest.fixture(params=WIRES)
def channel(request, proxy, servers, pair):
    front, back = WIRES[request.param]
    upstream = f'url = "http://127.0.0.1:{servers.port}"'
    if back:
        upstream = f'url = "https://127.0.0.1:{servers.tls_port}"\ntls = {{ ca = "{pair.cert}", server_name = "edge.example" }}'
    edge = proxy(TABLES.format(upstream=upstream), tls=pair)
    # One connection for each test, or the library shares one between channels of equal options.
    options = [("grpc.use_local_subchannel_pool", 1)]
    if front:
        credentials = grpc.ssl_channel_credentials(pair.cert.read_bytes())
        channel = grpc.secure_channel(f"127.0.0.1:{edge.tls_port}", credentials, options)
    else:
        channel = grpc.insecure_channel(f"127.0.0.1:{edge.port}", options)
    with channel:
        yield channel


def test_a_call_with_its_metadata_and_trailers(channel):
    answer, call = channel.unary_unary("/calls.Calls/Reverse").with_call(
        b"abc", timeout=PATIENCE, metadata=[("x-asked", "yes")]
    )
    assert answer == b"cba"
    initial, trailing = dict(call.initial_metadata()), dict(call.trailing_metadata())
    assert (initial["x-asked"], initial["x-route"]) == ("yes", "calls")
    assert (trailing["x-checksum"], trailing["x-raw-bin"]) == ("294", b"\x00\xff")
    assert call.code() == grpc.StatusCode.OK


def test_a_message_larger_than_every_window(channel):
    message = bytes(range(256)) * (LARGE // 256)
    assert channel.unary_unary("/calls.Calls/Reverse")(message, timeout=PATIENCE) == message[::-1]


def test_an_error_is_in_the_trailers(channel):
    with pytest.raises(grpc.RpcError) as refused:
        channel.unary_unary("/calls.Calls/Refuse")(b"", timeout=PATIENCE)
    assert (refused.value.code(), refused.value.details()) == (grpc.StatusCode.NOT_FOUND, "order 7: nö")
    assert dict(refused.value.trailing_metadata())["x-why"] == "no such order"


def test_an_unknown_method_is_the_services_to_refuse(channel):
    with pytest.raises(grpc.RpcError) as refused:
        channel.unary_unary("/calls.Calls/Nothing")(b"", timeout=PATIENCE)
    assert refused.value.code() == grpc.StatusCode.UNIMPLEMENTED


def test_messages_of_a_server_stream_arrive_one_by_one(channel, servers):
    numbers = []
    for number in channel.unary_stream("/calls.Calls/Count")(b"5", timeout=PATIENCE):
        numbers.append(int(number))
        servers.seen.release()
    assert numbers == [0, 1, 2, 3, 4]


def test_a_server_stream_that_breaks_off_says_why_behind_its_messages(channel):
    stream = channel.unary_stream("/calls.Calls/Break")(b"", timeout=PATIENCE)
    assert next(stream) == b"one"
    with pytest.raises(grpc.RpcError) as broken:
        next(stream)
    assert (broken.value.code(), broken.value.details()) == (grpc.StatusCode.DATA_LOSS, "the rest is lost")


def test_a_client_stream_is_answered_at_its_end(channel):
    messages = [b"%d," % number for number in range(1000)]
    assert channel.stream_unary("/calls.Calls/Join")(iter(messages), timeout=PATIENCE) == b"".join(messages)


def test_a_conversation_goes_to_and_fro(channel):
    """Each message is sent when the one before was answered, so nothing on the way may wait for more."""
    answered = threading.Semaphore(1)

    def messages():
        for word in (b"a", b"b", b"c"):
            assert answered.acquire(timeout=PATIENCE)
            yield word

    answers = []
    for answer in channel.stream_stream("/calls.Calls/Chat")(messages(), timeout=PATIENCE):
        answers.append(answer)
        answered.release()
    assert answers == [b"A", b"B", b"C"]


def test_a_conversation_may_be_silent_for_longer_than_an_answer_may_pause(proxy, servers):
    tables = TABLES.format(upstream=f'url = "http://127.0.0.1:{servers.port}"')
    limits = 'answer = "500ms"\nidle = "500ms"\n[limits]\nbody_timeout = "500ms"\nwrite_timeout = "500ms"\n'
    edge = proxy(tables + limits)

    def messages():
        for word in (b"a", b"b", b"c"):
            yield word
            time.sleep(2)

    with grpc.insecure_channel(f"127.0.0.1:{edge.port}") as channel:
        assert list(channel.stream_stream("/calls.Calls/Chat")(messages(), timeout=PATIENCE)) == [b"A", b"B", b"C"]


def test_a_deadline_ends_the_call_at_both_ends(channel, servers):
    servers.cancelled.clear()
    with pytest.raises(grpc.RpcError) as late:
        channel.unary_unary("/calls.Calls/Hang")(b"", timeout=1)
    assert late.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    assert servers.called.acquire(timeout=PATIENCE)
    assert servers.cancelled.wait(PATIENCE), "the service still works on it"


def test_a_cancelled_call_is_cancelled_at_the_service(channel, servers):
    """The deadline, which a service knows by itself, is far away."""
    servers.cancelled.clear()
    call = channel.unary_unary("/calls.Calls/Hang").future(b"", timeout=PATIENCE)
    assert servers.called.acquire(timeout=PATIENCE)
    call.cancel()
    assert servers.cancelled.wait(PATIENCE / 2), "the service still works on it"


def serving(name):
    calls = Calls(name)
    server = grpc.server(ThreadPoolExecutor(8), handlers=[calls])
    calls.port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    return calls, server


@pytest.fixture(scope="module")
def sides():
    """A monolith and a service that differ in their names, and in that the service fails."""
    (monolith, one), (service, two) = serving(b"monolith"), serving(b"service")
    yield monolith, service
    one.stop(0).wait()
    two.stop(0).wait()


MOVING = """
[monolith]
url  = "http://127.0.0.1:{monolith}"
http = "2"

[services.calls]
url  = "http://127.0.0.1:{service}"
http = "2"

[routes.calls]
path    = "/calls.Calls/{{*rest}}"
service = "calls"
{route}
"""


def ask(port, method, times, metadata=lambda number: ()):
    """How often each answer came, or each code."""
    seen = Counter()
    with grpc.insecure_channel(f"127.0.0.1:{port}", [("grpc.use_local_subchannel_pool", 1)]) as channel:
        call = channel.unary_unary(f"/calls.Calls/{method}")
        for number in range(times):
            try:
                seen[call(b"abc", timeout=PATIENCE, metadata=metadata(number))] += 1
            except grpc.RpcError as error:
                seen[error.code().name] += 1
    return seen


def board(edge, answered):
    """The route on the board once all its requests are on it."""

    def settled():
        route = edge.json("/api/v1/status")["routes"][0]
        return route if sum(route["requests"].values()) >= answered else None

    return eventually("the requests on the board", settled)


def test_a_canary_whose_service_fails_every_call_is_seen_to_fail(proxy, sides):
    monolith, service = sides
    route = 'stage = "canary"\nweight = "50%"\nsticky = ["header:x-user"]\nbreaker = { failures = 100000 }'
    edge = proxy(MOVING.format(monolith=monolith.port, service=service.port, route=route))
    seen = ask(edge.port, "Fail", 200, lambda number: (("x-user", f"u{number}"),))
    assert set(seen) == {"INTERNAL", b"monolith"}, seen
    route = board(edge, 200)
    assert route["errors"] == {"monolith": 0, "service": seen["INTERNAL"]}, route
    assert f'code="grpc-13"}} {seen["INTERNAL"]}' in edge.metrics()


def test_calls_that_are_declared_safe_are_saved_by_the_monolith(proxy, sides):
    monolith, service = sides
    route = 'stage = "canary"\nweight = "100%"\nbreaker = { failures = 100000 }\nsafe_methods = ["/calls.Calls/F*"]'
    edge = proxy(MOVING.format(monolith=monolith.port, service=service.port, route=route))
    assert ask(edge.port, "Fail", 20) == {b"monolith": 20}
    assert ask(edge.port, "Refuse", 20) == {"NOT_FOUND": 20}
    assert board(edge, 60)["errors"]["service"] == 20


def test_copies_are_taken_and_what_they_answer_is_compared(proxy, sides):
    monolith, service = sides
    route = 'stage = "shadow"\nsafe_methods = ["/calls.Calls/*"]\nshadow.compare.noise.replay = "0%"'
    edge = proxy(MOVING.format(monolith=monolith.port, service=service.port, route=route))
    assert ask(edge.port, "Fail", 10) == {b"monolith": 10}
    assert ask(edge.port, "Refuse", 10) == {"NOT_FOUND": 10}

    def compared():
        report = edge.json("/api/v1/routes/calls/comparisons")
        return report if report["compared"] == 20 else None

    report = eventually("twenty comparisons", compared)
    assert report["copies"]["answered"] == 20, report["copies"]
    assert (report["verdicts"]["match"], report["verdicts"]["mismatch"]) == (10, 10), report["verdicts"]
    statuses = [(pair["from"], pair["to"], pair["count"]) for pair in report["statuses"]]
    assert statuses == [("grpc-0", "grpc-13", 10)]


def test_our_own_errors_are_statuses_that_the_library_reads(proxy, sides):
    monolith, service = sides
    route = 'stage = "migrated"\nrate_limit = { per = "ip", rate = "1/h", burst = 1 }'
    edge = proxy(MOVING.format(monolith=1, service=service.port, route=route))
    assert ask(edge.port, "Name", 3) == {b"service": 1, "RESOURCE_EXHAUSTED": 2}
    with grpc.insecure_channel(f"127.0.0.1:{edge.port}") as channel, pytest.raises(grpc.RpcError) as refused:
        channel.unary_unary("/other.Service/Call")(b"", timeout=PATIENCE)
    assert refused.value.code() == grpc.StatusCode.UNAVAILABLE
    assert refused.value.details() == "The application could not be reached."


CALLS = Path(__file__).parent / "services" / "calls.js"


@pytest.fixture(scope="module")
def node():
    """The service with the library of Node."""
    child = start_on_free_port("node", lambda port: ["node", CALLS, "serve", port])
    yield child
    child.kill()


def test_node_at_both_ends(proxy, node):
    edge = proxy(TABLES.format(upstream=f'url = "http://127.0.0.1:{node.port}"'))

    def said(method):
        command = ["node", CALLS, "ask", str(edge.port), method, "2"]
        return json.loads(subprocess.run(command, check=True, capture_output=True, timeout=PATIENCE).stdout)

    for method, code, details, answers in [
        ("Reverse", 0, "OK", ["cba"]),
        ("Refuse", 5, "order 7: nö", []),
        ("Fail", 13, "made to fail", []),
        ("Count", 0, "OK", ["0", "1", "2"]),
        ("Chat", 0, "OK", ["A", "B", "C"]),
    ]:
        for call in said(method):
            assert (call["code"], call["answers"]) == (code, answers), (method, call)
            assert method in ("Count", "Chat", "Reverse") or call["details"] == details, (method, call)
        if method == "Reverse":
            assert call["trailers"]["x-checksum"] == "3"
    unreachable = proxy(TABLES.format(upstream='url = "http://127.0.0.1:1"'))
    command = ["node", CALLS, "ask", str(unreachable.port), "Reverse", "1"]
    (call,) = json.loads(subprocess.run(command, check=True, capture_output=True, timeout=PATIENCE).stdout)
    assert (call["code"], call["details"]) == (14, "The application could not be reached."), call
    assert board(edge, 10)["errors"]["service"] == 2
