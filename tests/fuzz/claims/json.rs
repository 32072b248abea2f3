//! Comparing: two answers with any bodies give one verdict, whichever is the control, and nothing that is kept holds a secret.
//!
//! An input is two bytes of switches, one for each answer, and two bodies with a NUL between them.

use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::Duration;

use http::Method;
use http::header::CONTENT_TYPE;
use multilith::compare::{
    ComparedRequest, ComparedResponse, ComparisonResult, Evidence, FieldPath, KeptExchange, Learned, OTHER, Outcome,
    Report, Rules, Took, WrittenRules,
};
use multilith::migration::Examples;
use serde_json::Value;

use super::answers::{SECRETS, answer, compared, headers_of_request};

const MEDIA: [&str; 12] = [
    "application/json",
    "application/x-ndjson",
    "text/html",
    "text/plain",
    "application/x-www-form-urlencoded",
    "application/octet-stream",
    "text/event-stream",
    "",
    // What came later stands behind, so that old inputs keep their meaning.
    "application/xml",
    "text/csv",
    "application/grpc",
    "application/protobuf",
];

const CODINGS: [&str; 4] = ["", "gzip", "br", "zstd"];

/// Every kind of rule, with names of one letter so that they are met.
static RULES: LazyLock<Rules> = LazyLock::new(|| {
    Rules::new(&WrittenRules {
        ignore: vec!["$.i".to_owned(), "form.i".to_owned()],
        unordered: vec!["$.u".to_owned(), "$[*]".to_owned()],
        tolerance: vec![("$.t".to_owned(), 1.0), ("$.u[*]".to_owned(), 1.0)],
        redact: vec!["p".to_owned()],
        examples: Examples::Values,
        ..WrittenRules::default()
    })
    .expect("rules")
});

static PLAIN: LazyLock<Rules> = LazyLock::new(Rules::default);

pub fn hold(input: &[u8]) {
    let [first, second, bodies @ ..] = input else { return };
    if SECRETS.iter().any(|secret| bodies.windows(secret.len()).any(|window| window == secret.as_bytes())) {
        // They are told apart from what an answer says by being nowhere in it: a name of a field, say, is reported.
        return;
    }
    let middle = bodies.iter().position(|&byte| byte == 0).unwrap_or(bodies.len());
    let (left, right) = (&bodies[..middle], bodies.get(middle + 1..).unwrap_or_default());
    let media = |bits: u8| MEDIA[usize::from(bits & 7) + if bits >> 6 == 3 { 4 } else { 0 }];
    let coding = |bits: u8| CODINGS[usize::from(bits >> 3 & 3)];
    let a = answer(media(*first), coding(*first), left);
    let b = answer(media(*second), coding(*second), right);
    for rules in [&*RULES, &*PLAIN] {
        let there = compared(&a, &b, rules);
        let back = compared(&b, &a, rules);
        assert_eq!(there.verdict(), back.verdict(), "not symmetric: {there:?} {back:?}");
        if first >> 5 == 0 {
            // It takes most of the time.
            told(&there, &a, rules);
        }
        for own in [&a, &b] {
            let same = compared(own, &own.clone(), rules);
            let streamed = own.headers.get(CONTENT_TYPE).is_some_and(|media| media == "text/event-stream");
            assert!(streamed || same.verdict() == ComparisonResult::Match, "not itself: {same:?}");
        }
    }
    let (Ok(left), Ok(right)) = (std::str::from_utf8(left), std::str::from_utf8(right)) else { return };
    as_values(left, right);
    as_forms(left, right);
}

/// What is said of the differences can be written down, read again, and shown.
fn told(outcome: &Outcome, control: &ComparedResponse, rules: &Rules) {
    for difference in &outcome.differences {
        let field = &difference.field;
        assert!(field == OTHER || FieldPath::parse(field).is_ok_and(|path| path.to_string() == *field), "{field:?}");
        let example = difference.first_example().map(|it| [&it.control, &it.candidate]);
        let texts = example.into_iter().flatten().flatten().chain([field]);
        silent(texts.map(String::as_str));
    }
    let took = Took { control: Duration::from_millis(3), candidate: Duration::from_millis(2) };
    let mut evidence = Evidence::new(rules);
    evidence.record(outcome, None, took, false, 1);
    evidence.record_replay(outcome, Learned::Monolith, 2);
    let headers = headers_of_request();
    let request = ComparedRequest { method: &Method::GET, target: "/?p=1", headers: &headers, body: b"" };
    if let Some(exchange) = KeptExchange::redacted(&request, control, outcome, rules, 1) {
        evidence.keep(exchange);
    }
    let written = evidence.to_json();
    let report = Report::of("route", &evidence).to_string();
    let hurl = evidence.to_hurl("route", rules);
    silent([written.as_str(), report.as_str(), hurl.as_str()]);
    let read = Evidence::from_json(&written, rules).expect("its own JSON");
    assert_eq!(read.to_json(), written);
}

fn silent<'a>(texts: impl IntoIterator<Item = &'a str>) {
    for text in texts {
        assert!(!SECRETS.iter().any(|secret| text.contains(secret)), "a secret is kept: {text}");
    }
}

/// JSON is compared as what it means, which another reader of JSON tells.
fn as_values(left: &str, right: &str) {
    let (Ok(a), Ok(b)) = (serde_json::from_str::<Value>(left), serde_json::from_str::<Value>(right)) else { return };
    let verdict = |left: &str, right: &str| {
        let answer = |text: &str| answer("application/json", "", text.as_bytes());
        compared(&answer(left), &answer(right), &PLAIN).verdict()
    };
    if verdict(left, right) == ComparisonResult::Match {
        assert!(may_be_equal(&a, &b), "a match: {a} {b}");
    }
    // Written again, no key stands twice.
    let (a_again, b_again) = (a.to_string(), b.to_string());
    if a == b {
        assert_eq!(verdict(&a_again, &b_again), ComparisonResult::Match, "{a} {b}");
    }
}

/// Forms that match hold the same values under each name, in the same order.
fn as_forms(left: &str, right: &str) {
    let answer = |text: &str| answer("application/x-www-form-urlencoded", "", text.as_bytes());
    if compared(&answer(left), &answer(right), &PLAIN).verdict() != ComparisonResult::Match {
        return;
    }
    let fields = |form: &str| {
        let mut fields = BTreeMap::<Vec<u8>, Vec<Vec<u8>>>::new();
        for pair in form.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            fields.entry(decoded(name)).or_default().push(decoded(value));
        }
        fields
    };
    assert_eq!(fields(left), fields(right), "a match");
}

fn decoded(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let digits = after.get(..2).filter(|digits| byte == b'%' && digits.iter().all(u8::is_ascii_hexdigit));
        rest = if digits.is_some() { &after[2..] } else { after };
        bytes.push(match digits {
            Some(digits) => u8::from_str_radix(std::str::from_utf8(digits).expect("digits"), 16).expect("digits"),
            None if byte == b'+' => b' ',
            None => byte,
        });
    }
    // What is no text is shown, and compared, as the sign for it.
    String::from_utf8_lossy(&bytes).into_owned().into_bytes()
}

/// Equal, but for numbers, which may be written in several ways.
fn may_be_equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| may_be_equal(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| may_be_equal(a, b)))
        }
        _ => a == b,
    }
}
