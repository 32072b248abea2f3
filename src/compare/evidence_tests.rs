//! What evidence counts, forgets and survives.

use super::*;
use crate::compare::token::{Hunk, class};
use crate::compare::verdict::tests::{headers, response};
use crate::compare::{ComparedRequest, ComparedResponse, Example, Kind, Report, WrittenRules, compare};
use crate::migration::Examples;

const TOOK: Took = Took { control: Duration::from_millis(12), candidate: Duration::from_millis(7) };

fn difference(field: &str, hunk: Hunk) -> Difference {
    Difference { field: field.to_owned(), kind: Kind::Value, hunks: vec![hunk], rest: false, examples: Vec::new() }
}

fn differing(fields: &[&str]) -> Outcome {
    let whole = |field: &&str| difference(field, Hunk::of(class::NUMBER));
    Outcome { differences: fields.iter().map(whole).collect(), equal: true, ..Outcome::default() }
}

fn same() -> Outcome {
    Outcome { equal: true, ..Outcome::default() }
}

fn evidence() -> Evidence {
    Evidence::new(&Rules::default())
}

/// Fifty replays, all alike.
fn learned(outcome: &Outcome) -> Evidence {
    let mut evidence = evidence();
    for now in 0..50 {
        assert!(!evidence.noise_known());
        evidence.record_replay(outcome, Learned::Monolith, now);
    }
    assert!(evidence.noise_known());
    evidence
}

#[test]
fn comparisons_wait_for_noise_and_are_counted_once() {
    let mut evidence = evidence();
    for now in 0..100 {
        let outcome = if now == 7 { differing(&["$.at", "$.price"]) } else { differing(&["$.at"]) };
        assert_eq!(evidence.record(&outcome, None, TOOK, true, now), []);
    }
    assert_eq!((evidence.compared(), evidence.waiting()), (0, 100));
    let mut verdicts = Vec::new();
    for now in 0..50 {
        verdicts.extend(evidence.record_replay(&differing(&["$.at"]), Learned::Monolith, now));
    }
    let count = |wanted| verdicts.iter().filter(|verdict| **verdict == wanted).count();
    assert_eq!((count(ComparisonResult::Match), count(ComparisonResult::Mismatch)), (99, 1));
    assert_eq!((evidence.compared(), evidence.mismatches(), evidence.waiting()), (100, 1, 0));
    assert_eq!(evidence.record(&differing(&["$.at"]), None, TOOK, true, 1000), [ComparisonResult::Match]);
    let report = Report::of("r", &evidence);
    assert_eq!(report.regressions().collect::<Vec<_>>(), ["$.price"]);
}

#[test]
fn of_too_many_that_wait_the_oldest_are_dropped() {
    let mut evidence = evidence();
    let dropped =
        (0..1200).filter(|now| evidence.record(&same(), None, TOOK, true, *now) == [ComparisonResult::Dropped]).count();
    assert_eq!((dropped, evidence.waiting(), evidence.dropped()), (200, 1000, 200));
}

#[test]
fn where_noise_can_never_be_known_every_difference_counts_at_once() {
    let mut evidence = evidence();
    assert_eq!(evidence.record(&differing(&["$.a"]), None, TOOK, false, 1), [ComparisonResult::Mismatch]);
    assert!(evidence.is_unlearnable() && Report::of("r", &evidence).to_string().contains("cannot be known"));
}

#[test]
fn a_mask_hides_noise_and_no_fault_beside_it() {
    let noise = Hunk { classes: class::OPAQUE, before: 5, behind: 6 };
    let fault = Hunk { classes: class::NUMBER, before: 7, behind: 8 };
    let with = |hunks: Vec<Hunk>, rest, equal| Outcome {
        differences: vec![Difference { hunks, rest, ..difference("body > p", noise) }],
        equal,
        ..Outcome::default()
    };
    let mut evidence = learned(&with(vec![noise], true, false));
    assert_eq!(evidence.record(&with(vec![noise], true, false), None, TOOK, true, 60), [ComparisonResult::Match]);
    assert_eq!(
        evidence.record(&with(vec![noise, fault], true, false), None, TOOK, true, 60),
        [ComparisonResult::Mismatch]
    );
    assert_eq!(evidence.record(&with(vec![noise], false, false), None, TOOK, true, 60), [ComparisonResult::Undecided]);
    assert_eq!(evidence.record(&with(vec![noise], false, true), None, TOOK, true, 60), [ComparisonResult::Match]);
    assert_eq!((evidence.compared(), evidence.mismatches(), evidence.undecided()), (3, 1, 1));
    let text = Report::of("r", &evidence).to_string();
    assert!(text.contains("25.00 % undecided"), "{text}");
}

