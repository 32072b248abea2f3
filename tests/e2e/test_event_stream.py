"""Server-sent events, read by curl and by a browser: each arrives before the next is sent, over both protocols."""

import subprocess

import pytest
import requests
from browser import await_in

# What curl is told besides; where it asks.
CURLS = {
    "HTTP/1.1": (["--http1.1"], "url"),
    "h2c": (["--http2-prior-knowledge"], "url"),
    "HTTP/2 over TLS": (["--http2"], "tls_url"),
}


@pytest.fixture
def edge(proxy, live, pair):
    return proxy(f'[monolith]\nurl = "http://127.0.0.1:{live.port}"\n', tls=pair)


@pytest.mark.parametrize("kind", CURLS)
def test_events_reach_curl_one_by_one(edge, pair, kind):
    arguments, url = CURLS[kind]
    command = ["curl", "-sSN", "--noproxy", "*", "--max-time", "60", "--cacert", pair.cert, *arguments]
    ids = []
    with subprocess.Popen([*command, getattr(edge, url) + "/events"], stdout=subprocess.PIPE, text=True) as curl:
        for line in curl.stdout:
            if line.startswith("id: "):
                ids.append(int(line[4:]))
                requests.post(f"{edge.url}/seen?number={ids[-1]}", timeout=10)
    assert (curl.returncode, ids) == (0, [1, 2, 3])


@pytest.mark.parametrize(("url", "protocol"), [("url", "http/1.1"), ("tls_url", "h2")])
def test_a_browser_gets_events_one_by_one_and_comes_again_at_the_end_of_the_stream(edge, browser, url, protocol):
    browser.get(getattr(edge, url) + "/")
    spoken = "return performance.getEntriesByType('navigation')[0].nextHopProtocol"
    assert browser.execute_script(spoken) == protocol
    expected = ", ".join(f"{number} news" for number in range(1, 8))
    await_in(browser, "seven events", lambda one: one.title.startswith(expected))
