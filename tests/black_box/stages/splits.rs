//! A/B splits: every client has a variant, also where two variants of one upstream differ in a header alone.

use multilith::migration::bucket;

use crate::harness::{Edge, Origin, Reply};
use crate::stages::world::cookies;

#[test]
fn two_variants_of_one_upstream_differ_in_a_header() {
    let monolith = Origin::saying("monolith");
    let service = Origin::start(|request| Reply::ok(request.get("x-variant").unwrap_or("none")));
    let tables = r#"
[routes.pay]
path = "/pay"
stage = "split"
sticky = ["header:x-user-id"]
[routes.pay.variants]
blue = { upstream = "users", weight = "30%", headers = { x-variant = "blue" } }
green = { upstream = "users", weight = "70%", headers = { x-variant = "green" } }
"#;
    let edge = Edge::before(&monolith).service("users", &service).with(tables).start();
    let mut seen = [0, 0];
    for number in 0..100 {
        let unit = format!("u{number}");
        let below = bucket("pay", unit.as_bytes()).0 < 3_000;
        let fields = [format!("X-User-Id: {unit}"), "X-Variant: forged".to_owned()];
        let answer = edge.client().request("GET", "/pay", &[&fields[0], &fields[1]]);
        assert_eq!(answer.text(), if below { "blue" } else { "green" }, "{unit}");
        assert_eq!(answer.get("cache-control"), Some("private"));
        seen[usize::from(below)] += 1;
    }
    assert!(seen.iter().all(|count| *count > 10), "{seen:?}");
    for (side, count) in [("blue", seen[1]), ("green", seen[0])] {
        assert!(
            (edge.metric("multilith_requests_total", &[("route", "pay"), ("side", side)]) - f64::from(count)).abs()
                < 0.5
        );
    }
    assert_eq!(monolith.requests().len(), 0);
}

#[test]
fn a_variant_of_the_monolith_gets_its_header_and_the_raw_path() {
    let monolith = Origin::start(|request| {
        Reply::ok(format!(
            "{} {}",
            String::from_utf8_lossy(request.target()),
            request.get("x-variant").unwrap_or("none")
        ))
    });
    let tables = r#"
[routes.pay]
path = "/pay/{id}"
stage = "split"
[routes.pay.variants]
a = { upstream = "monolith", weight = "50%", headers = { x-variant = "a" } }
b = { upstream = "monolith", weight = "50%", headers = { x-variant = "b" } }
"#;
    let edge = Edge::before(&monolith).with(tables).start();
    let first = edge.get("/pay/%7E1");
    let cookie = format!("Cookie: {}", cookies(&first)[0].split(';').next().expect("a cookie"));
    assert!(["/pay/%7E1 a", "/pay/%7E1 b"].contains(&first.text().as_str()), "{}", first.text());
    for _ in 0..5 {
        assert_eq!(edge.client().request("GET", "/pay/%7E1", &[&cookie]).text(), first.text());
    }
}
