//! Properties of every pair of answers.

use http::{HeaderMap, Method};
use proptest::prelude::*;

use super::json::Json;
use super::verdict::tests::response;
use super::{Body, ComparedRequest, ComparedResponse, ComparisonResult, FieldPath, Rules, WrittenRules, compare};
use crate::migration::Examples;

fn rules() -> Rules {
    Rules::new(&WrittenRules {
        ignore: vec!["$.i".to_owned(), "form.i".to_owned()],
        unordered: vec!["$.u".to_owned(), "$[*]".to_owned()],
        tolerance: vec![("$.t".to_owned(), 1.0), ("$.u[*]".to_owned(), 1.0)],
        redact: vec!["p".to_owned()],
        examples: Examples::Values,
        ..WrittenRules::default()
    })
    .expect("valid")
}

fn outcome(a: &ComparedResponse, b: &ComparedResponse) -> ComparisonResult {
    let headers = HeaderMap::new();
    let request = ComparedRequest { method: &Method::GET, target: "/?p=1", headers: &headers, body: b"" };
    compare(&request, a, b, &rules()).verdict()
}

fn documents() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        (-3_i32..3).prop_map(|n| n.to_string()),
        (0_u32..30).prop_map(|n| format!("{}.{}", n / 10, n % 10)),
        "[a-c]{0,2}".prop_map(|text| format!("\"{text}\"")),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(|items| format!("[{}]", items.join(","))),
            prop::collection::vec(("[iutpab1]", inner), 0..4).prop_map(|members| {
                let members = members.iter().map(|(key, value)| format!("\"{key}\":{value}")).collect::<Vec<_>>();
                format!("{{{}}}", members.join(","))
            }),
        ]
    })
}

fn media() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "application/json",
        "application/x-ndjson",
        "text/html",
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/octet-stream",
        "text/event-stream",
        "",
    ])
}

fn responses(body: impl Strategy<Value = Vec<u8>>) -> impl Strategy<Value = ComparedResponse> {
    let coding = prop::sample::select(vec!["", "gzip", "deflate", "br", "zstd", "compress"]);
    let status = prop::sample::select(vec![200, 204, 304, 404]);
    (status, media(), coding, body, 0..8_u8).prop_map(|(status, media, coding, bytes, form)| {
        let mut response = response(status, &[("content-type", media), ("content-encoding", coding)], bytes.clone());
        response.body = match form {
            0 => Body::None,
            1 => Body::Cut,
            2 => Body::Streamed,
            3 => Body::Hashed { length: bytes.len() as u64, hash: Body::hash(&bytes) },
            _ => response.body,
        };
        response
    })
}

proptest! {
    #[test]
    fn comparing_documents_is_symmetric_and_reflexive(a in documents(), b in documents()) {
        let json = |text: &str| response(200, &[("content-type", "application/json")], text.to_owned());
        prop_assert_eq!(outcome(&json(&a), &json(&b)), outcome(&json(&b), &json(&a)));
        // Spaces make the bytes differ, so that the walk itself is asked.
        prop_assert_eq!(outcome(&json(&a), &json(&format!(" {a} "))), ComparisonResult::Match);
    }

    #[test]
    fn arbitrary_answers_are_symmetric_and_never_panic(
        a in responses(prop::collection::vec(any::<u8>(), 0..60)),
        b in responses(prop::collection::vec(any::<u8>(), 0..60)),
    ) {
        prop_assert_eq!(outcome(&a, &b), outcome(&b, &a));
        prop_assert_ne!(outcome(&a, &a), ComparisonResult::Mismatch);
    }

    #[test]
    fn identical_answers_match(bytes in prop::collection::vec(any::<u8>(), 0..60), media in media()) {
        let a = response(200, &[("content-type", media)], bytes);
        if media != "text/event-stream" {
            prop_assert_eq!(outcome(&a, &a.clone()), ComparisonResult::Match);
        }
    }

    #[test]
    fn json_is_read_as_serde_reads_it(text in "[\\[\\]{}\",:0-9eE.+\\-a-b\\\\ ntrufalse]{0,12}") {
        let ours = Json::parse(&text);
        let theirs = serde_json::from_str::<serde_json::Value>(&text);
        prop_assert_eq!(ours.is_some(), theirs.is_ok(), "{}", text);
    }

    #[test]
    fn a_path_that_is_read_is_read_again(text in "\\$[.\\[\\]*'\"a-c0-9\\\\ ]{0,12}") {
        if let Ok(path) = FieldPath::parse(&text) {
            prop_assert_eq!(FieldPath::parse(&path.to_string()), Ok(path));
        }
    }

    #[test]
    fn a_path_error_lies_inside_the_path(text in "\\PC{0,12}") {
        if let Err(error) = FieldPath::parse(&text) {
            prop_assert!(text.get(error.at.clone()).is_some(), "{:?} in {:?}", error.at, text);
        }
    }
}
