//! Comparing bodies of every kind: one verdict whichever side is the control, no difference where only the spelling differs,
//! no match where a plain second reader sees two contents, and what is learnt as noise is none of the service's faults.
//!
//! An input is a byte that says the kind, and two bodies with a NUL between them.

use std::sync::LazyLock;
use std::time::Duration;

use multilith::compare::{
    ComparedResponse, ComparisonResult, Evidence, Learned, NOISE_KNOWN_AFTER, Report, Rules, Took,
};

use super::answers::{answer, compared};

static RULES: LazyLock<Rules> = LazyLock::new(Rules::default);

/// HTML, XML, and HTML in a string of JSON.
pub fn pages(input: &[u8]) {
    let Some((kind, [left, right])) = cut(input) else { return };
    match kind % 3 {
        0 => {
            let [a, b] = both("text/html", [left, right]);
            let verdict = judged(&a, &b);
            for page in [left, right].into_iter().filter(|page| !page.starts_with("\u{feff}".as_bytes())) {
                let commented = [b"<!-- c -->", page].concat();
                same(&answer("text/html", "", page), &answer("text/html", "", &commented), "a comment before a page");
            }
            let is_plain = |page: &[u8]| page.iter().all(|byte| byte.is_ascii() && !b"<&\0\r".contains(byte));
            if is_plain(left) && is_plain(right) && verdict == ComparisonResult::Match {
                assert_eq!(words_of(left), words_of(right), "a match");
            }
        }
        1 => {
            let [a, b] = both("application/xml", [left, right]);
            judged(&a, &b);
            let longer = [left, b"\n"].concat();
            if left.ends_with(b">") {
                same(&a, &answer("application/xml", "", &longer), "a line's end behind a document");
            }
        }
        _ => {
            let (Ok(left), Ok(right)) = (std::str::from_utf8(left), std::str::from_utf8(right)) else { return };
            let json = |text: &str| serde_json::json!({ "html": text, "n": 1 }).to_string();
            let [a, b] = [left, right].map(|text| answer("application/json", "", json(text).as_bytes()));
            judged(&a, &b);
        }
    }
}

/// CSV, forms, bodies of several parts, gRPC.
pub fn fields(input: &[u8]) {
    let Some((kind, [left, right])) = cut(input) else { return };
    let verdict = |media| {
        let [a, b] = both(media, [left, right]);
        judged(&a, &b)
    };
    match kind % 5 {
        0 => {
            let is_plain = |table: &[u8]| table.is_ascii() && !table.iter().any(|byte| b"\"<{[?/".contains(byte));
            if verdict("text/csv") == ComparisonResult::Match && is_plain(left) && is_plain(right) {
                assert_eq!(rows_of(left), rows_of(right), "a match");
            }
        }
        1 => {
            verdict("application/x-www-form-urlencoded");
        }
        2 => {
            verdict("multipart/form-data; boundary=b");
        }
        3 => {
            verdict("application/grpc");
            // A message that is followed by itself is not itself.
            let frame = |body: &[u8]| {
                let length = u32::try_from(body.len()).expect("a short input").to_be_bytes();
                [&[0][..], &length, body].concat()
            };
            let (one, two) = (frame(left), [frame(left), frame(left)].concat());
            let [one, two] = [one, two].map(|body| answer("application/grpc", "", &body));
            assert_ne!(judged(&one, &two), ComparisonResult::Match, "one message and two");
        }
        _ => {
            verdict("application/protobuf");
        }
    }
}

/// Texts without fields.
pub fn texts(input: &[u8]) {
    let Some((_, [left, right])) = cut(input) else { return };
    let [a, b] = both("text/plain", [left, right]);
    // Documents in a line and links are compared by what they mean.
    let is_plain = |text: &[u8]| !text.iter().any(|byte| b"<{[?/".contains(byte));
    if judged(&a, &b) == ComparisonResult::Match && is_plain(left) && is_plain(right) {
        assert_eq!(left, right, "a match");
    }
}

fn cut(input: &[u8]) -> Option<(u8, [&[u8]; 2])> {
    let (kind, bodies) = input.split_first()?;
    let middle = bodies.iter().position(|&byte| byte == 0).unwrap_or(bodies.len());
    Some((*kind, [&bodies[..middle], bodies.get(middle + 1..).unwrap_or_default()]))
}

fn both(media: &'static str, bodies: [&[u8]; 2]) -> [ComparedResponse; 2] {
    bodies.map(|body| answer(media, "", body))
}

/// The verdict, which is the same from either side.
fn judged(a: &ComparedResponse, b: &ComparedResponse) -> ComparisonResult {
    let (there, back) = (compared(a, b, &RULES), compared(b, a, &RULES));
    assert_eq!(there.verdict(), back.verdict(), "not symmetric: {there:?} {back:?}");
    let took = Took { control: Duration::from_millis(3), candidate: Duration::from_millis(2) };
    let mut evidence = Evidence::new(&RULES);
    for now in 0..NOISE_KNOWN_AFTER {
        evidence.record_replay(&there, Learned::Monolith, now);
    }
    evidence.record(&there, None, took, true, NOISE_KNOWN_AFTER);
    let report = Report::of("route", &evidence);
    assert_eq!(report.verdicts.mismatch, 0, "the monolith's own noise is a fault: {there:?} {report}");
    there.verdict()
}

fn same(a: &ComparedResponse, b: &ComparedResponse, why: &str) {
    let outcome = compared(a, b, &RULES);
    assert_eq!(outcome.verdict(), ComparisonResult::Match, "{why}: {outcome:?}");
}

fn words_of(page: &[u8]) -> Vec<&[u8]> {
    page.split(|byte| b" \t\n\x0c".contains(byte)).filter(|word| !word.is_empty()).collect()
}

/// The lines of a table without quotes.
fn rows_of(table: &[u8]) -> Vec<&[u8]> {
    let lines = table.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    lines.filter(|line| !line.is_empty()).collect()
}
