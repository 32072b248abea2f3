"""gRPC through the proxy, with the library that people use at both ends: every kind of call, trailers, deadlines."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest

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

    def __init__(self):
        self.cancelled = threading.Event()
        self.called = threading.Semaphore(0)
        self.seen = threading.Semaphore(0)
        self.kinds = {
            "Reverse": grpc.unary_unary_rpc_method_handler(self.reverse),
            "Refuse": grpc.unary_unary_rpc_method_handler(self.refuse),
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
