//! One field in which two answers differ, and what may be kept of it.

use std::cell::Cell;
use std::rc::Rc;

use serde::{Deserialize, Serialize};

use super::gaps;
use super::json::Json;
use super::place::{Step, below, name};
use super::redact::{REDACTED, Secrets};
use super::rules::Rules;
use super::token::{self, Hunk, class};
use super::{html, markup, walk, xml};
use crate::migration::Examples;

/// Characters of one side of an example that is no text.
const MAX_EXAMPLE: usize = 200;

/// Characters to each side of the first difference in a text.
pub(super) const SURROUNDINGS: usize = 48;

/// Bytes to each side of the first difference that are looked through for secrets.
const WINDOW: usize = 8 * 1024;

/// Documents in strings in documents are followed this far.
const MAX_BELOW: usize = 3;

/// Differing parts of one field that are told apart.
pub(super) const MAX_HUNKS: usize = 64;

/// Differing parts of one field of which an example is made: one of them is kept.
const MAX_SHOWN: usize = 8;

/// Different fields of one comparison; the rest share the name `other`.
const MAX_DIFFERENCES: usize = 200;

/// Places that differ before the walk stops: the fields are known long before, and work stays bounded.
const MAX_SEEN: usize = 10_000;

/// Pairs of members that are tried against each other in one comparison; lists in lists in lists would take for ever.
const MAX_TRIED: usize = 50_000;

/// The name of whatever has no room for a name of its own.
pub const OTHER: &str = "other";

/// In which way a field differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Same type, other value.
    Value,
    /// Other type; null is a type.
    Type,
    /// The candidate lacks it.
    Missing,
    /// The candidate alone has it.
    Extra,
    /// Lists of different lengths.
    Length,
    /// Lists whose members differ, order aside.
    Members,
    /// The same members in another order.
    Order,
}

impl Kind {
    /// The word in reports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Value => "value",
            Self::Type => "type",
            Self::Missing => "missing",
            Self::Extra => "extra",
            Self::Length => "length",
            Self::Members => "members",
            Self::Order => "order",
        }
    }
}

/// Each side's value, at the level that the rules allow; `None`: nothing there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Example {
    pub control: Option<String>,
    pub candidate: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    pub field: String,
    pub kind: Kind,
    /// Where in the field the two differ; noise is known by these.
    pub(super) hunks: Vec<Hunk>,
    /// Whether the field says something beside the parts that differ.
    pub(super) rest: bool,
    /// Of the first of these parts, one each; none with `examples = "off"`.
    #[serde(skip)]
    pub(super) examples: Vec<(Hunk, Example)>,
}

impl Difference {
    /// The same with at most `most` examples.
    #[must_use]
    pub fn with_examples(&self, most: usize) -> Self {
        Self {
            field: self.field.clone(),
            kind: self.kind,
            hunks: self.hunks.clone(),
            rest: self.rest,
            examples: self.examples.iter().take(most).cloned().collect(),
        }
    }

    /// The example to show where nothing is known of noise.
    #[must_use]
    pub fn first_example(&self) -> Option<&Example> {
        self.example(|_| true).map(|(_, example)| example)
    }

    /// The example to show, and its part: the first that counts, else the first one.
    pub(super) fn example(&self, counts: impl Fn(&Hunk) -> bool) -> Option<&(Hunk, Example)> {
        let counting = self.examples.iter().find(|(hunk, _)| counts(hunk));
        counting.or_else(|| self.examples.first())
    }
}

/// One side of a field, not yet redacted.
#[derive(Debug, Clone, Copy)]
pub(super) enum Found<'a> {
    Nothing,
    Json(&'a Json<'a>),
    Text(&'a str),
    Bytes {
        length: u64,
    },
    /// Harmless at every level: a status.
    Plain(u16),
    /// The name it stands under is redacted.
    Secret,
}

