"""Long polling: requests that the upstream answers only when something happens."""

import subprocess

import pytest
from children import eventually

CLIENTS = 40
CURLS = {
    "HTTP/1.1": (["--http1.1"], "url"),
    "h2c": (["--http2-prior-knowledge"], "url"),
    "HTTP/2 over TLS": (["--http2"], "tls_url"),
}


@pytest.mark.parametrize("kind", CURLS)
def test_all_who_wait_are_answered_when_something_happens(proxy, live, pair, kind):
    tables = f'[monolith]\nurl = "http://127.0.0.1:{live.port}"\n'
    edge = proxy(tables, tls=pair)
    arguments, url = CURLS[kind]
    command = ["curl", "-sS", "--noproxy", "*", "--max-time", "60", "--cacert", pair.cert, *arguments]
    command += ["--parallel", "--parallel-immediate", "--parallel-max", str(CLIENTS), f"{getattr(edge, url)}/poll?[1-{CLIENTS}]"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as curl:
        eventually("all of them waiting", lambda: live.waiting == CLIENTS)
        # A reload does not wake anybody.
        edge.reload(tables + "# another file\n[limits]\nheaders = 90\n")
        assert curl.poll() is None
        live.happens(lambda: setattr(live, "released", True))
        answers = curl.stdout.read()
    assert (curl.returncode, answers) == (0, "at last" * CLIENTS)
