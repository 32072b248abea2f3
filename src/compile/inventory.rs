//! `[inventory]`: what overrules the endpoints that are learned.

use std::time::Duration;

use super::InventorySettings;
use super::draft::Draft;
use crate::config::{self, Field, Item};
use crate::diagnostic::Code;
use crate::route::Template;

const DEFAULT_RETIRE_AFTER: Duration = Duration::from_secs(14 * 86_400);

pub(super) fn compile(file: &config::File, draft: &mut Draft<'_>) -> InventorySettings {
    let empty = config::Inventory::default();
    let inventory = file.inventory.get().unwrap_or(&empty);
    InventorySettings {
        learn: inventory.learn.or(true),
        literal: paths(&inventory.literal, draft, |template| {
            (!template.is_literal()).then_some("`literal` names a path without parameters")
        }),
        parameter: paths(&inventory.parameter, draft, |template| {
            template.is_literal().then_some("`parameter` names a template with a parameter")
        }),
        retire_after: inventory.retire_after.or(DEFAULT_RETIRE_AFTER),
    }
}

/// The paths of a list, less those that are reported.
fn paths(
    field: &Field<Vec<Item<String>>>,
    draft: &mut Draft<'_>,
    is_wrong: impl Fn(&Template) -> Option<&'static str>,
) -> Vec<Box<str>> {
    let mut paths = Vec::new();
    for item in field.get().map(Vec::as_slice).unwrap_or_default() {
        match Template::parse(&item.value) {
            Err(error) => draft.invalid_template(&item.span, &item.value, error, "not a path"),
            Ok(template) => match is_wrong(&template) {
                Some(message) => draft.say(
                    Code::InvalidTemplate,
                    item.span.clone(),
                    format!("{message}: `{}`", item.value),
                    "belongs into the other list",
                    "in [inventory], write `literal = [\"/users/export\"]` and `parameter = [\"/blog/{slug}\"]`",
                ),
                None => paths.push(item.value.as_str().into()),
            },
        }
    }
    paths
}
