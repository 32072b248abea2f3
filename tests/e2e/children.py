"""Servers as child processes: started, awaited with a deadline, stopped, their logs kept for the failing test."""

import itertools
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time

# Longest wait for anything that should happen soon; only a hang ever lasts as long.
PATIENCE = 60.0
START_ATTEMPTS = 3
RANGES, RANGE = 12, 1_000
# As much of a log as helps: its end.
LOG_TAIL = 8_000


def eventually(what, ask, limit=PATIENCE):
    """Asks until the answer is true, and gives it; a failure names what was awaited."""
    deadline = time.monotonic() + limit
    while True:
        answer = ask()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {limit:g} s in vain: {what}")
        time.sleep(0.01)


def ports():
    """Ports below those that the kernel gives to clients: a server that is started again finds its own free. Each worker of pytest has a range."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % RANGES
    first = 20_000 + worker * RANGE
    start = random.randrange(RANGE)
    return (first + (start + step) % RANGE for step in itertools.count())


PORTS = ports()


def free_port():
    """A port of 127.0.0.1 that nobody listens on now, and that was not given for a long while."""
    for port in PORTS:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port


def listens(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Child:
    """One server process. Its output goes to a file, which a failing test prints."""

    running = []

    def __init__(self, name, command, cwd=None, env=None, pass_fds=()):
        self.name = name
        self._log = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            [str(word) for word in command],
            cwd=cwd,
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            pass_fds=pass_fds,
        )
        Child.running.append(self)

    def log(self):
        return os.pread(self._log.fileno(), os.fstat(self._log.fileno()).st_size, 0).decode(errors="replace")

    def ended(self):
        return self.process.poll() is not None

    def await_ready(self, ready):
        """True when it is ready, False when it ended before."""
        return eventually(f"{self.name} ready", lambda: self.ended() or ready()) and not self.ended()

    def signal(self, number):
        self.process.send_signal(number)

    def kill(self):
        """Ends it at once: for a server that only stood behind or before what is tested."""
        if self in Child.running:
            Child.running.remove(self)
        self.process.kill()
        self.process.wait()

    def stop(self, limit=PATIENCE):
        """Asks it to end with SIGTERM and gives its exit code."""
        if self in Child.running:
            Child.running.remove(self)
        if not self.ended():
            self.signal(signal.SIGTERM)
        try:
            return self.process.wait(limit)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"{self.name} did not end within {limit:g} s of SIGTERM:\n{self.log()[-LOG_TAIL:]}") from None


def start_gunicorn(name, application, threads=16, **options):
    """A WSGI application under gunicorn, on a port that cannot be lost: the socket is handed over open.

    Without `threads` it has one sync worker, which serves one request at a time and keeps no connection.
    """
    listener = socket.create_server(("127.0.0.1", 0))
    with listener:
        port = listener.getsockname()[1]
        number = listener.fileno()
        command = [sys.executable, "-m", "gunicorn", "--bind", f"fd://{number}", "--keep-alive", "30"]
        command += ["--threads", str(threads)] if threads else []
        child = Child(name, [*command, "--no-control-socket", application], pass_fds=(number,), **options)
    assert child.await_ready(lambda: "Booting worker" in child.log()), f"{name} did not start:\n{child.log()}"
    child.port = port
    return child


def start_etcd(folder, *options):
    """A registry of one node."""

    def command(port):
        client, peer = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{free_port()}"
        clients = ["--listen-client-urls", client, "--advertise-client-urls", client]
        peers = ["--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", f"one={peer}"]
        return ["etcd", "--name", "one", "--data-dir", folder / f"etcd-{port}", *clients, *peers, *options]

    return start_on_free_port("etcd", command)


def start_on_free_port(name, command, **options):
    """A server on a port that was free; `command` makes its command line of the port. Another port if somebody was faster."""
    for _ in range(START_ATTEMPTS):
        port = free_port()
        child = Child(name, command(port), **options)
        if child.await_ready(lambda: listens(port)):
            child.port = port
            return child
        Child.running.remove(child)
    raise AssertionError(f"{name} did not start:\n{child.log()}")
