//! Headers that a client must not set: multilith takes them off every request, and the written configuration must, too.

use crate::compile::Snapshot;
use crate::message::{FORGEABLE_FAMILIES, FORGEABLE_NAMES, FORGEABLE_WITH_UNDERSCORE, is_of_forgeable_family};

/// Members of the families that programs believe, for targets that cannot remove a family; the most believed first.
const KNOWN: [&str; 20] = [
    "x-forwarded-prefix",
    "x-forwarded-server",
    "x-forwarded-ssl",
    "x-forwarded-client-subject",
    "x-forwarded-client-cert",
    "x-forwarded-user",
    "x-multilith-shadow",
    "x-multilith-side",
    "x-multilith-force",
    "x-forwarded-scheme",
    "x-forwarded-email",
    "x-forwarded-groups",
    "x-forwarded-preferred-username",
    "x-forwarded-access-token",
    "x-forwarded-protocol",
    "x-forwarded-path",
    "x-forwarded-uri",
    "x-forwarded-method",
    "x-forwarded-by",
    "x-multilith-route",
];

/// The names by themselves, and the members of the families that programs believe: with X-Real-IP and the headers that the target
/// writes itself, all but unknown members of the families.
pub(super) fn names(snapshot: &Snapshot) -> Vec<&str> {
    let force = snapshot.server.force.as_ref().map(|rule| rule.header.as_str());
    let mut all: Vec<&str> = Vec::new();
    for name in force.into_iter().chain(FORGEABLE_NAMES).chain(KNOWN) {
        if !all.contains(&name) {
            all.push(name);
        }
    }
    all
}

/// Whether a header is never the client's own.
pub(super) fn has(snapshot: &Snapshot, name: &str) -> bool {
    is_of_forgeable_family(name.replace('_', "-").as_bytes()) || names(snapshot).contains(&name)
}

/// All names that are removed, in lower case, for a match from end to end in the words of PCRE and RE2.
pub(super) fn pattern(snapshot: &Snapshot) -> String {
    let force = snapshot.server.force.as_ref().map(|rule| super::pattern::escape(rule.header.as_str()));
    let mut all: Vec<String> = force.into_iter().chain(FORGEABLE_NAMES.map(str::to_owned)).collect();
    all.extend(FORGEABLE_FAMILIES.map(|family| family.replace('-', "[-_]") + ".*"));
    for name in FORGEABLE_WITH_UNDERSCORE {
        // One of its hyphens is the first underscore.
        for (at, _) in name.match_indices('-') {
            all.push(format!("{}_{}", &name[..at], name[at + 1..].replace('-', "[-_]")));
        }
    }
    all.join("|")
}
