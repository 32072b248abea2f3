"""The dashboards and alerts use what the program exports, all of it, and nothing else."""

import re

import pytest
import yaml

import board
import contract
import promql

ALERTS = yaml.safe_load((board.FOLDER / "alerts.yml").read_text())
RULES = [rule for group in ALERTS["groups"] for rule in group["rules"]]
RECORDED = {rule["record"] for rule in RULES if "record" in rule}


def every_expression():
    for name in board.NAMES:
        dashboard = board.load(name)
        for query in (*board.panel_queries(dashboard), *board.annotation_queries(dashboard)):
            yield query.place, board.fill(query.expr, board.ALL)
        for variable in board.variables(dashboard).values():
            if variable["type"] == "query":
                selector, _ = board.label_values(variable["definition"])
                yield f"{name} · ${variable['name']}", board.fill(selector, board.ALL)
    for rule in RULES:
        yield rule.get("alert") or rule["record"], rule["expr"]


EXPRESSIONS = list(every_expression())
EVERY = pytest.mark.parametrize("place, expr", EXPRESSIONS, ids=[place for place, _ in EXPRESSIONS])


@EVERY
def test_metrics_labels_and_values_exist(place, expr):
    problems = check(expr)
    assert not problems, "\n".join(problems)


def check(expr):
    problems = []
    for selector in promql.selectors(expr):
        for name in selector.names:
            if name in RECORDED:
                continue
            labels = contract.labels_of(name)
            if labels is None:
                problems.append(f"no metric `{name}`")
                continue
            for label, operator, value in selector.matchers:
                closed = contract.closed_values(name, label)
                if label not in labels:
                    problems.append(f"`{name}` has no label `{label}`")
                elif closed and operator in ("Equal", "NotEqual") and value not in closed:
                    problems.append(f"`{label}` of `{name}` is never `{value}`")
                elif closed and label != "route" and value != ".+" and not set(value.split("|")) <= closed:
                    problems.append(f"`{label}` of `{name}` is never `{value}`")
    for labels, names in promql.grouping_labels(expr):
        known = set().union(*(contract.labels_of(name) or set() for name in names), {"le"})
        if not names & RECORDED and not labels <= known:
            problems.append(f"no label {labels - known} on {names}")
    return problems


@pytest.mark.parametrize(
    "expr",
    [
        "rate(multilith_request_total[5m])",
        'rate(multilith_requests_total{upstream="users"}[5m])',
        'multilith_route_stage{stage="legacy"}',
        'rate(multilith_comparisons_total{verdict=~"match|differs"}[5m])',
        "sum by (service) (multilith_breaker_open)",
        "multilith_breaker_open * on (upstream) multilith_discovery_up + on (colour) multilith_breaker_open",
        "rate(multilith_request_duration_seconds[5m])",
        "multilith_gate_verdict_total",
    ],
)
def test_the_check_finds_what_does_not_exist(expr):
    assert check(expr)


def test_every_exported_metric_is_watched():
    used = {name for _, expr in EXPRESSIONS for name in promql.metric_names(expr)}
    used = {re.sub("_(bucket|sum|count)$", "", name) for name in used}
    idle = {contract.PREFIX + name for name in contract.METRICS} - used
    assert idle == {contract.PREFIX + name for name in contract.UNUSED}


def test_every_metric_is_on_a_dashboard_not_in_an_alert_alone():
    """Someone woken by an alert wants to see the number over time."""
    on_boards = {name for place, expr in EXPRESSIONS if " · " in place for name in promql.metric_names(expr)}
    in_alerts = {name for rule in RULES for name in promql.metric_names(rule["expr"])} - RECORDED
    assert in_alerts <= on_boards


def test_the_source_exports_the_contract_and_nothing_more(world):
    exported = {}
    for metadata in world.prometheus.api("targets/metadata"):
        exported[metadata["metric"]] = metadata["type"]
    exported = {name.removeprefix(contract.PREFIX): kind for name, kind in exported.items() if name.startswith(contract.PREFIX)}
    # A client that speaks OpenMetrics names a counter's family without `_total`.
    exported = {name if name in contract.METRICS else f"{name}_total": kind for name, kind in exported.items()}
    expected = {name: kind for name, (kind, _) in contract.METRICS.items() if name in exported or name not in contract.AT_TIMES}
    assert exported == expected


@pytest.mark.parametrize("name", contract.METRICS)
def test_the_series_carry_the_labels_of_the_contract(world, name):
    kind, labels = contract.METRICS[name]
    series = world.prometheus.instant(contract.PREFIX + name + ("_count" if kind == "histogram" else ""), world.end)
    if not series and name in contract.AT_TIMES:
        pytest.skip(contract.AT_TIMES[name])
    assert series, f"the scenario brings no `{name}`"
    for each in series:
        carried = set(each["metric"]) - {"__name__"} - contract.SCRAPE_LABELS
        assert carried == set(labels)
        for label, closed in labels.items():
            assert closed is None or each["metric"][label] in closed, each["metric"]


@pytest.mark.parametrize("rule", [rule for rule in RULES if "alert" in rule], ids=lambda rule: rule["alert"])
def test_alerts_say_what_to_do_and_where_to_look(rule):
    assert rule["alert"].startswith("Multilith")
    assert rule["labels"]["severity"] in ("page", "ticket")
    assert rule["annotations"]["summary"] and rule["annotations"]["description"]
    uid = re.match(r"/d/([\w-]+)/", rule["annotations"]["dashboard"])[1]
    assert uid in {board.load(name)["uid"] for name in board.NAMES}
