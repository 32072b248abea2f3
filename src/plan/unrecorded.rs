//! The new file's questions that recorded requests were not asked: conditions, and words of paths.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};

use regex::Regex;
use regex_syntax::hir::{Class, Hir, HirKind};
use serde::Serialize;

use super::files::Files;
use super::replay::{Answerer, Replay};
use super::words::ratio;
use crate::compile::Snapshot;
use crate::inventory::may_stand_for;
use crate::learn::{AskedNames, PathWords, Recorded, RecordedRequest, RecordedValue};
use crate::route::{ConditionKind, ConditionOn, Segment, Template};

#[derive(Debug, Clone, Serialize)]
pub struct Unrecorded {
    /// `header:x-tenant`; of a path that has a word which was not asked about, `path:/users/me`.
    pub asked: String,
    /// Of all requests, 0.0 to 1.0: those that it could decide differently.
    pub share: f64,
}

/// Those with the most requests come first, conditions before paths. Without recorded requests everything is unrecorded that
/// the new file asks about.
pub(super) fn unrecorded(files: &Files<'_>, recorded: &Recorded, requests: u64) -> Vec<Unrecorded> {
    let mut all = conditions(files, recorded, requests);
    let mut paths = paths(files, recorded, requests);
    paths.sort_by(|one, other| other.share.total_cmp(&one.share));
    all.append(&mut paths);
    all
}

impl Files<'_> {
    /// Where a request is and will be: the route, and the side that answers.
    fn places(&self, request: &RecordedRequest) -> Option<[(Option<&str>, Answerer); 2]> {
        let replay = Replay::of(request, self.named)?;
        let (before, after) = (replay.place(self.old, self.dials, 0), replay.place(self.new, self.new_dials, 0));
        Some([(before.route, before.by), (after.route, after.by)])
    }

    /// Whether the plan says something else of the request if it is this one. A place that the new file leaves as it is does not matter.
    fn differs(&self, places: &[(Option<&str>, Answerer); 2], other: &RecordedRequest) -> bool {
        let Some(others) = self.places(other) else { return false };
        others != *places && (others[0] != others[1] || places[0] != places[1])
    }
}

/// The share of requests that another value of a header, a cookie or the query would send elsewhere.
fn conditions(files: &Files<'_>, recorded: &Recorded, requests: u64) -> Vec<Unrecorded> {
    let mut shares = Vec::new();
    for (on, name) in AskedNames::of(files.new).names() {
        let asked = format!("{on}:{name}");
        let values = values_of(files.new, on, name);
        let mut differing = 0;
        for request in recorded.requests.iter().filter(|request| !recorded.was_asked(request, &asked)) {
            let Some(places) = files.places(request) else { continue };
            let other = values.iter().any(|value| {
                let mut with = request.clone();
                with.asked.push(RecordedValue {
                    on: on.to_string(),
                    name: name.to_owned(),
                    text: Some(value.clone()),
                    hash: 0,
                });
                files.differs(&places, &with)
            });
            differing += if other { u64::from(request.weight) } else { 0 };
        }
        if differing > 0 || requests == 0 {
            shares.push(Unrecorded { asked, share: ratio(differing, requests) });
        }
    }
    shares
}

/// Values that conditions on this name take.
fn values_of(snapshot: &Snapshot, on: ConditionOn, name: &str) -> Vec<String> {
    let mut values = vec!["any".to_owned()];
    for route in &snapshot.routes {
        for condition in route.rule.conditions_on(on).filter(|condition| *condition.name == *name) {
            match &condition.kind {
                ConditionKind::Equal(text) => values.push(text.to_string()),
                ConditionKind::Regex(regex) => values.extend(sample(regex)),
                ConditionKind::Present | ConditionKind::Absent => {}
            }
        }
    }
    values.sort_unstable();
    values.dedup();
    values
}

/// A text that the expression matches, if one is found: each part as short as it may be.
fn sample(regex: &Regex) -> Option<String> {
    fn write(part: &Hir, text: &mut String) -> Option<()> {
        match part.kind() {
            HirKind::Empty | HirKind::Look(_) => {}
            HirKind::Literal(literal) => text.push_str(std::str::from_utf8(&literal.0).ok()?),
            HirKind::Class(Class::Unicode(class)) => text.push(class.ranges().first()?.start()),
            HirKind::Class(Class::Bytes(class)) => text.push(char::from(class.ranges().first()?.start())),
            HirKind::Repetition(repeated) => {
                for _ in 0..repeated.min {
                    write(&repeated.sub, text)?;
                }
            }
            HirKind::Capture(capture) => write(&capture.sub, text)?,
            HirKind::Concat(parts) => parts.iter().try_for_each(|part| write(part, text))?,
            HirKind::Alternation(parts) => write(parts.first()?, text)?,
        }
        Some(())
    }
    let mut text = String::new();
    write(&regex_syntax::parse(regex.as_str()).ok()?, &mut text)?;
    regex.is_match(&text).then_some(text)
}

