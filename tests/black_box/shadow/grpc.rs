//! Copies of calls of gRPC: servers must take them, and how a call ended is a part of what is compared.

use serde_json::Value;

use crate::harness::{Edge, eventually};
use crate::stages::calls::{Answer, GrpcOrigin, call};

const READ: &str = "/shop.Catalog/GetItem";
const WRITE: &str = "/shop.Catalog/PutItem";

/// `{ 1: text }`.
fn message(text: &str) -> Vec<u8> {
    [&[0x0a, u8::try_from(text.len()).expect("a short text")], text.as_bytes()].concat()
}

fn shadowing(monolith: &GrpcOrigin, service: &GrpcOrigin, route: &str) -> Edge {
    let tables = format!(
        "[services.new]\n{}[routes.all]\npath = \"/shop.Catalog/{{*rest}}\"\nservice = \"new\"\nstage = \"shadow\"\n{route}\n",
        service.lines()
    );
    Edge::before_address(monolith.address()).monolith("http = \"2\"").with(&tables).start()
}

const DECLARED: &str = "safe_methods = [\"/shop.Catalog/Get*\"]\n[routes.all.shadow]\ntimeout = \"1h\"\n\
                        compare = { examples = \"values\", noise = { replay = \"0%\" } }";

/// Of one call: the verdict, and the fields that differ.
fn compared(control: Answer, candidate: Answer) -> (Value, Vec<String>, Value) {
    let monolith = GrpcOrigin::start(move |_| control.clone());
    let service = GrpcOrigin::start(move |_| candidate.clone());
    let edge = shadowing(&monolith, &service, DECLARED);
    call(edge.address(), READ, &[], b"").expect("an answer");
    let report = eventually("the comparison", || {
        let report = edge.admin_json("GET", "/api/v1/routes/all/comparisons").1;
        let verdicts = &report["verdicts"];
        let judged = ["match", "mismatch", "undecided", "incomparable"];
        let judged: u64 = judged.iter().filter_map(|verdict| verdicts[verdict].as_u64()).sum();
        (judged == 1).then_some(report)
    });
    let fields = report["fields"].as_array().expect("a list").iter();
    let fields = fields.map(|field| field["field"].as_str().unwrap_or_default().to_owned()).collect();
    (report["verdicts"].clone(), fields, report["statuses"].clone())
}

#[test]
fn a_call_that_is_declared_safe_is_copied_with_te_and_no_other_call_is() {
    let answer = || Answer::Messages(vec![message("same")], 0, "");
    let monolith = GrpcOrigin::start(move |_| answer());
    let service = GrpcOrigin::start(move |_| answer());
    let edge = shadowing(&monolith, &service, DECLARED);
    call(edge.address(), WRITE, &[], &message("write")).expect("an answer");
    call(edge.address(), READ, &[("x-meta", "kept")], &message("read")).expect("an answer");
    let report = edge.await_compared(1);
    assert_eq!(report["verdicts"]["match"], 1, "{report:#}");
    let copies = service.calls();
    assert_eq!(copies.len(), 1);
    let copy = &copies[0];
    assert_eq!((&*copy.path, copy.headers["te"].as_bytes()), (READ, &b"trailers"[..]));
    assert_eq!((copy.headers["x-meta"].as_bytes(), &copy.body[5..]), (&b"kept"[..], &message("read")[..]));
    assert!(copy.headers.contains_key("x-multilith-shadow"));
    let skipped = &report["copies"]["skipped"];
    assert_eq!(skipped["method"], 1, "the write: {skipped}");
}

#[test]
fn noise_of_a_call_that_is_declared_safe_is_learnt_at_the_monolith() {
    let answer = || Answer::Messages(vec![message("same")], 0, "");
    let (monolith, service) = (GrpcOrigin::start(move |_| answer()), GrpcOrigin::start(move |_| answer()));
    let often = DECLARED.replace("\"0%\"", "\"100%\", per_second = 1000");
    let edge = shadowing(&monolith, &service, &often);
    call(edge.address(), READ, &[], b"").expect("an answer");
    eventually("the replay", || (monolith.calls().len() == 2).then_some(()));
    assert_eq!(monolith.calls()[1].headers["te"].as_bytes(), b"trailers");
    assert_eq!(service.calls().len(), 1);
}

#[test]
fn how_a_call_ended_is_compared_wherever_it_stands() {
    let messages = |text: &str, status, said| Answer::Messages(vec![message(text)], status, said);
    let none = Answer::Messages(Vec::new(), 5, "none%20here");
    let cases: [(&str, Answer, Answer, &str, &[&str]); 8] = [
        ("the same", messages("a", 0, ""), messages("a", 0, ""), "match", &[]),
        ("a message by field number", messages("a", 0, ""), messages("b", 0, ""), "mismatch", &["#1"]),
        ("trailers or a head alone", none.clone(), Answer::TrailersOnly(5, "none here"), "match", &[]),
        (
            "another status",
            none.clone(),
            Answer::TrailersOnly(7, "not you"),
            "mismatch",
            &["header:grpc-message", "header:grpc-status"],
        ),
        ("another message", none.clone(), Answer::TrailersOnly(5, "gone"), "mismatch", &["header:grpc-message"]),
        (
            "the same messages, and a failure behind them",
            messages("a", 0, ""),
            messages("a", 13, ""),
            "mismatch",
            &["header:grpc-status"],
        ),
        ("the monolith failed", messages("a", 14, ""), messages("a", 0, ""), "incomparable", &[]),
        ("no status", messages("x", 0, ""), Answer::NoStatus, "mismatch", &["header:grpc-status"]),
    ];
    for (name, control, candidate, verdict, expected) in cases {
        let (verdicts, mut fields, statuses) = compared(control, candidate);
        fields.sort();
        assert_eq!(
            (&verdicts[verdict], fields.iter().map(String::as_str).collect::<Vec<_>>()),
            (&Value::from(1), expected.to_vec()),
            "{name}: {verdicts} {statuses}"
        );
        if name == "another status" {
            assert_eq!((&statuses[0]["from"], &statuses[0]["to"]), (&"grpc-5".into(), &"grpc-7".into()), "{statuses}");
        }
    }
}
