"""A WSGI application behind gunicorn's sync worker: it reads no body without a length, and serves one request at a time."""

import socket
import subprocess
from pathlib import Path

import pytest
import requests
from children import start_gunicorn

TABLES = """
[monolith]
url = "http://127.0.0.1:{port}"
buffer = {buffer}
"""
UPLOAD = b"x" * 2000
LONG = 2 * 1024 * 1024


@pytest.fixture
def single(django_env):
    """The Django site under one sync worker."""
    child = start_gunicorn("single", "monolith.wsgi:application", threads=None, cwd=Path(__file__).parent, env=django_env)
    yield child
    child.kill()


def curl(*arguments, data):
    """The body of the answer, as curl got it."""
    return subprocess.run(["curl", "-sS", "--max-time", "30", *arguments], input=data, capture_output=True, check=True).stdout


def test_an_upload_without_a_length_arrives_whole(proxy, single):
    edge = proxy(TABLES.format(port=single.port, buffer='{ request = "auto" }'))
    upload = ["-H", "Transfer-Encoding: chunked", "--data-binary", "@-", f"{edge.url}/upload/"]
    assert curl("--http1.1", *upload, data=UPLOAD) == b"2000"
    http2 = ["--http2-prior-knowledge", "-X", "POST", "-T", "-", f"{edge.url}/upload/"]
    assert curl(*http2, data=UPLOAD) == b"2000"


def test_without_the_buffer_django_sees_nothing_of_it(proxy, single):
    """What the buffer is for: should gunicorn and Django learn to read chunks, it is needed no more."""
    edge = proxy(TABLES.format(port=single.port, buffer='{ request = "none" }'))
    upload = ["-H", "Transfer-Encoding: chunked", "--data-binary", "@-", f"{edge.url}/upload/"]
    assert curl("--http1.1", *upload, data=UPLOAD) == b"0"


def test_a_slow_upload_and_a_slow_reader_do_not_hold_the_only_worker(proxy, single):
    edge = proxy(TABLES.format(port=single.port, buffer='{ request = "4MiB", answer = "64MiB" }'))
    with socket.create_connection(("127.0.0.1", edge.port), timeout=30) as upload:
        head = f"POST /upload/ HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\nContent-Length: {LONG}\r\n\r\n"
        upload.sendall(head.encode() + b"x" * (LONG // 2))
        # The upload waits for its second half, and nobody waits for the upload.
        assert requests.get(f"{edge.url}/", timeout=10).status_code == 200
        upload.sendall(b"x" * (LONG // 2))
        answer = b"".join(iter(lambda: upload.recv(65536), b""))
        assert answer.endswith(b"\r\n\r\n%d" % LONG)
    with socket.create_connection(("127.0.0.1", edge.port), timeout=30) as reader:
        reader.sendall(b"GET /long/ HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n\r\n")
        assert reader.recv(12) == b"HTTP/1.1 200"
        # Most of the answer waits for its reader, and nobody else does.
        assert requests.get(f"{edge.url}/", timeout=10).status_code == 200
        rest = sum(len(data) for data in iter(lambda: reader.recv(65536), b""))
        assert rest > 32 * 1024 * 1024
