//! Rules from the console: the lines that a rule needs in routes.toml, shown first, then written where the file may be written.
//! There is no second place for rules.

use std::sync::Arc;

use maud::{Markup, html};

use super::ask::{reason, reason_box};
use super::form::Form;
use super::outcome::{BadForm, Done, NotNow};
use super::page::{Layout, prose, said};
use super::shown::{code, count, counted, percent, plain, sentence};
use super::taken::{ORDER, TakenExamples, list_of};
use crate::admin::Parts;
use crate::compare::{FieldPath, FieldReport, FieldSegment, REDACTED, Report};
use crate::config::FileRule;
use crate::message::percent_encoded;
use crate::migration::Examples;
use crate::reload::{RuleAsked, RuleEdit, RuleNotMade};

/// Why no rule can be about a field: a key on the way to it repeats a secret, and is not kept.
pub fn is_without_name(field: &str) -> bool {
    field.contains(REDACTED)
}

/// Fields that are named where a rule takes several.
const MOST_NAMED: usize = 5;

/// A rule to write: `key` is the key of the file that it writes.
pub struct RuleCommand {
    route: String,
    key: RuleKey,
    /// A field; for `literal` a path.
    what: String,
    pattern: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RuleKey {
    Ignore,
    Unordered,
    Mask,
    Literal,
}

impl RuleKey {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Ignore => "ignore",
            Self::Unordered => "unordered",
            Self::Mask => "mask",
            Self::Literal => "literal",
        }
    }
}

impl RuleCommand {
    pub fn read(form: &Form) -> Result<Self, BadForm> {
        let known = [RuleKey::Ignore, RuleKey::Unordered, RuleKey::Mask, RuleKey::Literal];
        let key = known.into_iter().find(|key| key.as_str() == form.get("key")).ok_or(BadForm::Rule)?;
        let route = if key == RuleKey::Literal { "" } else { form.get("route") };
        // The report names the order of a list beside the list itself, which is what a rule is about.
        let what = form.get("field");
        let what = if key == RuleKey::Unordered { what.strip_suffix(ORDER).unwrap_or(what) } else { what };
        let rule =
            Self { route: route.to_owned(), key, what: what.to_owned(), pattern: form.get("pattern").to_owned() };
        if rule.what.is_empty() || rule.what.len() > 2000 || rule.pattern.len() > 2000 {
            return Err(BadForm::Incomplete);
        }
        Ok(rule)
    }

    /// The page that it belongs to.
    pub fn page(&self) -> String {
        if self.route.is_empty() { "inventory".to_owned() } else { format!("route/{}", percent_encoded(&self.route)) }
    }

    fn asked(&self) -> RuleAsked<'_> {
        let what = &*self.what;
        let rule = match self.key {
            RuleKey::Ignore => FileRule::Ignore(what),
            RuleKey::Unordered => FileRule::Unordered(what),
            RuleKey::Mask => FileRule::Mask { field: what, pattern: &self.pattern },
            RuleKey::Literal => FileRule::Literal(what),
        };
        RuleAsked { route: &self.route, rule }
    }

    /// Something is missing that only a person knows.
    fn is_incomplete(&self) -> bool {
        match self.key {
            RuleKey::Mask => self.pattern.is_empty(),
            RuleKey::Literal => self.what.contains(['{', '}']),
            RuleKey::Ignore | RuleKey::Unordered => false,
        }
    }

    /// Whether it takes whatever stands under any key.
    fn is_of_any_key(&self) -> bool {
        match FieldPath::parse(&self.what) {
            Ok(FieldPath::Json(segments)) => segments.contains(&FieldSegment::AnyKey),
            Ok(FieldPath::Form(name)) => &*name == "*",
            _ => false,
        }
    }

    /// Whether a field that differed is one of those that it is about.
    fn takes(&self, field: &str) -> bool {
        let path = FieldPath::parse(&self.what);
        match (self.key, path) {
            (RuleKey::Ignore, Ok(path)) => path.covers(field),
            (RuleKey::Unordered, Ok(path @ FieldPath::Json(_))) => list_of(field).is_some_and(|list| {
                let depth = |path: &FieldPath| if let FieldPath::Json(steps) = path { steps.len() } else { 0 };
                path.covers(list) && FieldPath::parse(list).is_ok_and(|list| depth(&list) == depth(&path))
            }),
            // A mask looks for the name in the report.
            _ => field == self.what,
        }
    }

    fn title(&self) -> &'static str {
        match self.key {
            RuleKey::Ignore if self.is_of_any_key() => "Ignore all fields under any key?",
            RuleKey::Ignore => "Ignore this field?",
            RuleKey::Unordered => "Take its order as meaningless?",
            RuleKey::Mask => "Mask a part of this field?",
            RuleKey::Literal => "Is this a word, not a value?",
        }
    }

    const fn needs_reason(&self) -> bool {
        !matches!(self.key, RuleKey::Literal)
    }
}

