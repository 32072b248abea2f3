//! The differences of the two answers: fields with their rates and noise, examples with the letters that differ.

use jiff::Timestamp;
use maud::{Markup, html};

use super::copies;
use super::page::{Layout, prose};
use super::rule::is_without_name;
use super::shown::{ago, count, counted, percent, plain, ratio};
use super::spark;
use super::taken::list_in_another_order;
use crate::compare::{ExampleReport, FieldReport, Kind, REDACTED, Report, StatusReport, shape_of, status_word};
use crate::message::percent_encoded;
use crate::migration::{CompareSettings, Examples};
use crate::proxy::RouteInForce;

/// Fields shown; the others are counted.
const MOST: usize = 30;
/// Requests of a pair of statuses.
const MOST_REQUESTS: usize = 3;
/// Ignored fields that are named where nothing else differed.
const MOST_IGNORED: usize = 5;

/// Empty for a route that compares nothing and never did.
pub fn section(frame: &Layout<'_>, name: &str, entry: &RouteInForce) -> Markup {
    let Some(report) = frame.parts.app.shadow.report(name, None) else {
        let could = matches!(entry.dial.stage.as_str(), "monolith" | "canary");
        return html! {
            @if could && entry.policy.service.is_some() {
                section.card aria-labelledby="differs-h" {
                    div.h { h2 #differs-h { "What differs" } }
                    p.pad.dim { "Nothing is compared. " code { "stage = \"shadow\"" } ", or a table " code { "[routes." (name) ".shadow.compare]" } " in a canary, sends copies to the service and compares its answers, field by field. No client waits for them." }
                }
            }
        };
    };
    let settings = entry.policy.shadow.as_ref().and_then(|shadow| shadow.compare.as_ref());
    let values = settings.is_some_and(|settings| settings.examples == Examples::Values);
    let class = match report.mismatch_rate {
        Some(rate) if rate > 0.001 => "warn",
        Some(_) => "good",
        None => "n",
    };
    html! {
        section.card #differs data-live aria-labelledby="differs-h" {
            div.h {
                h2 #differs-h { "What differs" }
                span class={ "pill f " (class) } { (report.mismatch_rate.map_or_else(|| "nothing compared yet".to_owned(), |rate| format!("{} of answers", percent(rate)))) }
                @if report.compared > 0 { span.dim { "95 % sure: " (percent(report.interval[0])) " to " (percent(report.interval[1])) } }
                span.grow {}
                @if frame.visitor.operates() {
                    @let export = format!("{}api/v1/routes/{name}/comparisons", frame.root);
                    a.btn.sm href={ (export) ".hurl" } download={ (name) ".hurl" } { "Export as tests (.hurl)" }
                    a.btn.sm href={ (export) ".sh" } download={ (name) ".sh" } { "as curl (.sh)" }
                }
                (frame.act("Begin anew", "btn sm", &format!("do=reset&route={}", percent_encoded(name))))
            }
            p.pad.dim { (summary(&report)) }
            (copies::figures(&report))
            @for pair in &report.statuses { (status(frame, pair)) }
            @if report.fields.is_empty() { @if report.compared > 0 && report.statuses.is_empty() { p.pad.good { (nothing(settings.map_or(&[][..], |rules| &rules.ignore), settings.is_some_and(leaves_out))) } } } @else {
                table.w {
                    thead { tr { th scope="col" { "Field" } th scope="col" { "Differs, and by itself" } th.r scope="col" { "Rate" } th.r scope="col" { "Noise" } th scope="col" { "Last seen" } th scope="col" { "What to do" } } }
                    tbody { @for field in report.fields.iter().take(MOST) { (row(frame, name, (field, &report.fields), values)) } }
                }
                @if report.fields.len() > MOST { p.pad.dim { "And " (report.fields.len() - MOST) " more: " code { "multilith diff " (name) } } }
            }
        }
    }
}

/// Whether rules beside `ignore` may have hidden something.
const fn leaves_out(rules: &CompareSettings) -> bool {
    !(rules.unordered.is_empty() && rules.mask.is_empty() && rules.tolerance.is_empty())
}

/// No field differed, as far as the rules show it.
fn nothing(ignored: &[Box<str>], others: bool) -> Markup {
    html! {
        @if !ignored.is_empty() {
            "Nothing outside the ignored fields differed: "
            @for (at, field) in ignored.iter().take(MOST_IGNORED).enumerate() { @if at > 0 { ", " } code { (plain(field)) } }
            @if ignored.len() > MOST_IGNORED { " and " (ignored.len() - MOST_IGNORED) " more" }
            "."
        } @else if others { "Nothing differed beside what the rules of the file leave out." } @else { "No field ever differed." }
    }
}

