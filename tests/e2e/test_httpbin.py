"""httpbin, asked directly and through the proxy: the two answers must be the same, byte for byte."""

import gzip
import json
import random
import time
import zlib
from collections import defaultdict

import brotli
import pytest
from wire import Wire, chunked, request

MIB = bytes(random.Random(1).randbytes(1024 * 1024))

# Of one connection, not of the answer (RFC 9110 section 7.6.1).
HOP_BY_HOP = {b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"te", b"trailer", b"upgrade"}
# What rightly differs: two answers have two dates, and the proxy names the request.
OF_ITS_OWN = {b"date", b"x-request-id"}
# What the proxy tells the upstream, and httpbin repeats in its answer.
ADDED = {"X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Request-Id", "Traceparent", "Tracestate"}

# Two compressions of one text differ by their time stamps; what repeats the request is compared decoded.
DECODERS = {None: bytes, b"gzip": gzip.decompress, b"deflate": zlib.decompress, b"br": brotli.decompress}

METHODS = [
    (method, target, ["X-Mixed-CASE: Yes"], b"" if method in ("GET", "HEAD", "OPTIONS") else b"a=1&b=2")
    for method, target in [
        ("GET", "/get?a=1&a=2&b=%2F"),
        ("POST", "/post"),
        ("PUT", "/put"),
        ("PATCH", "/patch"),
        ("DELETE", "/delete"),
        ("OPTIONS", "/get"),
        ("HEAD", "/get"),
        ("TEAPOT", "/anything"),
        ("GET", "/put"),
    ]
]
STATUSES = [
    ("GET", f"/status/{code}", [], b"")
    for code in (200, 201, 202, 203, 204, 205, 206, 300, 301, 302, 303, 304, 307, 308, 400, 401, 402, 403, 404, 405)
    + (406, 409, 410, 412, 413, 415, 418, 422, 429, 451, 500, 501, 502, 503, 504, 520, 599)
]
PLAIN = [
    ("GET", target, headers, b"")
    for target, headers in [
        ("/", []),
        ("/html", []),
        ("/xml", []),
        ("/robots.txt", []),
        ("/encoding/utf8", []),
        ("/image/png", []),
        ("/image/webp", []),
        ("/image", ["Accept: image/jpeg"]),
        ("/headers", ["X-Mixed-CASE: Yes", "Accept-Language: de, en;q=0.5", "Cookie: a=1; b=2"]),
        ("/user-agent", ["User-Agent: a browser"]),
        ("/ip", []),
        ("/response-headers?X-One=1&X-One=2&Cache-Control=no-store&Vary=Accept", []),
        ("/anything/a%2Fb/%7Ec/d;e=f?x=%26&y=+&empty=", []),
        ("/anything/caf%C3%A9", []),
        ("/etag/abc", ['If-None-Match: "abc"']),
        ("/etag/abc", ['If-Match: "other"']),
        ("/cache", ["If-Modified-Since: Sat, 01 Jan 2000 00:00:00 GMT"]),
        ("/range/1000", ["Range: bytes=10-19"]),
        ("/range/1000", ["Range: bytes=2000-"]),
        ("/basic-auth/u/p", ["Authorization: Basic dTpw"]),
        ("/basic-auth/u/p", []),
        ("/bearer", ["Authorization: Bearer token"]),
        ("/no/such/page", []),
        ("/forms/post", []),
        ("/links/3/0", []),
    ]
]
ENCODINGS = [
    (method, target, headers, b"")
    for method in ("GET", "HEAD")
    for target, headers in [
        ("/gzip", ["Accept-Encoding: gzip"]),
        ("/deflate", ["Accept-Encoding: deflate"]),
        ("/brotli", ["Accept-Encoding: br"]),
        ("/gzip", []),
        ("/html", ["Accept-Encoding: gzip, br, zstd"]),
    ]
]
STREAMS = [
    (method, target, [], b"")
    for method in ("GET", "HEAD")
    for target in [
        "/stream/20",
        "/stream-bytes/100000?seed=1&chunk_size=1000",
        "/stream-bytes/5?seed=2&chunk_size=1",
        "/bytes/102400?seed=3",
        "/bytes/0",
        "/range/102400?chunk_size=1000",
        "/drip?numbytes=10&duration=0.5&delay=0",
        "/drip?numbytes=3&duration=0&delay=0&code=503",
        "/delay/1",
    ]
]
REDIRECTS = [
    ("GET", target, headers, b"")
    for target, headers in [
        ("/redirect/3", []),
        ("/relative-redirect/2", []),
        ("/absolute-redirect/2", []),
        ("/redirect-to?url=http%3A%2F%2Felsewhere.example%2Fa%3Fb&status_code=307", []),
        ("/cookies", ["Cookie: a=1; b=two"]),
        ("/cookies/set?a=1&b=2", []),
        ("/cookies/set/name/value", []),
        ("/cookies/delete?a=", ["Cookie: a=1"]),
    ]
]
BODIES = [
    ("POST", "/anything", ["Content-Type: application/octet-stream"], MIB),
    ("PUT", "/anything", ["Content-Type: application/octet-stream", "Transfer-Encoding: chunked"], chunked(MIB, 10_007)),
    ("POST", "/post", ["Content-Type: application/json", "Transfer-Encoding: chunked"], chunked(b'{"a": [1, "\xc3\xa9"]}', 3)),
    ("POST", "/post", ["Content-Type: application/x-www-form-urlencoded"], b"a=1&a=2&c=%20+"),
    ("POST", "/post", ["Content-Type: multipart/form-data; boundary=x"],
     b'--x\r\nContent-Disposition: form-data; name="f"; filename="a.txt"\r\n\r\nhello\r\n--x--\r\n'),
    ("POST", "/post", ["Content-Length: 0"], b""),
    ("POST", "/status/400", [], b"not read by anybody"),
]  # fmt: skip
GROUPS = {
    "methods": METHODS,
    "statuses": STATUSES,
    "plain": PLAIN,
    "encodings": ENCODINGS,
    "streams": STREAMS,
    "redirects and cookies": REDIRECTS,
    "bodies": BODIES,
}


