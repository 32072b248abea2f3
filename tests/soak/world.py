"""The processes of the soak, its routes, and the faults that befall them."""

import asyncio
import base64
import contextlib
import hmac
import json
import os
import random
import shutil
import signal
import sys
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "e2e"))
from children import Child, eventually, listens  # noqa: E402

# A killed process comes back to its port: one that no connection can have taken as its own end in between.
EPHEMERAL = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])

ROUTES = """\
# Revision {revision}
[server]
listen    = ["127.0.0.1:{proxy}"]
admin     = "127.0.0.1:{admin}"
state_dir = "{folder}/state"

[logs]
output = "{folder}/access.log"
sample = "1%"

[monolith]
url = "http://127.0.0.1:{monolith}"

{process}
[services.users]
discover.etcd = {{ endpoints = ["http://127.0.0.1:{etcd}"], prefix = "/soak/users/" }}
eject = {{ failures = 3, base = "{eject}ms", max = "{longest}ms" }}

[services.pair]
endpoints = ["127.0.0.1:{one}", "127.0.0.1:{two}"]
eject = {{ failures = 3, base = "{eject}ms", max = "{longest}ms" }}
health = {{ path = "/healthz", interval = "{interval}ms", timeout = "400ms", healthy = 1, unhealthy = 2 }}

[services.orders]
url = "http://127.0.0.1:{one}"
timeouts.answer = "500ms"

[services.alone]
url = "http://127.0.0.1:{two}"

[services.dead]
url = "http://127.0.0.1:{dead}"

[routes.users]
path    = "/users/{{*rest}}"
service = "users"
stage   = "migrated"
{users}
[routes.pair]
path  = "/pair/{{*rest}}"
stage = "split"
sticky = ["header:x-user"]

[routes.pair.variants]
old = {{ upstream = "monolith", weight = "{weight}%" }}
new = {{ upstream = "pair", weight = "{rest}%" }}

[routes.orders]
path    = "/orders/{{*rest}}"
service = "orders"
stage   = "canary"
weight  = "{weight}%"
sticky  = ["header:x-user"]
breaker = {{ failures = 5, open = "{eject}ms" }}
{orders}
[routes.alone]
path    = "/alone/{{*rest}}"
service = "alone"
stage   = "migrated"
{alone}
[routes.copied]
path    = "/copied/{{*rest}}"
service = "dead"
stage   = "shadow"
shadow  = {{ compare = {{}} }}

[routes.watched]
path    = "/watched/{{*rest}}"
service = "pair"
stage   = "shadow"
shadow  = {{ compare = {{ noise = {{ replay = "10%" }} }} }}
"""

# Shared with nobody: the tokens of a soak.
SECRET = "0123456789abcdef0123456789abcdef"

# With every feature on: what is written at these places of the file.
EVERYTHING = {
    "process": """\
[tracing]
otlp   = "http://127.0.0.1:{monolith}"
sample = "1%"

[shadow]
cpu = "25%"
""",
    "users": """\
rate_limit = {{ per = "header:x-user", rate = "1000/s", burst = 1000 }}
auth.jwt   = {{ key = {{ env = "SOAK_KEY" }}, issuer = "soak", forward = {{ sub = "x-user-id" }} }}
shadow     = {{ reverse = true, sample = "10%", compare = {{}} }}
""",
    "orders": """\
auth.jwt = {{ key = {{ env = "SOAK_KEY" }}, issuer = "soak" }}
gate     = {{ interval = "5s", min_requests = 10, on_fail = "hold" }}
shadow   = {{ sample = "10%", compare = {{}} }}
""",
    "alone": """\
buffer = {{ request = "256KiB", answer = "256KiB" }}
""",
}
NOTHING = dict.fromkeys(EVERYTHING, "")

# Seen now and then, so that routes come and go.
GUEST = """
[routes.guest]
path    = "/guest/{*rest}"
service = "alone"
stage   = "monolith"
"""


@dataclass
class Fault:
    """Something that was done to an origin, from when until when it could be felt."""

    kind: str
    to: str
    began: float
    ended: float = float("inf")