#[test]
fn a_difference_that_the_monolith_shows_rarely_and_the_service_always_counts() {
    let mut evidence = evidence();
    for now in 0..100 {
        let outcome = if now < 3 { differing(&["$.a"]) } else { same() };
        evidence.record_replay(&outcome, Learned::Monolith, now);
    }
    let last = (0..100).map(|now| evidence.record(&differing(&["$.a"]), None, TOOK, true, now)).last();
    assert_eq!(last, Some(vec![ComparisonResult::Mismatch]));
}

#[test]
fn noise_beside_an_unreadable_body_is_incomparable() {
    let unknown = Some(Incomparable::Truncated);
    let mut evidence = learned(&differing(&["header:date"]));
    let noisy = Outcome { unknown, equal: false, ..differing(&["header:date"]) };
    let expected = [ComparisonResult::Incomparable(Incomparable::Truncated)];
    assert_eq!(evidence.record(&noisy, None, TOOK, true, 60), expected);
    let bare = Outcome { unknown, ..Outcome::default() };
    assert_eq!(evidence.record(&bare, None, TOOK, true, 60), expected);
    assert_eq!((evidence.compared(), evidence.incomparable()[&Incomparable::Truncated]), (0, 2));
    let replays = evidence.replays();
    evidence.record_replay(&bare, Learned::Monolith, 61);
    assert_eq!(evidence.replays(), replays);
}

#[test]
fn statuses_are_a_table_of_pairs() {
    let mut evidence = evidence();
    let asked = |target: &str| KeptRequest {
        method: "GET".to_owned(),
        target: target.to_owned(),
        request_id: Some("r-1".to_owned()),
        authorized: true,
        number: 0,
        host: None,
        accept: None,
    };
    for now in 0..5 {
        let outcome = Outcome { statuses: Some([200, 401]), ..differing(&["status"]) };
        evidence.record(&outcome, Some(&asked(&format!("/{now}"))), TOOK, true, now);
    }
    let agreed = Outcome { statuses: Some([202, 200]), agreed: true, ..same() };
    evidence.record(&agreed, Some(&asked("/agreed")), TOOK, true, 6);
    evidence.record_unanswered(401, &asked("/late"), 9);
    let report = serde_json::to_value(Report::of("r", &evidence)).expect("json");
    let pairs = &report["statuses"];
    assert_eq!(pairs.as_array().map(Vec::len), Some(2), "what is agreed is no difference");
    assert_eq!((&pairs[0]["from"], &pairs[0]["to"], &pairs[0]["count"]), (&200.into(), &401.into(), &5.into()));
    assert_eq!((&pairs[1]["from"], &pairs[1]["to"], &pairs[1]["count"]), (&401.into(), &"no answer".into(), &1.into()));
    assert_eq!(pairs[0]["requests"][0]["target"], "/4");
    let text = Report::of("r", &evidence).to_string();
    assert!(text.contains("200 → 401              5  (all with credentials)"), "{text}");
    assert!(text.contains("GET /4  r-1\n") && text.contains("GET /2  r-1\n"), "{text}");
    assert!(!text.contains("[-200-]"), "the table says it: {text}");
}

#[test]
fn a_window_forgets_what_came_before_it() {
    const HOUR: u64 = 3_600_000;
    let mut evidence = learned(&same());
    for now in 0..100 {
        evidence.record(&differing(&["$.price"]), None, TOOK, true, now);
        evidence.record(&same(), None, TOOK, true, 10 * HOUR + now);
    }
    let all = Report::of("r", &evidence);
    let recent = Report::since("r", &evidence, 10 * HOUR - 60_000, 10 * HOUR + 200);
    assert_eq!((all.compared, all.verdicts.mismatch), (200, 100));
    assert_eq!((recent.compared, recent.verdicts.mismatch, recent.fields.len()), (100, 0, 0));
}

