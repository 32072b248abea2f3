//! The state that every step of compiling shares: the text to point into, and the diagnostics so far.

use crate::config::{self, Given};
use crate::diagnostic::{self, Code, Diagnostic, Diagnostics, Span};
use crate::route::TemplateError;

/// A file with 100 000 misspelt names is not worth 100 000 searches through as many names.
const SUGGESTIONS: usize = 200;

/// A file on its way to a snapshot.
#[derive(Debug)]
pub(super) struct Draft<'a> {
    text: &'a str,
    /// Tables may be missing because their headers could not be read: nothing is said about what is not there.
    pub(super) tables_lost: bool,
    diagnostics: Diagnostics,
    suggestions_left: usize,
}

impl<'a> Draft<'a> {
    pub(super) const fn new(text: &'a str, tables_lost: bool, diagnostics: Diagnostics) -> Self {
        Self { text, tables_lost, diagnostics, suggestions_left: SUGGESTIONS }
    }

    pub(super) fn into_diagnostics(self) -> Diagnostics {
        self.diagnostics
    }

    pub(super) fn push(&mut self, diagnostic: Diagnostic) {
        self.diagnostics.push(diagnostic);
    }

    pub(super) fn say(
        &mut self,
        code: Code,
        span: Span,
        message: impl Into<String>,
        label: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.push(Diagnostic::new(code, message).at(span).label(label).help(help));
    }

    /// The place of a part of a string's value.
    pub(super) fn inside(&self, given: &Span, value: &str, part: Span) -> Span {
        config::inside(self.text, given, value, part)
    }

    /// The place of a part of a given string.
    pub(super) fn part(&self, given: &Given<String>, part: Span) -> Span {
        self.inside(&given.span, &given.value, part)
    }

    /// Reports a path that is no template; most often it lacks its first `/`.
    pub(super) fn invalid_template(&mut self, span: &Span, text: &str, error: TemplateError, label: &str) {
        let at = self.inside(span, text, error.span);
        let bare = text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '{') && !text.contains("://");
        let help = if bare { format!("write `\"/{text}\"`") } else { error.help };
        self.say(Code::InvalidTemplate, at, error.message, label, help);
    }

    /// The known word that was meant.
    pub(super) fn nearest<'w>(&mut self, word: &str, known: impl IntoIterator<Item = &'w str>) -> Option<&'w str> {
        self.suggestions_left = self.suggestions_left.checked_sub(1)?;
        diagnostic::nearest(word, known)
    }
}

/// Names that stand in metrics, in cookies and in addresses of the API.
pub(super) fn check_name(what: &str, name: &str, span: Span, draft: &mut Draft<'_>) {
    const LONGEST: usize = 100;
    let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    // A browser takes `.` and `..` out of an address.
    if matches!(name, "" | "." | "..") || name.len() > LONGEST || !name.chars().all(fine) {
        let suggestion: String = name.chars().map(|c| if fine(c) { c } else { '-' }).take(LONGEST).collect();
        let suggestion = suggestion.trim_matches(['-', '.']);
        let suggestion = if suggestion.is_empty() { "a-name" } else { suggestion };
        draft.say(
            Code::InvalidName,
            span,
            format!("`{name}` cannot be the name of a {what}"),
            "not a name",
            format!("names have letters, digits, `-`, `_` and `.`, at most {LONGEST}: for example `{suggestion}`"),
        );
    }
}