/// The share of requests whose path may have been one of a template, and is not known to be: the word was replaced as a value is.
fn paths(files: &Files<'_>, recorded: &Recorded, requests: u64) -> Vec<Unrecorded> {
    let mut by_path: HashMap<(usize, &str), Vec<&RecordedRequest>> = HashMap::new();
    for request in &recorded.requests {
        by_path.entry((request.names, &request.path)).or_default().push(request);
    }
    let asked: Vec<HashSet<&str>> =
        recorded.names.iter().map(|names| names.iter().map(String::as_str).collect()).collect();
    let was_asked = |set: usize, name: &str| asked.get(set).is_some_and(|names| names.contains(name));
    let templates: BTreeMap<&str, &Template> = files
        .new
        .routes
        .iter()
        .flat_map(|route| &route.rule.paths)
        .map(|template| (template.as_str(), template))
        .collect();
    let mut shares = Vec::new();
    for (text, template) in templates {
        let names: Vec<Option<String>> = template.segments().iter().map(PathWords::name_of).collect();
        // The last one: of requests about which nothing is known.
        let is_open: Vec<bool> =
            (0..=asked.len()).map(|set| names.iter().flatten().any(|name| !was_asked(set, name))).collect();
        let mut differing = 0;
        for ((set, path), requests) in &by_path {
            if !is_open[(*set).min(asked.len())] {
                continue;
            }
            let unasked = |at: usize| names[at].as_ref().is_some_and(|name| !was_asked(*set, name));
            let Some(other) = may_have_been(template, path, unasked) else { continue };
            for request in requests {
                let with = RecordedRequest { path: other.clone(), ..(*request).clone() };
                if files.places(request).is_some_and(|places| files.differs(&places, &with)) {
                    differing += u64::from(request.weight);
                }
            }
        }
        if differing > 0 {
            shares.push(Unrecorded { asked: format!("path:{text}"), share: ratio(differing, requests) });
        }
    }
    shares
}

/// A path that the template takes, and that was recorded as this one if a word of it, or what stands around a parameter, was
/// replaced.
fn may_have_been(template: &Template, path: &str, unasked: impl Fn(usize) -> bool) -> Option<String> {
    let mut parts = path.trim_start_matches('/').split('/');
    let mut other = String::with_capacity(path.len() + 16);
    let mut replaced = false;
    for (at, segment) in template.segments().iter().enumerate() {
        if let Segment::Rest(_) = segment {
            for part in parts {
                other.push('/');
                other.push_str(part);
            }
            return replaced.then_some(other);
        }
        let part = parts.next()?;
        other.push('/');
        if fits(segment, part) {
            other.push_str(part);
            continue;
        }
        let texts: Vec<Cow<'_, str>> = match segment {
            Segment::Literal(word) => vec![Cow::Borrowed(&**word)],
            Segment::Parameter(around) => ["42", "example", "a1b2c3d4e5"]
                .map(|value| Cow::Owned(format!("{}{value}{}", around.prefix, around.suffix)))
                .to_vec(),
            Segment::Rest(_) => Vec::new(),
        };
        other.push_str(texts.iter().find(|text| unasked(at) && may_stand_for(part, text))?);
        replaced = true;
    }
    (replaced && parts.next().is_none()).then_some(other)
}

fn fits(segment: &Segment, part: &str) -> bool {
    match segment {
        Segment::Literal(word) => part.eq_ignore_ascii_case(word),
        Segment::Parameter(parameter) => {
            let (prefix, suffix) = (&*parameter.prefix, &*parameter.suffix);
            part.len() > prefix.len() + suffix.len() && part.starts_with(prefix) && part.ends_with(suffix)
        }
        Segment::Rest(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expression_is_tried_with_a_text_that_it_matches() {
        for (pattern, text) in
            [("^acme-", "acme-"), ("^(?:red|blue)-[0-9]{2,}$", "red-00"), ("x+y?", "x"), ("[^a]", "\0")]
        {
            assert_eq!(sample(&Regex::new(pattern).expect("it is right")).as_deref(), Some(text), "{pattern}");
        }
    }

    #[test]
    fn a_value_may_have_been_a_word_of_its_kind() {
        for (template, path, other) in [
            ("/users/me", "/users/example", Some("/users/me")),
            ("/users/me", "/users/42", None),
            ("/users/me", "/users/me", None),
            ("/pages/404", "/pages/42", Some("/pages/404")),
            ("/pages/404.html", "/pages/42.html", Some("/pages/404.html")),
            ("/me/{*rest}", "/example/42/x", Some("/me/42/x")),
            ("/{id}/me", "/42/example", Some("/42/me")),
            ("/orders/order-{id}", "/orders/a1b2c3d4e5", Some("/orders/order-a1b2c3d4e5")),
            ("/users/me", "/users/example/more", None),
        ] {
            let template = Template::parse(template).expect("a template");
            let found = may_have_been(&template, path, |_| true);
            assert_eq!(found.as_deref(), other, "{template} {path}");
            assert_eq!(may_have_been(&template, path, |_| false), None);
        }
    }
}
