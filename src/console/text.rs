//! The texts in force as others may see them: without secrets, page by page, table by table.

use std::sync::Arc;

use parking_lot::Mutex;

use crate::compile::redacted;
use crate::diagnostic::Sources;

/// Lines on one page.
pub const PAGE: usize = 300;

/// Made once for each text: of a large one that takes longer than to draw a page of it.
#[derive(Default)]
pub struct RedactedTexts(Mutex<Option<Arc<Redacted>>>);

pub struct Redacted {
    of: Arc<Sources>,
    /// In the order of the files.
    texts: Vec<String>,
}

impl RedactedTexts {
    /// `None`: that ended in a panic.
    pub async fn of(&self, sources: &Arc<Sources>) -> Option<Arc<Redacted>> {
        if let Some(known) = self.0.lock().as_ref().filter(|known| Arc::ptr_eq(&known.of, sources)) {
            return Some(Arc::clone(known));
        }
        let of = Arc::clone(sources);
        let made = tokio::task::spawn_blocking(move || Arc::new(Redacted::new(of))).await.ok()?;
        *self.0.lock() = Some(Arc::clone(&made));
        Some(made)
    }
}

/// Lines of one file that follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part<'a> {
    pub file: usize,
    pub name: &'a str,
    /// The number of the first, how many there are, and how many the file has.
    pub first: usize,
    pub lines: usize,
    pub of: usize,
    pub text: &'a str,
}

impl Part<'_> {
    pub fn follows(&self, other: &Self) -> bool {
        other.first + other.lines == self.first
    }
}

impl Redacted {
    fn new(of: Arc<Sources>) -> Self {
        let texts = of.files().iter().map(|file| redacted(of.text_of(file)).into_owned()).collect();
        Self { of, texts }
    }

    /// The lines of a page, and how many all pages have. `filter`: words that a table has, all of them.
    pub fn page(&self, filter: &str, number: usize) -> (Vec<Part<'_>>, usize) {
        let words: Vec<String> = filter.split_whitespace().map(str::to_lowercase).collect();
        let (from, until) = ((number - 1) * PAGE, number * PAGE);
        let (mut parts, mut lines) = (Vec::new(), 0);
        for (file, (source, text)) in self.of.files().iter().zip(&self.texts).enumerate() {
            let of = text.lines().count();
            for table in tables(text) {
                if !words.is_empty() {
                    let text = table.text.to_lowercase();
                    if !words.iter().all(|word| text.contains(word.as_str())) {
                        continue;
                    }
                }
                let (skipped, end) = (from.saturating_sub(lines), until.saturating_sub(lines).min(table.lines));
                lines += table.lines;
                let is_empty = table.lines == 0 && number == 1;
                if skipped < end || is_empty {
                    let (first, lines) = (table.first + skipped, end - skipped.min(end));
                    parts.push(Part {
                        file,
                        name: &source.name,
                        first,
                        lines,
                        of,
                        text: cut(table.text, skipped, lines),
                    });
                }
            }
        }
        (parts, lines)
    }
}

/// Some lines of a text.
fn cut(text: &str, skipped: usize, lines: usize) -> &str {
    let end = |lines: usize| text.split_inclusive('\n').take(lines).map(str::len).sum::<usize>();
    &text[end(skipped)..end(skipped + lines)]
}

/// A table with the comment above it.
struct Table<'a> {
    first: usize,
    lines: usize,
    text: &'a str,
}

/// All lines of a text, table by table; of an empty text one without lines.
fn tables(text: &str) -> Vec<Table<'_>> {
    let (mut tables, mut begin, mut first) = (Vec::new(), 0, 1);
    // Where the comment above the next line begins, and its number.
    let (mut comment, mut at) = (None, 0);
    for (number, line) in (1..).zip(text.split_inclusive('\n')) {
        let begun = line.trim_start();
        if begun.starts_with('[') {
            let (end, last) = comment.unwrap_or((at, number));
            if last > first {
                tables.push(Table { first, lines: last - first, text: &text[begin..end] });
            }
            (begin, first) = (end, last);
        }
        comment = if begun.starts_with('#') { comment.or(Some((at, number))) } else { None };
        at += line.len();
    }
    let lines = text[begin..].lines().count();
    tables.push(Table { first, lines, text: &text[begin..] });
    tables
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(texts: &[&str]) -> Redacted {
        let mut sources = Sources::default();
        for (at, text) in texts.iter().enumerate() {
            sources.push(&format!("{at}.toml"), text, false);
        }
        Redacted::new(Arc::new(sources))
    }

    fn joined(parts: &[Part<'_>]) -> String {
        parts.iter().map(|part| part.text).collect()
    }

    #[test]
    fn every_line_is_on_one_page() {
        let table = |n: usize| format!("# number {n}\n[routes.r{n}]\npath = \"/{n}\"\n\n");
        let long: String = (0..250).map(table).collect();
        let text = of(&["[server]\nx = 1", &long, ""]);
        let pages: Vec<String> = (1..=5).map(|number| joined(&text.page("", number).0)).collect();
        assert_eq!(pages.concat(), format!("[server]\nx = 1{long}"));
        let counts: Vec<usize> =
            (1..=5).map(|number| text.page("", number).0.iter().map(|part| part.lines).sum()).collect();
        assert_eq!((counts, text.page("", 1).1), (vec![PAGE, PAGE, PAGE, 102, 0], 1002));
        let second = text.page("", 2).0;
        assert_eq!((second[0].first, second[0].of, second[0].name), (299, 1000, "1.toml"));
    }

    #[test]
    fn a_filter_takes_whole_tables_with_their_comments() {
        let text = of(&["a = 1\n# about b, for Ann\n[b]\nx = 1\n# about c\n[c]\ny = 1\n", ""]);
        let found = |filter: &str| joined(&text.page(filter, 1).0);
        assert_eq!(found("ann"), "# about b, for Ann\n[b]\nx = 1\n");
        assert_eq!(found("about y"), "# about c\n[c]\ny = 1\n");
        assert_eq!(found("nobody"), "");
        let parts = text.page("", 1).0;
        assert!(parts[1].follows(&parts[0]), "{parts:?}");
        let empty = parts.last().expect("an empty file is shown, too");
        assert_eq!((empty.file, empty.of), (1, 0));
    }
}
