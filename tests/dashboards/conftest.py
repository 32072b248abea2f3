"""One Prometheus and one source for the whole run; the story is lived through once."""

import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

import board
import prometheus
import scenario
from sources import proxy, standin

ROOT = Path(__file__).resolve().parents[2]
WORK = ROOT / "target" / "dashboards"


@dataclass
class World:
    """What is there to ask once the scenario is over."""

    prometheus: prometheus.Prometheus
    source: object
    start: float
    end: float

    def values(self, dashboard):
        """The variables as someone sets them: everything, and on the Route dashboard the troubled route."""
        return dict(board.ALL, route=scenario.TROUBLED) if dashboard == "multilith-route" else board.ALL

    @property
    def step(self):
        """Seconds between two samples: as in Grafana, a longer time has wider ones."""
        return max(1, round((self.end - self.start) / 150))

    def fill(self, expr, values):
        # Grafana: four times the scrape interval (here one second), or one interval and a scrape.
        interval = max(4, self.step + 1)
        return board.fill(expr, values, interval=f"{interval}s", span=f"{int(self.end - self.start)}s", step=f"{self.step}s")

    def ask(self, query, values):
        """A query as its panel asks it: a table or an instant at the end, anything else over the whole time."""
        expr = self.fill(query.expr, values)
        if query.table or query.instant:
            return self.prometheus.instant(expr, self.end)
        return self.prometheus.range(expr, self.start, self.end, self.step)


def make_source(folder):
    name = os.environ.get("MULTILITH_SOURCE", "proxy")
    return {"standin": standin.Standin, "proxy": proxy.Proxy}[name](folder)


@pytest.fixture(scope="session")
def work():
    """Where everything that is made goes: never into the source tree."""
    return WORK


@pytest.fixture(scope="session")
def world(work):
    folder = work / "run"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    source = make_source(folder)
    server = prometheus.Prometheus(folder / "prometheus", source.address)
    try:
        prometheus.wait_until(lambda: server.instant("multilith_build_info"), "the first scrape")
        start = time.time()
        yield World(server, source, start, source.play())
    finally:
        server.stop()
        source.stop()
