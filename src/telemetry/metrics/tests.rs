//! The page as Prometheus reads it.

use std::time::Duration;

use http::Method;

use promtool::promtool;

use super::*;
use crate::migration::Stage;

mod promtool;

fn labels(route: &str, stage: Stage, service: f64) -> RouteLabels<'_> {
    let sides = vec![
        WantedShare { side: "monolith", upstream: "monolith", ratio: 1.0 - service },
        WantedShare { side: "service", upstream: "users", ratio: service },
    ];
    RouteLabels { route, stage, sides }
}

fn metrics() -> Arc<Meters> {
    Meters::new(&DEFAULT_BUCKETS).unwrap()
}

fn page(metrics: &Meters) -> String {
    String::from_utf8(metrics.encode().0).unwrap()
}

/// The value of one series; the line begins with this text.
fn value(metrics: &Meters, series: &str) -> Option<f64> {
    page(metrics).lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
}

fn series(metrics: &Meters) -> usize {
    page(metrics).lines().filter(|line| line.starts_with("multilith_")).count()
}

/// One of everything that can be counted.
fn busy() -> Arc<Meters> {
    let metrics = metrics();
    let route = metrics.route(&labels("read-user", Stage::Canary, 0.1));
    metrics.route(&labels(UNMATCHED, Stage::Monolith, 0.0));
    route.request(0, 0, &Method::GET, 200, 0.02);
    route.request(1, 1, &Method::POST, 503, 1.5);
    route.request(None, None, &Method::GET, 431, 0.0001);
    route.upstream_seconds(0, 0.01);
    route.fallback("connect");
    route.upstream_error(1, "reset");
    route.client_abort();
    route.has_breaker(true);
    route.breaker_open(true);
    route.shadow_sent("answered", 0.03);
    route.shadow_skipped("queue_full");
    route.comparison("mismatch");
    route.comparison_field("$.user.\"odd\\name\"\n", FieldKind::Raw);
    let edge = metrics.edge();
    edge.refused("path");
    edge.connections("0.0.0.0:8080").inc();
    edge.retry("users", "connect");
    edge.upstream("users").set_endpoints(EndpointCounts { healthy: 2, unhealthy: 1, ..EndpointCounts::default() });
    edge.upstream("users").set_discovery_up(true);
    edge.monolith_only(true);
    edge.config_in_force(3, 1.7e9);
    edge.config_reload("applied");
    edge.log_lines_dropped(2);
    metrics
}

#[test]
fn promtool_finds_nothing_to_complain_about() {
    let metrics = busy();
    metrics.route(&labels("read-user", Stage::Migrated, 1.0));
    metrics.retain(|_| true, |_| true, "file");
    let Some((output, said)) = promtool(&metrics.encode().0) else { return };
    // The process collector of the prometheus crate, not ours, has gauges without a help text to argue about.
    let ours: Vec<&str> = said.lines().filter(|line| line.contains("multilith_")).collect();
    assert!(ours.is_empty() && output.status.code().is_some_and(|code| code != 1), "{said}");
}

