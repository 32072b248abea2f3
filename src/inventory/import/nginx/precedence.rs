//! Paths to try: where nginx's order of locations and the precedence of templates could part.

use std::collections::BTreeSet;

/// Paths that are tried; more come from files that no person can read either.
const MOST: usize = 20_000;
const VALUES: [&str; 3] = ["x", "7", "x.php"];

/// Paths that the templates take, with every literal of one where another has a parameter.
pub fn paths(templates: &[String]) -> BTreeSet<String> {
    let mut literals: Vec<BTreeSet<&str>> = Vec::new();
    for template in templates {
        for (at, segment) in template.split('/').skip(1).enumerate() {
            if literals.len() == at {
                literals.push(BTreeSet::new());
            }
            if !segment.contains('{') && !segment.is_empty() {
                literals[at].insert(segment);
            }
        }
    }
    let mut found = BTreeSet::new();
    for template in templates {
        let mut paths = vec![String::new()];
        for (at, segment) in template.split('/').skip(1).enumerate() {
            let here = literals.get(at).into_iter().flatten().copied();
            let (open, close) = (segment.find('{'), segment.rfind('}'));
            let (Some(open), Some(close)) = (open, close) else {
                for path in &mut paths {
                    path.extend(["/", segment]);
                }
                continue;
            };
            let rest = segment.starts_with("{*");
            let values: Vec<String> = VALUES
                .into_iter()
                .chain(here)
                .map(|value| format!("{}{value}{}", &segment[..open], &segment[close + 1..]))
                .collect();
            let mut next: Vec<String> =
                paths.iter().flat_map(|path| values.iter().map(move |value| format!("{path}/{value}"))).collect();
            if rest {
                let deeper: Vec<String> = literals.get(at + 1).map_or_else(Vec::new, |deeper| {
                    next.iter().flat_map(|path| deeper.iter().map(move |word| format!("{path}/{word}"))).collect()
                });
                next.extend(paths.iter().map(|path| format!("{path}/")));
                next.extend(deeper);
            }
            next.truncate(MOST / 10);
            paths = next;
        }
        found.extend(paths);
        if found.len() > MOST {
            break;
        }
    }
    found
}
