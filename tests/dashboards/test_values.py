"""Where the traffic is known, the panels show the right numbers."""

import pytest

import board
import scenario


@pytest.fixture
def panel(world):
    """The last value of each series of a panel, by its legend or, in a table, by its labels."""

    def read(name, title, ref="A", route=None):
        dashboard = board.load(name)
        (query,) = [q for q in board.panel_queries(dashboard) if q.place == f"{dashboard['uid']} · {title} · {ref}"]
        values = dict(board.ALL, route=route) if route else board.ALL
        results = world.prometheus.instant(world.fill(query.expr, values), world.end)
        return results, query

    return read


@pytest.fixture
def value(panel):
    def read(name, title, ref="A", route=None, **labels):
        results, _ = panel(name, title, ref, route)
        (one,) = [r for r in results if all(r["metric"].get(k) == v for k, v in labels.items())]
        return float(one["value"][1])

    return read


def test_a_split_of_thirty_percent_shows_thirty_percent(value):
    title = "Share of the service, wanted | measured"
    assert value("route", title, "A", "users") == scenario.USERS_WEIGHT
    assert value("route", title, "B", "users") == pytest.approx(scenario.USERS_WEIGHT, abs=0.03)


def test_variants_get_half_each(world, panel):
    _, query = panel("route", "Share of the service, wanted and measured", "A")
    assert "rate" in query.expr
    expr = world.fill(query.expr.replace("$__rate_interval", "5m"), dict(board.ALL, route="checkout"))
    shares = {r["metric"]["side"]: float(r["value"][1]) for r in world.prometheus.instant(expr, world.end)}
    assert shares.pop("monolith", 0) == 0
    assert shares == {variant: pytest.approx(0.5, abs=0.04) for variant in scenario.VARIANTS}


def test_the_board_shows_each_route_in_its_stage(panel):
    results, _ = panel("migration", "Routes", "A")
    stages = {r["metric"]["route"]: r["metric"]["stage"] for r in results}
    assert stages == scenario.STAGES_AT_THE_END | {"unmatched": "monolith"}


def test_what_no_route_takes_is_not_counted_as_a_route(world, panel):
    results, _ = panel("migration", "Routes in each stage", "A")
    assert [float(r["value"][1]) for r in results] == [1]


def test_the_board_shows_whose_errors_they_are(value):
    assert value("migration", "Routes", "E", route="account") == pytest.approx(scenario.MONOLITH_ERRORS_OF_ACCOUNT, abs=0.01)
    assert value("migration", "Routes", "D", route="reports") == pytest.approx(scenario.SERVICE_ERRORS_OF_REPORTS, abs=0.01)
    assert value("migration", "Routes", "D", route="users") == 0


def test_mismatch_is_the_share_of_decided_comparisons(value):
    assert value("migration", "Routes", "H", route="search") == pytest.approx(scenario.MISMATCH_OF_SEARCH, abs=0.025)
    assert value("migration", "Routes", "H", route="catalog") == 0


def test_progress_by_routes_counts_migrated_and_retired(value):
    assert value("migration", "Migrated, by routes") == pytest.approx(scenario.PROGRESS_BY_ROUTES)


def test_progress_by_requests_is_what_the_monolith_did_not_answer(world, value):
    answers = world.prometheus.instant('sum by (side) (multilith_requests_total{side!="none"})', world.end)
    count = {r["metric"]["side"]: float(r["value"][1]) for r in answers}
    by_monolith = sum(count[side] for side in scenario.ANSWERED_BY_THE_MONOLITH)
    assert value("migration", "Migrated, by requests") == pytest.approx(1 - by_monolith / sum(count.values()), abs=0.02)


def test_the_troubled_routes_are_counted(value):
    # orders (its breaker), search (its mismatches), reports has no monolith to be compared with
    assert value("migration", "Routes in trouble") == 2


def test_the_timeline_names_the_stage_before_and_after_the_move(world, panel):
    _, query = panel("migration", "Stage of each route")
    (search,) = world.prometheus.range(world.fill(query.expr, dict(board.ALL, route="search")), world.start, world.end)
    numbers = [int(value) for _, value in search["values"]]
    assert (numbers[0], numbers[-1]) == (1, 2) and numbers == sorted(numbers)


def test_an_open_breaker_shows(value):
    assert value("route", "Breaker", route="orders") == 1
    assert value("route", "Breaker", route="users") == 0


def test_a_slower_service_shows_as_slower(value):
    assert value("route", "Service p99 less monolith's", route="users") > 0


def test_the_fields_that_differ_are_named(panel):
    results, _ = panel("route", "Fields that differ", "A", route="search")
    assert "$.total" in {r["metric"]["field"] for r in results}


def test_one_reload_was_applied_and_one_refused(world):
    counts = world.prometheus.instant("multilith_config_reloads_total", world.end)
    assert {r["metric"]["result"]: float(r["value"][1]) for r in counts if r["metric"]["result"] != "unchanged"} == {"applied": 1, "refused": 1}


def test_the_refused_reload_is_an_alert_on_the_edge_dashboard(panel):
    results, _ = panel("edge", "Alerts firing")
    assert "MultilithReloadRefused" in {r["metric"]["alertname"] for r in results}


def test_a_route_without_a_fallback_has_neither_fallbacks_nor_a_breaker(panel):
    for ref in ("I", "J"):
        results, _ = panel("migration", "Routes", ref)
        assert {r["metric"]["route"] for r in results} == {"orders", "users"}


def test_a_wait_for_the_service_is_not_the_monoliths_time(world):
    """What fell back is counted among the service's times, whoever answered it."""

    def number(expr):
        (result,) = world.prometheus.instant(f"sum({expr})", world.end)
        return float(result["value"][1])

    fell = number('multilith_fallbacks_total{route="orders", reason!="breaker_open"}')
    answered = number('multilith_requests_total{route="orders", side="service"}')
    assert fell > 0
    assert number('multilith_request_duration_seconds_count{route="orders", side="service"}') == pytest.approx(answered + fell, abs=2)
