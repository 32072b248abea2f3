//! Writes a route's stage and weight into the text of a file, and changes nothing else of it: not a comment, not a line end.
//!
//! The places come from the same walk that reads the file, so every form in which a key can be written is known.

use std::ops::Range;

use super::{Environment, Given, parse};
use crate::diagnostic::{Diagnostics, Span};

/// Why a text cannot be changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unwritable {
    /// The text does not have the route, or it cannot be read.
    NoRoute,
    /// The value of this key comes from a `${VARIABLE}`.
    Variable(&'static str),
}

impl Unwritable {
    /// Said to a person.
    #[must_use]
    pub fn message(self, route: &str) -> String {
        match self {
            Self::NoRoute => format!("the file on the disk has no `[routes.{route}]` with a stage that can be read"),
            Self::Variable(key) => {
                format!(
                    "`{key}` of `{route}` comes from a variable: change the variable, or write the value into the file"
                )
            }
        }
    }
}

/// The text with this stage, and with this weight or without one.
pub fn with_dial(
    text: &str,
    env: Environment<'_>,
    route: &str,
    stage: &str,
    weight: Option<&str>,
) -> Result<String, Unwritable> {
    let parsed = parse(text, env, &mut Diagnostics::default());
    let routes = parsed.file.routes.get().ok_or(Unwritable::NoRoute)?;
    let entry = routes.entries.iter().find(|entry| entry.name == route).ok_or(Unwritable::NoRoute)?;
    let written = entry.value.stage.given().ok_or(Unwritable::NoRoute)?;
    let inline = text.get(entry.span.clone()).is_some_and(|table| table.trim_start().starts_with('{'));
    let mut edits = vec![replaced(text, written, "stage", stage)?];
    match (entry.value.weight.given(), weight) {
        (Some(old), Some(new)) => edits.push(replaced(text, old, "weight", new)?),
        (Some(old), None) => {
            replaced(text, old, "weight", "")?;
            let range = if inline { inline_item(text, old) } else { lines(text, old) };
            edits.push((range, String::new()));
        }
        (None, Some(new)) => edits.push(added(text, written, inline, new)),
        (None, None) => {}
    }
    // From the end to the beginning: what comes first keeps its place.
    edits.sort_by_key(|(range, _)| std::cmp::Reverse((range.start, range.end)));
    let mut changed = text.to_owned();
    for (range, with) in edits {
        changed.replace_range(range, &with);
    }
    Ok(changed)
}

type Edit = (Range<usize>, String);

/// A value in the quotes that it had.
fn replaced<T>(text: &str, given: &Given<T>, key: &'static str, value: &str) -> Result<Edit, Unwritable> {
    let written = text.get(given.span.clone()).unwrap_or_default();
    if written.replace("$${", "").contains("${") {
        return Err(Unwritable::Variable(key));
    }
    let quote = if written.starts_with('\'') { '\'' } else { '"' };
    Ok((given.span.clone(), format!("{quote}{value}{quote}")))
}

/// The lines of a key and its value, with the line end.
fn lines<T>(text: &str, given: &Given<T>) -> Range<usize> {
    let start = line_start(text, &given.key);
    let end = text[given.span.end..].find('\n').map_or(text.len(), |end| given.span.end + end + 1);
    start..end
}

fn line_start(text: &str, at: &Span) -> usize {
    text[..at.start].rfind('\n').map_or(0, |end| end + 1)
}

/// A key and its value in an inline table, with the comma that goes with it.
fn inline_item<T>(text: &str, given: &Given<T>) -> Range<usize> {
    let before = text[..given.key.start].trim_end();
    if before.ends_with(',') {
        return before.len() - 1..given.span.end;
    }
    let after = &text[given.span.end..];
    let rest = after.trim_start().strip_prefix(',').map_or(after, str::trim_start);
    given.key.start..text.len() - rest.len()
}

