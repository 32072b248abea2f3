//! Whether routes take the paths that the list's own order gives to them.

use std::collections::{BTreeMap, BTreeSet};

use http::Method;

use crate::compile::Snapshot;
use crate::inventory::ImportedCase;
use crate::message::Fields;
use crate::route::{Facts, normalise};

/// Locations that are said; each with one path.
const MOST: usize = 50;

/// One line for each location some of whose paths another route takes, with one of the paths.
pub(super) fn differences(cases: &[ImportedCase], snapshot: &Snapshot) -> Vec<String> {
    let mut found: BTreeMap<&str, (&str, String, BTreeSet<&str>)> = BTreeMap::new();
    let headers = Fields::default();
    for case in cases {
        let Ok(path) = normalise(&case.path, &snapshot.matching) else { continue };
        let facts = Facts {
            method: &Method::GET,
            preflight: None,
            host: case.host.as_deref().unwrap_or(""),
            path: path.as_str(),
            query: None,
            headers: &headers,
            client: None,
            upgrade: false,
        };
        let taken = snapshot.table.find(&facts).map(|found| snapshot.table.template(found).as_str());
        let is_right = match taken {
            Some(template) => case.templates.iter().any(|own| own == template),
            // The monolith gets what no route takes, and so what nginx gives to `/`.
            None => case.templates.is_empty() || case.templates.iter().any(|own| own == "/{*rest}"),
        };
        if !is_right {
            let words = || taken.map_or_else(|| "no route".to_owned(), |template| format!("the route of {template}"));
            let (_, _, all) = found.entry(&case.location).or_insert_with(|| (&case.path, words(), BTreeSet::new()));
            all.insert(taken.unwrap_or(""));
        }
    }
    let more = found.len().saturating_sub(MOST);
    let mut lines: Vec<String> = found
        .into_iter()
        .take(MOST)
        .map(|(location, (path, taken, all))| match all.len() - 1 {
            0 => format!("{path}: nginx takes {location}, here {taken} does"),
            others => {
                format!("{path}: nginx takes {location}, here {taken} does, and {others} more take others of its paths")
            }
        })
        .collect();
    if more > 0 {
        lines.push(format!("{more} more locations have paths that other routes take"));
    }
    lines
}