fn summary(report: &Report) -> String {
    let verdicts = &report.verdicts;
    let mut text = format!(
        "{} compared: {} match, {} mismatch, {} undecided{}, {} incomparable.",
        count(report.compared),
        count(verdicts.matches),
        count(verdicts.mismatch),
        count(verdicts.undecided),
        undecided_rate(report).map_or_else(String::new, |rate| format!(" ({} of all)", percent(rate))),
        count(verdicts.incomparable)
    );
    let noise = match (report.noise_known, report.noise_knowable) {
        (true, _) => format!(" Noise is known from {}.", counted(report.replays, "replay")),
        (false, true) => {
            format!(" {} wait until noise is known: {} of 50 replays were seen.", count(report.waiting), report.replays)
        }
        (false, false) => " Noise cannot be known: no request is sent twice.".to_owned(),
    };
    text.push_str(&noise);
    if !report.fields.is_empty() {
        text.push_str(" Red: how often it differs; amber: how often the monolith differs from itself.");
    }
    let lost = report.copies.timeout + report.copies.connect + report.copies.reset;
    if lost > 0 {
        let why = report.copies.last_failure.as_deref().unwrap_or("no answer");
        text = format!("{text} Lost: {}, the last by: {why}.", counted(lost, "copy"));
    }
    text
}

/// Of match, mismatch and undecided, where some are.
fn undecided_rate(report: &Report) -> Option<f64> {
    let undecided = report.verdicts.undecided;
    ratio(undecided, report.compared + undecided).filter(|rate| *rate > 0.0)
}

/// A pair of statuses, how often, and the newest requests that had it.
fn status(frame: &Layout<'_>, pair: &StatusReport) -> Markup {
    let (from, to) = (status_word(&pair.from), status_word(&pair.to));
    let values = frame.visitor.operates();
    html! {
        div.note {
            span.pill.f.bad { "status" }
            div.t {
                b { (from) " → " (to) } ", " (counted(pair.count, "time"))
                @match pair.authorized { 0 => {}, all if all == pair.count => ", all with credentials", some => { ", " (count(some)) " with credentials" } }
                @if let Some(hint) = &pair.hint { ": " (prose(hint)) }
                @if values {
                    @for asked in pair.requests.iter().take(MOST_REQUESTS) {
                        p.lab { (numbered(asked.number)) code { (plain(&asked.method)) " " (plain(&asked.target)) } }
                    }
                }
            }
            span.dim { (ago(&pair.last_seen, Timestamp::now())) }
        }
    }
}

/// Asks a kept request of a field again, where it changes nothing. The oldest: newer ones make room for those that come.
fn again(frame: &Layout<'_>, route: &str, field: &FieldReport) -> Markup {
    let is_safe = |example: &&ExampleReport| {
        let is_whole = example.target.as_ref().is_some_and(|target| !target.contains(REDACTED));
        is_whole && matches!(example.method.as_deref(), Some("GET" | "HEAD" | "OPTIONS"))
    };
    let number = field.examples.iter().rev().filter(is_safe).find_map(|example| example.number);
    html! {
        @if let Some(number) = number {
            (frame.act("Ask again", "btn sm", &format!("do=replay&route={}&number={number}", percent_encoded(route))))
        }
    }
}

/// The number that `diff ROUTE --replay` takes.
fn numbered(number: Option<u64>) -> Markup {
    html! { @if let Some(number) = number { "#" (number) " " } }
}

/// `all`: the fields of the report. `kept`: examples hold values.
fn row(frame: &Layout<'_>, route: &str, (field, all): (&FieldReport, &[FieldReport]), kept: bool) -> Markup {
    let values = frame.visitor.operates();
    let rule = |word: &str, key: &str, what: &str| {
        let asked = format!("do=rule&route={}&key={key}&field={}", percent_encoded(route), percent_encoded(what));
        frame.act(word, "btn sm", &asked)
    };
    let ordered = field.kinds.contains(&Kind::Order);
    html! {
        tr data-row={ "field " (plain(&field.field)) } {
            td { code { (plain(&field.field)) } " " @if field.regression { span.pill.f.bad { "counts" } } @else { span.pill.n { "noise" } } }
            td { (spark::rates(field.raw_rate, field.noise_rate, field.regression)) }
            td.r.nw data-l="Rate" { span class=[field.regression.then_some("bad")] { (percent(field.raw_rate)) } }
            td.r.nw data-l="Noise" { (percent(field.noise_rate)) }
            td.nw.dim data-l="Last seen" { (ago(&field.last_seen, Timestamp::now())) }
            td { div.acts {
                @if !field.regression { span.lab { (blind(field)) } } @else if is_without_name(&field.field) {
                    span.lab { "A key repeats a secret and is not kept: no rule can name it. A rule about what lies above it may." }
                } @else {
                    @if let Some(list) = list_in_another_order(field, all) { (rule("Take as unordered", "unordered", list)) }
                    (rule("Ignore", "ignore", &field.field))
                    @if !ordered { (rule("Mask", "mask", &field.field)) }
                }
                @if field.regression { (again(frame, route, field)) }
            } }
        }
        @if let Some((first, others)) = field.examples.split_first().filter(|_| field.regression) {
            tr { td.last colspan="6" {
                (example(frame, first))
                @let guess = guess(field, kept);
                @if values && !guess.is_empty() { p.lab { (prose(&guess)) } }
                @if !others.is_empty() {
                    details #{ "more-" (percent_encoded(&field.field)) } {
                        summary.lab { (counted(others.len() as u64, "more example")) }
                        @for other in others { (example(frame, other)) }
                    }
                }
            } }
        }
    }
}

