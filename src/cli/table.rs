//! Columns of text that fit the terminal: what is least missed goes first, then names shrink, then the gaps, then what can
//! be missed goes.

const GAP: &str = "  ";
const NARROW_GAP: &str = " ";
/// The least share of a column that is never cut, before other columns go, in percent of the width.
const WHOLE_SHARE: usize = 40;
/// How far a reason that found no room beside its row is set in below it.
const HANG: &str = "    ";

/// One column, and what may be done to it where there is no room.
pub struct Column {
    head: &'static str,
    right: bool,
    /// Characters that must stay; longer texts end in `…`.
    least: Option<usize>,
    /// Never cut: a text that is wider than its column has a line for itself, above the rest of its row.
    is_whole: bool,
    may_go: bool,
    goes_first: bool,
    only_if_filled: bool,
    may_hang: bool,
}

impl Column {
    pub const fn left(head: &'static str) -> Self {
        Self {
            head,
            right: false,
            least: None,
            is_whole: false,
            may_go: false,
            goes_first: false,
            only_if_filled: false,
            may_hang: false,
        }
    }

    pub const fn right(head: &'static str) -> Self {
        Self { right: true, ..Self::left(head) }
    }

    pub const fn may_shrink_to(mut self, characters: usize) -> Self {
        self.least = Some(characters);
        self
    }

    /// The first column: its texts are never cut. One that is wider than this many characters, and finds no more room,
    /// has a line for itself.
    pub const fn whole_from(mut self, characters: usize) -> Self {
        self.is_whole = true;
        self.may_shrink_to(characters)
    }

    /// Left out before any column shrinks. Of several, the last goes first.
    pub const fn goes_first(mut self) -> Self {
        self.goes_first = true;
        self
    }

    /// Left out where the table is too wide without it.
    pub const fn may_go(mut self) -> Self {
        self.may_go = true;
        self
    }

    /// Left out when no row has anything in it.
    pub const fn only_if_filled(mut self) -> Self {
        self.only_if_filled = true;
        self
    }

    /// The last column: a text that does not fit stands below its row, whole.
    pub const fn may_hang(mut self) -> Self {
        self.may_hang = true;
        self
    }
}

pub struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub fn new(columns: impl Into<Vec<Column>>) -> Self {
        Self { columns: columns.into(), rows: Vec::new() }
    }

    /// As many texts as there are columns.
    pub fn row(&mut self, texts: impl Into<Vec<String>>) {
        self.rows.push(texts.into());
    }

    /// The lines, each with its end, at most `width` characters where that can be done.
    pub fn text(&self, width: usize) -> String {
        let natural = self.natural_widths();
        let mut widths = natural.clone();
        let mut over = total(&widths).saturating_sub(width);
        // A few long paths cost no column of all rows: they have lines for themselves.
        for (column, room) in self.columns.iter().zip(&mut widths).filter(|(column, _)| column.is_whole) {
            let Some(room) = room else { continue };
            let least = (width * WHOLE_SHARE / 100).max(column.least.unwrap_or(0));
            let less = room.saturating_sub(least).min(over);
            *room -= less;
            over -= less;
        }
        for (column, room) in self.columns.iter().zip(&mut widths).rev() {
            if over > 0 && column.goes_first {
                over = over.saturating_sub(room.take().map_or(0, |room| room + GAP.len()));
            }
        }
        while over > 0 && self.shrink_widest(&mut widths) {
            over -= 1;
        }
        // The room of dropped columns goes to the whole ones.
        let mut spare = width.saturating_sub(total(&widths));
        for ((column, room), natural) in self.columns.iter().zip(&mut widths).zip(natural) {
            if let (Some(room), Some(natural), true) = (room, natural, column.is_whole) {
                let more = (natural - *room).min(spare);
                *room += more;
                spare -= more;
            }
        }
        // A column stays if narrower gaps save enough.
        let mut gaps = widths.iter().flatten().count().saturating_sub(1) * (GAP.len() - NARROW_GAP.len());
        for (column, room) in self.columns.iter().zip(&mut widths) {
            if over > gaps && column.may_go {
                over = over.saturating_sub(room.map_or(0, |room| room + GAP.len()));
                gaps = gaps.saturating_sub(GAP.len() - NARROW_GAP.len());
                *room = None;
            }
        }
        let gap = if over > 0 { NARROW_GAP } else { GAP };
        let head: Vec<String> = self.columns.iter().map(|column| column.head.to_owned()).collect();
        [&head].into_iter().chain(&self.rows).map(|texts| self.line(texts, &widths, gap, width)).collect()
    }

    /// Takes one character from the widest of the columns that may shrink. `false`: none may, any more.
    fn shrink_widest(&self, widths: &mut [Option<usize>]) -> bool {
        let may =
            |(column, room): &(&Column, &mut Option<usize>)| column.least.is_some_and(|least| **room > Some(least));
        let widest = self.columns.iter().zip(widths).filter(may).max_by_key(|(_, room)| **room);
        let Some((_, Some(room))) = widest else { return false };
        *room -= 1;
        true
    }

    /// Of those that hang, the heads alone: they take what is left. `None`: the column is not shown.
    fn natural_widths(&self) -> Vec<Option<usize>> {
        let longest = |(index, column): (usize, &Column)| {
            let longest = self.rows.iter().map(|row| length(&row[index])).max().unwrap_or(0);
            let shown = longest > 0 || !column.only_if_filled;
            shown.then_some(if column.may_hang { length(column.head) } else { longest.max(length(column.head)) })
        };
        self.columns.iter().enumerate().map(longest).collect()
    }

    fn line(&self, texts: &[String], widths: &[Option<usize>], gap: &str, width: usize) -> String {
        let (mut line, mut below) = (String::new(), None);
        for ((column, text), room) in self.columns.iter().zip(texts).zip(widths) {
            let Some(room) = *room else { continue };
            if !line.is_empty() {
                line.push_str(gap);
            }
            if column.may_hang {
                if length(line.rsplit('\n').next().unwrap_or(&line)) + length(text) > width {
                    below = Some(text);
                } else {
                    line.push_str(text);
                }
                continue;
            }
            if column.is_whole && length(text) > room {
                line.extend([text.as_str(), "\n", &" ".repeat(room)]);
                continue;
            }
            let text = shortened(text, room);
            let padding = " ".repeat(room - length(&text));
            let parts = if column.right { [padding, text] } else { [text, padding] };
            line.extend(parts);
        }
        line.truncate(line.trim_end().len());
        line.push('\n');
        if let Some(text) = below {
            line.extend([HANG, text, "\n"]);
        }
        line
    }
}

