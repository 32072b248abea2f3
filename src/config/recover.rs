//! From text to tree in spite of syntax errors: lines that cannot be read are blanked, the rest is read again.

use toml::de::{DeTable, Error};

use super::unclosed::{Unclosed, unclosed};
use crate::diagnostic::{Code, Diagnostic, Diagnostics, Lines, Span, char_end, char_start};

/// More brackets that were left open than a person leaves in one file.
const BRACKETS: usize = 64;

/// Blanking one line can make the next unreadable (a list over several lines); more rounds than this are not worth it.
const ROUNDS: usize = 16;

/// Which parts of the text were lost to syntax errors.
#[derive(Debug, Default)]
pub(super) struct Damage {
    /// Sorted, without overlap.
    lines: Vec<Span>,
}

impl Damage {
    /// The losses of another file, which begins at this byte of the text of all. Files are added in their order.
    pub(super) fn add(&mut self, of: &Self, start: usize) {
        self.lines.extend(of.lines.iter().map(|line| line.start + start..line.end + start));
    }

    /// Whether something was lost of the table with this header, or of this inline table.
    pub(super) fn touches(&self, span: &Span, text: &str) -> bool {
        if self.lines.is_empty() {
            return false;
        }
        let end = if text.get(span.clone()).is_some_and(|source| source.starts_with('{')) {
            span.end
        } else {
            next_header(text, span.end)
        };
        let next = self.lines.partition_point(|line| line.end < span.start);
        self.lines.get(next).is_some_and(|line| line.start < end)
    }
}

/// A text without what could not be read. Every place in it is the place in the original.
#[derive(Debug)]
pub(super) struct Recovered {
    pub(super) text: String,
    pub(super) damage: Damage,
    pub(super) tables_lost: bool,
}

/// Reports the syntax errors; `None` if the tree that they left is complete.
pub(super) fn recover(text: &str, mut errors: Vec<Error>, diagnostics: &mut Diagnostics) -> Option<Recovered> {
    if errors.is_empty() {
        return None;
    }
    let lines = Lines::of(text);
    let mut left = Recovered { text: text.to_owned(), damage: Damage::default(), tables_lost: false };
    // What follows an open bracket is read as its content: it must go before any other complaint is worth a word.
    for _ in 0..BRACKETS {
        let Some(bracket) = first_unclosed(&left.text, &lines, &errors) else { break };
        diagnostics.push(bracket.diagnostic());
        left.blank(bracket.statement, &lines);
        errors = DeTable::parse_recoverable(&left.text).1;
    }
    let mut reported: Vec<Span> = Vec::new();
    errors.sort_by_key(|error| place(error, text).start);
    for error in &errors {
        report(error, text, &mut reported, diagnostics);
    }
    let mut errors: Vec<_> = errors.into_iter().filter(loses_text).collect();
    if errors.is_empty() && left.damage.lines.is_empty() {
        return None;
    }
    for _ in 0..ROUNDS {
        for error in &errors {
            left.blank(place(error, text), &lines);
        }
        let again = DeTable::parse_recoverable(&left.text).1;
        // Errors of grammar after the first round come from the blanking; a key given twice was hidden before.
        for error in again.iter().filter(|error| !loses_text(error)) {
            report(error, text, &mut reported, diagnostics);
        }
        errors = again.into_iter().filter(loses_text).collect();
        if errors.is_empty() {
            break;
        }
    }
    left.damage.lines.sort_by_key(|line| line.start);
    left.damage.lines.dedup();
    Some(left)
}

impl Recovered {
    /// Blanks the line of an error; if that line was a table's header, the whole table.
    fn blank(&mut self, place: Span, lines: &Lines<'_>) {
        let first = lines.span_of(lines.line_of(place.start));
        let last = lines.span_of(lines.line_of(place.end.max(place.start)));
        let mut span = first.start..last.end;
        if self.text[first.start..].trim_start_matches([' ', '\t']).starts_with('[') {
            self.tables_lost = true;
            span.end = span.end.max(next_header(&self.text, first.end));
        }
        let blank: String =
            self.text[span.clone()].bytes().map(|byte| if byte == b'\n' { '\n' } else { ' ' }).collect();
        self.text.replace_range(span.clone(), &blank);
        self.damage.lines.push(span);
    }
}