/// The differences of one comparison as they are found.
#[derive(Debug)]
pub(super) struct Findings<'r> {
    rules: &'r Rules,
    /// Shared with the silent findings of the same comparison.
    secrets: Rc<Secrets>,
    list: Vec<Difference>,
    /// Places that differ, repeated names included.
    seen: usize,
    /// Only whether there is any counts.
    silent: bool,
    /// Pairs that may still be tried, shared as the secrets are.
    to_try: Rc<Cell<usize>>,
    /// Some part of the body that holds information is the same.
    equal: bool,
    /// The field inside which a document is compared.
    base: String,
    below: usize,
    /// The client's word for the site.
    host: Option<Rc<str>>,
}

impl<'r> Findings<'r> {
    pub(super) fn new(rules: &'r Rules, secrets: Secrets) -> Self {
        Self {
            rules,
            secrets: Rc::new(secrets),
            list: Vec::new(),
            seen: 0,
            silent: false,
            to_try: Rc::new(Cell::new(MAX_TRIED)),
            equal: false,
            base: String::new(),
            below: 0,
            host: None,
        }
    }

    /// Links to this host are links to either side.
    pub(super) fn asked_at(&mut self, host: &str) {
        self.host = Some(host.into());
    }

    /// For a question whose answer is yes or no.
    pub(super) fn silent(&self) -> Self {
        let (secrets, to_try) = (Rc::clone(&self.secrets), Rc::clone(&self.to_try));
        Self {
            rules: self.rules,
            secrets,
            list: Vec::new(),
            seen: 0,
            silent: true,
            to_try,
            equal: false,
            base: self.base.clone(),
            below: self.below,
            host: self.host.clone(),
        }
    }

    /// Whether this number of pairs may be tried.
    pub(super) fn may_try(&self, pairs: usize) -> bool {
        let left = self.to_try.get().checked_sub(pairs);
        self.to_try.set(left.unwrap_or(0));
        left.is_some()
    }

