//! Names of routes, from what is known of their paths.

use std::collections::BTreeSet;

/// A route's name from its literals: `/api/users/{id}/posts` is `api-users-id-posts`.
#[must_use]
pub fn route_name(path: &str) -> String {
    let mut name = String::new();
    for char in path.chars() {
        match char.to_ascii_lowercase() {
            char @ ('a'..='z' | '0'..='9') => name.push(char),
            _ if !name.is_empty() && !name.ends_with('-') => name.push('-'),
            _ => {}
        }
    }
    let name = name.trim_end_matches('-');
    if name.is_empty() { "root".to_owned() } else { name.chars().take(56).collect() }
}

/// The name of a route that none of `names` has; it is among them from now on.
pub fn unique_route_name(names: &mut BTreeSet<String>, path: &str) -> String {
    let name = route_name(path);
    let mut chosen = name.clone();
    let mut number = 2;
    while !names.insert(chosen.clone()) {
        chosen = format!("{name}-{number}");
        number += 1;
    }
    chosen
}