/// Each side's value, its request and its time.
fn example(frame: &Layout<'_>, example: &ExampleReport) -> Markup {
    let values = frame.visitor.operates();
    let method = example.method.as_deref().unwrap_or("");
    html! {
        (sides(example.control.as_deref(), example.candidate.as_deref(), values))
        p.lab {
            @if let (true, Some(target)) = (values, &example.target) { (numbered(example.number)) code { (method) " " (plain(target)) } ", " }
            (ago(&example.seen, Timestamp::now()))
            @if let Some([control, candidate]) = example.statuses.as_ref().filter(|[control, candidate]| control != candidate) { ", " (status_word(control)) " → " (status_word(candidate)) }
        }
    }
}

/// The size of a fault that stays unseen, because the field differs by itself.
fn blind(field: &FieldReport) -> String {
    if field.blind_rate >= 1.0 {
        return "A fault here would not be seen.".to_owned();
    }
    // Where it always varies, the rest of it alone is compared.
    let rest = if field.noise_rate < 1.0 { "A" } else { "Beside what varies, a" };
    format!("{rest} fault in less than {} of answers would not be seen.", percent(field.blind_rate))
}

/// Each side's value, with the difference marked.
pub fn sides(control: Option<&str>, candidate: Option<&str>, values: bool) -> Markup {
    if control.is_none() && candidate.is_none() {
        return html! { p.dim { "Both have it: what differs is the order." } };
    }
    html! {
        dl.diff {
            dt { "monolith" } dd { (value(control, candidate, values)) }
            dt { "service" } dd { (value(candidate, control, values)) }
        }
    }
}

/// A value with what differs marked; for a reader without the right to see values, its shape.
fn value(own: Option<&str>, other: Option<&str>, values: bool) -> Markup {
    let Some(own) = own else { return html! { span.dim { "not there" } } };
    if !values {
        return html! { span.dim { (plain(&shape_of(own))) } };
    }
    let Some(other) = other else { return html! { ins { (plain(own)) } } };
    html! { @for (differs, part) in marked(own, other) { @if differs { ins { (plain(&part)) } } @else { (plain(&part)) } } }
}

/// The parts of a text that differ from another: letter by letter where both have as many, else what is between the
/// beginning and the end that they share.
fn marked(own: &str, other: &str) -> Vec<(bool, String)> {
    let (own, other): (Vec<char>, Vec<char>) = (own.chars().collect(), other.chars().collect());
    let differs: Vec<bool> = if own.len() == other.len() {
        own.iter().zip(&other).map(|(a, b)| a != b).collect()
    } else {
        let before = own.iter().zip(&other).take_while(|(a, b)| a == b).count();
        let room = own.len().min(other.len()) - before;
        let after = own.iter().rev().zip(other.iter().rev()).take(room).take_while(|(a, b)| a == b).count();
        (0..own.len()).map(|at| at >= before && at < own.len() - after).collect()
    };
    let mut parts: Vec<(bool, String)> = Vec::new();
    for (c, differs) in own.into_iter().zip(differs) {
        match parts.last_mut() {
            Some((last, text)) if *last == differs => text.push(c),
            _ => parts.push((differs, c.to_string())),
        }
    }
    parts
}