    pub(super) const fn rules(&self) -> &'r Rules {
        self.rules
    }

    /// Takes the secrets of a document into account from here on.
    pub(super) fn learn(&mut self, document: &Json<'_>) {
        if self.rules.examples() == Examples::Values {
            self.rules.redactor().learn(document, Rc::make_mut(&mut self.secrets));
        }
    }

    /// Whether a name repeats a secret, and so cannot be a name.
    pub(super) fn is_secret(&self, name: &str) -> bool {
        self.secrets.touch(name)
    }

    /// Whether nothing more can be settled.
    pub(super) const fn is_settled(&self) -> bool {
        (self.silent && self.seen > 0) || self.seen >= MAX_SEEN
    }

    pub(super) const fn any(&self) -> bool {
        self.seen > 0
    }

    /// Something was compared that could have differed, and was the same.
    pub(super) const fn same(&mut self) {
        self.equal = true;
    }

    pub(super) const fn is_equal_somewhere(&self) -> bool {
        self.equal
    }

    /// Compares a document that stands inside a field.
    pub(super) fn below(&mut self, field: String, compare: impl FnOnce(&mut Self)) {
        let outer = std::mem::replace(&mut self.base, field);
        self.below += 1;
        compare(self);
        self.below -= 1;
        self.base = outer;
    }

    /// The name of a place in a JSON document, which may stand inside a field.
    pub(super) fn named(&self, at: &[Step<'_>]) -> String {
        if self.silent {
            return String::new();
        }
        let inner = name(at, |key| self.is_secret(key));
        if self.base.is_empty() { inner } else { below(&self.base, &inner) }
    }

    /// The name of a place in a page, which may stand inside a field.
    pub(super) fn named_element(&self, inner: String) -> String {
        if self.base.is_empty() { inner } else { below(&self.base, &inner) }
    }

    /// Two texts of one field that are not the same letter by letter.
    pub(super) fn texts(&mut self, field: String, control: &str, candidate: &str, hidden: bool) {
        if self.rules.likeness().alike(&field, [control, candidate], self.host.as_deref()) {
            return self.same();
        }
        if !hidden
            && !field.starts_with("header:")
            && self.below < MAX_BELOW
            && self.documents(&field, control, candidate)
        {
            return;
        }
        let parts = gaps::parts(control, candidate);
        let mut examples = Vec::new();
        if !self.silent && self.rules.examples() != Examples::Off {
            let known = self.list.iter().find(|known| known.field == field);
            let room = MAX_SHOWN - known.map_or(0, |known| known.examples.len()).min(MAX_SHOWN);
            let is_new = |hunk: &Hunk| known.is_none_or(|known| !known.hunks.contains(hunk));
            let new = parts.hunks.iter().zip(&parts.places).filter(|(hunk, _)| is_new(hunk)).take(room);
            examples = self.texts_kept([control, candidate], new, hidden);
        }
        self.push(Difference { field, kind: Kind::Value, hunks: parts.hunks, rest: parts.rest, examples });
    }

    /// Compares strings that are documents themselves. False: they are not.
    fn documents(&mut self, field: &str, control: &str, candidate: &str) -> bool {
        let begins = |with: &[char]| [control, candidate].iter().all(|text| text.trim_start().starts_with(with));
        if begins(&['{', '[']) {
            let (Some(a), Some(b)) = (Json::parse(control), Json::parse(candidate)) else { return false };
            self.below(field.to_owned(), |findings| walk::documents(&a, &b, findings));
            return true;
        }
        let declared = [control, candidate].map(|text| text.trim_start().starts_with("<?xml"));
        let (a, b) = match declared {
            [true, true] => (xml::parse(control), xml::parse(candidate)),
            [false, false] if html::looks_like(control) && html::looks_like(candidate) => {
                (html::parse(control), html::parse(candidate))
            }
            _ => return false,
        };
        let (Some(a), Some(b)) = (a, b) else { return false };
        let before = self.seen;
        self.below(field.to_owned(), |findings| markup::documents(&a, &b, findings));
        // Equal pages may be different strings; that is for a browser to show, and it shows the same.
        if self.seen == before {
            self.same();
        }
        true
    }

    pub(super) fn add_json(&mut self, at: &[Step<'_>], kind: Kind, control: Found<'_>, candidate: Found<'_>) {
        self.add(self.named(at), kind, control, candidate);
    }

    pub(super) fn add(&mut self, field: String, kind: Kind, control: Found<'_>, candidate: Found<'_>) {
        let classes = match kind {
            Kind::Missing | Kind::Extra => class::PRESENCE,
            Kind::Type => class::TYPE,
            Kind::Order => class::ORDER,
            Kind::Value | Kind::Length | Kind::Members => class::WHOLE,
        };
        let hunk = Hunk::of(classes);
        let mut examples = Vec::new();
        if !self.silent && self.rules.examples() != Examples::Off {
            examples.push((hunk, Example { control: self.keep(control), candidate: self.keep(candidate) }));
        }
        self.push(Difference { field, kind, hunks: vec![hunk], rest: false, examples });
    }

    fn push(&mut self, mut difference: Difference) {
        if self.rules.ignores_named(&difference.field) {
            return;
        }
        self.seen += 1;
        if self.silent {
            return;
        }
        if let Some(known) = self.list.iter_mut().find(|known| known.field == difference.field) {
            known.rest |= difference.rest;
            for hunk in difference.hunks {
                if known.hunks.len() < MAX_HUNKS && !known.hunks.contains(&hunk) {
                    known.hunks.push(hunk);
                }
            }
            let room = MAX_SHOWN.saturating_sub(known.examples.len());
            known.examples.extend(difference.examples.into_iter().take(room));
            return;
        }
        if self.list.len() >= MAX_DIFFERENCES {
            if self.list.last().is_some_and(|last| last.field == OTHER) {
                return;
            }
            OTHER.clone_into(&mut difference.field);
        }
        difference.hunks.truncate(MAX_HUNKS);
        self.list.push(difference);
    }

    pub(super) fn into_list(self) -> Vec<Difference> {
        self.list
    }

    fn keep(&self, found: Found<'_>) -> Option<String> {
        let values = self.rules.examples() == Examples::Values;
        let text = match found {
            Found::Nothing => return None,
            Found::Secret => REDACTED.to_owned(),
            Found::Plain(number) => number.to_string(),
            Found::Bytes { length } => format!("bytes({length})"),
            Found::Json(value) if values => {
                let mut out = String::new();
                self.rules.redactor().json(value, &self.secrets).write(&mut out);
                out
            }
            Found::Json(value) => value.shape(),
            Found::Text(text) if values => {
                let window = window(text, 0, WINDOW).0;
                self.rules.redactor().text(window, &self.secrets)
            }
            Found::Text(text) => format!("string({})", text.chars().count()),
        };
        Some(shortened(text))
    }

    /// The surroundings of some differences on both sides. Secrets go first, then what is far away.
    fn texts_kept<'h>(
        &self,
        texts: [&str; 2],
        places: impl Iterator<Item = (&'h Hunk, &'h [usize; 2])>,
        hidden: bool,
    ) -> Vec<(Hunk, Example)> {
        if hidden {
            let side = Some(REDACTED.to_owned());
            let example = Example { control: side.clone(), candidate: side };
            return places.take(1).map(|(hunk, _)| (*hunk, example.clone())).collect();
        }
        let windows = |at: &[usize; 2]| [window(texts[0], at[0], WINDOW), window(texts[1], at[1], WINDOW)];
        if self.rules.examples() != Examples::Values {
            let shown = |text: &str, (window, at): (&str, usize)| {
                let shape = token::shapes(window, at);
                let kept = shape.split_once(": ").map_or("", |(_, kept)| kept);
                Some(format!("string({}): {kept}", text.chars().count()))
            };
            let example = |at| {
                let [a, b] = windows(at);
                Example { control: shown(texts[0], a), candidate: shown(texts[1], b) }
            };
            return places.map(|(hunk, at)| (*hunk, example(at))).collect();
        }
        let clean = |texts: [&str; 2]| Clean::of(texts.map(|text| self.rules.redactor().text(text, &self.secrets)));
        // Short texts are the same window for every place.
        let mut whole = None;
        let is_short = texts.iter().all(|text| text.len() <= WINDOW);
        let mut example = |hunk, at| {
            if is_short {
                whole.get_or_insert_with(|| clean(texts)).around(hunk)
            } else {
                clean(windows(at).map(|(window, _)| window)).around(hunk)
            }
        };
        places.map(|(hunk, at)| (*hunk, example(hunk, at))).collect()
    }
}

