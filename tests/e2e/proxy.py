"""The proxy under test: a child process with its own routes.toml, and the questions one can ask it."""

import os
import signal
import tempfile
from pathlib import Path

import requests
from children import LOG_TAIL, START_ATTEMPTS, Child, eventually, free_port

BINARY = os.environ["MULTILITH_BIN"]

SERVER = """\
[server]
listen    = ["127.0.0.1:{port}"]
admin     = "127.0.0.1:{admin}"
state_dir = "{folder}/state"
{lines}
"""
# A whole file for a test that starts the program by itself.
FILE = (
    SERVER
    + """
[monolith]
url = "http://127.0.0.1:{monolith}"
"""
)
TLS = """\
[server.tls]
listen       = ["127.0.0.1:{port}"]
certificates = [{{ cert = "{pair.cert}", key = "{pair.key}" }}]
"""


class Proxy:
    """`tables` is routes.toml without `[server]`; `server` holds more lines for that table.

    With `tls`, a pair of certificate and key, it listens for TLS too, at `tls_port`.
    """

    def __init__(self, tables, server="", tls=None):
        self._folder = tempfile.TemporaryDirectory(prefix="multilith-e2e-")
        self.file = Path(self._folder.name) / "routes.toml"
        for _ in range(START_ATTEMPTS):
            self.port, self.admin_port = free_port(), free_port()
            self.head = SERVER.format(port=self.port, admin=self.admin_port, folder=self._folder.name, lines=server)
            if tls:
                self.tls_port = free_port()
                self.head += TLS.format(port=self.tls_port, pair=tls)
            self.file.write_text(self.head + tables)
            self.child = Child("multilith", [BINARY, "run", "-c", self.file], env={"NO_COLOR": "1"})
            if self.child.await_ready(self.ready):
                return
            Child.running.remove(self.child)
            assert "cannot listen on" in self.child.log(), f"multilith did not start:\n{self.child.log()}"
        raise AssertionError(f"no free port in {START_ATTEMPTS} attempts")

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    @property
    def tls_url(self):
        return f"https://127.0.0.1:{self.tls_port}"

    # -- the admin listener

    def admin(self, path, method="GET"):
        return requests.request(method, f"http://127.0.0.1:{self.admin_port}{path}", timeout=10)

    def ready(self):
        try:
            return self.admin("/readyz").status_code == 200
        except requests.ConnectionError:
            return False

    def json(self, path):
        """What the admin listener answers to a GET."""
        response = self.admin(path)
        assert response.status_code == 200, f"{path}: {response.status_code} {response.text}"
        return response.json()

    def generation(self):
        return self.json("/api/v1/config")["generation"]

    def metrics(self):
        return self.admin("/metrics").text

    # -- the file

    def write(self, text):
        """Replaces the whole file by a rename, and does not wait."""
        beside = self.file.with_name("routes.toml.new")
        beside.write_text(text)
        beside.rename(self.file)

    def append(self, lines):
        """Adds lines at the end, as with an editor or `cat >>`, and does not wait."""
        with self.file.open("a") as file:
            file.write(lines)

    def tables(self, tables):
        """The text of a file with these tables behind this proxy's `[server]`."""
        return self.head + tables

    def await_generation_after(self, generation):
        return eventually("a newer file in force", lambda: self.generation() > generation)

    def reload(self, tables):
        """Puts these tables in force and waits until they are."""
        before = self.generation()
        self.write(self.tables(tables))
        self.await_generation_after(before)

    # -- the process

    def log(self):
        return self.child.log()

    def hangup(self):
        self.child.signal(signal.SIGHUP)

    def stop(self):
        """Ends it with SIGTERM: the exit code must be 0."""
        code = self.child.stop()
        self._folder.cleanup()
        assert code == 0, f"multilith ended with {code}:\n{self.child.log()[-LOG_TAIL:]}"
