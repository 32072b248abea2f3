"""HTTP/1 by hand: what is sent and what comes back, with nothing decoded, followed or hidden."""

import socket
from dataclasses import dataclass, field

PATIENCE = 30.0


class Cut(AssertionError):
    """The connection ended before the answer did."""


@dataclass
class Answer:
    status_line: bytes
    headers: list  # of (name, value), both bytes
    body: bytes = b""
    interim: list = field(default_factory=list)
    # Whether another request could have followed on the connection.
    reusable: bool = True

    @property
    def status(self):
        return int(self.status_line.split(b" ")[1])

    def all(self, name):
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def get(self, name):
        return next(iter(self.all(name)), None)


class Wire:
    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        self.file = self.socket.makefile("rb")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()
        self.socket.close()

    def exchange(self, request, expects_100=False):
        """Sends the bytes of a request and reads one answer. With `expects_100` the body waits until it is asked for."""
        head, _, body = request.partition(b"\r\n\r\n")
        self.socket.sendall(head + b"\r\n\r\n")
        interim = []
        if expects_100:
            first = self._head()
            if first[0].split(b" ")[1] != b"100":
                return self._answer(first, head, interim)
            interim.append(first[0])
        self.socket.sendall(body)
        return self._answer(self._head(), head, interim)

    def _answer(self, head_read, request_head, interim):
        status_line, headers = head_read
        while status_line.split(b" ")[1].startswith(b"1"):
            interim.append(status_line)
            status_line, headers = self._head()
        answer = Answer(status_line, headers, interim=interim)
        if request_head.startswith(b"HEAD ") or answer.status in (204, 304):
            pass
        elif b"chunked" in (answer.get(b"Transfer-Encoding") or b"").lower():
            answer.body = self._chunks()
        elif (length := answer.get(b"Content-Length")) is not None:
            answer.body = self._exactly(int(length))
        else:
            answer.body = self.file.read()
            answer.reusable = False
        if (answer.get(b"Connection") or b"").lower() == b"close":
            assert self.file.read() == b"", "bytes behind the end of the answer"
            answer.reusable = False
        return answer

    def _head(self):
        status_line = self._line()
        headers = []
        while line := self._line():
            name, _, value = line.partition(b":")
            headers.append((name, value.strip()))
        return status_line, headers

    def _chunks(self):
        body = b""
        while size := int(self._line().split(b";")[0], 16):
            body += self._exactly(size)
            assert self._line() == b"", "a chunk longer than its size says"
        while self._line():
            pass
        return body

    def _line(self):
        line = self.file.readline()
        if not line.endswith(b"\r\n"):
            raise Cut(f"the connection ended in a line: {line!r}")
        return line[:-2]

    def _exactly(self, length):
        data = self.file.read(length)
        if len(data) != length:
            raise Cut(f"the connection ended after {len(data)} of {length} bytes")
        return data


def request(method, target, headers=(), body=b"", version="HTTP/1.1", host="httpbin.test"):
    """The bytes of a request; a body gets its length unless a header frames it."""
    lines = [f"{method} {target} {version}", f"Host: {host}", *headers]
    framed = any(line.lower().startswith(("content-length:", "transfer-encoding:")) for line in headers)
    if body and not framed:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def chunked(body, size):
    """The body cut into chunks of this size."""
    pieces = (body[start : start + size] for start in range(0, len(body), size))
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
