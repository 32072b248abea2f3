//! The words of proposals for endpoints: methods, resources, shares.

use crate::inventory::{LearnedEndpoint, about};

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

/// A count of requests in words: of a sample an estimate, `~87`.
#[must_use]
pub fn number(requests: u64, is_sample: bool) -> String {
    if is_sample { about(requests, requests.to_string()) } else { requests.to_string() }
}

/// 0.0 to 1.0: counts that were read one after the other may be a little apart.
#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
pub(super) fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { (part as f64 / whole as f64).min(1.0) }
}
