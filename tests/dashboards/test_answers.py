"""Every query of every dashboard, asked of a real Prometheus after the scenario, answers with numbers."""

import math
import re

import pytest

import board
import contract
import promql

BOARDS = [board.load(name) for name in board.NAMES]
QUERIES = [(dashboard["uid"], query) for dashboard in BOARDS for query in board.panel_queries(dashboard)]
ANNOTATIONS = [(dashboard["uid"], query) for dashboard in BOARDS for query in board.annotation_queries(dashboard)]
VARIABLES = [(dashboard["uid"], variable) for dashboard in BOARDS for variable in board.variables(dashboard).values() if variable["type"] == "query"]

# A panel of counts is 0 when there is nothing; that it can be more is asked of the part before.
OR_NOUGHT = " or vector(0)"


# Exported only where there is a fleet; tests/fleet/run has one.
OF_FLEETS = {contract.PREFIX + name for name in contract.AT_TIMES if name.startswith("fleet_")}


def finite(results):
    samples = [sample for result in results for sample in result.get("values", [result.get("value")])]
    return [float(value) for _, value in samples if math.isfinite(float(value))]


@pytest.mark.parametrize("uid, query", QUERIES, ids=[query.place for _, query in QUERIES])
def test_panel_has_data(world, uid, query):
    values = world.values(uid)
    results = world.ask(query, values)
    if query.expr.endswith(OR_NOUGHT) and "stage=" not in query.expr:
        results = world.prometheus.range(world.fill(query.expr.removesuffix(OR_NOUGHT), values), world.start, world.end)
    if not results and set(promql.metric_names(query.expr)) <= OF_FLEETS:
        pytest.skip("the scenario has one instance, and no fleet")
    assert results, "no series"
    assert finite(results), f"no finite sample in {results[:2]}"
    for label in re.findall(r"{{(\w+)}}", query.legend):
        assert all(label in result["metric"] for result in results), f"the legend asks for `{label}`, which is not there"
    names = [re.sub(r"{{(\w+)}}", lambda found: result["metric"][found[1]], query.legend) for result in results]
    assert query.table or len(names) == len(set(names)), f"two series are called the same: {names}"


@pytest.mark.parametrize("uid, query", ANNOTATIONS, ids=[query.place for _, query in ANNOTATIONS])
def test_annotation_marks_its_moment_once(world, uid, query):
    # On the Route dashboard the marks are those of its route: here of the one that moved.
    values = dict(board.ALL, route="search") if uid == "multilith-route" else board.ALL
    if "start_time" in query.expr:
        assert world.ask(query, values) == [], "the program was not started again"
        return
    (mark,) = world.ask(query, values)
    assert len(mark["values"]) == 1
    for label in re.findall(r"{{(\w+)}}", query.legend):
        assert label in mark["metric"]


@pytest.mark.parametrize("uid, variable", VARIABLES, ids=[f"{uid} ${variable['name']}" for uid, variable in VARIABLES])
def test_variable_offers_something(world, uid, variable):
    selector, label = board.label_values(variable["query"]["query"])
    assert world.prometheus.label_values(label, world.fill(selector, board.ALL))


@pytest.mark.parametrize("uid, query", QUERIES, ids=[query.place for _, query in QUERIES])
def test_a_single_instance_that_does_not_exist_shows_nothing(world, uid, query):
    """So that no query forgets the variable."""
    if "ALERTS" in query.expr:
        return
    expr = query.expr.removesuffix(OR_NOUGHT)
    nobody = board.Query(query.place, expr, query.legend, query.table, query.instant)
    assert not finite(world.ask(nobody, dict(world.values(uid), instance="nobody")))