#[test]
fn it_survives_a_restart_and_is_reset_by_other_rules() {
    let written = WrittenRules { examples: Examples::Values, ..WrittenRules::default() };
    let rules = Rules::new(&written).expect("valid");
    let mut evidence = Evidence::new(&rules);
    let (a, b) = (json(r#"{"a":12345678901234567890,"k":1}"#), json(r#"{"a":null}"#));
    let sent = headers(&[]);
    let request = ComparedRequest { method: &http::Method::GET, target: "/", headers: &sent, body: b"" };
    let outcome = compare(&request, &a, &b, &rules);
    evidence.record(&outcome, None, TOOK, false, 1_700_000_000_123);
    evidence.record(&same(), None, TOOK, false, 1_700_000_000_124);
    let unknown = Outcome { unknown: Some(Incomparable::Streamed), ..Outcome::default() };
    evidence.record(&unknown, None, TOOK, false, 1_700_000_000_125);
    evidence.record_replay(&outcome, Learned::Monolith, 1_700_000_000_126);
    evidence.keep(KeptExchange::redacted(&request, &a, &outcome, &rules, 1).expect("values are kept"));

    let text = evidence.to_json();
    assert_eq!(Evidence::from_json(&text, &rules).expect("its own file"), evidence);

    let other = Rules::new(&WrittenRules { ignore: vec!["$.a".to_owned()], ..written }).expect("valid");
    assert!(matches!(Evidence::from_json(&text, &other), Err(EvidenceError::OtherRules)));
    let later = text.replacen("\"version\":3", "\"version\":4", 1);
    assert!(matches!(Evidence::from_json(&later, &rules), Err(EvidenceError::Version(4))));
    for bad in ["", "{}", "[3]", "{\"version\":3}"] {
        assert!(matches!(Evidence::from_json(bad, &rules), Err(EvidenceError::Unreadable(_))), "{bad}");
    }
}

fn json(body: &str) -> ComparedResponse {
    response(200, &[("content-type", "application/json")], body.to_owned())
}

#[test]
fn a_million_different_answers_take_bounded_room() {
    let mut evidence = evidence();
    for now in 0..3000_u64 {
        let fields = (0..20).map(|n| format!("$.f{}.g{}", (now * 7 + n) % 97, (now * n) % 89)).collect::<Vec<_>>();
        let mut outcome = differing(&fields.iter().map(String::as_str).collect::<Vec<_>>());
        outcome.differences.dedup();
        evidence.record(&outcome, None, TOOK, false, now);
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
    let request = ComparedRequest { method: &http::Method::GET, target: "/", headers: &sent, body: b"" };
    for number in 0..100_u64 {
        // Each pair twice, and every other answer alike; ten in a second.
        let now = number * 100;
        let candidate = json(&format!("{{\"a\":{}}}", number / 4 * (number % 2)));
        let outcome = compare(&request, &json("{\"a\":0}"), &candidate, &rules);
        evidence.record(&outcome, None, TOOK, false, now);
        if evidence.wants_exchange(&outcome, now) {
            let control = json("{\"a\":0}");
            evidence.keep(KeptExchange::redacted(&request, &control, &outcome, &rules, now).expect("values are kept"));
        }
    }
    let shown = |kept: &crate::compare::KeptExample| kept.example.candidate.clone().expect("present");
    let [tally] = evidence.tallies() else { panic!("one field: {:?}", evidence.tallies()) };
    assert_eq!(tally.examples.iter().map(shown).collect::<Vec<_>>(), ["1", "2", "22", "23", "24"]);
    let (alike, differing): (Vec<_>, Vec<_>) = evidence.exchanges().iter().partition(|kept| kept.fields.is_empty());
    assert_eq!((alike.len(), differing.len()), (5, 5));
    // The first two, and of the newest one a second.
    let times: Vec<_> = differing.iter().map(|kept| kept.at).collect();
    assert_eq!(times, [500, 700, 7300, 8300, 9300]);
}

/// The time varies by itself, which is known late; of one page in forty the price is wrong.
#[test]
fn examples_of_what_turned_out_to_be_noise_are_not_shown_beside_a_fault() {
    let rules = Rules::new(&WrittenRules { examples: Examples::Values, ..WrittenRules::default() }).expect("valid");
    let mut evidence = Evidence::new(&rules);
    let sent = headers(&[]);
    let request = ComparedRequest { method: &http::Method::GET, target: "/", headers: &sent, body: b"" };
    let page = |time: u64, price: u64| json(&format!(r#"{{"line":"made at {time} and sold for {price} euro each"}}"#));
    let examples = |evidence: &Evidence| {
        let report = Report::of("r", evidence);
        let [field] = &report.fields[..] else { panic!("{report}") };
        field.examples.iter().map(|example| example.candidate.clone().expect("present")).collect::<Vec<_>>()
    };
    for now in 0..400_u64 {
        let price = if now % 40 == 7 { 21 } else { 12 };
        let control = page(1000 + now, 12);
        evidence.record(&compare(&request, &control, &page(2000 + now, price), &rules), None, TOOK, true, now);
        if now == 20 {
            assert_eq!(examples(&evidence).len(), 5, "nothing is known of noise yet");
        }
        if now >= 20 {
            let again = compare(&request, &control, &page(3000 + now, 12), &rules);
            evidence.record_replay(&again, Learned::Monolith, now);
        }
    }
    let shown = examples(&evidence);
    assert_eq!(shown.len(), 5, "{shown:?}");
    assert!(shown.iter().all(|text| text.contains("21")), "{shown:?}");
}

#[test]
fn what_no_fault_would_be_seen_in_is_said_to_be_blind() {
    let rules = Rules::default();
    let mut evidence = Evidence::new(&rules);
    let sent = headers(&[]);
    let request = ComparedRequest { method: &http::Method::GET, target: "/", headers: &sent, body: b"" };
    for now in 0..200_u64 {
        let response = |n: u64| json(&format!(r#"{{"nonce":"a{n}b","seen":"Seen {n} times","same":1}}"#));
        let (control, candidate, again) = (response(now), response(now + 1000), response(now + 2000));
        evidence.record(&compare(&request, &control, &candidate, &rules), None, TOOK, true, now);
        evidence.record_replay(&compare(&request, &control, &again, &rules), Learned::Monolith, now);
    }
    let report = Report::of("r", &evidence);
    let blind = |name: &str| report.fields.iter().find(|field| field.field == name).map(|field| field.blind_rate);
    // Another nonce is as good as any; of the text two words are compared, and only its number is not.
    assert_eq!(blind("$.nonce"), Some(1.0), "{report}");
    assert!(blind("$.seen").is_some_and(|rate| rate < 0.05), "{report}");
    assert!(report.to_string().contains("a fault here would not be seen"), "{report}");
}

/// Answers whose text begins with noise; `price` stands far behind it.
fn with_price(now: u64, price: u8) -> crate::compare::ComparedResponse {
    let between = "lorem ipsum ".repeat(20);
    json(&format!(r#"{{"t":"token a{now}b {between}price {price} EUR"}}"#))
}

#[test]
fn an_example_shows_the_fault_and_not_the_noise_beside_it() {
    let rules = Rules::new(&WrittenRules { examples: Examples::Values, ..WrittenRules::default() }).expect("valid");
    let mut evidence = Evidence::new(&rules);
    let sent = headers(&[]);
    let request = ComparedRequest { method: &http::Method::GET, target: "/", headers: &sent, body: b"" };
    let of = |now: u64, price: u8| compare(&request, &with_price(now, 10), &with_price(now + 1000, price), &rules);
    for now in 0..60 {
        evidence.record_replay(&of(now, 10), Learned::Monolith, now);
    }
    for now in 60..70 {
        assert_eq!(evidence.record(&of(now, 99), None, TOOK, true, now), [ComparisonResult::Mismatch]);
    }
    let text = Report::of("r", &evidence).to_string();
    assert!(text.contains("ipsum price [-10-] EUR") && text.contains("ipsum price {+99+} EUR"), "{text}");
    assert!(!text.contains("token"), "{text}");
    // Asked once more, the noise alone is noise, and the fault is not.
    let [noise, fault] = [of(99, 10), of(99, 99)].map(|outcome| evidence.is_noise(&outcome.differences[0]));
    assert!(noise && !fault);
}

#[test]
fn a_part_of_a_report_says_nothing_of_the_rest() {
    let mut evidence = evidence();
    evidence.record(&differing(&["$.a"]), None, TOOK, false, 1);
    let mut report = Report::of("r", &evidence);
    report.fields.clear();
    report.part = true;
    let text = report.to_string();
    assert!(text.contains("what was asked for did not differ") && !text.contains("no field differs"), "{text}");
}

#[test]
fn the_report_has_the_shape_that_others_read() {
    let mut evidence = evidence();
    evidence.record(&differing(&["$.a"]), None, TOOK, false, 1_700_000_000_000);
    evidence.record(&same(), None, TOOK, false, 1_700_000_001_000);
    let report = serde_json::to_value(Report::of("read-user", &evidence)).expect("json");
    assert_eq!(report["route"], "read-user");
    assert_eq!(report["compared"], 2);
    let verdicts = serde_json::json!({ "match": 1, "mismatch": 1, "undecided": 0, "incomparable": 0, "dropped": 0 });
    assert_eq!(report["verdicts"], verdicts);
    assert_eq!(report["copies"]["answered"], 0);
    assert!(report["statuses"].is_array());
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
        let difference = Difference {
            examples: vec![(Hunk::of(class::WHOLE), example)],
            ..difference(name, Hunk::of(class::WHOLE))
        };
        let outcome = Outcome { differences: vec![difference], ..Outcome::default() };
        evidence.record(&outcome, None, TOOK, false, 1_700_000_000_000);
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
    let request = ComparedRequest { method: &http::Method::GET, target: "/", headers: &sent, body: b"" };
    let long = "x".repeat(300);
    let a = json(&format!(
        r#"{{"at":1,"name":"{long}","very_long_name_of_a_field":{{"and_another_long_name_in_it":1}},"esc":"\u001b[2J"}}"#
    ));
    let b = json(r#"{"at":2,"name":"short","very_long_name_of_a_field":{"and_another_long_name_in_it":2}}"#);
    for now in 0..60 {
        let moved = compare(&request, &json(r#"{"at":1}"#), &json(r#"{"at":2}"#), &rules);
        evidence.record(&moved, None, TOOK, true, 1_700_000_000_000 + now);
        evidence.record_replay(&moved, Learned::Monolith, 1_700_000_000_000 + now);
    }
    evidence.record(&compare(&request, &a, &b, &rules), None, TOOK, true, 1_700_000_000_000);
    let unknown = Outcome { unknown: Some(Incomparable::Streamed), ..Outcome::default() };
    evidence.record(&unknown, None, TOOK, true, 1_700_000_000_000);
    let text = Report::of("read-user", &evidence).to_string();
    for line in text.lines() {
        assert!(line.chars().count() <= 80, "{} columns: {line}", line.chars().count());
        assert!(!line.chars().any(char::is_control), "{line}");
    }
    for part in [
        "read-user",
        "100.00 % of 1 comparisons, 98.36 % undecided",
        "0 match, 1 mismatch, 60 undecided",
        "known from 60 replays",
        "streamed 1",
        "$.name",
        "noise, not counted",
        "$.at",
    ] {
        assert!(text.contains(part), "`{part}` in\n{text}");
    }
    let empty = Report::of("read-user", &Evidence::new(&rules)).to_string();
    assert_eq!(
        empty,
        "read-user\n  compared      nothing yet\n  verdicts      0 match, 0 mismatch, 0 undecided\n  noise         not known yet (0 of 50 replays)\n"
    );
}

#[test]
fn the_text_says_at_whom_noise_is_learned_before_it_is_known() {
    let rules = Rules::new(&WrittenRules::default()).expect("valid");
    let mut evidence = Evidence::new(&rules);
    let sent = headers(&[]);
    let request = ComparedRequest { method: &http::Method::POST, target: "/", headers: &sent, body: b"" };
    let same = compare(&request, &json(r#"{"at":1}"#), &json(r#"{"at":1}"#), &rules);
    for now in 0..7 {
        evidence.record_replay(&same, Learned::Sandbox, 1_700_000_000_000 + now);
    }
    let text = Report::of("read-user", &evidence).to_string();
    assert!(text.contains("not known yet (7 of 50 replays at the sandbox)"), "{text}");
    evidence.record_replay(&same, Learned::Monolith, 1_700_000_000_007);
    let text = Report::of("read-user", &evidence).to_string();
    assert!(text.contains("not known yet (8 of 50 replays, 7 at the sandbox)"), "{text}");
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
        let request = ComparedRequest {
            method: &http::Method::POST,
            target: "/reset/SECRET-query?password=SECRET-query&next=%2Fa%3Fpassword%3DSECRET-nested&x=SECRET%2Dbearer",
            headers: &sent,
            body: br#"{"password":"SECRET-body","note":"SECRET-cookie","inner":"{\"password\":\"SECRET-string\"}"}"#,
        };
        let responses = ["one", "two"].map(|n| {
            response(
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
        let outcome = compare(&request, &responses[0], &responses[1], &rules);
        assert_eq!(outcome.verdict(), ComparisonResult::Mismatch);
        evidence.record(&outcome, None, TOOK, false, 1);
        evidence.record_replay(&outcome, Learned::Monolith, 1);
        if let Some(exchange) = KeptExchange::redacted(&request, &responses[0], &outcome, &rules, 1) {
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