#[test]
fn every_metric_of_the_contract_is_on_the_page() {
    let metrics = busy();
    metrics.route(&labels("read-user", Stage::Migrated, 1.0));
    metrics.retain(|_| true, |_| true, "file");
    let page = page(&metrics);
    for name in [
        "requests_total{code=\"200\",method=\"GET\",route=\"read-user\",side=\"monolith\",stage=\"canary\"} 1",
        "requests_total{code=\"503\",method=\"POST\",route=\"read-user\",side=\"service\",stage=\"canary\"} 1",
        "requests_total{code=\"431\",method=\"GET\",route=\"read-user\",side=\"none\",stage=\"canary\"} 1",
        "request_duration_seconds_count{route=\"read-user\",side=\"monolith\"} 1",
        "upstream_duration_seconds_count{route=\"read-user\",upstream=\"monolith\"} 1",
        "requests_in_flight{side=\"service\"} 0",
        "fallbacks_total{reason=\"connect\",route=\"read-user\"} 1",
        "fallbacks_total{reason=\"timeout\",route=\"read-user\"} 0",
        "upstream_errors_total{kind=\"reset\",route=\"read-user\",side=\"service\"} 1",
        "retries_total{reason=\"connect\",upstream=\"users\"} 1",
        "refused_total{reason=\"path\"} 1",
        "client_aborts_total{route=\"read-user\"} 1",
        "connections{listener=\"0.0.0.0:8080\"} 1",
        "log_lines_dropped_total 2",
        "monolith_only 1",
        "breaker_open{route=\"read-user\"} 1",
        "shadow_requests_total{outcome=\"answered\",route=\"read-user\"} 1",
        "shadow_skipped_total{reason=\"queue_full\",route=\"read-user\"} 1",
        "shadow_duration_seconds_count{route=\"read-user\"} 1",
        "comparisons_total{route=\"read-user\",verdict=\"mismatch\"} 1",
        "comparison_fields_total{field=\"$.user.\\\"odd\\\\name\\\"\\n\",kind=\"raw\",route=\"read-user\"} 1",
        "route_stage{route=\"read-user\",stage=\"migrated\"} 1",
        "route_stage{route=\"read-user\",stage=\"canary\"} 0",
        "route_weight_ratio{route=\"read-user\",side=\"service\"} 1",
        "moves_total{by=\"file\",from=\"canary\",route=\"read-user\",to=\"migrated\"} 1",
        "migration_progress_ratio{by=\"routes\"} 1",
        "migration_progress_ratio{by=\"requests\"} 0.5",
        "upstream_endpoints{state=\"unhealthy\",upstream=\"users\"} 1",
        "discovery_up{upstream=\"users\"} 1",
        "config_generation 3",
        "config_last_reload_timestamp_seconds 1700000000",
        "config_reloads_total{result=\"applied\"} 1",
        "config_reloads_total{result=\"refused\"} 0",
    ] {
        let line = canonical(&format!("multilith_{name}"));
        assert!(page.lines().any(|there| canonical(there) == line), "{name} is not on the page:\n{page}");
    }
    assert!(page.contains("multilith_build_info{") && page.contains("process_resident_memory_bytes"));
}

/// The labels in alphabetical order; none of the values above holds `",`.
fn canonical(line: &str) -> String {
    let Some((name, rest)) = line.split_once('{') else { return line.to_owned() };
    let Some((labels, value)) = rest.rsplit_once('}') else { return line.to_owned() };
    let mut labels: Vec<&str> = labels.split("\",").map(|label| label.trim_end_matches('"')).collect();
    labels.sort_unstable();
    format!("{name}{{{}}}{value}", labels.join(","))
}

#[test]
fn a_route_that_stays_goes_on_counting_where_it_was() {
    let metrics = metrics();
    let before = metrics.route(&labels("a", Stage::Canary, 0.1));
    before.request(1, 1, &Method::GET, 200, 0.1);
    let after = metrics.route(&labels("a", Stage::Canary, 0.5));
    metrics.retain(|_| true, |_| true, "file");
    before.request(1, 1, &Method::GET, 200, 0.1);
    after.request(1, 1, &Method::GET, 200, 0.1);
    assert_eq!(after.summary(1, Instant::now(), HOUR).unwrap().requests, 3);
    let line = "multilith_requests_total{route=\"a\",side=\"service\",stage=\"canary\",method=\"GET\",code=\"200\"}";
    assert_eq!(value(&metrics, line), Some(3.0));
    assert_eq!(value(&metrics, "multilith_route_weight_ratio{route=\"a\",side=\"service\"}"), Some(0.5));
}

#[test]
fn a_route_that_is_gone_has_no_series_and_late_requests_bring_none_back() {
    let metrics = metrics();
    metrics.edge().upstream("users").retry("connect");
    let gone = metrics.route(&labels("gone", Stage::Canary, 0.1));
    let unmatched = metrics.route(&labels(UNMATCHED, Stage::Monolith, 0.0));
    unmatched.upstream_seconds(1, 0.1);
    gone.request(1, 1, &Method::GET, 200, 0.1);
    let in_flight = gone.in_flight(1);
    metrics.retain(|route| route != "gone", |upstream| upstream != "users", "file");
    gone.request(1, 1, &Method::GET, 200, 0.1);
    gone.fallback("connect");
    drop(in_flight);
    let page = page(&metrics);
    assert!(!page.contains("gone") && !page.contains("users"), "{page}");
    assert!(page.contains("route=\"unmatched\""), "the route of unmatched requests is always there");
}

