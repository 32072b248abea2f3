//! What evidence counts, forgets and survives.

use super::*;
use crate::compare::verdict::tests::{answer, headers};
use crate::compare::{Answer, Difference, Example, Examples, Kind, Report, Request, WrittenRules, compare};

const TOOK: Took = Took { control: Duration::from_millis(12), candidate: Duration::from_millis(7) };

fn differing(fields: &[&str]) -> Outcome {
    let difference = |field: &&str| Difference { field: (*field).to_owned(), kind: Kind::Value, example: None };
    Outcome { differences: fields.iter().map(difference).collect(), unknown: None }
}

fn evidence() -> Evidence {
    Evidence::new(&Rules::default())
}

#[test]
fn until_noise_is_known_every_difference_counts_and_then_the_past_is_counted_anew() {
    let mut evidence = evidence();
    for now in 0..1000 {
        assert_eq!(evidence.record(&differing(&["$.at"]), TOOK, now), Verdict::Mismatch);
    }
    assert_eq!((evidence.compared(), evidence.mismatches()), (1000, 1000));
    for now in 0..50 {
        assert!(!evidence.noise_known());
        evidence.record_replay(&differing(&["$.at"]), now);
    }
    assert!(evidence.noise_known());
    assert_eq!(evidence.record(&differing(&["$.at"]), TOOK, 1000), Verdict::Match);
    assert_eq!(evidence.record(&differing(&["$.at", "status"]), TOOK, 1001), Verdict::Mismatch);
    assert_eq!((evidence.compared(), evidence.mismatches()), (1002, 1));
}

#[test]
fn noise_beside_an_unreadable_body_is_incomparable() {
    let mut evidence = evidence();
    for now in 0..60 {
        evidence.record_replay(&differing(&["header:date"]), now);
        evidence.record(&Outcome::default(), TOOK, now);
    }
    let unknown = Some(Incomparable::Truncated);
    let noisy = Outcome { unknown, ..differing(&["header:date"]) };
    assert_eq!(evidence.record(&noisy, TOOK, 60), Verdict::Incomparable(Incomparable::Truncated));
    let bare = Outcome { unknown, ..Outcome::default() };
    assert_eq!(evidence.record(&bare, TOOK, 60), Verdict::Incomparable(Incomparable::Truncated));
    assert_eq!((evidence.compared(), evidence.incomparable()[&Incomparable::Truncated]), (60, 2));
    let replays = evidence.replays();
    evidence.record_replay(&bare, 61);
    assert_eq!(evidence.replays(), replays);
}

