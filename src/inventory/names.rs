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

/// A name that no route may have: it stands for the requests that no route takes.
const RESERVED: &str = "unmatched";

/// The name of a route that none of `names` has, and that a route may have; it is among them from now on.
pub fn unique_route_name(names: &mut BTreeSet<String>, path: &str) -> String {
    let name = route_name(path);
    let mut chosen = name.clone();
    let mut number = 2;
    while chosen == RESERVED || !names.insert(chosen.clone()) {
        chosen = format!("{name}-{number}");
        number += 1;
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reserved_name_counts_as_taken() {
        let mut names = BTreeSet::new();
        let all = ["/unmatched", "/Unmatched/", "/a", "/a"].map(|path| unique_route_name(&mut names, path));
        assert_eq!(all, ["unmatched-2", "unmatched-3", "a", "a-2"]);
    }
}
