//! What comparing two bodies costs the comparing thread: `cargo bench --bench compare_bodies`.
#![allow(clippy::format_push_string, reason = "a body for a bench")]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use multilith::compare::{Body, ComparedRequest, ComparedResponse, Rules, compare};

const LENGTH: usize = 200 * 1024;

fn answer(media: &'static str, body: String) -> ComparedResponse {
    let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(media))]);
    ComparedResponse { status: StatusCode::OK, headers, body: Body::Whole(body.into()) }
}

/// A page of 200 KiB that differs in every fiftieth price.
fn page(salt: usize) -> String {
    let mut out = String::from("<!doctype html><html><head><title>Shop</title></head><body><main>");
    for row in 0.. {
        if out.len() > LENGTH {
            break;
        }
        let price = if row % 50 == 0 { row + salt } else { row };
        out += &format!(
            "<article class=\"card product\" data-n=\"{row}\"><h2>Product {row}</h2><p class=\"text\">Some text that \
             describes it, with <em>emphasis</em> &amp; more.</p><a class=\"more\" href=\"/p/{row}\">more</a>\
             <span class=\"price\">{price} EUR</span></article>\n"
        );
    }
    out + "</main></body></html>"
}

/// The same of JSON.
fn list(salt: usize) -> String {
    let mut items = Vec::new();
    let mut length = 0;
    for row in 0.. {
        if length > LENGTH {
            break;
        }
        let price = if row % 50 == 0 { row + salt } else { row };
        let item = format!(
            "{{\"id\":{row},\"name\":\"Product {row}\",\"tags\":[\"a\",\"b\"],\"text\":\"Some text that describes it\",\"price\":{price}}}"
        );
        length += item.len();
        items.push(item);
    }
    format!("{{\"at\":{salt},\"items\":[{}]}}", items.join(","))
}

fn bodies(criterion: &mut Criterion) {
    let (rules, headers) = (Rules::default(), HeaderMap::new());
    let request = ComparedRequest { method: &Method::GET, target: "/", headers: &headers, body: b"" };
    for (name, media, body) in
        [("page", "text/html", page as fn(usize) -> String), ("json", "application/json", list as fn(usize) -> String)]
    {
        let (a, b) = (answer(media, body(0)), answer(media, body(7)));
        criterion.bench_function(name, |bencher| {
            bencher.iter(|| compare(&request, black_box(&a), black_box(&b), &rules));
        });
    }
}

criterion_group!(benches, bodies);
criterion_main!(benches);
