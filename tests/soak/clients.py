"""The load of the soak: clients with connections of their own, who check each answer and remember what went wrong."""

import asyncio
import contextlib
import json
import random
import time
from collections import Counter, defaultdict
from dataclasses import dataclass

# Longer than any timeout of the routes; only an answer that never comes takes so long.
PATIENCE = 30.0

# Method, path, who may answer, and how often of a hundred.
KINDS = [
    ("GET", "/page", {"monolith"}, 22),
    ("GET", "/users/7", {"one", "two"}, 18),
    ("GET", "/pair/7", {"monolith", "one", "two"}, 14),
    ("GET", "/orders/7", {"monolith", "one"}, 11),
    ("GET", "/alone/7", {"two"}, 6),
    ("GET", "/copied/7", {"monolith"}, 7),
    ("GET", "/watched/7", {"monolith"}, 5),
    ("GET", "/guest/7", {"monolith"}, 1),
    ("GET", "/users/slow", {"one", "two"}, 1),
    ("GET", "/orders/slow", {"monolith", "one"}, 1),
    ("POST", "/save", {"monolith"}, 2),
    ("POST", "/users/save", {"one", "two"}, 4),
    ("POST", "/pair/save", {"monolith", "one", "two"}, 2),
    ("POST", "/orders/save", {"monolith", "one"}, 2),
    ("POST", "/alone/save", {"two"}, 2),
    ("ABORT", "/slow", {"monolith"}, 1),
    ("ABORT", "/users/slow", {"one", "two"}, 1),
]


@dataclass
class Mishap:
    """A request that was not answered well."""

    identity: str
    method: str
    path: str
    began: float
    ended: float
    why: str
    # Who had begun to answer, if anybody.
    by: str | None = None


class Connection:
    def __init__(self, port):
        self.port = port
        self.writer = None

    async def open(self):
        if self.writer is None:
            self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)

    def close(self):
        if self.writer is not None:
            self.writer.close()
            self.writer = None


class Load:
    """What was asked, and what came of it."""

    def __init__(self, port, rate, clients, credentials=()):
        self.port = port
        # Fields that every request has besides.
        self.credentials = list(credentials)
        self.pause = clients / rate
        self.clients = clients
        self.began = time.monotonic()
        self.asked = Counter()
        self.mishaps = []
        # Writes by identity: whether the client was told that they are done.
        self.writes = {}
        self.seconds = defaultdict(list)
        self.echoes = 0
        self.lost_tunnels = []
        # Longest time that a client came too late to its own request: the machine is too slow for the rate.
        self.late = 0.0

    async def run(self):
        async with asyncio.TaskGroup() as group:
            for number in range(self.clients):
                group.create_task(self.client(number))
            for _ in range(3):
                group.create_task(self.tunnel())

    async def client(self, number):
        chance = random.Random(number)
        weights = [kind[-1] for kind in KINDS]
        connection = Connection(self.port)
        asked = 0
        ended = time.monotonic()
        due = time.monotonic() + chance.random() * self.pause
        try:
            while True:
                await asyncio.sleep(max(0, due - time.monotonic()))
                self.late = max(self.late, time.monotonic() - max(due, ended))
                # Who was held up does not hurry afterwards.
                due = max(due + self.pause, time.monotonic())
                asked += 1
                kind = chance.choices(KINDS, weights)[0]
                await self.request(connection, f"{number}-{asked}", chance, *kind[:3])
                ended = time.monotonic()
        finally:
            connection.close()

    async def request(self, connection, identity, chance, method, path, sides):
        self.asked[method, path] += 1
        began = time.monotonic()
        head = [f"{'GET' if method == 'ABORT' else method} {path} HTTP/1.1", "Host: soak.example"]
        head += [f"X-Soak-Id: {identity}", f"X-User: {chance.randrange(1000)}", *self.credentials]
        body = b""
        if method == "POST":
            self.writes[identity] = False
            body = b"x" * chance.choice([1, 100, 5_000, 100_000])
            if chance.random() < 0.5:
                head.append(f"Content-Length: {len(body)}")
                sent = body
            else:
                head.append("Transfer-Encoding: chunked")
                sent = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
            body = sent
        by = []
        try:
            async with asyncio.timeout(PATIENCE):
                await connection.open()
                connection.writer.write("\r\n".join(head).encode() + b"\r\n\r\n" + body)
                if method == "ABORT":
                    await asyncio.sleep(chance.random() * 0.08)
                    connection.close()
                    return
                why = await self.answered(connection, identity, sides, by)
        except TimeoutError:
            why = "silence"
        except (OSError, asyncio.IncompleteReadError):
            why = "cut" if by else "closed"
        ended = time.monotonic()
        if why is None:
            self.seconds[path.split("/")[1]].append(ended - began)
            if method == "POST":
                self.writes[identity] = True
            return
        connection.close()
        self.mishaps.append(Mishap(identity, method, path, began, ended, why, by[0] if by else None))

    @staticmethod
    async def answered(connection, identity, sides, by):
        """Reads one answer. What is wrong with it, or nothing."""
        reader = connection.reader
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        status = head[0].split(" ")[1]
        fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:-2])}
        by.extend(value for name, value in fields.items() if name == "x-by")
        if "content-length" in fields:
            body = await reader.readexactly(int(fields["content-length"]))
        else:
            body = b""
            while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
                body += (await reader.readexactly(size + 2))[:-2]
            await reader.readuntil(b"\r\n")
        if fields.get("connection", "").lower() == "close":
            connection.close()
        if status != "200":
            return status
        said = json.loads(body)
        if said["id"] != identity or said["by"] not in sides:
            return f"another's answer: {said}"
        return None

    async def tunnel(self):
        """A WebSocket as far as a proxy knows of one: bytes there and back, for some seconds, again and again."""
        upgrade = "GET /ws HTTP/1.1\r\nHost: soak.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        upgrade += "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: c29hayBzb2FrIHNvYWs=\r\n\r\n"
        while True:
            began = time.monotonic()
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            try:
                async with asyncio.timeout(PATIENCE):
                    writer.write(upgrade.encode())
                    head = await reader.readuntil(b"\r\n\r\n")
                    assert head.startswith(b"HTTP/1.1 101 "), head
                for number in range(20):
                    async with asyncio.timeout(PATIENCE):
                        sent = b"%d " % number * 100
                        writer.write(sent)
                        assert await reader.readexactly(len(sent)) == sent
                    self.echoes += 1
                    await asyncio.sleep(0.25)
            except (AssertionError, OSError, TimeoutError, asyncio.IncompleteReadError) as why:
                self.lost_tunnels.append(f"{why!r} {time.monotonic() - began:.1f} s after it was begun")
            finally:
                writer.close()
                with contextlib.suppress(OSError):
                    await writer.wait_closed()
