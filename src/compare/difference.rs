//! One field in which two answers differ, and what may be kept of it.

use std::cell::Cell;
use std::rc::Rc;

use serde::{Deserialize, Serialize};

use super::json::Json;
use super::place::{Step, name};
use super::redact::{REDACTED, Secrets};
use super::rules::Rules;
use super::written::Examples;

/// Characters of one side of an example.
const MAX_EXAMPLE: usize = 200;

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
        }
    }
}

/// What each side had, at the level that the rules allow; `None`: nothing there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Example {
    pub control: Option<String>,
    pub candidate: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    pub field: String,
    pub kind: Kind,
    /// `None` with `examples = "off"`.
    pub example: Option<Example>,
}

/// One side of a field, not yet redacted.
#[derive(Debug, Clone, Copy)]
pub(super) enum Found<'a> {
    Nothing,
    Json(&'a Json<'a>),
    Text(&'a str),
    /// A text in which no field can be told from another: its length and a place in it are kept, never an excerpt.
    Document {
        text: &'a str,
        first_difference: usize,
    },
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
        }
    }

    /// For a question whose answer is yes or no.
    pub(super) fn silent(&self) -> Self {
        let (secrets, to_try) = (Rc::clone(&self.secrets), Rc::clone(&self.to_try));
        Self { rules: self.rules, secrets, list: Vec::new(), seen: 0, silent: true, to_try }
    }

    /// Whether so many pairs may be tried.
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

    pub(super) fn add_json(&mut self, at: &[Step<'_>], kind: Kind, control: Found<'_>, candidate: Found<'_>) {
        let name = if self.silent { String::new() } else { name(at, |key| self.is_secret(key)) };
        self.add(name, kind, control, candidate);
    }

    pub(super) fn add(&mut self, mut field: String, kind: Kind, control: Found<'_>, candidate: Found<'_>) {
        self.seen += 1;
        if self.silent {
            return;
        }
        if self.list.iter().any(|difference| difference.field == field) {
            return;
        }
        if self.list.len() >= MAX_DIFFERENCES {
            if self.list.last().is_some_and(|last| last.field == OTHER) {
                return;
            }
            OTHER.clone_into(&mut field);
        }
        let example = (self.rules.examples() != Examples::Off)
            .then(|| Example { control: self.keep(control), candidate: self.keep(candidate) });
        self.list.push(Difference { field, kind, example });
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
            Found::Document { text, first_difference } => {
                let before = text.get(..first_difference).unwrap_or(text);
                format!("text({}), differs from line {}", text.chars().count(), before.matches('\n').count() + 1)
            }
            Found::Json(value) if values => {
                let mut out = String::new();
                self.rules.redactor().json(value, &self.secrets).write(&mut out);
                out
            }
            Found::Json(value) => value.shape(),
            Found::Text(text) if values => self.rules.redactor().text(text, &self.secrets),
            Found::Text(text) => format!("string({})", text.chars().count()),
        };
        Some(shortened(text))
    }
}

fn shortened(mut text: String) -> String {
    if let Some((at, _)) = text.char_indices().nth(MAX_EXAMPLE) {
        text.truncate(at);
        text.push('…');
    }
    text
}
