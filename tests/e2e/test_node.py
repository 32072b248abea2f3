"""Node closes a connection that was idle for five seconds: the proxy must not send a POST into that."""

import threading
import time

import pytest
import requests
from children import start_on_free_port

# Answers after a moment, so that every client of the first round needs a connection of its own.
SERVER = """
const http = require('http');
http.createServer((request, response) => {
  request.resume();
  request.on('end', () => setTimeout(() => response.end(request.method), 300));
}).listen(PORT, '127.0.0.1');
"""

CLIENTS = 60


@pytest.fixture
def node():
    child = start_on_free_port("node", lambda port: ["node", "-e", SERVER.replace("PORT", str(port))])
    yield child
    child.kill()


def test_a_post_after_idling_around_the_upstreams_keep_alive_time_is_answered(proxy, node, report):
    """Sixty clients idle between 3.8 and 5.6 seconds, Node's limit in the middle, and post again."""
    one = proxy(f'[monolith]\nurl = "http://127.0.0.1:{node.port}"\n')
    together = threading.Barrier(CLIENTS)
    outcomes = []

    def client(number):
        with requests.Session() as session:
            together.wait()
            for pause in (0.0, 3.8 + 1.8 * number / CLIENTS):
                time.sleep(pause)
                answer = session.post(f"{one.url}/orders", data="order", timeout=20)
                outcomes.append((answer.status_code, answer.text))

    clients = [threading.Thread(target=client, args=(number,)) for number in range(CLIENTS)]
    for thread in clients:
        thread.start()
    for thread in clients:
        thread.join()
    failed = [outcome for outcome in outcomes if outcome != (200, "POST")]
    report(f"POST after idling before Node: {len(outcomes)} sent, {len(failed)} failed")
    assert len(outcomes) == 2 * CLIENTS
    assert not failed, failed
