"""A WebSocket library at both ends, so that the handshake and every frame are checked by somebody else's code."""

import ssl
import threading

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect
from websockets.sync.server import serve

LARGE = 1024 * 1024


def answer(socket):
    """Echoes; `bye` closes with a code of its own."""
    for message in socket:
        if message == "bye":
            socket.close(4001, "as you wish")
            return
        socket.send(message)


@pytest.fixture(scope="module")
def echo():
    """The port of a WebSocket server."""
    with serve(answer, "127.0.0.1", 0, max_size=None) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.socket.getsockname()[1]
        server.shutdown()
        thread.join()


@pytest.fixture
def edge(proxy, echo, pair):
    return proxy(f'[monolith]\nurl = "http://127.0.0.1:{echo}"\n', tls=pair)


def open_socket(edge, url=None, **options):
    return connect((url or edge.url).replace("http", "ws", 1) + "/chat", max_size=None, open_timeout=30, **options)


@pytest.mark.parametrize("scheme", ["ws", "wss"])
def test_messages_of_every_kind_come_back(edge, pair, scheme):
    tls = {"url": edge.tls_url, "ssl": ssl.create_default_context(cafile=pair.cert)} if scheme == "wss" else {}
    with open_socket(edge, **tls) as socket:
        for message in ("", "héllo", b"\x00\xff", "x" * LARGE, bytes(LARGE)):
            socket.send(message)
            assert socket.recv(timeout=30) == message
        assert socket.ping().wait(30)
        assert "permessage-deflate" in socket.response.headers["Sec-WebSocket-Extensions"]


def test_the_code_of_a_close_arrives(edge):
    with open_socket(edge) as socket:
        socket.send("bye")
        with pytest.raises(ConnectionClosed) as closed:
            socket.recv(timeout=30)
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (4001, "as you wish")


def test_an_open_socket_survives_reloads(edge):
    tables = edge.file.read_text().removeprefix(edge.head)
    with open_socket(edge) as socket:
        for number in range(3):
            edge.reload(f"{tables}# {number}\n[limits]\nheaders = {90 + number}\n")
            socket.send(f"after reload {number}")
            assert socket.recv(timeout=30) == f"after reload {number}"


def test_a_browser_that_speaks_http_2_opens_a_socket_beside_it(edge, browser):
    # The page is the server's refusal of what is no WebSocket; what counts is where it comes from.
    browser.get(edge.tls_url + "/")
    spoken = "return performance.getEntriesByType('navigation')[0].nextHopProtocol"
    assert browser.execute_script(spoken) == "h2"
    script = """
        const [done] = arguments;
        const socket = new WebSocket('wss://' + location.host + '/chat');
        socket.onopen = () => socket.send('from a page');
        socket.onmessage = event => done(event.data);
        socket.onerror = () => done('refused');
    """
    browser.set_script_timeout(60)
    assert browser.execute_async_script(script) == "from a page"
