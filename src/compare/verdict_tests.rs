//! Tables of answers and what comparing them says.

use bytes::Bytes;
use http::{HeaderMap, HeaderName};

use super::*;
use crate::compare::WrittenRules;
use crate::compare::coding::tests::encode;
use crate::migration::Examples;

pub(in crate::compare) fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
    let pair =
        |(name, value): &(&str, &str)| (name.parse::<HeaderName>().expect("a name"), value.parse().expect("a value"));
    pairs.iter().map(pair).collect()
}

pub(in crate::compare) fn response(status: u16, pairs: &[(&str, &str)], body: impl Into<Bytes>) -> ComparedResponse {
    ComparedResponse {
        status: StatusCode::from_u16(status).expect("a status"),
        headers: headers(pairs),
        body: Body::Whole(body.into()),
    }
}

fn typed(media: &str, body: impl Into<Bytes>) -> ComparedResponse {
    response(200, &[("content-type", media)], body)
}

fn asked(
    method: &Method,
    request_headers: &HeaderMap,
    a: &ComparedResponse,
    b: &ComparedResponse,
    rules: &Rules,
) -> String {
    let request = ComparedRequest { method, target: "/", headers: request_headers, body: b"" };
    let outcome = compare(&request, a, b, rules);
    let mut said = outcome.differences.iter().map(|found| found.field.clone()).collect::<Vec<_>>();
    said.extend(outcome.unknown.map(|why| format!("? {why}")));
    if said.is_empty() { "match".to_owned() } else { said.join(" ") }
}

fn said(a: &ComparedResponse, b: &ComparedResponse) -> String {
    asked(&Method::GET, &HeaderMap::new(), a, b, &Rules::default())
}

#[test]
fn in_lists_of_thousands_an_element_that_came_is_one_difference_and_a_wrong_one_is_named() {
    const ROWS: usize = 6000;
    let rows = |from: usize, wrong: usize, row: fn(usize, u32) -> String| -> Vec<String> {
        (from..ROWS).map(|id| row(id, if id == wrong { 99 } else { 10 })).collect()
    };
    let json: fn(usize, u32) -> String = |id, price| format!("{{\"id\":{id},\"price\":{price}}}");
    let page: fn(usize, u32) -> String = |id, price| format!("<li><a href=/p/{id}>{id}</a><b>{price}</b></li>");
    let csv: fn(usize, u32) -> String = |id, price| format!("{id},{price}\n");
    let text: fn(usize, u32) -> String = |id, price| format!("row {id} costs {price}\n");
    for (media, row, frame, expected) in [
        ("application/json", json, ["[", ",", "]"], "$[*].price $[*]"),
        ("text/html", page, ["<ul>", "", "</ul>"], "ul > li[*] > b ul > li[*]"),
        ("text/csv", csv, ["id,price\n", "", ""], "csv.price csv"),
        ("text/plain", text, ["", "", ""], "line[*]"),
    ] {
        let [before, between, behind] = frame;
        let body = |rows: Vec<String>| format!("{before}{}{behind}", rows.join(between));
        let typed = |body: String| response(200, &[("content-type", media)], body);
        let (a, b) = (typed(body(rows(0, ROWS, row))), typed(body(rows(1, ROWS / 2, row))));
        assert_eq!(said(&a, &b), expected, "{media}");
        assert_eq!(said(&a, &a), "match", "{media}");
    }
}