#[test]
fn a_variant_that_is_gone_has_no_series() {
    let metrics = metrics();
    let split = |names: [&'static str; 2]| RouteLabels {
        route: "a",
        stage: Stage::Split,
        sides: names.map(|side| WantedShare { side, upstream: side, ratio: 0.5 }).to_vec(),
    };
    let first = metrics.route(&split(["blue", "green"]));
    metrics.retain(|_| true, |_| true, "file");
    first.request(0, 0, &Method::GET, 200, 0.1);
    metrics.route(&split(["blue", "red"]));
    metrics.retain(|_| true, |upstream| upstream != "green", "file");
    let page = page(&metrics);
    assert!(!page.contains("green") && page.contains("side=\"red\"") && page.contains("side=\"blue\""), "{page}");
}

#[test]
fn moves_are_counted_when_a_generation_takes_force_and_not_before() {
    let metrics = metrics();
    metrics.route(&labels("a", Stage::Shadow, 0.0));
    metrics.retain(|_| true, |_| true, "file");
    assert!(!page(&metrics).contains("multilith_moves_total{"), "the first file moves nothing");
    metrics.route(&labels("a", Stage::Canary, 0.1));
    assert_eq!(value(&metrics, "multilith_route_stage{route=\"a\",stage=\"shadow\"}"), Some(1.0));
    metrics.retain(|_| true, |_| true, "file");
    metrics.route(&labels("a", Stage::Canary, 0.2));
    let moves = metrics.retain(|_| true, |_| true, "file");
    let wanted = Moved { route: "a".into(), stage: (Stage::Canary, Stage::Canary), service: (Some(0.1), Some(0.2)) };
    assert_eq!(moves, [wanted]);
    metrics.route(&labels("a", Stage::Canary, 0.2));
    assert_eq!(metrics.retain(|_| true, |_| true, "file"), []);
    let count = |from: &str, to: &str| {
        value(&metrics, &format!("multilith_moves_total{{route=\"a\",from=\"{from}\",to=\"{to}\",by=\"file\"}}"))
    };
    assert_eq!((count("shadow", "canary"), count("canary", "canary")), (Some(1.0), Some(1.0)));
    assert_eq!(value(&metrics, "multilith_route_stage{route=\"a\",stage=\"canary\"}"), Some(1.0));
}

#[test]
fn no_request_can_make_more_series_than_the_configuration_allows() {
    let metrics = metrics();
    let route = metrics.route(&labels("a", Stage::Canary, 0.1));
    for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "BREW"] {
        route.request(0, 0, &Method::from_bytes(method.as_bytes()).unwrap(), 200, 0.1);
    }
    let before = series(&metrics);
    for n in 0..100_000_u32 {
        let method = Method::from_bytes(format!("METHOD{n}").as_bytes()).unwrap();
        route.request(0, 0, &method, 200, f64::from(n) / 1000.0);
    }
    assert_eq!(series(&metrics), before);
}

#[test]
fn a_route_without_a_fallback_has_no_series_of_a_breaker_or_of_fallbacks() {
    let metrics = metrics();
    let route = metrics.route(&labels("a", Stage::Migrated, 1.0));
    let has = |name: &str| page(&metrics).lines().any(|line| line.starts_with(&format!("multilith_{name}{{")));
    assert!(!has("breaker_open") && !has("fallbacks_total"));
    route.has_breaker(true);
    assert!(has("breaker_open") && has("fallbacks_total"), "a first fallback is a step from 0");
    route.has_breaker(false);
    route.fallback("connect");
    assert!(!has("breaker_open") && has("fallbacks_total"), "what was counted stays");
}

