//! What proposals say of endpoints: methods, resources, spans of time.

use crate::inventory::LearnedEndpoint;

pub(super) fn methods(group: &[&LearnedEndpoint]) -> Vec<String> {
    let mut methods: Vec<String> = group.iter().map(|endpoint| endpoint.method.to_string()).collect();
    methods.sort_unstable();
    methods.dedup();
    if methods.iter().any(|method| method == "GET") {
        methods.retain(|method| method != "HEAD");
    }
    methods
}

/// The path up to its first parameter: `/orders` of `/orders/{id}/items`.
pub(super) fn resource(path: &str) -> &str {
    let end = path.find('{').unwrap_or(path.len());
    path[..end].trim_end_matches('/')
}

pub(super) fn first_literal(path: &str) -> &str {
    let skipped = |segment: &&str| {
        segment.is_empty()
            || *segment == "api"
            || (segment.starts_with('v') && segment[1..].bytes().all(|byte| byte.is_ascii_digit()))
    };
    path.split('/').find(|segment| !skipped(segment)).unwrap_or("")
}

pub(super) fn span(minutes: u32) -> String {
    match minutes {
        days @ 2880.. => format!("{} days", days / 1440),
        hours @ 120.. => format!("{} hours", hours / 60),
        minutes => format!("{minutes} minutes"),
    }
}
