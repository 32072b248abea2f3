//! The paths that `inventory --from-log` is given: what `check` refuses in `[inventory]` is refused here, too.

use crate::route::{Template, TemplateError};

/// Why a path was not taken.
#[derive(Debug, thiserror::Error)]
pub enum NotTaken {
    #[error("{}", .0.message)]
    NoPath(#[from] TemplateError),
    #[error("`--literal` names a path without parameters")]
    NotLiteral,
    #[error("`--parameter` names a template with a parameter")]
    NoParameter,
}

/// A path of `--literal`, by the rules of `[inventory] literal`.
pub fn literal_path(text: &str) -> Result<String, NotTaken> {
    if Template::parse(text)?.is_literal() { Ok(text.to_owned()) } else { Err(NotTaken::NotLiteral) }
}

/// A template of `--parameter`, by the rules of `[inventory] parameter`.
pub fn parameter_template(text: &str) -> Result<String, NotTaken> {
    if Template::parse(text)?.is_literal() { Err(NotTaken::NoParameter) } else { Ok(text.to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_check_refuses_in_the_file_is_refused() {
        for text in ["/users/export", "/"] {
            assert!(literal_path(text).is_ok() && parameter_template(text).is_err(), "{text}");
        }
        for text in ["/blog/{slug}", "/files/{*rest}"] {
            assert!(literal_path(text).is_err() && parameter_template(text).is_ok(), "{text}");
        }
        for text in ["nope", "/a/{x", "", "/a/../b"] {
            assert!(literal_path(text).is_err() && parameter_template(text).is_err(), "{text}");
        }
    }
}
