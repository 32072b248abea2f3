//! `multilith schema`: the JSON Schema of routes.toml, for editors.

use super::{Exit, term};

pub fn schema() -> Exit {
    term::json(&crate::config::schema());
    Exit::Fine
}
