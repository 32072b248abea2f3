"""Reads the dashboards: their panels, queries, variables and annotations, with the variables filled in as Grafana does."""

import json
import re
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[2] / "dashboards"
NAMES = ("migration", "route", "edge")


@dataclass(frozen=True)
class Query:
    """One question to Prometheus, and where it stands."""

    place: str
    expr: str
    legend: str = ""
    table: bool = False
    instant: bool = False


def load(name):
    return json.loads((FOLDER / f"{name}.json").read_text())


def panels(board):
    """Every panel that shows something; rows are only headings."""
    return [panel for panel in board["panels"] if panel["type"] != "row"]


def variables(board):
    return {variable["name"]: variable for variable in board["templating"]["list"]}


def panel_queries(board):
    for panel in panels(board):
        for target in panel["targets"]:
            yield Query(
                place=f"{board['uid']} · {panel['title']} · {target['refId']}",
                expr=target["expr"],
                legend=target.get("legendFormat", ""),
                table=target.get("format") == "table",
                instant=target.get("instant", False),
            )


def annotation_queries(board):
    for annotation in board["annotations"]["list"]:
        yield Query(place=f"{board['uid']} · annotation {annotation['name']}", expr=annotation["expr"], legend=annotation["titleFormat"])


def label_values(query):
    """`label_values(selector, label)` as its two parts."""
    selector, label = re.fullmatch(r"label_values\((.+),\s*(\w+)\)", query).groups()
    return selector, label


def fill(expr, values, interval="4s", span="60s", step="1s"):
    """Puts the variables in; one that is not known stays, and Prometheus then refuses the query."""
    known = {"__rate_interval": interval, "__interval": step, "__range": span, **values}
    return re.sub(r"\$\{?(\w+)(?::\w+)?\}?", lambda found: known.get(found[1], found[0]), expr)


ALL = {"instance": ".+", "route": ".+", "datasource": "prometheus"}