def free_ports(count):
    """Ports below those that connections are given; somebody may take one before it is used."""
    first = 10_000 + os.getpid() * 7 % (EPHEMERAL - 12_000)
    return [port for port in range(first, EPHEMERAL) if not listens(port)][:count]


class World:
    """Everything that runs beside the load."""

    def __init__(self, binary, folder, often=1, everything=False):
        """`often`: times as many faults; checks and ejections are as much quicker, as far as a busy machine keeps up."""
        self.folder = Path(folder)
        self.often = often
        self.credentials = [f"Authorization: Bearer {token()}"] if everything else []
        quick = {"interval": max(50, 500 / often), "eject": max(100, 1000 / often), "longest": max(200, 2000 / often)}
        self.tables = {name: round(value) for name, value in quick.items()}
        names = ["proxy", "admin", "monolith", "one", "two", "etcd", "etcd_peer", "dead"]
        self.ports = dict(zip(names, free_ports(len(names)), strict=True))
        self.tables |= {name: text.format(**self.ports) for name, text in (EVERYTHING if everything else NOTHING).items()}
        self.faults = []
        self.reloads = 0
        self.children = {}
        for name in ("monolith", "one", "two"):
            self.start_origin(name)
        self.start_etcd()
        for name in ("one", "two"):
            self.register(name)
        self.file = self.folder / "routes.toml"
        self.rewrite(30)
        self.proxy = Child("multilith", [binary, "run", "-c", self.file], env={"NO_COLOR": "1", "SOAK_KEY": SECRET})
        if not self.proxy.await_ready(lambda: self.admin("/readyz") is not None):
            raise AssertionError(f"multilith did not start:\n{self.proxy.log()}")

    def start_origin(self, name):
        port = self.ports[name]
        command = [sys.executable, HERE / "origin.py", name, port, self.folder / f"{name}.journal"]
        child = Child(name, command)
        self.children[name] = child
        assert child.await_ready(lambda: listens(port)), f"{name} did not start:\n{child.log()}"

    # -- etcd, by its JSON gateway

    def start_etcd(self):
        client, peer = (f"http://127.0.0.1:{self.ports[name]}" for name in ("etcd", "etcd_peer"))
        command = ["etcd", "--name", "one", "--listen-client-urls", client, "--advertise-client-urls", client]
        command += ["--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", f"one={peer}"]
        command += ["--log-level", "error", "--data-dir", self.folder / "etcd"]
        if not shutil.which("etcd"):
            raise AssertionError("there is no etcd on the PATH: apt-get install etcd-server")
        child = Child("etcd", command)
        self.children["etcd"] = child
        assert child.await_ready(self.etcd_answers), f"etcd did not start:\n{child.log()}"

    def etcd_answers(self):
        try:
            return self.etcd("/v3/kv/range", {"key": encoded("/soak/")})
        except OSError:
            return None

    def etcd(self, path, body):
        url = f"http://127.0.0.1:{self.ports['etcd']}{path}"
        with urllib.request.urlopen(url, json.dumps(body).encode(), timeout=5) as answer:
            return json.load(answer)

    def register(self, name):
        key, value = encoded(f"/soak/users/{name}"), encoded(f"127.0.0.1:{self.ports[name]}")
        self.etcd("/v3/kv/put", {"key": key, "value": value})

    # -- the proxy

    def rewrite(self, weight):
        """The next revision of the file; every third has one route more."""
        self.reloads += 1
        text = ROUTES.format(**self.ports, **self.tables, folder=self.folder, revision=self.reloads, weight=weight, rest=100 - weight)
        beside = self.file.with_suffix(".new")
        beside.write_text(text + (GUEST if self.reloads % 3 == 0 else ""))
        beside.rename(self.file)

    def admin(self, path):
        """What the admin listener answers; nothing when it does not say 200."""
        with contextlib.suppress(OSError):
            with urllib.request.urlopen(f"http://127.0.0.1:{self.ports['admin']}{path}", timeout=10) as answer:
                return answer.read().decode()
        return None

    def metric(self, name, label=""):
        """The sum of a family's samples that have this label."""
        lines = (self.admin("/metrics") or "").splitlines()
        samples = [line for line in lines if line.startswith(f"multilith_{name}{{") and label in line]
        return sum(float(line.rsplit(" ", 1)[1]) for line in samples)

    def resident(self):
        """KiB."""
        status = Path(f"/proc/{self.proxy.process.pid}/status").read_text()
        return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1])

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.proxy.process.pid}/fd"))

    def processor_seconds(self):
        fields = Path(f"/proc/{self.proxy.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    # -- faults

    async def reload(self):
        weight = 30
        while True:
            await asyncio.sleep(1)
            weight = 100 - weight
            self.rewrite(weight)

    async def befall(self):
        """Rounds of faults without end, one after the other: while one endpoint is away the other is there."""
        while True:
            for fault, name, length in [
                (self.kill, "one", 2),
                (self.reset, "two", 0.5),
                (self.hang, "one", 1.5),
                (self.kill, "two", 1),
                (self.reset, "one", 0.5),
                (self.hang, "two", 1.2),
            ]:
                await asyncio.sleep(1 / self.often)
                await fault(name, self.lasting(length))
                await asyncio.to_thread(eventually, "all endpoints sound", self.is_sound)

    async def lose_etcd(self):
        """The registry may be away while an endpoint is: what was last known is kept."""
        while True:
            await asyncio.sleep(7 / self.often)
            await self.kill_etcd(self.lasting(6))
            await asyncio.sleep(20 / self.often)

    def lasting(self, length):
        """Where there are more faults most are shorter, and some are still long enough for timeouts."""
        return length if self.often <= 1 else length * self.often ** -random.random()

    def is_sound(self):
        """All endpoints take requests, but for the one that is never there."""
        upstreams = json.loads(self.admin("/api/v1/upstreams") or "[]")
        sound = [upstream for upstream in upstreams if upstream["name"] != "dead"]
        states = [endpoint["state"] for upstream in sound for endpoint in upstream["endpoints"]]
        return states and set(states) <= {"healthy", "unchecked", "starting"}

    async def kill(self, name, down):
        fault = self.begin("killed", name)
        self.children[name].kill()
        await asyncio.sleep(down)
        await asyncio.to_thread(self.start_origin, name)
        fault.ended = time.monotonic()

    async def hang(self, name, length):
        fault = self.begin("hung", name)
        self.children[name].signal(signal.SIGSTOP)
        try:
            await asyncio.sleep(length)
        finally:
            self.children[name].signal(signal.SIGCONT)
        fault.ended = time.monotonic()

    async def reset(self, name, length):
        fault = self.begin("resetting", name)
        child = self.children[name]
        child.signal(signal.SIGUSR1)
        # Of two signals that wait together the later one is heard first.
        await asyncio.to_thread(eventually, f"{name} resets", lambda: child.log().endswith("resets\n"))
        await asyncio.sleep(length)
        child.signal(signal.SIGUSR2)
        await asyncio.to_thread(eventually, f"{name} answers again", lambda: child.log().endswith("answers\n"))
        fault.ended = time.monotonic()

    async def kill_etcd(self, down):
        fault = self.begin("killed", "etcd")
        self.children["etcd"].kill()
        await asyncio.sleep(down)
        await asyncio.to_thread(self.start_etcd)
        fault.ended = time.monotonic()

    def begin(self, kind, to):
        self.faults.append(Fault(kind, to, time.monotonic()))
        return self.faults[-1]


def token():
    """A bearer token that the soak's routes believe for a day."""
    claims = {"iss": "soak", "sub": "user-4711", "exp": int(time.time()) + 86400}
    parts = [json.dumps(part).encode() for part in ({"alg": "HS256", "typ": "JWT"}, claims)]
    signed = b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in parts)
    signature = base64.urlsafe_b64encode(hmac.digest(SECRET.encode(), signed, "sha256")).rstrip(b"=")
    return f"{signed.decode()}.{signature.decode()}"


def end_all():
    """Also what was begun of a world that did not come about."""
    for child in list(Child.running):
        child.kill()


def encoded(text):
    return base64.b64encode(text.encode()).decode()


__all__ = ["Fault", "World", "end_all", "eventually"]
