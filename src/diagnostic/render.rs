//! The diagnostics of one file for the terminal, as rustc prints them.

use std::ops::Range;

use annotate_snippets::{AnnotationKind, Element, Group, Level, Origin, Renderer, Snippet};

use super::conceal::concealed;
use super::lines::{char_end, char_start};
use super::{Diagnostic, Diagnostics, Lines, Severity, SourceFile, Sources, Span};

/// Places further apart than this get an excerpt each; nearer ones share one.
const LINES_IN_ONE_EXCERPT: usize = 400;

/// All diagnostics with excerpts of `text`, separated by empty lines, ending with a line break. Empty when there are none.
#[must_use]
pub fn render(diagnostics: &Diagnostics, file: &str, text: &str, colour: bool) -> String {
    render_all(diagnostics, &Sources::one(file, text), colour)
}

/// The same for a configuration of several files.
#[must_use]
pub fn render_all(diagnostics: &Diagnostics, sources: &Sources, colour: bool) -> String {
    let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
    let texts: Vec<_> = sources.files().iter().map(|file| concealed(sources.text_of(file))).collect();
    let files: Vec<_> = sources.files().iter().zip(&texts).map(|(file, text)| Shown::of(file, text)).collect();
    let mut output = String::new();
    for diagnostic in diagnostics {
        if !output.is_empty() {
            output.push('\n');
        }
        output.push_str(&renderer.render(&groups(diagnostic, sources, &files)));
        output.push('\n');
    }
    output
}

/// A file with its lines found.
struct Shown<'a> {
    file: &'a SourceFile,
    text: &'a str,
    lines: Lines<'a>,
}

impl<'a> Shown<'a> {
    fn of(file: &'a SourceFile, text: &'a str) -> Self {
        Self { file, text, lines: Lines::of(text) }
    }
}

fn groups<'a>(diagnostic: &'a Diagnostic, sources: &'a Sources, files: &[Shown<'a>]) -> Vec<Group<'a>> {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let title = level.primary_title(diagnostic.message.as_str()).id(diagnostic.code.as_str());
    let elements = match &diagnostic.span {
        Some(span) => excerpts(diagnostic, span, sources, files),
        None => vec![Origin::path(sources.name()).into()],
    };
    let group = title.elements(elements);
    match &diagnostic.help {
        Some(help) => vec![group.element(Level::HELP.message(help.as_str()))],
        None => vec![group],
    }
}

fn excerpts<'a>(diagnostic: &'a Diagnostic, span: &Span, sources: &Sources, files: &[Shown<'a>]) -> Vec<Element<'a>> {
    let related = diagnostic.related.iter().map(|place| (AnnotationKind::Context, &place.span, Some(&*place.label)));
    let places = std::iter::once((AnnotationKind::Primary, span, diagnostic.label.as_deref())).chain(related);
    // By file, the one of the diagnostic itself first.
    let mut by_file: Vec<(usize, Vec<Mark<'a>>)> = Vec::new();
    for (kind, span, label) in places {
        let index = sources.index_of(span.start);
        let Some(shown) = files.get(index) else { continue };
        let start = span.start.saturating_sub(shown.file.span.start);
        let own = start..span.end.saturating_sub(shown.file.span.start).max(start);
        let mark = (kind, visible(&own, shown.text), label);
        match by_file.iter_mut().find(|(known, _)| *known == index) {
            Some((_, marks)) => marks.push(mark),
            None => by_file.push((index, vec![mark])),
        }
    }
    by_file.iter().flat_map(|(index, marks)| in_file(marks, &files[*index])).collect()
}

fn in_file<'a>(marks: &[Mark<'a>], shown: &Shown<'a>) -> Vec<Element<'a>> {
    let (file, text, lines) = (&*shown.file.name, shown.text, &shown.lines);
    let first = marks.iter().map(|mark| lines.line_of(mark.1.start)).min().unwrap_or(0);
    let last = marks.iter().map(|mark| lines.line_of(mark.1.end)).max().unwrap_or(0);
    if last - first <= LINES_IN_ONE_EXCERPT {
        return vec![excerpt(marks, first..last, file, text, lines).into()];
    }
    let alone = marks.iter().map(|mark| {
        let (first, last) = (lines.line_of(mark.1.start), lines.line_of(mark.1.end));
        excerpt(std::slice::from_ref(mark), first..last, file, text, lines).into()
    });
    alone.collect()
}

type Mark<'a> = (AnnotationKind, Span, Option<&'a str>);

fn excerpt<'a>(
    marks: &[Mark<'a>],
    shown: Range<usize>,
    file: &'a str,
    text: &'a str,
    lines: &Lines<'_>,
) -> Snippet<'a, annotate_snippets::Annotation<'a>> {
    let (start, end) = (lines.span_of(shown.start).start, lines.span_of(shown.end).end);
    let annotations =
        marks.iter().map(|(kind, span, label)| kind.span(span.start - start..span.end - start).label(*label));
    Snippet::source(&text[start..end]).line_start(shown.start + 1).path(file).annotations(annotations)
}

/// A span that lies on characters of the text and, where the text allows it, is not empty.
fn visible(span: &Span, text: &str) -> Span {
    let start = char_start(text, span.start);
    let end = char_end(text, span.end.max(start));
    if start < end || start == text.len() || text[start..].starts_with('\n') {
        return start..end;
    }
    start..char_end(text, start + 1)
}