/// The page that asks. `Err`: it cannot be done, and why.
pub async fn ask(frame: &Layout<'_>, rule: RuleCommand, word: &str) -> Result<Markup, NotNow> {
    if rule.is_incomplete() {
        return Ok(missing(frame, &rule, None));
    }
    let reloader = Arc::clone(&frame.parts.reloader);
    let rule = Arc::new(rule);
    let of = Arc::clone(&rule);
    // A large file takes its time to compile, which is not this runtime's.
    let edit = tokio::task::spawn_blocking(move || reloader.rule_edit(&of.asked())).await;
    match edit.map_err(|_| NotNow::File)? {
        Ok(edit) => Ok(written(frame, &rule, &edit, word)),
        Err(RuleNotMade::Invalid(found)) if matches!(rule.key, RuleKey::Mask | RuleKey::Literal) => {
            let why = found.first().map_or("the file would be refused with it", |entry| &entry.message);
            Ok(missing(frame, &rule, Some(why)))
        }
        Err(RuleNotMade::Unwritable(why)) => Ok(to_paste(frame, &rule, &why.to_string())),
        Err(why) => Err(why.into()),
    }
}

/// Asks for what only a person knows.
fn missing(frame: &Layout<'_>, rule: &RuleCommand, wrong: Option<&str>) -> Markup {
    html! {
        section.card.narrow data-ask aria-labelledby="ask" {
            div.h { h1 #ask { (rule.title()) } }
            form.pad.ask method="get" action={ (frame.root) "console/act" } {
                @if let Some(wrong) = wrong { (said("b", wrong)) }
                input type="hidden" name="do" value="rule";
                input type="hidden" name="key" value=(rule.key.as_str());
                @if rule.key == RuleKey::Mask {
                    input type="hidden" name="route" value=(rule.route);
                    input type="hidden" name="field" value=(rule.what);
                    p { "What the expression takes of " code { (plain(&rule.what)) } " is left out on both sides before they are compared." }
                    label.f { "Regular expression" input type="text" name="pattern" value=(rule.pattern) required autocomplete="off" spellcheck="false" placeholder=r"comment-\d+"; }
                } @else {
                    p { "A path whose segments are words stays an endpoint of its own, whatever the traffic looks like. Put the word in the place of the braces." }
                    label.f { "Path" input type="text" name="field" value=(rule.what) required autocomplete="off" spellcheck="false"; }
                }
                div.acts {
                    a.btn href={ (frame.root) (rule.page()) } data-cancel { "Leave it" }
                    button.pri { "Show the lines" }
                }
            }
        }
    }
}

/// The lines as they would stand, and the button that writes them.
fn written(frame: &Layout<'_>, rule: &RuleCommand, edit: &RuleEdit, word: &str) -> Markup {
    let hidden = [
        ("do", "rule"),
        ("key", rule.key.as_str()),
        ("route", &*rule.route),
        ("field", &*rule.what),
        ("pattern", &*rule.pattern),
    ];
    html! {
        section.card.narrow data-ask aria-labelledby="ask" {
            div.h { h1 #ask { (rule.title()) } }
            form.pad.ask method="post" action={ (frame.root) "console/act" } {
                (meaning(frame, rule))
                div.lines {
                    p.lab { code { (plain(&edit.file)) } }
                    pre #lines tabindex="0" aria-label="Lines of the file" {
                        @for line in &edit.before { del { "- " (code(line)) } "\n" }
                        @for line in &edit.after { @if !line.is_empty() || edit.after.len() == 1 { ins { "+ " (code(line)) } "\n" } }
                    }
                }
                @if let Some(why) = &edit.not_writable {
                    p.warn { (prose(&sentence(why))) " Put the lines into the file; it is read again within a second." }
                    div.acts {
                        a.btn href={ (frame.root) (rule.page()) } data-cancel { "Close" }
                        button.pri type="button" data-copy="paste" { "Copy" }
                    }
                    pre #paste hidden { (code(&rule.asked().to_paste())) }
                } @else {
                    input type="hidden" name="word" value=(word);
                    input type="hidden" name="expect" value=(edit.generation);
                    @for (name, value) in hidden.iter().filter(|(_, value)| !value.is_empty()) { input type="hidden" name=(name) value=(value); }
                    (reason_box(rule.needs_reason()))
                    p.lab { "It is written to the journal with your name, " b { (plain(&frame.visitor.name)) } "; then to the file, and it is in force." }
                    div.acts {
                        a.btn href={ (frame.root) (rule.page()) } data-cancel { "Leave it" }
                        button.pri { "Write it" }
                    }
                }
            }
        }
    }
}

/// The lines alone, where the file does not take them by itself.
fn to_paste(frame: &Layout<'_>, rule: &RuleCommand, why: &str) -> Markup {
    html! {
        section.card.narrow data-ask aria-labelledby="ask" {
            div.h { h1 #ask { (rule.title()) } }
            div.pad.ask {
                (meaning(frame, rule))
                p.warn { "It cannot be written from here: " (plain(why)) "." }
                pre #lines tabindex="0" aria-label="Lines of the file" { (code(&rule.asked().to_paste())) }
                p.lab { "Where the table or the list is there already, the value goes into it. The file is read again within a second." }
                div.acts {
                    a.btn href={ (frame.root) (rule.page()) } data-cancel { "Close" }
                    button.pri type="button" data-copy="lines" { "Copy" }
                }
            }
        }
    }
}

/// The meaning of a rule, with the figures of what it hides.
fn meaning(frame: &Layout<'_>, rule: &RuleCommand) -> Markup {
    let report = (!rule.route.is_empty()).then(|| frame.parts.app.shadow.report(&rule.route, None)).flatten();
    let keeps_values = keeps_values(frame.parts, &rule.route);
    let name = html! { code { (plain(&rule.what)) } };
    html! {
        @match rule.key {
            RuleKey::Ignore if rule.is_of_any_key() => p { (name) " of " b { (plain(&rule.route)) } " is every field there, " b { "whatever its key" } ", those too that never differed: none of them makes a mismatch any more. The evidence of the route begins anew." },
            RuleKey::Ignore => p { (name) " of " b { (plain(&rule.route)) } " makes no mismatch any more, whatever the two sides say there. The evidence of the route begins anew." },
            RuleKey::Unordered => p { "The elements of " (name) " may come in any order; one that is missing or different still counts. The evidence of the route begins anew." },
            RuleKey::Mask => p { "What " code { (plain(&rule.pattern)) } " takes of " (name) " is left out on both sides; the rest of the field still counts. The evidence of the route begins anew." },
            RuleKey::Literal => p { (name) " stays an endpoint of its own and is no value of a parameter. What was learned before stays as it is." },
        }
        @if let Some(report) = &report { (hidden(rule, report, keeps_values)) }
    }
}

/// The examples of a route hold values, and not shapes alone.
fn keeps_values(parts: &Parts, route: &str) -> bool {
    let generation = parts.app.in_force.load();
    let entry = generation.named(route);
    let compare = entry.and_then(|entry| entry.policy.shadow.as_ref()?.compare.as_ref());
    compare.is_some_and(|compare| compare.examples == Examples::Values)
}

/// The figures of all that a rule hides.
fn hidden(rule: &RuleCommand, report: &Report, keeps_values: bool) -> Markup {
    let fields: Vec<&FieldReport> = report.fields.iter().filter(|field| rule.takes(&field.field)).collect();
    let named = fields.iter().take(MOST_NAMED);
    let (times, counting) =
        (fields.iter().map(|field| field.raw).sum::<u64>(), fields.iter().filter(|field| field.regression).count());
    let most = fields.iter().map(|field| field.raw_rate).fold(0.0, f64::max);
    html! {
        @match &*fields {
            [] if report.fields.is_empty() => {}
            [] => p.warn { "Nothing that was seen to differ is taken by it." },
            [field] => (figures(report.compared, field)),
            _ => ul.check {
                li { span.bad aria-hidden="true" { "■" } span {
                    "It takes " b { (fields.len()) " fields that differed" } ", " (counted(times, "time")) " in all: "
                    @for (at, field) in named.enumerate() { @if at > 0 { ", " } code { (plain(&field.field)) } }
                    @if fields.len() > MOST_NAMED { " and " (fields.len() - MOST_NAMED) " more" } "."
                } }
                @if report.compared > 0 {
                    li { span.bad aria-hidden="true" { "■" } span { "The most frequent differed in " b { (percent(most)) } " of " (counted(report.compared, "compared answer")) "." } }
                }
                li { span.mono aria-hidden="true" { "■" } span { (count(counting as u64)) " of them count now; the others are noise." } }
            }
        }
        (taken_away(&explained(rule, report, &fields, keeps_values)))
    }
}

fn explained(rule: &RuleCommand, report: &Report, fields: &[&FieldReport], keeps_values: bool) -> TakenExamples {
    match rule.key {
        RuleKey::Ignore => TakenExamples::by_ignoring(fields),
        RuleKey::Unordered => TakenExamples::by_leaving_order_out(fields, &report.fields),
        RuleKey::Mask => TakenExamples::by_masking(fields, &rule.pattern, keeps_values),
        RuleKey::Literal => TakenExamples::default(),
    }
}

/// How far the rule helps, as far as that can be told.
fn taken_away(explained: &TakenExamples) -> Markup {
    let TakenExamples { by_rule, of } = *explained;
    html! {
        @match (by_rule, of) {
            (_, 0) => {}
            (0, 1) => p.warn { "The kept example would not be equal by it." },
            (0, of) => p.warn { "None of the " (of) " kept examples would be equal by it." },
            (by_rule, of) => p { "It takes away " b { (by_rule) " of " (counted(of as u64, "kept example")) } "." },
        }
    }
}

fn figures(compared: u64, field: &FieldReport) -> Markup {
    html! {
        ul.check {
            @if compared == 0 {
                li { span.bad aria-hidden="true" { "■" } span { "It differed " (counted(field.raw, "time")) ". How often of all answers, and whether the monolith differs from itself there, is not known yet." } }
            } @else {
                li { span.bad aria-hidden="true" { "■" } span { "It differed in " b { (percent(field.raw_rate)) } " of " (counted(compared, "compared answer")) ": " (counted(field.raw, "time")) "." } }
                li { span.mono aria-hidden="true" { "■" } span { "The monolith differed from itself there in " b { (percent(field.noise_rate)) } " of its replays" @if field.regression { ": it is not noise." } @else { "." } } }
            }
        }
    }
}

/// Writes it.
pub async fn done(parts: &Arc<Parts>, rule: RuleCommand, form: &Form, who: &str) -> Done {
    let reason = reason(form);
    if reason.is_empty() && rule.needs_reason() {
        return Done::Refused(400, "say why it does not count".to_owned());
    }
    let Ok(expected) = form.get("expect").parse::<u64>() else {
        return Done::Refused(400, "the form does not say what it was about".to_owned());
    };
    let (reloader, who) = (Arc::clone(&parts.reloader), who.to_owned());
    let route = Some(rule.route.clone()).filter(|route| !route.is_empty());
    let write = move || reloader.write_rule(&rule.asked(), (&who, &reason), expected);
    match tokio::task::spawn_blocking(write).await {
        Ok(Ok(made)) => {
            Done::Said(format!("Written into {}, in force as generation {}.", made.file, made.generation), route)
        }
        Ok(Err(why)) => {
            let status = if matches!(why, RuleNotMade::Journal(_)) { 503 } else { 409 };
            Done::Refused(status, why.to_string())
        }
        Err(_) => Done::Refused(500, "the rule ended in a panic".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::{Evidence, Rules};

    fn command(key: RuleKey, what: &str) -> RuleCommand {
        RuleCommand { route: "r".to_owned(), key, what: what.to_owned(), pattern: String::new() }
    }

    fn field(name: &str, raw: u64) -> FieldReport {
        FieldReport {
            field: name.to_owned(),
            raw,
            noise: 0,
            raw_rate: 0.01,
            noise_rate: 0.0,
            regression: true,
            blind_rate: 0.0,
            kinds: Vec::new(),
            first_seen: String::new(),
            last_seen: String::new(),
            examples: Vec::new(),
        }
    }

    #[test]
    fn a_rule_about_any_key_tells_of_all_that_it_hides() {
        let mut report = Report::of("r", &Evidence::new(&Rules::default()));
        report.compared = 100;
        report.fields = vec![field("$.*", 3), field("$.name", 40), field("$.items order", 2), field("header:etag", 5)];
        let any = command(RuleKey::Ignore, "$.*");
        let shown = hidden(&any, &report, true).into_string().replace('\u{a0}', " ");
        assert!(shown.contains("3 fields that differed</b>, 45 times in all") && shown.contains("$.name"), "{shown}");
        assert!(!shown.contains("etag") && any.title().contains("any key"), "{shown}");
        let one = command(RuleKey::Ignore, "$.name");
        let shown = hidden(&one, &report, true).into_string();
        assert!(shown.contains("40 times") && one.title() == "Ignore this field?", "{shown}");
        let none = hidden(&command(RuleKey::Ignore, "$.neither"), &report, true).into_string();
        assert!(none.contains("Nothing that was seen to differ is taken by it"), "{none}");
        report.fields.clear();
        assert_eq!(hidden(&one, &report, true).into_string(), "", "nothing differed yet");
        assert!(command(RuleKey::Unordered, "$.items").takes("$.items order"));
        assert!(command(RuleKey::Unordered, "$.*").takes("$.items order"));
        assert!(!command(RuleKey::Unordered, "$.*").takes("$.a.items order"));
        assert!(command(RuleKey::Mask, "$.*").takes("$.*") && !command(RuleKey::Mask, "$.*").takes("$.name"));
        assert!(is_without_name("$['[redacted]'].a") && is_without_name("form.[redacted]"));
        assert!(!is_without_name("$.*"));
    }

    #[test]
    fn a_rule_says_how_many_examples_it_takes_away() {
        let said = |by_rule, of| taken_away(&TakenExamples { by_rule, of }).into_string().replace('\u{a0}', " ");
        assert_eq!(said(0, 0), "");
        assert!(said(3, 3).contains("3 of 3 kept examples") && said(1, 1).contains("1 of 1 kept example<"));
        assert!(said(0, 1).contains("The kept example would not be equal") && said(0, 3).contains("None of the 3"));
    }
}
