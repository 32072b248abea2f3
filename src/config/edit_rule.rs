//! Writes a rule that a person pressed into the text of a file: what of a route is not compared, which path is no template.
//!
//! The table may be written in any form that TOML has. What the rule does not concern stays byte for byte.

use toml_edit::{Array, DocumentMut, InlineTable, Item, Table, TableLike, Value, value};

/// One rule of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileRule<'a> {
    /// `[routes.NAME.shadow.compare] ignore`
    Ignore(&'a str),
    /// `[routes.NAME.shadow.compare] unordered`
    Unordered(&'a str),
    /// `[routes.NAME.shadow.compare] mask`
    Mask { field: &'a str, pattern: &'a str },
    /// `[inventory] literal`
    Literal(&'a str),
}

/// Why a text does not take a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RuleUnwritable {
    #[error("the file cannot be read as TOML")]
    NotToml,
    #[error("the file has no such route")]
    NoRoute,
    #[error("the rule stands in the file already")]
    Already,
    #[error("the file says `compare = false`: nothing of this route is compared")]
    Off,
    #[error("the value comes from a variable: change the variable, or write the value into the file")]
    Variable,
    #[error("the table is written in a form that would have to be written anew")]
    Form,
}

/// The text with this rule. `route`: the route that gets it; a rule of the inventory has none.
pub fn with_rule(text: &str, route: &str, rule: &FileRule<'_>) -> Result<String, RuleUnwritable> {
    let mut document: DocumentMut = text.parse().map_err(|_| RuleUnwritable::NotToml)?;
    let root = document.as_item_mut();
    match rule {
        FileRule::Ignore(field) => push(compare(root, route)?, "ignore", field)?,
        FileRule::Unordered(field) => push(compare(root, route)?, "unordered", field)?,
        FileRule::Mask { field, pattern } => mask(compare(root, route)?, field, pattern)?,
        FileRule::Literal(path) => push(below(root, "inventory", true)?, "literal", path)?,
    }
    let changed = with_line_ends_of(text, &document.to_string());
    if touches_other_lines(text, &changed) { Err(RuleUnwritable::Form) } else { Ok(changed) }
}

/// The lines to paste where a file cannot be written.
#[must_use]
pub fn rule_to_paste(route: &str, rule: &FileRule<'_>) -> String {
    let quoted = |text: &str| value(written(text)).to_string().trim().to_owned();
    let mut lines = DocumentMut::new();
    let line = match rule {
        FileRule::Literal(path) => return format!("[inventory]\nliteral = [{}]\n", quoted(path)),
        FileRule::Ignore(field) => format!("ignore = [{}]\n", quoted(field)),
        FileRule::Unordered(field) => format!("unordered = [{}]\n", quoted(field)),
        FileRule::Mask { field, pattern } => {
            let mut mask = InlineTable::new();
            mask.insert(*field, written(pattern).into());
            lines.insert("mask", value(mask));
            lines.to_string()
        }
    };
    let name = toml_edit::Key::new(route);
    format!("[routes.{name}.shadow.compare]\n{line}")
}

/// As the file has to say it: `${` would be a variable.
fn written(text: &str) -> String {
    text.replace("${", "$${")
}

/// The table of a route's rules, made where it is not there.
fn compare<'t>(root: &'t mut Item, route: &str) -> Result<&'t mut Item, RuleUnwritable> {
    let routes = root.get_mut("routes").ok_or(RuleUnwritable::NoRoute)?;
    let entry = routes.get_mut(route).filter(|entry| !entry.is_none()).ok_or(RuleUnwritable::NoRoute)?;
    below(below(entry, "shadow", false)?, "compare", true)
}