/// What all the examples have in common, in plain words; empty where nothing is plain. `kept`: they hold values, and not shapes
/// alone, which say nothing of why they differ.
fn guess(field: &FieldReport, kept: bool) -> String {
    let pairs: Option<Vec<(&str, &str)>> =
        field.examples.iter().map(|one| Some((one.control.as_deref()?, one.candidate.as_deref()?))).collect();
    let Some(pairs) = pairs.filter(|pairs| !pairs.is_empty()) else { return String::new() };
    let all = |of: &dyn Fn(&str, &str) -> bool| pairs.iter().all(|(control, candidate)| of(control, candidate));
    if !kept && all(&|a, b| a == b) {
        return "Only shapes are kept, and they are alike: what differs is kept with `examples = \"values\"`."
            .to_owned();
    }
    // What is kept of two different values may be the same, or not be the value.
    if !kept || !all(&|a, b| a != b && ![a, b].iter().any(|side| side.contains(REDACTED))) {
        return String::new();
    }
    let number = |text: &str| text.trim_matches('"').parse::<f64>().ok();
    let said = if all(&|a, b| a.to_lowercase() == b.to_lowercase()) {
        "Only the case of letters differs"
    } else if all(&|a, b| a.trim_matches('"') == b.trim_matches('"')) {
        "One side writes it as text, the other as a number or word"
    } else if all(&|a, b| number(a).is_some() && number(a) == number(b)) {
        "The numbers are equal and written differently"
    } else if all(&|a, b| a.split_whitespace().eq(b.split_whitespace())) {
        "Only white space differs"
    } else {
        return String::new();
    };
    match pairs.len() {
        1 => format!("{said}, in the one example."),
        all => format!("{said}, in all {all} examples."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_letters_that_differ_are_marked() {
        let own: Vec<_> = marked("User.27@Shop", "user.27@shop").into_iter().filter(|(differs, _)| *differs).collect();
        assert_eq!(own, [(true, "U".to_owned()), (true, "S".to_owned())]);
        assert_eq!(marked("abcd", "abxxd")[1], (true, "c".to_owned()));
        assert_eq!(marked("aa", "aaa"), [(false, "aa".to_owned())]);
        assert_eq!(marked("aaa", "aa").len(), 2);
    }

    fn field(examples: &[(&str, &str)]) -> FieldReport {
        let example = |(control, candidate): &(&str, &str)| serde_json::json!({ "control": control, "candidate": candidate, "seen": "" });
        let field = serde_json::json!({
            "field": "$.name", "raw": 2, "noise": 0, "raw_rate": 1.0, "noise_rate": 0.0, "regression": true, "kinds": ["value"],
            "first_seen": "", "last_seen": "", "examples": examples.iter().map(example).collect::<Vec<_>>(),
        });
        serde_json::from_value(field).expect("a field")
    }

    #[test]
    fn a_cause_is_named_only_where_the_examples_show_it() {
        for (examples, kept, said) in [
            (
                &[("\"Ann\"", "\"ann\""), ("\"B\"", "\"b\"")][..],
                true,
                "Only the case of letters differs, in all 2 examples.",
            ),
            (&[("\"Ann\"", "\"ann\"")], true, "Only the case of letters differs, in the one example."),
            (&[("\"1\"", "1")], true, "One side writes it as text, the other as a number or word, in the one example."),
            (&[("1.0", "1")], true, "The numbers are equal and written differently, in the one example."),
            (&[("a  b", "a b")], true, "Only white space differs, in the one example."),
            // Shapes do not tell why the values differ.
            (
                &[("string(3): word(3)", "string(3): word(3)")],
                false,
                "Only shapes are kept, and they are alike: what differs is kept with `examples = \"values\"`.",
            ),
            (&[("string(1)", "String(1)")], false, ""),
            (&[("number", "\"number\"")], false, ""),
            (&[("[redacted]", "[redacted]")], true, ""),
            (&[("\"[redacted]\"", "[redacted]")], true, ""),
            (&[("\"Ann\"", "\"ann\""), ("\"b\"", "\"b\"")], true, ""),
            (&[], true, ""),
        ] {
            assert_eq!(guess(&field(examples), kept), said, "{examples:?}");
        }
        let mut one_sided = field(&[("\"Ann\"", "\"ann\""), ("a", "A")]);
        one_sided.examples[1].candidate = None;
        assert_eq!(guess(&one_sided, true), "", "an example of another kind is no example of this");
    }

    #[test]
    fn what_agrees_under_rules_is_not_said_to_agree_everywhere() {
        let said = |ignored: &[Box<str>], others| nothing(ignored, others).into_string();
        assert_eq!(said(&[], false), "No field ever differed.");
        assert_eq!(said(&[], true), "Nothing differed beside what the rules of the file leave out.");
        let any = "Nothing outside the ignored fields differed: <code>$.*</code>.";
        assert_eq!(said(&["$.*".into()], true), any);
    }

    #[test]
    fn who_may_not_see_values_sees_their_shape() {
        let text = value(Some("\"secret@shop\""), Some("\"Secret@shop\""), false).into_string();
        assert!(!text.contains("ecret"), "{text}");
    }
}
