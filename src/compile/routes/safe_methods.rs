//! `safe_methods`: the calls of gRPC that change nothing.

use http::Method;

use super::super::draft::Draft;
use super::Site;
use crate::diagnostic::Code;
use crate::migration::{CallPattern, SafeCalls};
use crate::route::{Matching, Rule, Template};

/// `rule`: what the route takes, where it could be read.
pub(super) fn compile(site: Site<'_>, rule: Option<&Rule>, draft: &mut Draft<'_>) -> SafeCalls {
    let items = site.route.safe_methods.get().map(|list| list.0.as_slice()).unwrap_or_default();
    let mut patterns: Vec<CallPattern> = Vec::with_capacity(items.len());
    for item in items {
        let pattern = match CallPattern::parse(&item.value) {
            Ok(pattern) => pattern,
            Err(error) => {
                let help = "write it like `safe_methods = [\"/shop.Catalog/Get*\"]`";
                let message = format!("`{}` is not a call of gRPC: {error}", item.value);
                draft.say(Code::InvalidValue, item.span.clone(), message, "not a call", help);
                continue;
            }
        };
        if patterns.contains(&pattern) {
            let message = format!("`{}` is given twice", item.value);
            draft.say(Code::DuplicateValue, item.span.clone(), message, "again", "remove one of the two");
            continue;
        }
        if let Some(rule) = rule.filter(|rule| !takes_any(rule, &pattern)) {
            let help = if rule.methods.as_ref().is_some_and(|methods| !methods.contains(&Method::POST)) {
                "calls of gRPC are POST: add it to the route's `methods`"
            } else {
                "the paths of calls are `/package.Service/Method`: let one of the route's paths take them, or remove it"
            };
            let message = format!("`{}` has no effect: `{}` takes no such call", item.value, site.name());
            draft.say(Code::UselessSetting, item.span.clone(), message, "no effect", help);
        }
        patterns.push(pattern);
    }
    SafeCalls(patterns.into())
}

/// Whether some call that the pattern takes is one of the route's.
fn takes_any(rule: &Rule, pattern: &CallPattern) -> bool {
    let matching = Matching::default();
    let path = |template: &Template| template.takes(&pattern.example(), matching) || pattern.takes(template.as_str());
    let paths = rule.paths.is_empty() || rule.paths.iter().any(path);
    paths && rule.methods.as_ref().is_none_or(|methods| methods.contains(&Method::POST))
}