const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn a_side_is_summed_up_from_the_same_counts() {
    let metrics = metrics();
    let route = metrics.route(&labels("a", Stage::Canary, 0.1));
    let of = |side, now, window| route.summary(side, now, window).unwrap();
    let now = Instant::now();
    assert_eq!(of(1, now, HOUR), SideSummary::default());
    for status in [200, 404, 500, 503] {
        route.request(1, 1, &Method::GET, status, 0.08);
    }
    // Answered by the monolith after 1.5 s at the service, and by the monolith alone.
    route.fallback("timeout");
    route.request(0, 1, &Method::GET, 200, 1.5);
    route.fallback("breaker_open");
    route.request(0, 0, &Method::GET, 200, 0.001);
    let service = of(1, now, HOUR);
    assert_eq!((service.requests, service.errors), (5, 3), "a fallback is a request to the service, and its failure");
    assert!(service.p50.is_some_and(|p50| (0.05..=0.1).contains(&p50)), "{service:?}");
    assert!(service.p99.is_some_and(|p99| p99 > 1.2), "the wait for the service is the service's time: {service:?}");
    let monolith = of(0, now, HOUR);
    assert_eq!((monolith.requests, monolith.errors), (2, 0));
    assert!(monolith.p99.is_some_and(|p99| p99 <= 0.001), "{monolith:?}");
    let summary = route.route_summary(now, HOUR);
    assert_eq!((summary.fallbacks, summary.copies), (2, 0));
    assert_eq!(route.summary(7, now, HOUR), None);
}

#[test]
fn the_times_of_copies_are_a_line_of_their_own_and_no_look_counts_them_twice() {
    let metrics = metrics();
    let route = metrics.route(&labels("a", Stage::Shadow, 0.0));
    let now = Instant::now();
    for _ in 0..100 {
        route.shadow_sent("answered", 0.08);
    }
    metrics.tick(now);
    assert_eq!(route.route_summary(now, HOUR).copies, 100);
    metrics.tick(now + Duration::from_secs(60));
    let later = now + Duration::from_secs(61);
    let line = route.copies_p99_by_span(later, Duration::from_secs(60), 3);
    assert!(matches!(line[..], [None, Some(p99), None] if (0.05..=0.1).contains(&p99)), "{line:?}");
    assert_eq!(route.route_summary(later, HOUR).copies, 100);
}

#[test]
fn a_window_without_requests_has_no_percentile_and_the_totals_stay() {
    let metrics = metrics();
    let route = metrics.route(&labels("a", Stage::Canary, 0.1));
    route.request(1, 1, &Method::GET, 500, 0.08);
    route.shadow_sent("connect", 0.01);
    let now = Instant::now();
    assert_eq!(route.summary(1, now, HOUR).unwrap().requests, 1);
    let later = now + Duration::from_secs(301);
    let service = route.summary(1, later, Duration::from_secs(300)).unwrap();
    assert_eq!((service.requests, service.errors, service.p50, service.totals), (0, 0, None, (1, 1)));
    assert_eq!(route.route_summary(now, HOUR).copies, 1);
    let route = route.route_summary(later, Duration::from_secs(300));
    assert_eq!((route.copies, route.totals), (0, (1, 0)));
}

#[test]
fn progress_counts_what_the_monolith_answered_by_its_upstream() {
    let metrics = metrics();
    let sides = vec![
        WantedShare { side: "blue", upstream: "monolith", ratio: 0.5 },
        WantedShare { side: "green", upstream: "shop", ratio: 0.5 },
    ];
    let route = metrics.route(&RouteLabels { route: "a", stage: Stage::Split, sides });
    for side in [0, 0, 0, 1] {
        route.request(side, side, &Method::GET, 200, 0.1);
    }
    route.request(None, None, &Method::GET, 431, 0.1);
    let share = metrics.progress_by_requests(Instant::now());
    assert!((share - 0.25).abs() < 1e-9, "{share}: refusals are nobody's answers");
}

#[test]
fn a_request_in_flight_ends_with_its_guard() {
    let metrics = metrics();
    let route = metrics.route(&labels("a", Stage::Canary, 0.1));
    let series = "multilith_requests_in_flight{side=\"service\"}";
    let guards = [route.in_flight(1), route.in_flight(1), metrics.edge().in_flight("service")];
    assert_eq!(value(&metrics, series), Some(3.0));
    drop(guards);
    assert_eq!(value(&metrics, series), Some(0.0));
}

#[test]
fn a_hundred_thousand_quiet_routes_are_cheap() {
    let metrics = metrics();
    let meters: Vec<_> =
        (0..100_000).map(|n| metrics.route(&labels(&format!("route-{n}"), Stage::Monolith, 0.0))).collect();
    metrics.retain(|_| true, |_| true, "file");
    meters[7].request(0, 0, &Method::GET, 200, 0.1);
    let page = page(&metrics);
    assert!(page.contains("multilith_requests_total{route=\"route-7\""));
    assert!(page.len() < 40_000_000, "{} bytes", page.len());
}