#[test]
fn bodies_are_compared_by_their_media_type() {
    for (media, a, b, expected) in [
        ("application/json", r#"{"a":1, "b":[]}"#, r#"{"b":[],"a":1.0}"#, "match"),
        ("application/json", r#"{"a":1}"#, r#"{"a":2}"#, "$.a"),
        ("application/json", r#"{"a":NaN,"b":1}"#, r#"{"b":2, "a":NaN}"#, "$.b"),
        ("application/json", r#"{"a":"\ud800","b":1}"#, r#"{"b":2, "a":"\ud800"}"#, "$.b"),
        ("application/json", "{broken", "{broken ", "line[*]"),
        ("application/x-ndjson", "{\"a\":1}\n{\"a\":2}\n", "{\"a\": 1}\n\n{\"a\": 2}", "match"),
        ("application/x-ndjson", "{\"a\":1}\n{\"a\":2}\n", "{\"a\":1}\n{\"a\":3}\n", "$[*].a"),
        ("application/x-www-form-urlencoded", "a=1&b=x+y", "b=x%20y&a=1", "match"),
        ("application/x-www-form-urlencoded", "a=1&a=2&b=1", "a=2&a=1&c=1", "form.a form.b form.c"),
        ("application/x-www-form-urlencoded", "a=1&a=2", "a=1,+2", "form.a"),
        ("text/html", "<p>\n  a  b</p>", "<p>a b</p>\n", "match"),
        ("application/x-www-form-urlencoded", "a=1%2C%202", "a=1&a=2", "form.a"),
        ("text/html", "<p>a b</p>", "<p>ab</p>", "body > p"),
        ("text/html", "<p>a\u{a0}b</p>", "<p>a b</p>", "body > p"),
        ("application/xml", "<a>\n<b/></a>", "<a><b/></a>", "match"),
        ("text/plain", "a b", "a  b", "line[*]"),
        ("text/csv", "id,price\n1,10\n2,20\n", "id,price\n2,20\n1,11\n", "csv order csv.price"),
        ("text/csv", "id,price\n1,10\n", "id;price\n1;10\n", "line[*]"),
        ("text/csv", "id,price\n1,10\n", "price,id\n10,1\n", "csv header order"),
        ("multipart/mixed; boundary=x", "--x\n\na\n--x--", "--x\r\n\r\nb\r\n--x--", "part[*]"),
        ("multipart/mixed; boundary=x", "--x\n\na\n", "--x\n\nb\n", "line[*]"),
        ("application/rss+xml", "<r><i>a</i><i>b</i></r>", "<r><i>a</i><i>c</i></r>", "r > i[*]"),
        ("text/html", "<ul><li>a<li>b<li>c</ul>", "<ul><li>a</li><li>x</li><li>b</li><li>c</li></ul>", "ul > li[*]"),
        ("text/html", "<a href=/1 class='b a'>x</a><!-- 1 -->", "<a class='a b' href='/1'>x</a>", "match"),
        ("text/html", "<p id=m><a href=/1>x</a>", "<p id=m><a href=/2>x</a>", "#m > a@href"),
        ("text/html", "<p>a</p><b>c</b>", "<b>c</b><p>a</p>", "body order"),
        // Every row differs, and one is missing: it is known by what no other row says.
        (
            "text/html",
            "<ul><li>one<i>n1</i><li>two<i>n2</i><li>three<i>n3</i></ul>",
            "<ul><li>two<i>m2</i><li>three<i>m3</i></ul>",
            "ul > li[*] > i ul > li[*]",
        ),
        (
            "text/html",
            "<ul><li>one<i>n1</i><li>two<i>n2</i></ul>",
            "<ul><li>two<i>m2</i><li>one<i>m1</i></ul>",
            "body > ul order ul > li[*] > i",
        ),
        // The same in a list without a key.
        (
            "application/json",
            r#"[["one","n1"],["two","n2"],["three","n3"]]"#,
            r#"[["two","m2"],["three","m3"]]"#,
            "$[*][*] $[*]",
        ),
        ("application/json", r#"[["one","n1"],["two","n2"]]"#, r#"[["two","m2"],["one","m1"]]"#, "$ order $[*][*]"),
        ("application/octet-stream", "a", "b", "body"),
        ("application/octet-stream", "a", "", "body"),
    ] {
        let (a, b) = (typed(media, a), typed(media, b));
        assert_eq!(said(&a, &b), expected, "{media} {a:?} {b:?}");
        assert_eq!(said(&b, &a), expected, "{media} {b:?} {a:?}");
    }
    let latin1 = response(200, &[("content-type", "text/html; charset=iso-8859-1")], &b"<p>caf\xe9</p>\n"[..]);
    assert_eq!(said(&latin1, &typed("text/html; charset=utf-8", "<p>café</p>")), "header:content-type");
    // Without a type, what it holds decides.
    assert_eq!(said(&response(200, &[], r#"{"a":1}"#), &response(200, &[], r#"{"a":2}"#)), "$.a");
    assert_eq!(said(&response(200, &[], &[0xff, 0][..]), &response(200, &[], &[0xff, 1][..])), "body");
}

#[test]
fn an_agreed_pair_of_statuses_is_compared_by_what_both_can_have() {
    let rules = Rules::new(&WrittenRules {
        status: vec![("202".to_owned(), ["200", "204"].map(str::to_owned).to_vec())],
        ..WrittenRules::default()
    })
    .expect("valid");
    let typed = [("content-type", "application/json"), ("x-shop", "1")];
    let accepted = response(202, &typed, r#"{"ok":true}"#);
    for (candidate, expected) in [
        (response(200, &typed, r#"{"ok":true}"#), "match"),
        (response(200, &typed, r#"{"ok":false}"#), "$.ok"),
        (response(204, &[("x-shop", "1")], ""), "match"),
        (response(204, &[], ""), "header:x-shop"),
        (response(201, &typed, r#"{"ok":true}"#), "status"),
    ] {
        assert_eq!(asked(&Method::GET, &HeaderMap::new(), &accepted, &candidate, &rules), expected);
    }
}

#[test]
fn in_a_text_of_any_length_a_line_that_came_is_one_difference() {
    let text = |first: usize, wrong: usize| {
        let line = |line: usize| format!("row {} costs {}\n\n", line, if line == wrong { 99 } else { 10 });
        typed("text/plain", (first..30_000).map(line).collect::<String>())
    };
    let request = ComparedRequest { method: &Method::GET, target: "/", headers: &HeaderMap::new(), body: b"" };
    let found = compare(&request, &text(1, 0), &text(0, 29_000), &Rules::default()).differences;
    assert_eq!(found.iter().map(|found| found.field.as_str()).collect::<Vec<_>>(), ["line[*]"]);
    assert!(found[0].hunks.len() <= 3, "{:?}", found[0].hunks);
}

#[test]
fn of_many_elements_that_all_differ_one_that_came_is_one_difference() {
    let page = |side: &str, from: usize| {
        let rows = (from..3000).map(|row| format!("<li>Item {row} of many<i>{side}{}</i></li>", row * 7));
        typed("text/html", format!("<ul>{}</ul>", rows.collect::<String>()))
    };
    let list = |side: &str, from: usize| {
        let rows = (from..3000).map(|row| format!("[\"Item {row} of many\",\"{side}{}\"]", row * 7));
        typed("application/json", format!("[{}]", rows.collect::<Vec<_>>().join(",")))
    };
    let rules = Rules::default();
    let request = ComparedRequest { method: &Method::GET, target: "/", headers: &HeaderMap::new(), body: b"" };
    for (control, candidate, inner, outer) in
        [(page("a", 1), page("b", 0), "ul > li[*] > i", "ul > li[*]"), (list("a", 1), list("b", 0), "$[*][*]", "$[*]")]
    {
        let found = compare(&request, &control, &candidate, &rules).differences;
        let fields: Vec<_> = found.iter().map(|found| (found.field.as_str(), found.kind)).collect();
        assert_eq!(fields, [(inner, Kind::Value), (outer, Kind::Extra)]);
        // The texts by which elements are known are the same: of the others one token differs.
        assert!(found[0].hunks.len() == 1, "{:?}", found[0].hunks);
    }
}

#[test]
fn content_codings_do_not_count() {
    let plain = response(200, &[("content-type", "application/json")], r#"{"a":1}"#);
    for coding in ["gzip", "br", "deflate", "zstd"] {
        let coded = |text: &str| {
            response(
                200,
                &[("content-type", "application/json"), ("content-encoding", coding)],
                encode(coding, text.as_bytes()),
            )
        };
        assert_eq!(said(&plain, &coded(r#"{"a":1}"#)), "match", "{coding}");
        assert_eq!(said(&coded(r#"{"a":2}"#), &plain), "$.a", "{coding}");
    }
    let bomb = response(200, &[("content-encoding", "gzip")], encode("gzip", &vec![b' '; 2 << 20]));
    assert_eq!(said(&bomb, &response(200, &[], "x")), "? too_large");
    assert_eq!(said(&response(200, &[("content-encoding", "gzip")], "x"), &response(200, &[], "x")), "? undecodable");
    let unknown = response(200, &[("content-encoding", "compress")], "same bytes");
    assert_eq!(said(&unknown, &unknown), "match");
}

#[test]
fn what_cannot_be_compared_is_no_mismatch() {
    let fine = typed("application/json", "{}");
    let with = |body: Body| ComparedResponse { body, ..fine.clone() };
    let hashed = |hash| with(Body::Hashed { length: 2 << 20, hash });
    assert_eq!(said(&with(Body::Cut), &fine), "? truncated");
    assert_eq!(said(&fine, &with(Body::Cut)), "? truncated");
    assert_eq!(said(&fine, &with(Body::Streamed)), "? streamed");
    assert_eq!(said(&typed("text/event-stream", "a"), &typed("text/event-stream", "b")), "? streamed");
    assert_eq!(said(&hashed(1), &hashed(1)), "match");
    assert_eq!(said(&hashed(1), &hashed(2)), "? too_large");
    assert_eq!(said(&response(503, &[], ""), &fine), "? control_failed");
    let not_modified = response(304, &[], "");
    let bare = response(200, &[], "");
    assert_eq!(said(&not_modified, &bare), "? not_modified");
    let condition = headers(&[("if-none-match", "\"1\"")]);
    assert_eq!(asked(&Method::GET, &condition, &not_modified, &not_modified, &Rules::default()), "match");
    assert_eq!(asked(&Method::GET, &condition, &not_modified, &bare, &Rules::default()), "status");
    assert_eq!(asked(&Method::HEAD, &HeaderMap::new(), &fine, &with(Body::None), &Rules::default()), "match");
}

#[test]
fn large_bytes_are_told_apart_by_hash() {
    let image = |body| ComparedResponse { body, ..typed("image/png", "") };
    let hashed = |length, hash| image(Body::Hashed { length, hash });
    assert_eq!(said(&hashed(5, 1), &hashed(5, 1)), "match");
    assert_eq!(said(&hashed(5, 1), &hashed(5, 2)), "body");
    let bytes = Bytes::from_static(b"small");
    assert_eq!(said(&hashed(5, Body::hash(&bytes)), &image(Body::Whole(bytes))), "match");
}

#[test]
fn what_is_known_to_differ_outweighs_what_is_not_known() {
    let cut = ComparedResponse { body: Body::Cut, ..response(500, &[], "") };
    let outcome = compare(
        &ComparedRequest { method: &Method::GET, target: "/", headers: &HeaderMap::new(), body: b"" },
        &response(200, &[], "x"),
        &cut,
        &Rules::default(),
    );
    assert_eq!(outcome.verdict(), ComparisonResult::Mismatch);
    assert_eq!(outcome.differences.len(), 1, "of two statuses nothing else is compared");
}

#[test]
fn status_headers_and_body_can_be_ignored() {
    let rules = Rules::new(&WrittenRules {
        ignore: ["status", "body", "header:content-type"].map(str::to_owned).to_vec(),
        ..WrittenRules::default()
    })
    .expect("valid");
    let (a, b) = (typed("text/plain", "a"), response(201, &[("content-type", "text/html")], "b"));
    assert_eq!(asked(&Method::GET, &HeaderMap::new(), &a, &b, &rules), "match");
}

#[test]
fn examples_show_what_their_level_allows() {
    let (a, b) = (
        typed("application/json", r#"{"name":"Ann","n":null}"#),
        typed("application/json", r#"{"name":"Bob","n":[1]}"#),
    );
    for (examples, expected) in [
        (Examples::Values, &[Some(("Ann", "Bob")), Some(("null", "[1]"))][..]),
        (Examples::Shapes, &[Some(("string(3): word(3)", "string(3): word(3)")), Some(("null", "array(1)"))][..]),
        (Examples::Off, &[None, None][..]),
    ] {
        let rules = Rules::new(&WrittenRules { examples, ..WrittenRules::default() }).expect("valid");
        let request = ComparedRequest { method: &Method::GET, target: "/", headers: &HeaderMap::new(), body: b"" };
        let mut outcome = compare(&request, &a, &b, &rules);
        outcome.differences.sort_by(|a, b| b.field.cmp(&a.field));
        let shown = outcome
            .differences
            .iter()
            .map(|found| {
                found
                    .first_example()
                    .map(|e| (e.control.as_deref().unwrap_or(""), e.candidate.as_deref().unwrap_or("")))
            })
            .collect::<Vec<_>>();
        assert_eq!(shown, expected);
    }
}