#[test]
fn it_survives_a_restart_and_is_reset_by_other_rules() {
    let written = WrittenRules { examples: Examples::Values, ..WrittenRules::default() };
    let rules = Rules::new(&written).expect("valid");
    let mut evidence = Evidence::new(&rules);
    let (a, b) = (json(r#"{"a":12345678901234567890,"k":1}"#), json(r#"{"a":null}"#));
    let sent = headers(&[]);
    let request = Request { method: &http::Method::GET, target: "/", headers: &sent, body: b"" };
    let outcome = compare(&request, &a, &b, &rules);
    evidence.record(&outcome, TOOK, 1_700_000_000_123);
    evidence.record(&Outcome::default(), TOOK, 1_700_000_000_124);
    evidence.record(&Outcome { unknown: Some(Incomparable::Streamed), ..Outcome::default() }, TOOK, 1_700_000_000_125);
    evidence.record_replay(&outcome, 1_700_000_000_126);
    evidence.keep(Exchange::redacted(&request, &a, &outcome, &rules, 1).expect("values are kept"));

    let text = evidence.to_json();
    assert_eq!(Evidence::from_json(&text, &rules).expect("its own file"), evidence);

    let other = Rules::new(&WrittenRules { ignore: vec!["$.a".to_owned()], ..written }).expect("valid");
    assert!(matches!(Evidence::from_json(&text, &other), Err(EvidenceError::OtherRules)));
    let later = text.replacen("\"version\":1", "\"version\":2", 1);
    assert!(matches!(Evidence::from_json(&later, &rules), Err(EvidenceError::Version(2))));
    let broken = text.replacen("\"fields\":[0,1]", "\"fields\":[0,7]", 1);
    assert_ne!(broken, text);
    assert!(matches!(Evidence::from_json(&broken, &rules), Err(EvidenceError::Inconsistent)));
    for bad in ["", "{}", "[1]", "{\"version\":1}"] {
        assert!(matches!(Evidence::from_json(bad, &rules), Err(EvidenceError::Unreadable(_))), "{bad}");
    }
}

fn json(body: &str) -> Answer {
    answer(200, &[("content-type", "application/json")], body.to_owned())
}

#[test]
fn a_million_different_answers_take_bounded_room() {
    let mut evidence = evidence();
    for now in 0..3000_u64 {
        let fields = (0..20).map(|n| format!("$.f{}.g{}", (now * 7 + n) % 97, (now * n) % 89)).collect::<Vec<_>>();
        let mut outcome = differing(&fields.iter().map(String::as_str).collect::<Vec<_>>());
        outcome.differences.dedup();
        evidence.record(&outcome, TOOK, now);
    }
    assert_eq!(evidence.compared(), 3000);
    assert!(evidence.tallies().len() <= crate::compare::MAX_FIELDS + 1);
    assert!(evidence.to_json().len() < 600_000, "{}", evidence.to_json().len());
}

#[test]
fn examples_and_kept_requests_are_few_and_differ() {
    let rules = Rules::new(&WrittenRules { examples: Examples::Values, ..WrittenRules::default() }).expect("valid");
    let mut evidence = Evidence::new(&rules);
    let sent = headers(&[]);
    let request = Request { method: &http::Method::GET, target: "/", headers: &sent, body: b"" };
    for now in 0..100_u64 {
        // Each pair twice, and every other answer alike.
        let candidate = json(&format!("{{\"a\":{}}}", now / 4 * (now % 2)));
        let outcome = compare(&request, &json("{\"a\":0}"), &candidate, &rules);
        evidence.record(&outcome, TOOK, now);
        if evidence.wants_exchange(&outcome) {
            let control = json("{\"a\":0}");
            evidence.keep(Exchange::redacted(&request, &control, &outcome, &rules, now).expect("values are kept"));
        }
    }
    let shown = |kept: &crate::compare::KeptExample| kept.example.candidate.clone().expect("present");
    let [tally] = evidence.tallies() else { panic!("one field: {:?}", evidence.tallies()) };
    assert_eq!(tally.examples.iter().map(shown).collect::<Vec<_>>(), ["1", "2", "3", "4", "5"]);
    let (alike, differing): (Vec<_>, Vec<_>) = evidence.exchanges().iter().partition(|kept| kept.fields.is_empty());
    assert_eq!((alike.len(), differing.len()), (5, 5));
}

#[test]
fn the_report_has_the_shape_that_others_read() {
    let mut evidence = evidence();
    evidence.record(&differing(&["$.a"]), TOOK, 1_700_000_000_000);
    evidence.record(&Outcome::default(), TOOK, 1_700_000_001_000);
    let report = serde_json::to_value(Report::of("read-user", &evidence)).expect("json");
    assert_eq!(report["route"], "read-user");
    assert_eq!(report["compared"], 2);
    assert_eq!(report["verdicts"], serde_json::json!({ "match": 1, "mismatch": 1, "incomparable": 0 }));
    assert_eq!(report["mismatch_rate"], serde_json::json!(0.5));
    assert_eq!(report["interval"].as_array().map(Vec::len), Some(2));
    let field = &report["fields"][0];
    assert_eq!(
        (&field["field"], &field["raw"], &field["noise"], &field["regression"]),
        (&"$.a".into(), &1.into(), &0.into(), &true.into())
    );
    assert_eq!(field["last_seen"], "2023-11-14T22:13:20Z");
    assert!(field["examples"].is_array());
    let empty = Report::of("read-user", &Evidence::new(&Rules::default()));
    assert_eq!(serde_json::to_value(&empty).expect("json")["mismatch_rate"], serde_json::Value::Null);
}

#[test]
fn the_text_fits_a_terminal_in_any_script() {
    use unicode_width::UnicodeWidthStr;
    let mut evidence = evidence();
    let names = [
        format!("$.{}", "注文番号".repeat(3)),
        format!("$.{}", "注文番号".repeat(12)),
        "$.zeile\u{202e}.\u{1b}[2J".to_owned(),
        "$.größe".to_owned(),
    ];
    for name in &names {
        let example = Example { control: Some("値".repeat(150)), candidate: Some("e\u{301}".repeat(80)) };
        let difference = Difference { field: name.clone(), kind: Kind::Value, example: Some(example) };
        evidence.record(&Outcome { differences: vec![difference], unknown: None }, TOOK, 1_700_000_000_000);
    }
    let text = Report::of("read-user", &evidence).to_string();
    assert!(text.lines().all(|line| line.width() <= 80 && line.trim_end() == line), "{text}");
    assert!(!text.contains(['\u{202e}', '\u{1b}']), "{text:?}");
    // The numbers of each field stand below their headings, whatever its name is written in.
    let at = |line: &str, word: &str| line.find(word).map(|at| line[..at + word.len()].width());
    let rows: Vec<_> = text.lines().filter(|line| line.contains(" 25.00 %")).map(|line| at(line, " 25.00 %")).collect();
    assert_eq!(
        rows,
        [text.lines().find_map(|line| at(line, "rate").filter(|_| line.contains("differs"))); 4],
        "{text}"
    );
}

#[test]
fn the_text_fits_a_terminal() {
    let written = WrittenRules { examples: Examples::Values, ..WrittenRules::default() };
    let rules = Rules::new(&written).expect("valid");
    let mut evidence = Evidence::new(&rules);
    let sent = headers(&[]);
    let request = Request { method: &http::Method::GET, target: "/", headers: &sent, body: b"" };
    let long = "x".repeat(300);
    let a = json(&format!(
        r#"{{"at":1,"name":"{long}","very_long_name_of_a_field":{{"and_another_long_name_in_it":1}},"esc":"\u001b[2J"}}"#
    ));
    let b = json(r#"{"at":2,"name":"short","very_long_name_of_a_field":{"and_another_long_name_in_it":2}}"#);
    for now in 0..60 {
        let moved = compare(&request, &json(r#"{"at":1}"#), &json(r#"{"at":2}"#), &rules);
        evidence.record(&moved, TOOK, 1_700_000_000_000 + now);
        evidence.record_replay(&moved, 1_700_000_000_000 + now);
    }
    evidence.record(&compare(&request, &a, &b, &rules), TOOK, 1_700_000_000_000);
    evidence.record(&Outcome { unknown: Some(Incomparable::Streamed), ..Outcome::default() }, TOOK, 1_700_000_000_000);
    let text = Report::of("read-user", &evidence).to_string();
    for line in text.lines() {
        assert!(line.chars().count() <= 80, "{} columns: {line}", line.chars().count());
        assert!(!line.chars().any(char::is_control), "{line}");
    }
    for part in [
        "read-user",
        "98.36 % of 61 comparisons",
        "60 match, 1 mismatch",
        "known from 60 replays",
        "streamed 1",
        "$.name",
        "noise, not counted",
        "$.at",
    ] {
        assert!(text.contains(part), "`{part}` in\n{text}");
    }
    let empty = Report::of("read-user", &Evidence::new(&rules)).to_string();
    assert_eq!(empty, "read-user\n  compared      nothing yet\n");
}

#[test]
fn nothing_secret_is_kept_wherever_it_was_sent() {
    for examples in [Examples::Values, Examples::Shapes, Examples::Off] {
        let rules = Rules::new(&WrittenRules {
            examples,
            headers: Some(
                ["content-type", "location", "set-cookie", "x-api-key", "x-echo"].map(str::to_owned).to_vec(),
            ),
            redact: vec!["password".to_owned(), "$.card.number".to_owned()],
            ..WrittenRules::default()
        })
        .expect("valid");
        let mut evidence = Evidence::new(&rules);
        let sent = headers(&[
            ("authorization", "Bearer SECRET-bearer"),
            ("cookie", "a=b; sid=SECRET-cookie"),
            ("x-api-key", "SECRET-key"),
            ("x-session-token", "SECRET-session"),
            ("content-type", "application/json"),
        ]);
        let request = Request {
            method: &http::Method::POST,
            target: "/reset/SECRET-query?password=SECRET-query&next=%2Fa%3Fpassword%3DSECRET-nested&x=SECRET%2Dbearer",
            headers: &sent,
            body: br#"{"password":"SECRET-body","note":"SECRET-cookie","inner":"{\"password\":\"SECRET-string\"}"}"#,
        };
        let answers = ["one", "two"].map(|n| {
            answer(
                200,
                &[
                    ("content-type", "application/json"),
                    ("set-cookie", &format!("sid=SECRET-set-{n}; Path=/")),
                    ("x-api-key", &format!("SECRET-answer-{n}")),
                    ("x-echo", &format!("{n} SECRET-bearer password=SECRET-pair")),
                    ("location", &format!("/{n}?password=SECRET-location")),
                ],
                format!(
                    r#"{{"password":"SECRET-a{n}","card":{{"number":"SECRET-b{n}","SECRET-c{n}":1}},"list":["{n}","SECRET-cookie","SECRET-set-{n}"],
                        "url":"https://{n}/?password=SECRET-d{n}","text":"{{\"password\":\"SECRET-e{n}\"}}","number":{{"SECRET-f{n}":"{n}"}},
                        "SECRET-cookie":"{n}","echo":"{n} SECRET-a{n}","SECRET-query":{{"x":"{n}"}}}}"#
                ),
            )
        });
        let outcome = compare(&request, &answers[0], &answers[1], &rules);
        assert_eq!(outcome.verdict(), Verdict::Mismatch);
        evidence.record(&outcome, TOOK, 1);
        evidence.record_replay(&outcome, 1);
        if let Some(exchange) = Exchange::redacted(&request, &answers[0], &outcome, &rules, 1) {
            evidence.keep(exchange);
        }
        let report = Report::of("r", &evidence);
        for kept in [
            format!("{outcome:?}"),
            evidence.to_json(),
            serde_json::to_string(&report).expect("json"),
            report.to_string(),
            evidence.to_hurl("r", &rules),
        ] {
            // A key that no rule names and that looks like a name is taken for one.
            let kept = kept.replace("SECRET-cone", "").replace("SECRET-ctwo", "");
            assert!(!kept.contains("SECRET"), "{}: {kept}", examples.as_str());
        }
    }
}
