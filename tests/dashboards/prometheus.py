"""A real Prometheus that scrapes the source, and its HTTP API."""

import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

import yaml

import board

NO_PROXY = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Refused(Exception):
    """Prometheus did not understand the question."""


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def wait_until(condition, what, seconds=20):
    """Polls; nothing here depends on how fast the machine is, only the deadline does."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.05)
    raise AssertionError(f"{what} did not happen within {seconds} s")


class Prometheus:
    """The configuration and the rules are those of dashboards/, but for the address and a scrape every second."""

    def __init__(self, folder, address):
        self.folder = Path(folder)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        config = yaml.safe_load((board.FOLDER / "prometheus.yml").read_text())
        config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
        config["scrape_configs"][0]["static_configs"] = [{"targets": [address]}]
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "prometheus.yml").write_text(yaml.safe_dump(config))
        shutil.copy(board.FOLDER / "alerts.yml", self.folder / "alerts.yml")
        self.log = (self.folder / "prometheus.log").open("w")
        self.process = subprocess.Popen(
            [
                shutil.which("prometheus"),
                f"--config.file={self.folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={self.folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{self.port}",
            ],
            stderr=self.log,
            stdout=self.log,
        )
        wait_until(self._ready, "Prometheus was ready")

    def _ready(self):
        try:
            return self._get("/-/ready", {}).startswith(b"Prometheus")
        except OSError:
            return False

    def stop(self):
        self.process.terminate()
        self.process.wait(20)
        self.log.close()

    def _get(self, path, parameters):
        return NO_PROXY.open(f"{self.url}{path}?{urllib.parse.urlencode(parameters)}", timeout=20).read()

    def api(self, path, **parameters):
        try:
            answer = json.loads(self._get(f"/api/v1/{path}", parameters))
        except urllib.error.HTTPError as error:
            raise Refused(json.loads(error.read())["error"]) from None
        assert not answer.get("warnings"), answer["warnings"]
        return answer["data"]

    def instant(self, expr, at=None):
        return self.api("query", query=expr, **({"time": at} if at else {}))["result"]

    def range(self, expr, start, end, step=1):
        return self.api("query_range", query=expr, start=start, end=end, step=step)["result"]

    def label_values(self, label, selector):
        return self.api(f"label/{label}/values", **{"match[]": selector})
