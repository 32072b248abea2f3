"""An upstream of the soak: a process that says who it is, notes every write before it answers, and can be told to break.

    origin.py NAME PORT JOURNAL

SIGUSR1: connections on which a request comes are reset before it is answered, until SIGUSR2. Both are told when heard.
"""

import asyncio
import json
import os
import signal
import socket
import struct
import sys

# Long enough for a slow answer to be cut, or left by its client, in the middle.
PIECES, PAUSE = 5, 0.02


class Origin:
    def __init__(self, name, journal):
        self.name = name
        self.resets = False
        self.journal = os.open(journal, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def reset(self, yes):
        self.resets = yes
        print("resets" if yes else "answers", flush=True)

    async def connection(self, reader, writer):
        try:
            while await self.request(reader, writer):
                pass
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def request(self, reader, writer):
        """Answers one request; false when the connection is over."""
        head = await reader.readuntil(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        method, target, _ = lines[0].split(" ")
        fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:-2])}
        length = await self.body(reader, fields)
        identity = fields.get("x-soak-id", "")
        if method == "POST":
            os.write(self.journal, f"{identity}\n".encode())
        if self.resets and target != "/healthz":
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return False
        if fields.get("upgrade", "").lower() == "websocket":
            writer.write(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
            while data := await reader.read(4096):
                writer.write(data)
            return False
        answer = json.dumps({"id": identity, "by": self.name, "target": target, "read": length}).encode()
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-By: {self.name}\r\n"
        if target.endswith("/slow"):
            writer.write(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode())
            size = -(-len(answer) // PIECES)
            for start in range(0, len(answer), size):
                piece = answer[start : start + size]
                writer.write(b"%x\r\n%s\r\n" % (len(piece), piece))
                await asyncio.sleep(PAUSE)
            writer.write(b"0\r\n\r\n")
        else:
            writer.write(f"{head}Content-Length: {len(answer)}\r\n\r\n".encode() + answer)
        await writer.drain()
        return True

    @staticmethod
    async def body(reader, fields):
        if "content-length" in fields:
            return len(await reader.readexactly(int(fields["content-length"])))
        length = 0
        while "transfer-encoding" in fields:
            size = int((await reader.readuntil(b"\r\n")).split(b";")[0], 16)
            await reader.readexactly(size + 2)
            if size == 0:
                break
            length += size
        return length


async def main(name, port, journal):
    origin = Origin(name, journal)
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGUSR1, origin.reset, True)
    loop.add_signal_handler(signal.SIGUSR2, origin.reset, False)
    server = await asyncio.start_server(origin.connection, "127.0.0.1", int(port))
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
