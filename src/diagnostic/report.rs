//! The diagnostics of one file for programs: the JSON of `check --json` and of the admin API.

use serde::Serialize;

use super::{Diagnostics, Lines, Sources};

/// `{"file": …, "diagnostics": […]}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CheckReport {
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

impl Entry {
    /// `routes.toml:12:9`; the file alone where it has no place.
    #[must_use]
    pub fn place(&self) -> String {
        match (self.line, self.column) {
            (Some(line), Some(column)) => format!("{}:{line}:{column}", self.file),
            _ => self.file.clone(),
        }
    }

    /// One line: `routes.toml:12:9: invalid-value: what is wrong`.
    #[must_use]
    pub fn at_its_place(&self) -> String {
        format!("{}: {}: {}", self.place(), self.code, self.message)
    }
}

/// Another place that a diagnostic speaks of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Place {
    pub file: String,
    pub line: usize,
    pub column: usize,
    pub label: String,
}

/// The report on a file whose text is `text`.
#[must_use]
pub fn report(diagnostics: &Diagnostics, file: &str, text: &str) -> CheckReport {
    report_all(diagnostics, &Sources::one(file, text))
}

/// The report on a configuration of several files: each place in the file that has it, what has none in the first.
#[must_use]
pub fn report_all(diagnostics: &Diagnostics, sources: &Sources) -> CheckReport {
    let lines: Vec<_> = sources.files().iter().map(|file| Lines::of(sources.text_of(file))).collect();
    let place = |byte: usize| {
        let index = sources.index_of(byte);
        let (file, lines) = (sources.files().get(index)?, lines.get(index)?);
        Some((file, lines.position(byte.saturating_sub(file.span.start))))
    };
    let entries = diagnostics.iter().map(|diagnostic| {
        let at = diagnostic.span.as_ref().and_then(|span| place(span.start));
        Entry {
            code: diagnostic.code.as_str(),
            severity: diagnostic.severity.as_str(),
            message: diagnostic.message.clone(),
            file: at.map_or(sources.name(), |(file, _)| &*file.name).to_owned(),
            line: at.map(|(_, position)| position.line),
            column: at.map(|(_, position)| position.column),
            label: diagnostic.label.clone(),
            help: diagnostic.help.clone(),
            related: diagnostic
                .related
                .iter()
                .filter_map(|related| {
                    let (file, at) = place(related.span.start)?;
                    let file = file.name.to_string();
                    Some(Place { file, line: at.line, column: at.column, label: related.label.clone() })
                })
                .collect(),
        }
    });
    CheckReport { file: sources.name().to_owned(), diagnostics: entries.collect() }
}
