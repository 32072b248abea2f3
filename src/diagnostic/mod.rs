//! Diagnostics of an operator's file: a code, a place, a label and a remedy.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod codes;
mod conceal;
mod lines;
mod login;
mod nearest;
mod numbers;
mod render;
mod report;
mod sources;

pub use codes::Code;
pub use lines::{Lines, Position, char_end, char_start};
pub use login::without_logins;
pub use nearest::nearest;
pub use numbers::{grouped, plural, span};
pub use render::{render, render_all};
pub use report::{CheckReport, Entry, report, report_all};
pub use sources::{Extra, SourceFile, Sources, UnusableExtra};

use std::borrow::Cow;
use std::ops::Range;

/// Bytes of the file's text.
pub type Span = Range<usize>;

/// Whether the file can be used in spite of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    Error,
    Warning,
}

impl Severity {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// Another place that a diagnostic speaks of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Related {
    pub span: Span,
    pub label: String,
}

/// One mistake or warning. No text of it has user and password of a URL: each setter takes them out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    pub code: Code,
    pub severity: Severity,
    pub message: String,
    /// `None` only where there is no text to point at, such as a file that cannot be read.
    pub span: Option<Span>,
    pub label: Option<String>,
    pub help: Option<String>,
    pub related: Vec<Related>,
}

impl Diagnostic {
    #[must_use]
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            severity: code.severity(),
            message: shown(message),
            span: None,
            label: None,
            help: None,
            related: Vec::new(),
        }
    }

    #[must_use]
    pub fn at(mut self, span: Span) -> Self {
        self.span = Some(span);
        self
    }

    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(shown(label));
        self
    }

    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(shown(help));
        self
    }

    #[must_use]
    pub fn related(mut self, span: Span, label: impl Into<String>) -> Self {
        self.related.push(Related { span, label: shown(label) });
        self
    }
}

fn shown(text: impl Into<String>) -> String {
    let text = text.into();
    match without_logins(&text) {
        Cow::Borrowed(_) => text,
        Cow::Owned(shown) => shown,
    }
}

/// Gathers every diagnostic of a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Diagnostics(Vec<Diagnostic>);

impl Diagnostics {
    pub fn push(&mut self, diagnostic: Diagnostic) {
        self.0.push(diagnostic);
    }

    /// Puts `${NAME}` in the place of what these variables hold: a password in the wrong line must not become a message.
    pub fn conceal(&mut self, variables: &[(String, String)]) {
        /// A shorter value is found where it was never meant, and is no secret.
        const SHORTEST: usize = 8;
        for (name, value) in variables.iter().filter(|(_, value)| value.len() >= SHORTEST) {
            // A message about a control character shows it with an escape.
            let escaped = value.escape_debug().to_string();
            for Diagnostic { message, label, help, related, .. } in &mut self.0 {
                let labels = related.iter_mut().map(|related| &mut related.label);
                for text in [message].into_iter().chain(label).chain(help).chain(labels) {
                    for shown in [value, &escaped] {
                        if text.contains(shown) {
                            *text = text.replace(shown, &format!("${{{name}}}"));
                        }
                    }
                }
            }
        }
    }

    /// The same in a text in which this one begins at `start`.
    pub fn shifted(self, start: usize) -> impl Iterator<Item = Diagnostic> {
        let shift = move |span: &mut Span| *span = span.start + start..span.end + start;
        self.0.into_iter().map(move |mut diagnostic| {
            diagnostic.span.iter_mut().for_each(shift);
            diagnostic.related.iter_mut().for_each(|related| shift(&mut related.span));
            diagnostic
        })
    }

    pub fn iter(&self) -> std::slice::Iter<'_, Diagnostic> {
        self.0.iter()
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.0.iter().any(|diagnostic| diagnostic.severity == Severity::Error)
    }

    /// Number of errors, number of warnings.
    #[must_use]
    pub fn counts(&self) -> (usize, usize) {
        let errors = self.0.iter().filter(|diagnostic| diagnostic.severity == Severity::Error).count();
        (errors, self.0.len() - errors)
    }

    /// By place in the file, so that they read from top to bottom; those without a place first.
    pub fn sort(&mut self) {
        self.0.sort_by(|a, b| {
            let key = |d: &Diagnostic| d.span.clone().map(|span| (span.start, span.end));
            key(a).cmp(&key(b)).then(a.severity.cmp(&b.severity))
        });
    }
}

impl<'a> IntoIterator for &'a Diagnostics {
    type Item = &'a Diagnostic;
    type IntoIter = std::slice::Iter<'a, Diagnostic>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl Extend<Diagnostic> for Diagnostics {
    fn extend<I: IntoIterator<Item = Diagnostic>>(&mut self, diagnostics: I) {
        self.0.extend(diagnostics);
    }
}
