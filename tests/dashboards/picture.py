"""Draws a dashboard: asks its queries, puts the answers into a page of our own, and photographs that in headless Chromium."""

import json
import subprocess
from pathlib import Path

import board

PAGE = Path(__file__).parent / "page"
SCRIPTS = ("format.js", "series.js", "table.js", "draw.js")
WIDTH, CELL, AROUND = 1500, 38, 92  # pixels: the page, one row of Grafana's grid, head and foot


def gather(world, dashboard):
    """All that the page needs: the dashboard, an answer for each target of each panel, and the moments that are marked."""
    values = world.values(dashboard["uid"])
    answers = {}
    for panel in board.panels(dashboard):
        queries = board.panel_queries({**dashboard, "panels": [panel]})
        answers[panel["id"]] = [world.ask(query, values) for query in queries]
    annotations = []
    for annotation, query in zip(dashboard["annotations"]["list"], board.annotation_queries(dashboard)):
        for mark in world.ask(query, dict(values, route=".+")):
            annotations.append({"at": mark["values"][0][0], "color": annotation["iconColor"]})
    time = {"start": world.start, "end": world.end, "step": world.step}
    return {"dashboard": dashboard, "answers": answers, "annotations": annotations, "time": time, "variables": values}


def page(data):
    height = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in data["dashboard"]["panels"]) * CELL
    html = (PAGE / "page.html").read_text().replace("BOARD_HEIGHT", str(height))
    html = html.replace("SCRIPTS", "\n".join((PAGE / script).read_text() for script in SCRIPTS))
    return html.replace("DATA", json.dumps(data).replace("</", "<\\/"), 1), height + AROUND


def photograph(html, height, folder, name):
    source, target = folder / f"{name}.html", folder / f"{name}.png"
    source.write_text(html)
    target.unlink(missing_ok=True)
    done = subprocess.run(
        [
            "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--force-device-scale-factor=1",
            "--enable-logging=stderr", "--log-level=0", f"--user-data-dir={folder / 'chromium'}",
            f"--window-size={WIDTH},{height}", f"--screenshot={target}", source.as_uri(),
        ],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    complaints = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    assert not complaints, complaints
    assert target.exists(), done.stderr
    return target