/// The table under a key, made in the form of its parent where it is not there. `header`: where it gets one, it is not only the
/// way to another.
fn below<'t>(parent: &'t mut Item, key: &str, header: bool) -> Result<&'t mut Item, RuleUnwritable> {
    let inline = parent.is_inline_table();
    let table = parent.as_table_like_mut().ok_or(RuleUnwritable::Form)?;
    let dotted = table.is_dotted();
    match table.get(key).map(Item::as_bool) {
        Some(Some(false)) => return Err(RuleUnwritable::Off),
        Some(Some(true)) => {
            let old = table.get_mut(key).and_then(Item::as_value_mut).ok_or(RuleUnwritable::Form)?;
            let mut new = Value::from(InlineTable::new());
            *new.decor_mut() = old.decor().clone();
            *old = new;
        }
        Some(None) => {}
        None if inline => add(table, true, key, InlineTable::new().into()),
        None => {
            let mut new = Table::new();
            new.set_dotted(dotted);
            new.set_implicit(!header && !dotted);
            drop(table.insert(key, Item::Table(new)));
        }
    }
    table.get_mut(key).ok_or(RuleUnwritable::Form)
}

/// A key behind the others. In an inline table the space before the brace stays before the brace.
fn add(table: &mut dyn TableLike, inline: bool, key: &str, mut new: Value) {
    let last = table.iter_mut().last().and_then(|(_, last)| last.as_value_mut()).filter(|_| inline);
    if let Some(last) = last {
        let space = last.decor().suffix().and_then(|suffix| suffix.as_str()).unwrap_or_default().to_owned();
        if space.trim().is_empty() {
            last.decor_mut().set_suffix("");
            new.decor_mut().set_suffix(space);
        }
    }
    table.insert(key, Item::Value(new));
}

/// One more element of a list, on a line of its own where the others have theirs.
fn push(table: &mut Item, key: &str, text: &str) -> Result<(), RuleUnwritable> {
    let (text, inline) = (written(text), table.is_inline_table());
    let table = table.as_table_like_mut().ok_or(RuleUnwritable::Form)?;
    let Some(list) = table.get_mut(key) else {
        add(table, inline, key, Array::from_iter([text]).into());
        return Ok(());
    };
    let list = list.as_array_mut().ok_or(RuleUnwritable::Form)?;
    if list.iter().any(|known| known.as_str() == Some(&*text)) {
        return Err(RuleUnwritable::Already);
    }
    let before = list.iter().last().and_then(|last| last.decor().prefix()?.as_str()).unwrap_or_default();
    let indent = before.rfind('\n').map(|at| before[at..].to_owned());
    let mut new = Value::from(text);
    match indent {
        Some(indent) => new.decor_mut().set_prefix(indent),
        None if list.is_empty() => new.decor_mut().set_prefix(""),
        None => new.decor_mut().set_prefix(" "),
    }
    list.push_formatted(new);
    Ok(())
}

fn mask(table: &mut Item, field: &str, pattern: &str) -> Result<(), RuleUnwritable> {
    let (pattern, inline) = (written(pattern), table.is_inline_table());
    let compare = table.as_table_like_mut().ok_or(RuleUnwritable::Form)?;
    if !compare.contains_key("mask") {
        let mut mask = InlineTable::new();
        mask.insert(field, pattern.into());
        add(compare, inline, "mask", mask.into());
        return Ok(());
    }
    let masks = compare.get_mut("mask").ok_or(RuleUnwritable::Form)?;
    let inline = masks.is_inline_table();
    let masks = masks.as_table_like_mut().ok_or(RuleUnwritable::Form)?;
    match masks.get_mut(field).map(|known| known.as_value_mut().ok_or(RuleUnwritable::Form)) {
        None => add(masks, inline, field, pattern.into()),
        Some(known) => {
            let known = known?;
            match known.as_str() {
                Some(text) if text == pattern => return Err(RuleUnwritable::Already),
                Some(text) if text.replace("$${", "").contains("${") => return Err(RuleUnwritable::Variable),
                _ => {}
            }
            let decor = known.decor().clone();
            *known = pattern.into();
            *known.decor_mut() = decor;
        }
    }
    Ok(())
}

/// Line ends are written as LF; a file that has CRLF throughout keeps them.
fn with_line_ends_of(text: &str, changed: &str) -> String {
    let (all, crlf) = (text.matches('\n').count(), text.matches("\r\n").count());
    if crlf > 0 && crlf == all { changed.replace("\r\n", "\n").replace('\n', "\r\n") } else { changed.to_owned() }
}