/// Two texts without their secrets, and where they differ.
struct Clean {
    texts: [String; 2],
    parts: gaps::Parts,
}

impl Clean {
    fn of(texts: [String; 2]) -> Self {
        let parts = gaps::parts(&texts[0], &texts[1]);
        Self { texts, parts }
    }

    /// The text around a difference; around the first one, where a secret stood in the place of the one that is asked for.
    fn around(&self, hunk: &Hunk) -> Example {
        let found = self.parts.hunks.iter().position(|known| known == hunk).unwrap_or(0);
        let [a, b] = self.parts.places.get(found).copied().unwrap_or_default();
        // Letter by letter: a token may be longer than what is shown.
        let behind = |side: usize, at: usize| self.texts.get(side).and_then(|text| text.get(at..)).unwrap_or_default();
        let same = behind(0, a).chars().zip(behind(1, b).chars()).take_while(|(a, b)| a == b);
        let same = same.map(|(c, _)| c.len_utf8()).sum::<usize>();
        let [control, candidate] = &self.texts;
        let around = |text: &str, at: usize| Some(token::surroundings(text, at + same, SURROUNDINGS));
        Example { control: around(control, a), candidate: around(candidate, b) }
    }
}

/// A part of a text around a byte, and where that byte is in it.
fn window(text: &str, at: usize, bytes: usize) -> (&str, usize) {
    let down = |at: usize| (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    let (from, to) = (down(at.saturating_sub(bytes)), down(at.saturating_add(bytes)));
    (text.get(from..to).unwrap_or_default(), at.saturating_sub(from))
}

fn shortened(mut text: String) -> String {
    if let Some((at, _)) = text.char_indices().nth(MAX_EXAMPLE) {
        text.truncate(at);
        text.push('…');
    }
    text
}
