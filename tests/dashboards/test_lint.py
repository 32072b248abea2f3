"""Each dashboard is one that people can use anywhere: no fixed data source, everything named, described and with a unit."""

import re

import pytest

import board
import contract
import promql

BOARDS = [board.load(name) for name in board.NAMES]
EVERY = pytest.mark.parametrize("dashboard", BOARDS, ids=board.NAMES)
PANELS = pytest.mark.parametrize(
    "dashboard, panel",
    [(dashboard, panel) for dashboard in BOARDS for panel in board.panels(dashboard)],
    ids=[f"{dashboard['uid']} · {panel['title']}" for dashboard in BOARDS for panel in board.panels(dashboard)],
)
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}


@EVERY
def test_has_a_stable_identity_and_cannot_be_edited_away(dashboard):
    assert re.fullmatch(r"multilith-[a-z]+", dashboard["uid"])
    assert dashboard["schemaVersion"] == 39
    assert dashboard["editable"] is False
    assert dashboard["tags"] == ["multilith"]
    assert dashboard["description"]
    assert "id" not in dashboard and "__inputs" not in dashboard
    assert len({each["uid"] for each in BOARDS}) == len(BOARDS)


@EVERY
def test_has_the_three_variables(dashboard):
    variables = board.variables(dashboard)
    assert list(variables) == ["datasource", "instance", "route"]
    assert variables["datasource"]["type"] == "datasource"
    for name in ("instance", "route"):
        assert variables[name]["datasource"] == DATASOURCE
        assert variables[name]["refresh"] == 2, "asked again when the time changes"
        assert variables[name]["description"]
    for variable in variables.values():
        if variable["includeAll"]:
            assert variable["allValue"] == ".+"


@EVERY
def test_links_to_the_others_and_keeps_time_and_variables(dashboard):
    (link,) = dashboard["links"]
    assert link["tags"] == ["multilith"] and link["includeVars"] and link["keepTime"]


@EVERY
def test_every_link_to_a_dashboard_leads_to_one_that_exists(dashboard):
    for uid in re.findall(r"/d/([\w-]+)/", str(dashboard)):
        assert uid in {each["uid"] for each in BOARDS}


@EVERY
def test_panels_have_their_own_ids_and_do_not_overlap(dashboard):
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(ids) == len(set(ids))
    taken = {}
    for panel in dashboard["panels"]:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24, panel["title"]
        for cell in ((x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])):
            assert cell not in taken, f"`{panel['title']}` lies over `{taken.get(cell)}`"
            taken[cell] = panel["title"]


@EVERY
def test_has_annotations_for_moves_and_new_configurations(dashboard):
    metrics = {name for query in board.annotation_queries(dashboard) for name in promql.metric_names(board.fill(query.expr, board.ALL))}
    assert {"multilith_moves_total", "multilith_config_generation"} <= metrics
    assert all(annotation["datasource"] == DATASOURCE for annotation in dashboard["annotations"]["list"])


@PANELS
def test_panel_says_what_it_shows(dashboard, panel):
    assert panel["title"]
    assert len(panel["description"]) > 20 and panel["description"].endswith((".", "%."))
    assert panel["fieldConfig"]["defaults"]["unit"]
    assert panel["fieldConfig"]["defaults"]["thresholds"]["steps"][0]["value"] is None


@PANELS
def test_panel_asks_the_chosen_data_source(dashboard, panel):
    assert panel["datasource"] == DATASOURCE
    assert panel["targets"]
    assert all(target["datasource"] == DATASOURCE for target in panel["targets"])
    assert [target["refId"] for target in panel["targets"]] == [chr(65 + i) for i in range(len(panel["targets"]))]


@PANELS
def test_series_have_a_legend(dashboard, panel):
    for target in panel["targets"]:
        assert target.get("format") == "table" or target["legendFormat"], target["expr"]


@PANELS
def test_queries_keep_to_the_chosen_instances_and_routes(dashboard, panel):
    for target in panel["targets"]:
        for selector in promql.selectors(board.fill(target["expr"], {"instance": "INSTANCE", "route": "ROUTE"})):
            asked = {(label, value) for label, _, value in selector.matchers}
            for name in selector.names:
                if not name.startswith(contract.PREFIX):
                    continue
                assert ("instance", "INSTANCE") in asked, f"{name} of every instance: {target['expr']}"
                by_route = "route" in contract.labels_of(name)
                assert not by_route or any(label == "route" for label, _ in asked), f"{name} of every route: {target['expr']}"


@PANELS
def test_counters_are_rates_and_rates_suit_the_zoom(dashboard, panel):
    for target in panel["targets"]:
        assert not promql.unguarded_counters(board.fill(target["expr"], board.ALL)), target["expr"]
        # A label's value may have brackets of its own.
        for window in re.findall(r"\[(.+?)\]", re.sub(r'"[^"]*"', '""', target["expr"])):
            assert window in ("$__rate_interval", "$__range", "5m"), window


@PANELS
def test_table_columns_exist(dashboard, panel):
    """A column that is renamed, hidden or coloured but never comes would fail without a word."""
    if panel["type"] != "table":
        return
    organize = panel["transformations"][-1]["options"]
    values = {f"Value #{target['refId']}" for target in panel["targets"]} if len(panel["targets"]) > 1 else {"Value"}
    named = set(organize["indexByName"]) | set(organize["renameByName"]) | set(organize["excludeByName"])
    assert {name for name in named if name.startswith("Value")} <= values
    shown = {organize["renameByName"].get(name, name) for name in organize["indexByName"]}
    assert {override["matcher"]["options"] for override in panel["fieldConfig"]["overrides"]} <= shown


@PANELS
def test_a_route_has_one_colour_in_all_panels(dashboard, panel):
    if panel["type"] == "timeseries" and any(target["legendFormat"] == "{{route}}" for target in panel["targets"]):
        assert panel["fieldConfig"]["defaults"]["color"]["mode"] == "palette-classic-by-name"


@PANELS
def test_a_sample_without_neighbours_is_a_point(dashboard, panel):
    """With little traffic a share has gaps on both sides; a line alone would not show it."""
    if panel["type"] == "timeseries" and panel["fieldConfig"]["defaults"]["custom"]["drawStyle"] == "line":
        assert panel["fieldConfig"]["defaults"]["custom"]["showPoints"] == "auto"