fn total(widths: &[Option<usize>]) -> usize {
    let shown = widths.iter().flatten();
    shown.clone().sum::<usize>() + GAP.len() * shown.count().saturating_sub(1)
}

fn length(text: &str) -> usize {
    text.chars().count()
}

fn shortened(text: &str, room: usize) -> String {
    if length(text) <= room {
        return text.to_owned();
    }
    let kept: String = text.chars().take(room.saturating_sub(1)).collect();
    format!("{kept}…")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(paths: &[&str]) -> Table {
        let mut table = Table::new([
            Column::left("ENDPOINT").whole_from(12),
            Column::right("REQUESTS"),
            Column::right("SHARE").goes_first(),
            Column::right("P99").goes_first(),
            Column::left("WHY").may_hang(),
        ]);
        for path in paths {
            table.row(["GET ".to_owned() + path, "7".into(), "1.0 %".into(), "9 ms".into(), "id: numbers".into()]);
        }
        table
    }

    #[test]
    fn what_is_least_missed_goes_before_a_name_shrinks() {
        let table = table(&["/users/{id}"]);
        assert_eq!(
            table.text(80),
            "ENDPOINT         REQUESTS  SHARE   P99  WHY\nGET /users/{id}         7  1.0 %  9 ms  id: numbers\n"
        );
        assert_eq!(
            table.text(38),
            "ENDPOINT         REQUESTS  SHARE  WHY\nGET /users/{id}         7  1.0 %\n    id: numbers\n"
        );
        assert_eq!(table.text(30), "ENDPOINT         REQUESTS  WHY\nGET /users/{id}         7\n    id: numbers\n");
    }

    #[test]
    fn one_long_path_costs_the_other_rows_no_column() {
        let table = table(&["/users/{id}", "/organisations/{id}/departments/{id2}"]);
        assert_eq!(
            table.text(55),
            "ENDPOINT                     REQUESTS  SHARE   P99  WHY\n\
             GET /users/{id}                     7  1.0 %  9 ms\n    id: numbers\n\
             GET /organisations/{id}/departments/{id2}\n                                    7  1.0 %  9 ms\n    id: numbers\n"
        );
        assert!(
            table.text(80).contains("GET /organisations/{id}/departments/{id2}         7  1.0 %  9 ms  id: numbers")
        );
    }

    #[test]
    fn a_path_that_finds_no_room_has_a_line_for_itself() {
        let table = table(&["/a/{id}", "/account/settings/{id}/one", "/account/settings/{id}/two"]);
        assert_eq!(
            table.text(30),
            "ENDPOINT         REQUESTS  WHY\n\
             GET /a/{id}             7\n    id: numbers\n\
             GET /account/settings/{id}/one\n                        7\n    id: numbers\n\
             GET /account/settings/{id}/two\n                        7\n    id: numbers\n"
        );
    }
}