fn first_unclosed(text: &str, lines: &Lines<'_>, errors: &[Error]) -> Option<Unclosed> {
    let mut places: Vec<usize> = errors.iter().map(|error| place(error, text).start).collect();
    places.sort_unstable();
    places.into_iter().find_map(|place| unclosed(text, lines, place))
}

/// Where the next line that opens a table begins, or the end of the text.
fn next_header(text: &str, from: usize) -> usize {
    let mut at = from;
    while let Some(end) = text.get(at..).and_then(|rest| rest.find('\n')) {
        at += end + 1;
        if text[at..].trim_start_matches([' ', '\t']).starts_with('[') {
            return at;
        }
    }
    text.len()
}

/// A key given twice is a mistake, but the tree is complete without it.
fn loses_text(error: &Error) -> bool {
    !error.message().starts_with("duplicate key") && !error.message().starts_with("cannot extend")
}

fn place(error: &Error, text: &str) -> Span {
    let span = error.span().unwrap_or(text.len()..text.len());
    let start = char_start(text, span.start);
    start..char_end(text, span.end.max(start))
}

fn report(error: &Error, text: &str, reported: &mut Vec<Span>, diagnostics: &mut Diagnostics) {
    let span = place(error, text);
    // One slip makes the grammar complain again and again up to the end of the line; the first time says it.
    let same_line = |known: &Span| {
        let (first, second) = (known.start.min(span.start), known.start.max(span.start));
        !text[first..second].contains('\n')
    };
    if loses_text(error) && reported.iter().any(same_line) {
        return;
    }
    // Every key of a table that is given twice may be there twice: the table says it.
    let of_reported_table = |known: &Span| {
        let header = text[..span.start].rfind("\n[").map_or(0, |before| before + 1);
        known.start >= header && known.start <= span.start && !text[header..known.start].contains('\n')
    };
    if !loses_text(error) && reported.iter().any(of_reported_table) {
        return;
    }
    reported.push(span.clone());
    diagnostics.push(explained(error, text, span));
}

/// The parser's message with a remedy.
fn explained(error: &Error, text: &str, span: Span) -> Diagnostic {
    let message = error.message();
    if message.starts_with("duplicate key") {
        let key = text.get(span.clone()).unwrap_or("");
        return Diagnostic::new(Code::Syntax, format!("`{key}` is given twice"))
            .at(span)
            .label("the second one")
            .help("keep one of the two; tables of one name are written once, with all their keys");
    }
    let written = text.get(span.clone()).unwrap_or("").trim();
    let (what, help) = remedy(message, written);
    Diagnostic::new(Code::Syntax, what).at(span).label("cannot be read").help(help)
}

/// The message of the parser, in our words where it is about the everyday slips.
fn remedy(message: &str, written: &str) -> (String, String) {
    if message.contains("must be quoted") || message.starts_with("invalid boolean") {
        return match written {
            "" => ("there is no value after `=`".to_owned(), "write a value, or remove the key".to_owned()),
            _ => (
                format!("`{written}` is not a value"),
                format!("put it in double quotes: `\"{}\"`", written.replace('\\', "\\\\").replace('"', "\\\"")),
            ),
        };
    }
    let help = match message {
        m if m.starts_with("invalid basic string") || m.starts_with("invalid literal string") => {
            "close the string with the quote it began with, on the same line"
        }
        m if m.contains("escape") => {
            "in double quotes a `\\` is written `\\\\`; in single quotes it stays as it is: `'…'`"
        }
        m if m.starts_with("key with no value") => "write `key = value`",
        m if m.starts_with("invalid unquoted key") => "write `key = value`, and `[name]` for a table",
        m if m.starts_with("unclosed table") => "close the header with `]`",
        m if m.starts_with("unclosed array table") => "close the header with `]]`",
        m if m.starts_with("unclosed array") => "close the list with `]`",
        m if m.contains("between array elements") => "close the list with `]`, or separate its elements with `,`",
        m if m.starts_with("unclosed inline table") => "close the table with `}`",
        m if m.starts_with("cannot extend") => "give the keys in one table, not in two places",
        _ => "see https://toml.io for how it is written; strings are in double quotes, tables begin with `[name]`",
    };
    (format!("the text is not TOML: {message}"), help.to_owned())
}
