//! Finds a list or an inline table that was never closed: the parser notices only lines later, and then at every line.

use crate::diagnostic::{Code, Diagnostic, Lines, Span};

/// A bracket without its partner.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unclosed {
    /// The bracket.
    place: Span,
    closer: char,
    /// The statement that it stands in, up to the line of the error that gave it away.
    pub(super) statement: Span,
}

impl Unclosed {
    pub(super) fn diagnostic(&self) -> Diagnostic {
        let (what, closer) = (if self.closer == ']' { "list" } else { "table" }, self.closer);
        Diagnostic::new(Code::Syntax, format!("the text is not TOML: this {what} is not closed"))
            .at(self.place.clone())
            .label("opened here")
            .help(format!("close it with `{closer}` before the next key"))
    }
}

/// The bracket because of which the parser stumbled over a line that begins a statement of its own.
pub(super) fn unclosed(text: &str, lines: &Lines<'_>, error: usize) -> Option<Unclosed> {
    let line = lines.line_of(error);
    let at_fault = lines.span_of(line);
    if !begins_statement(&text[at_fault.clone()]) && !is_header(&text[at_fault.clone()]) {
        return None;
    }
    let first = (0..line).rev().find(|above| begins_statement(&text[lines.span_of(*above)]))?;
    let statement = lines.span_of(first).start..at_fault.start - 1;
    let (place, closer) = open_bracket(text, statement.clone())?;
    let closed_later = text[at_fault.start..]
        .lines()
        .take_while(|line| !is_header(line))
        .any(|line| line.trim_start().starts_with(closer));
    (!closed_later).then_some(Unclosed { place: place..place + 1, closer, statement })
}

/// Whether the line reads like `key = …`.
fn begins_statement(line: &str) -> bool {
    let key = line.split_once('=').map_or("", |(key, _)| key.trim());
    let of_a_key = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '"' | '\'' | ' ');
    !key.is_empty() && key.chars().all(of_a_key)
}

/// Whether the line reads like `[table]`.
fn is_header(line: &str) -> bool {
    let line = line.split('#').next().unwrap_or("").trim();
    let name = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or("");
    !name.is_empty() && !name.contains(',') && !name.starts_with(['"', '\''])
}

/// The innermost bracket that is open at the end, and what closes it.
fn open_bracket(text: &str, span: Span) -> Option<(usize, char)> {
    let mut open = Vec::new();
    let mut at = span.start;
    while at < span.end {
        let rest = &text[at..span.end];
        let c = rest.chars().next()?;
        at += match c {
            '#' => rest.find('\n').unwrap_or(rest.len()),
            '"' | '\'' => string_length(rest, c),
            _ => c.len_utf8(),
        };
        match c {
            '[' => open.push((at - 1, ']')),
            '{' => open.push((at - 1, '}')),
            // One that closes nothing is not what is missing.
            ']' | '}' => drop(open.pop_if(|(_, closer)| *closer == c)),
            _ => {}
        }
    }
    open.pop()
}

/// How long the string at the beginning is; one that is not closed ends with its line.
fn string_length(text: &str, quote: char) -> usize {
    let triple = &[quote; 3].iter().collect::<String>();
    if let Some(inner) = text.strip_prefix(triple.as_str()) {
        return inner.find(triple.as_str()).map_or(text.len(), |end| end + 6);
    }
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            '\n' => return at,
            _ if escaped => escaped = false,
            '\\' if quote == '"' => escaped = true,
            _ if c == quote => return at + 1,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::{Unclosed, unclosed};
    use crate::diagnostic::Lines;

    fn at(text: &str) -> Option<(&str, char)> {
        let error = text.find('!').expect("each text marks the line of the error");
        let found = unclosed(text, &Lines::of(text), error);
        found.map(|Unclosed { statement, closer, .. }| (&text[statement], closer))
    }

    #[test]
    fn a_bracket_that_is_open_where_the_next_statement_begins_is_at_fault() {
        for (text, expected) in [
            ("a = [1, 2\nb = 3 #!", Some(("a = [1, 2", ']'))),
            ("a = [\n  1,\n  2,\n\nb = 3 #!", Some(("a = [\n  1,\n  2,\n", ']'))),
            ("a = { b = 1\n[table] #!", Some(("a = { b = 1", '}'))),
            ("a = { b = [1 }\nc = 3 #!", Some(("a = { b = [1 }", ']'))),
            ("a = \"[\"\nb = ! 3", None),
            ("a = '[\\'\nb = ! 3", None),
            ("a = \"\"\"[\n\"\"\"\nb = ! 3", None),
            ("a = 1 # [\nb = ! 3", None),
            ("a = [\n  1\n  2 !\n]", None),
            ("a = {\n  b = ! 3\n}", None),
            ("a = [\n  [1],\n  ! [2]\n", None),
            ("b = ! 3", None),
        ] {
            assert_eq!(at(text), expected, "{text}");
        }
    }
}