/// The weight behind the stage, in the form in which the stage is written.
fn added<T>(text: &str, stage: &Given<T>, inline: bool, weight: &str) -> Edit {
    let at = stage.span.end;
    if inline {
        return (at..at, format!(", weight = \"{weight}\""));
    }
    // `routes.users.stage = …` becomes `routes.users.weight = …`.
    let before = &text[line_start(text, &stage.key)..stage.key.start];
    let line = text[at..].find('\n').map(|end| at + end);
    let end = line.unwrap_or(text.len());
    let crlf = text[..end].ends_with('\r') || line.is_none() && text.contains("\r\n");
    let line_end = if crlf { "\r\n" } else { "\n" };
    match line {
        Some(newline) => (newline + 1..newline + 1, format!("{before}weight = \"{weight}\"{line_end}")),
        None => (end..end, format!("{line_end}{before}weight = \"{weight}\"")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edited(text: &str, stage: &str, weight: Option<&str>) -> Result<String, Unwritable> {
        with_dial(text, &|name| (name == "WEIGHT").then(|| "5%".to_owned()), "users", stage, weight)
    }

    const TABLE: &str = "# my file\n[routes.users] # users\npath = \"/u\"\nstage = \"canary\" # soon more\nweight = \"5%\" # a little\n\n[routes.other]\nstage = 'monolith'\npath = '/o'\n";

    #[test]
    fn a_value_is_changed_and_nothing_else() {
        assert_eq!(edited(TABLE, "canary", Some("25%")), Ok(TABLE.replace("\"5%\"", "\"25%\"")));
    }

    #[test]
    fn a_stage_without_a_weight_loses_its_line() {
        let expected = TABLE.replace("\"canary\"", "\"migrated\"").replace("weight = \"5%\" # a little\n", "");
        assert_eq!(edited(TABLE, "migrated", None), Ok(expected));
    }

    #[test]
    fn a_stage_with_a_weight_gets_it_below_in_the_same_form() {
        let cases = [
            (
                "[routes.users]\nstage = \"shadow\" # x\npath = \"/u\"\n",
                "[routes.users]\nstage = \"canary\" # x\nweight = \"1%\"\npath = \"/u\"\n",
            ),
            (
                "[routes.users]\r\n  stage = 'shadow'\r\npath = \"/u\"\r\n",
                "[routes.users]\r\n  stage = 'canary'\r\n  weight = \"1%\"\r\npath = \"/u\"\r\n",
            ),
            (
                "[routes]\nusers = { path = \"/u\", stage = \"shadow\" }\n",
                "[routes]\nusers = { path = \"/u\", stage = \"canary\", weight = \"1%\" }\n",
            ),
            (
                "routes.users.path = \"/u\"\nroutes.users.stage = \"shadow\"",
                "routes.users.path = \"/u\"\nroutes.users.stage = \"canary\"\nroutes.users.weight = \"1%\"",
            ),
            ("[routes]\nusers.stage = \"shadow\"\n", "[routes]\nusers.stage = \"canary\"\nusers.weight = \"1%\"\n"),
        ];
        for (text, expected) in cases {
            assert_eq!(edited(text, "canary", Some("1%")).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn an_inline_weight_goes_with_its_comma_wherever_it_stands() {
        let cases = [
            ("routes.users = { stage = \"canary\", weight = \"5%\" }\n", "routes.users = { stage = \"migrated\" }\n"),
            ("routes.users = { weight = \"5%\", stage = \"canary\" }\n", "routes.users = { stage = \"migrated\" }\n"),
            (
                "routes.users = { path = \"/\", weight = \"5%\", stage = \"canary\" }\n",
                "routes.users = { path = \"/\", stage = \"migrated\" }\n",
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(edited(text, "migrated", None).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn a_variable_is_never_overwritten() {
        let text = "[routes.users]\nstage = \"canary\"\nweight = \"${WEIGHT}\"\n";
        assert_eq!(edited(text, "canary", Some("25%")), Err(Unwritable::Variable("weight")));
        assert_eq!(edited(text, "migrated", None), Err(Unwritable::Variable("weight")));
    }

    #[test]
    fn a_route_that_is_not_there_is_said_so() {
        assert_eq!(edited("[routes.other]\nstage = \"canary\"\n", "migrated", None), Err(Unwritable::NoRoute));
    }
}
