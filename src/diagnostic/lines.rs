//! From a byte of the text to line and column.

use super::Span;

/// Both count from 1; the column counts characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    pub line: usize,
    pub column: usize,
}

/// Where each line starts: found once, so that many diagnostics of a large file stay cheap.
#[derive(Debug, Clone)]
pub struct Lines<'a> {
    text: &'a str,
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    #[must_use]
    pub fn of(text: &'a str) -> Self {
        let starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self { text, starts }
    }

    /// A byte past the end is the end; one inside a character is its first.
    #[must_use]
    pub fn position(&self, byte: usize) -> Position {
        let byte = char_start(self.text, byte);
        let line = self.line_of(byte);
        let column = self.text[self.starts[line]..byte].chars().count() + 1;
        Position { line: line + 1, column }
    }

    /// The index, from 0, of the line that holds the byte.
    #[must_use]
    pub fn line_of(&self, byte: usize) -> usize {
        self.starts.partition_point(|start| *start <= byte) - 1
    }

    /// The bytes of a line, its end not included.
    #[must_use]
    pub fn span_of(&self, line: usize) -> Span {
        let start = self.starts.get(line).copied().unwrap_or(self.text.len());
        let end = self.starts.get(line + 1).map_or(self.text.len(), |next| next - 1);
        start..end
    }
}

/// The first byte of the character that holds this one; the end for a byte past it.
#[must_use]
pub fn char_start(text: &str, byte: usize) -> usize {
    (0..=byte.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

/// The first byte at or after this one that begins a character, or the end.
#[must_use]
pub fn char_end(text: &str, byte: usize) -> usize {
    (byte..text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use super::{Lines, Position};

    #[test]
    fn columns_count_characters_and_start_at_one() {
        let lines = Lines::of("ä = 1\nb = \"ü\" x\n");
        for (byte, line, column) in [(0, 1, 1), (1, 1, 1), (2, 1, 2), (7, 2, 1), (14, 2, 7), (999, 3, 1)] {
            assert_eq!(lines.position(byte), Position { line, column }, "byte {byte}");
        }
    }
}
