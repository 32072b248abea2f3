//! Reads CSV by column: each row an object, so that rows are aligned and fields named as in JSON.

use std::borrow::Cow;

use super::json::Json;

/// Rows of one document; of more nothing but the text is compared.
const MAX_ROWS: usize = 20_000;

#[derive(Debug)]
pub(super) struct Table {
    /// Between cells.
    pub(super) mark: char,
    columns: Vec<String>,
    /// A list of objects.
    pub(super) rows: Json<'static>,
}

impl Table {
    /// Whether both name the same columns, but not in this order.
    pub(super) fn has_columns_in_another_order(&self, other: &Self) -> bool {
        let sorted = |table: &Self| {
            let mut columns = table.columns.clone();
            columns.sort_unstable();
            columns
        };
        self.columns != other.columns && sorted(self) == sorted(other)
    }
}

/// `None`: the first line names no columns, or the rows are not all as wide as it.
pub(super) fn parse(text: &str) -> Option<Table> {
    let text = text.trim_start_matches('\u{feff}');
    let first = text.lines().next()?;
    let mark = [',', ';', '\t'].into_iter().max_by_key(|mark| first.matches(*mark).count())?;
    let mut rows = rows(text, mark)?.into_iter();
    let names = rows.next()?;
    let tells_columns = names.len() > 1
        && names.iter().all(|name| !name.is_empty() && name.parse::<f64>().is_err())
        && names.iter().collect::<std::collections::BTreeSet<_>>().len() == names.len();
    if !tells_columns {
        return None;
    }
    let read = |row: Vec<String>| {
        (row.len() == names.len()).then(|| {
            let cells = names.iter().zip(row);
            Json::Object(cells.map(|(name, cell)| (Cow::Owned(name.clone()), Json::String(Cow::Owned(cell)))).collect())
        })
    };
    let rows = rows.map(read).collect::<Option<Vec<_>>>().map(Json::Array)?;
    Some(Table { mark, columns: names, rows })
}

/// RFC 4180, with any of the usual marks between cells.
fn rows(text: &str, mark: char) -> Option<Vec<Vec<String>>> {
    let mut rows = Vec::new();
    let (mut row, mut cell) = (Vec::new(), String::new());
    let mut quoted = false;
    let mut letters = text.chars().peekable();
    while let Some(c) = letters.next() {
        match c {
            '"' if quoted && letters.peek() == Some(&'"') => {
                letters.next();
                cell.push('"');
            }
            '"' if quoted || cell.is_empty() => quoted = !quoted,
            c if !quoted && c == mark => row.push(std::mem::take(&mut cell)),
            '\r' if !quoted && letters.peek() == Some(&'\n') => {}
            '\n' if !quoted => {
                row.push(std::mem::take(&mut cell));
                rows.push(std::mem::take(&mut row));
                if rows.len() > MAX_ROWS {
                    return None;
                }
            }
            c => cell.push(c),
        }
    }
    if !cell.is_empty() || !row.is_empty() {
        row.push(cell);
        rows.push(row);
    }
    rows.retain(|row: &Vec<String>| row.len() > 1 || row.iter().any(|cell| !cell.is_empty()));
    (!quoted).then_some(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_a_list_of_rows() {
        let shown = |text: &str| {
            parse(text).map(|table| {
                let mut out = String::new();
                table.rows.write(&mut out);
                out
            })
        };
        assert_eq!(shown("a,b\r\n1,\"x, \"\"y\"\"\"\r\n").as_deref(), Some(r#"[{"a":"1","b":"x, \"y\""}]"#));
        assert_eq!(shown("a;b\n1;2\n\n").as_deref(), Some(r#"[{"a":"1","b":"2"}]"#));
        for text in ["", "a\n1\n", "1,2\n3,4\n", "a,b\n1\n", "a,b\n\"1,2\n"] {
            assert_eq!(shown(text), None, "{text}");
        }
    }
}
