"""Grafana's own types accept each dashboard: no misspelt option, none that is missing."""

import json
import subprocess
from pathlib import Path

import pytest

import board

SCHEMA = Path(__file__).parent / "schema"


@pytest.fixture(scope="session")
def validate(work):
    """Installs the types once below target/, and checks a list of files with them."""
    folder = work / "node"
    folder.mkdir(parents=True, exist_ok=True)
    wanted = (SCHEMA / "package.json").read_text()
    if not (folder / "node_modules/@grafana").exists() or (folder / "package.json").read_text() != wanted:
        (folder / "package.json").write_text(wanted)
        subprocess.run(["npm", "install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts"], cwd=folder, check=True)

    def run(*files):
        command = ["node", SCHEMA / "validate.mjs", folder / "node_modules", *files]
        done = subprocess.run(command, capture_output=True, text=True)
        assert not done.stderr, done.stderr
        return done.stdout.splitlines()

    return run


def test_the_dashboards_are_what_grafana_expects(validate):
    assert validate(*(board.FOLDER / f"{name}.json" for name in board.NAMES)) == []


def test_a_misspelt_key_is_found_wherever_it_stands(validate, tmp_path):
    dashboard = board.load("edge")
    panel = board.panels(dashboard)[1]
    panel["optons"] = {}
    panel["options"]["graphMod"] = "area"
    panel["gridPos"]["width"] = 3
    dashboard["graphTooltp"] = 1
    (tmp_path / "edge.json").write_text(json.dumps(dashboard))
    found = "\n".join(validate(tmp_path / "edge.json"))
    for key in ("optons", "graphMod", "width", "graphTooltp"):
        assert f"`{key}`" in found
