//! What matching costs as routes become more: 10, 1 000, 100 000.
//!
//! The requests of one table differ, so that the figures include the misses of the processor's caches.

#![allow(clippy::print_stderr, reason = "the size of a table is a result too")]

use std::hint::black_box;
use std::sync::Arc;

use criterion::{BatchSize, BenchmarkId, Criterion, criterion_group, criterion_main};
use http::Method;
use multilith::message::Fields;
use multilith::route::{Facts, HostPattern, Matching, MethodSet, RouteTable, Rule, Template, normalise};

const SIZES: [usize; 3] = [10, 1_000, 100_000];
const REQUESTS: usize = 16_384;

/// As an inventory of endpoints looks: literals first, parameters after them, some methods, a few catch-alls.
fn rule(number: usize) -> Arc<Rule> {
    let area = number / 10;
    let path = match number % 10 {
        0 => format!("/api/v1/area{area}/{{*rest}}"),
        1 => format!("/api/v1/area{area}/items/{{id}}.json"),
        2 => format!("/api/v1/area{area}/items/{{id}}"),
        3 => format!("/api/v1/area{area}/items/{{id}}/parts/{{part}}"),
        kind => format!("/api/v1/area{area}/items/latest/kind{kind}"),
    };
    Arc::new(Rule {
        host: HostPattern::Any,
        paths: vec![Template::parse(&path).expect("the template is right")],
        methods: number.is_multiple_of(3).then(|| MethodSet::of(&[Method::GET])),
        conditions: Vec::new(),
        priority: 0,
    })
}

fn rules(count: usize) -> Vec<Arc<Rule>> {
    (0..count).map(rule).collect()
}

/// Paths spread over the whole table; of every kind of route, and some that no literal takes.
fn paths(count: usize) -> Vec<String> {
    let areas = (count / 10).max(1);
    let paths = (0..REQUESTS).map(|request| {
        let area = request * 7919 % areas;
        match request % 6 {
            0 => format!("/api/v1/area{area}/anything/below/it"),
            1 => format!("/api/v1/area{area}/items/{request}.json"),
            2 => format!("/api/v1/area{area}/items/{request}"),
            3 => format!("/api/v1/area{area}/items/{request}/parts/7"),
            4 => format!("/api/v1/area{area}/items/latest/kind7"),
            _ => format!("/shop/area{area}/unmatched"),
        }
    });
    paths.collect()
}

fn find(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("find");
    let headers = Fields::new();
    for count in SIZES {
        let table = RouteTable::build(&rules(count), Matching::default()).expect("the routes are told apart");
        eprintln!("{count} routes: {} bytes, {} a route", table.bytes(), table.bytes() / count);
        let paths = paths(count);
        let mut turn = 0;
        group.bench_function(BenchmarkId::from_parameter(count), |bencher| {
            bencher.iter(|| {
                turn = (turn + 1) % REQUESTS;
                let path = paths[turn].as_str();
                table.find(black_box(&Facts {
                    method: &Method::GET,
                    preflight: None,
                    host: "shop.example.com",
                    path,
                    query: None,
                    headers: &headers,
                    client: None,
                    upgrade: false,
                }))
            });
        });
    }
    group.finish();
}

fn build(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("build");
    group.sample_size(10);
    for count in SIZES {
        let rules = rules(count);
        group.bench_function(BenchmarkId::from_parameter(count), |bencher| {
            bencher.iter_batched(
                || (),
                |()| RouteTable::build(black_box(&rules), Matching::default()),
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

fn normalising(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("normalise");
    let matching = Matching::default();
    for (name, path) in [
        ("nothing to change", "/api/v1/area42/items/1234/parts/7"),
        ("an escape to decode", "/api/v1/%61rea42/items/1234/parts/7"),
        ("dot segments", "/api/v1/area42/items/../items/./1234/parts/7"),
    ] {
        group.bench_function(name, |bencher| bencher.iter(|| normalise(black_box(path), &matching).is_ok()));
    }
    group.finish();
}

criterion_group!(benches, find, build, normalising);
criterion_main!(benches);
