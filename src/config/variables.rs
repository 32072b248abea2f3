//! `${NAME}` and `${NAME:-default}` inside a string.

use std::borrow::Cow;

use super::Environment;
use crate::diagnostic::{Code, Diagnostic, Span};

/// A variable that cannot be replaced, and where in the string it stands.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Problem {
    pub(super) place: Span,
    kind: Kind,
}

#[derive(Debug, PartialEq, Eq)]
enum Kind {
    Missing(String),
    Unclosed,
    BadName(String),
}

impl Problem {
    pub(super) fn diagnostic(&self) -> Diagnostic {
        match &self.kind {
            Kind::Missing(name) => {
                Diagnostic::new(Code::MissingVariable, format!("the environment variable `{name}` is not set"))
                    .label("not set")
                    .help(format!("set it, or give a value for when it is not: `${{{name}:-…}}`"))
            }
            Kind::Unclosed => Diagnostic::new(Code::InvalidValue, "`${` without its `}`")
                .label("never closed")
                .help("close it: `${NAME}`; a plain `${` is written `$${`"),
            Kind::BadName(name) => {
                Diagnostic::new(Code::InvalidValue, format!("`{name}` is not the name of an environment variable"))
                    .label("letters, digits and `_` only")
                    .help("write `${NAME}` or `${NAME:-default}`; a plain `${` is written `$${`")
            }
        }
    }
}

/// The text with every variable replaced; `$${` becomes `${`.
pub(super) fn replace<'t>(text: &'t str, env: Environment<'_>) -> Result<Cow<'t, str>, Problem> {
    if !text.contains("${") {
        return Ok(Cow::Borrowed(text));
    }
    let mut output = String::with_capacity(text.len());
    let mut at = 0;
    while let Some(found) = text[at..].find("${") {
        let start = at + found;
        if text[at..start].ends_with('$') {
            output.push_str(&text[at..start - 1]);
            output.push_str("${");
            at = start + 2;
            continue;
        }
        output.push_str(&text[at..start]);
        let Some(length) = text[start..].find('}') else {
            return Err(Problem { place: start..text.len(), kind: Kind::Unclosed });
        };
        let place = start..start + length + 1;
        let body = &text[start + 2..start + length];
        let (name, default) = body.split_once(":-").map_or((body, None), |(name, default)| (name, Some(default)));
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            return Err(Problem { place, kind: Kind::BadName(name.to_owned()) });
        }
        // As in the shell, `:-` also stands in for a variable that is set and empty.
        match (env(name), default) {
            (Some(value), None) => output.push_str(&value),
            (Some(value), Some(_)) if !value.is_empty() => output.push_str(&value),
            (_, Some(default)) => output.push_str(default),
            (None, None) => return Err(Problem { place, kind: Kind::Missing(name.to_owned()) }),
        }
        at = place.end;
    }
    output.push_str(&text[at..]);
    Ok(Cow::Owned(output))
}

#[cfg(test)]
mod tests {
    use super::replace;

    #[test]
    fn variables_are_replaced_and_escapes_kept() {
        let env = |name: &str| match name {
            "HOST" => Some("db.internal".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        };
        let table = [
            ("plain $ text", Some("plain $ text")),
            ("http://${HOST}:1", Some("http://db.internal:1")),
            ("${NONE:-a:-b}", Some("a:-b")),
            ("${EMPTY:-x}${EMPTY}", Some("x")),
            ("$${HOST}", Some("${HOST}")),
            ("a$${b}${HOST}", Some("a${b}db.internal")),
            ("${NONE}", None),
            ("${HOST", None),
            ("${}", None),
            ("${A B}", None),
        ];
        for (text, expected) in table {
            assert_eq!(replace(text, &env).ok().as_deref(), expected, "{text}");
        }
    }
}