/// More than the one line that a value stands in is another one than before.
fn touches_other_lines(before: &str, after: &str) -> bool {
    let (changed, _) = changed_lines(before, after);
    changed.len() > 1
}

/// Lines with their numbers from 1.
type NumberedLines<'a> = Vec<(usize, &'a str)>;

/// The lines of a text that another does not have, and those that it has in their place.
#[must_use]
pub fn changed_lines<'a>(before: &'a str, after: &'a str) -> (NumberedLines<'a>, NumberedLines<'a>) {
    let (old, new): (Vec<&str>, Vec<&str>) = (before.split('\n').collect(), after.split('\n').collect());
    let same = old.iter().zip(&new).take_while(|(old, new)| old == new).count();
    let room = old.len().min(new.len()) - same;
    let end = old.iter().rev().zip(new.iter().rev()).take(room).take_while(|(old, new)| old == new).count();
    let part = |lines: &[&'a str]| {
        let numbered = lines.iter().copied().enumerate().map(|(at, line)| (at + 1, line.trim_end_matches('\r')));
        numbered.skip(same).take(lines.len() - same - end).collect::<Vec<_>>()
    };
    (part(&old), part(&new))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ignored(text: &str) -> Result<String, RuleUnwritable> {
        with_rule(text, "users", &FileRule::Ignore("$.as_of"))
    }

    #[test]
    fn a_file_with_crlf_keeps_it_and_one_with_both_is_left_alone() {
        let text = "[routes.users]\r\npath = \"/u\" # x\r\n[routes.users.shadow.compare]\r\nignore = [\"$.a\"]\r\n";
        assert_eq!(ignored(text), Ok(text.replace("[\"$.a\"]", "[\"$.a\", \"$.as_of\"]")));
        let mixed = text.replacen("\r\n", "\n", 1);
        assert_eq!(ignored(&mixed), Err(RuleUnwritable::Form));
    }

    #[test]
    fn what_is_there_already_or_off_or_not_there_is_said() {
        let text = |compare: &str| format!("[routes.users]\nshadow = {{ compare = {compare} }}\n");
        assert_eq!(ignored(&text("false")), Err(RuleUnwritable::Off));
        assert_eq!(ignored(&text("{ ignore = [\"$.as_of\"] }")), Err(RuleUnwritable::Already));
        assert_eq!(ignored("[routes.other]\npath = \"/\"\n"), Err(RuleUnwritable::NoRoute));
        assert_eq!(ignored("[routes.users"), Err(RuleUnwritable::NotToml));
    }

    #[test]
    fn a_variable_is_never_overwritten_and_none_is_made() {
        let text = "[routes.users.shadow.compare]\nmask = { \"$.x\" = \"${MASK}\" }\n";
        let mask = |field| FileRule::Mask { field, pattern: "${HOME}" };
        assert_eq!(with_rule(text, "users", &mask("$.x")), Err(RuleUnwritable::Variable));
        let made = with_rule(text, "users", &mask("$.y")).expect("another field");
        assert!(made.contains("\"$.x\" = \"${MASK}\"") && made.contains("$${HOME}"), "{made}");
    }

    #[test]
    fn what_is_pasted_is_toml_whatever_the_field_is_called() {
        let hostile = "$.\"]\\n[server]";
        let text = rule_to_paste("a.b", &FileRule::Ignore(hostile));
        let read: toml::Table = toml::from_str(&text).expect("it is TOML");
        assert_eq!(read["routes"]["a.b"]["shadow"]["compare"]["ignore"][0].as_str(), Some(hostile), "{text}");
        let text = rule_to_paste("a", &FileRule::Mask { field: hostile, pattern: r"\d+" });
        let read: toml::Table = toml::from_str(&text).expect("it is TOML");
        assert_eq!(read["routes"]["a"]["shadow"]["compare"]["mask"][hostile].as_str(), Some(r"\d+"), "{text}");
    }
}
