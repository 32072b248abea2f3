//! The diagnostics of one file for programs: the JSON of `check --json` and of the admin API.

use serde::Serialize;

use super::{Diagnostics, Lines};

/// `{"file": …, "diagnostics": […]}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    pub file: String,
    pub diagnostics: Vec<Entry>,
}

/// One diagnostic; line and column count from 1, the column in characters. Both are `null` without a place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Entry {
    pub code: &'static str,
    pub severity: &'static str,
    pub message: String,
    pub file: String,
    pub line: Option<usize>,
    pub column: Option<usize>,
    pub label: Option<String>,
    pub help: Option<String>,
    pub related: Vec<Place>,
}

/// Another place that a diagnostic speaks of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Place {
    pub line: usize,
    pub column: usize,
    pub label: String,
}

/// The report on a file whose text is `text`.
#[must_use]
pub fn report(diagnostics: &Diagnostics, file: &str, text: &str) -> Report {
    let lines = Lines::of(text);
    let entries = diagnostics.iter().map(|diagnostic| {
        let position = diagnostic.span.as_ref().map(|span| lines.position(span.start));
        Entry {
            code: diagnostic.code.as_str(),
            severity: diagnostic.severity.as_str(),
            message: diagnostic.message.clone(),
            file: file.to_owned(),
            line: position.map(|position| position.line),
            column: position.map(|position| position.column),
            label: diagnostic.label.clone(),
            help: diagnostic.help.clone(),
            related: diagnostic
                .related
                .iter()
                .map(|related| {
                    let at = lines.position(related.span.start);
                    Place { line: at.line, column: at.column, label: related.label.clone() }
                })
                .collect(),
        }
    });
    Report { file: file.to_owned(), diagnostics: entries.collect() }
}
