"""Socket.IO by long polling: a conversation that began on one side lives through a change of weight with `pin`."""

import pytest
import socketio
from children import eventually, start_gunicorn
from conftest import HERE

TABLES = """
[monolith]
url = "http://127.0.0.1:{monolith}"

[services.chat]
url = "http://127.0.0.1:{service}"

[routes.chat]
path    = "/socket.io/{{*rest}}"
service = "chat"
stage   = "canary"
weight  = "{weight}"
{pin}
"""
PIN = 'pin = "1m"'


@pytest.fixture(scope="module")
def servers():
    """A Socket.IO server on each side; they share nothing."""
    started = {
        name: start_gunicorn(name, "services.chat:application", cwd=HERE, env={"CHAT_NAME": name})
        for name in ("monolith", "service")
    }
    yield {name: child.port for name, child in started.items()}
    for child in started.values():
        child.kill()


class Talk:
    """One client. It does not reconnect: a broken session stays broken."""

    def __init__(self, edge):
        self.broken = []
        self.client = socketio.Client(reconnection=False)
        self.client.on("disconnect", lambda reason: self.broken.append(reason))
        self.client.connect(edge.url, transports=["polling"], wait_timeout=20)

    def who(self):
        return self.client.call("who", timeout=20)


@pytest.fixture
def talk():
    talks = []

    def begin(edge):
        talks.append(Talk(edge))
        return talks[-1]

    yield begin
    for one in talks:
        one.client.disconnect()


def test_a_conversation_lives_through_changes_of_weight(proxy, servers, talk, report):
    def tables(weight):
        return TABLES.format(**servers, weight=weight, pin=PIN)

    edge = proxy(tables("0%"))
    old = talk(edge)
    assert old.who() == "monolith"
    edge.reload(tables("99.99%"))
    # One client in ten thousand is still the monolith's.
    new = next(one for one in (talk(edge) for _ in range(3)) if one.who() == "service")
    calls = 2
    for weight in ("50%", "0.01%", "99.99%"):
        edge.reload(tables(weight))
        for _ in range(20):
            assert (old.who(), new.who()) == ("monolith", "service"), weight
            calls += 2
    assert (old.broken, new.broken) == ([], [])
    # The end of a side is the end of its conversations: a roll-back takes effect at once.
    edge.reload(tables("0%"))
    eventually("the end of the conversation with the service", lambda: new.broken)
    assert (old.who(), old.broken) == ("monolith", [])
    report(f"socket.io: {calls} calls over long polling on two sides through 4 changes of weight, no session broken")


def test_without_a_pin_the_same_change_breaks_it(proxy, servers, talk):
    edge = proxy(TABLES.format(**servers, weight="0%", pin=""))
    old = talk(edge)
    assert old.who() == "monolith"
    edge.reload(TABLES.format(**servers, weight="100%", pin=""))
    eventually("the end of the conversation", lambda: old.broken)