@pytest.fixture
def ports(proxy, httpbin):
    """Where httpbin answers directly, and where the proxy does."""
    return httpbin.port, proxy(f'[monolith]\nurl = "http://127.0.0.1:{httpbin.port}"\n').port


def ask(port, bytes_sent, **options):
    with Wire(port) as wire:
        return wire.exchange(bytes_sent, **options)


def comparable(method, answer):
    """The answer without what may differ. Values of one name keep their order; the order of names is the proxy's."""
    echo = without_additions(answer)
    headers = defaultdict(list)
    for name, value in answer.headers:
        if name.lower() in HOP_BY_HOP | OF_ITS_OWN:
            continue
        # The length of an answer that repeats the request's headers counts what the proxy added to them.
        if name.lower() == b"content-length" and (echo is not None or method == "HEAD" and is_json(answer)):
            continue
        headers[name].append(value)
    return {
        "status line": answer.status_line,
        "headers": dict(headers),
        "body": answer.body if echo is None else echo,
    }


def is_json(answer):
    return (answer.get(b"Content-Type") or b"").startswith(b"application/json")


def without_additions(answer):
    """An answer that repeats the request's headers, without those that the proxy adds; None for any other."""
    if not is_json(answer) or not answer.body:
        return None
    # /stream/N gives one object a line, everything else one in all.
    body = DECODERS[answer.get(b"Content-Encoding")](answer.body)
    lines = [json.loads(line) for line in (body.splitlines() if b"\n{" in body else [body])]
    echoes = [line for line in lines if isinstance(line, dict) and isinstance(line.get("headers"), dict)]
    if not echoes:
        return None
    for echo in echoes:
        echo["headers"] = {name: value for name, value in echo["headers"].items() if name not in ADDED}
        # A body may change from a length to chunks on its way, which is the connection's business.
        for name in ("Transfer-Encoding", "Content-Length", "Connection"):
            echo["headers"].pop(name, None)
    return lines


@pytest.mark.parametrize("group", GROUPS)
def test_answers_are_the_same_as_without_the_proxy(group, ports, report):
    direct_port, proxy_port = ports
    size = 0
    for method, target, headers, body in GROUPS[group]:
        sent = request(method, target, headers, body)
        direct, through = ask(direct_port, sent), ask(proxy_port, sent)
        assert comparable(method, through) == comparable(method, direct), f"{method} {target} {headers}"
        assert len(through.all(b"X-Request-Id")) == 1, f"{method} {target}"
        size += len(through.body)
    report(f"httpbin, {group}: {len(GROUPS[group])} exchanges, {size} bytes of answers, all as without the proxy")


def test_a_kept_connection_gives_the_same_answers_in_a_row(ports):
    direct_port, proxy_port = ports
    exchanges = PLAIN[:8] + METHODS[:7] + [case for case in STREAMS if "seed" in case[1]] + ENCODINGS
    with Wire(proxy_port) as wire:
        for method, target, headers, body in exchanges:
            sent = request(method, target, headers, body)
            through = wire.exchange(sent)
            assert comparable(method, through) == comparable(method, ask(direct_port, sent)), f"{method} {target}"
            assert through.reusable, f"{method} {target} ended the connection: {through.headers}"


def test_expect_100_continue_is_answered_before_the_body_is_sent(ports):
    direct_port, proxy_port = ports
    sent = request("POST", "/anything", ["Expect: 100-continue", "Content-Type: text/plain"], b"x" * 70_000)
    direct, through = ask(direct_port, sent, expects_100=True), ask(proxy_port, sent, expects_100=True)
    assert through.interim == [b"HTTP/1.1 100 Continue"]
    ours, theirs = comparable("POST", through), comparable("POST", direct)
    for answer in (ours, theirs):
        answer["body"][0]["headers"].pop("Expect", None)
    assert ours == theirs


def test_http_1_0_is_answered_as_http_1_0_can_read_it(ports):
    direct_port, proxy_port = ports
    for target in ("/get", "/stream-bytes/5000?seed=1", "/status/204"):
        sent = request("GET", target, version="HTTP/1.0")
        direct, through = ask(direct_port, sent), ask(proxy_port, sent)
        assert through.status == direct.status, target
        assert through.get(b"Transfer-Encoding") is None, target
        if "seed" in target:
            assert through.body == direct.body


def test_an_answer_with_a_length_that_comes_in_drops_is_not_held_back(ports):
    _, proxy_port = ports
    with Wire(proxy_port) as wire:
        wire.socket.sendall(request("GET", "/drip?numbytes=4&duration=1.2&delay=0"))
        wire._head()
        arrivals = []
        for _ in range(4):
            wire._exactly(1)
            arrivals.append(time.monotonic())
    # httpbin takes 0.9 s from the first byte to the last; an answer held back arrives in one piece.
    assert arrivals[-1] - arrivals[0] > 0.4
