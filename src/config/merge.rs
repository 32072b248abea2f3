//! Several files as one: their tables side by side, each in one file only.

use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use crate::diagnostic::{Code, Diagnostic, Diagnostics, SourceFile, Sources};

/// Tables that hold one table for each name: these names may stand in different files.
const SHARED: [&str; 3] = ["services", "routes", "notify"];

/// The tables of the files that were added so far; every place is one in the text of all files.
#[derive(Debug)]
pub(super) struct Merged<'s, 'i> {
    sources: &'s Sources,
    table: DeTable<'i>,
}

impl<'s, 'i> Merged<'s, 'i> {
    pub(super) fn new(sources: &'s Sources) -> Self {
        Self { sources, table: DeTable::new() }
    }

    pub(super) fn into_table(self) -> DeTable<'i> {
        self.table
    }

    /// Puts the tables of one more file beside the others. What is there already is reported and left out.
    pub(super) fn add(&mut self, table: DeTable<'i>, file: &SourceFile, diagnostics: &mut Diagnostics) {
        let by = file.span.start;
        for (key, value) in table {
            let (key, value) = (moved_key(key, by), moved(value, by));
            let name = key.get_ref().to_string();
            if name == "include" && file.included {
                diagnostics.push(nested(&key));
                continue;
            }
            let Some((known, there)) = self.table.get_key_value(&*name) else {
                self.table.insert(key, value);
                continue;
            };
            let (known, there) = (known.span(), there.get_ref());
            let shared = SHARED.contains(&name.as_str()) && there.is_table() && value.get_ref().is_table();
            let lists = name == "include" && there.is_array() && value.get_ref().is_array();
            if !shared && !lists {
                if name != "$schema" {
                    diagnostics.push(self.twice(&name, known, &key));
                }
                continue;
            }
            let into = self.table.get_mut(&*name).map(Spanned::get_mut);
            match (into, value.into_inner()) {
                (Some(DeValue::Array(into)), DeValue::Array(more)) => more.into_iter().for_each(|item| into.push(item)),
                (Some(DeValue::Table(_)), DeValue::Table(more)) => self.add_named(&name, more, diagnostics),
                _ => {}
            }
        }
    }

    fn add_named(&mut self, table: &str, more: DeTable<'i>, diagnostics: &mut Diagnostics) {
        for (key, value) in more {
            let entries = self.table.get(table).and_then(|entries| entries.get_ref().as_table());
            let known =
                entries.and_then(|entries| entries.get_key_value(&**key.get_ref())).map(|(known, _)| known.span());
            if let Some(known) = known {
                diagnostics.push(self.twice(&format!("{table}.{}", key.get_ref()), known, &key));
                continue;
            }
            if let Some(DeValue::Table(entries)) = self.table.get_mut(table).map(Spanned::get_mut) {
                entries.insert(key, value);
            }
        }
    }

    fn twice(&self, name: &str, first: crate::diagnostic::Span, again: &Spanned<DeString<'_>>) -> Diagnostic {
        let file = |byte: usize| self.sources.file_of(byte).map_or("", |file| &*file.name);
        let (one, other) = (file(first.start), file(again.span().start));
        Diagnostic::new(Code::DefinedTwice, format!("`{name}` stands in `{one}` and in `{other}`"))
            .at(again.span())
            .label("again")
            .related(first, "here first")
            .help(
                "a table stands in one file, with all its keys: keep one of the two, or give one of them another name",
            )
    }
}

fn nested(key: &Spanned<DeString<'_>>) -> Diagnostic {
    Diagnostic::new(Code::NestedInclude, "a file that is included includes nothing itself")
        .at(key.span())
        .label("not followed")
        .help("remove it, and name these files in `include` of the file that the command line names")
}

fn moved_key(key: Spanned<DeString<'_>>, by: usize) -> Spanned<DeString<'_>> {
    let span = key.span();
    Spanned::new(span.start + by..span.end + by, key.into_inner())
}

/// The value with its place, and the places within it, further on.
fn moved(value: Spanned<DeValue<'_>>, by: usize) -> Spanned<DeValue<'_>> {
    if by == 0 {
        return value;
    }
    let span = value.span();
    let value = match value.into_inner() {
        DeValue::Table(table) => {
            DeValue::Table(table.into_iter().map(|(key, value)| (moved_key(key, by), moved(value, by))).collect())
        }
        DeValue::Array(items) => DeValue::Array(items.into_iter().map(|item| moved(item, by)).collect()),
        plain => plain,
    };
    Spanned::new(span.start + by..span.end + by, value)
}
