//! The conditions of a route on headers, cookies and queries that a target cannot do.

use super::ExportTarget::{Envoy, HttpRoute, Nginx};
use super::not_exported::List;
use super::pattern::{anchors_at_ends, is_portable, looks_escaped, names_its_characters};
use super::rules::{is_encoded, is_guarded, is_unseen};
use crate::compile::{Route, Snapshot};
use crate::route::{Condition, ConditionKind, ConditionOn};

pub(super) fn conditions(list: &mut List, snapshot: &Snapshot, route: &Route) {
    let name = &*route.name;
    let any_guard = snapshot.routes.iter().any(|route| is_guarded(route));
    let forces = |condition: &&Condition| {
        snapshot.server.force.as_ref().is_some_and(|rule| *rule.header.as_str() == *condition.name)
    };
    let regex = |condition: &&Condition| match &condition.kind {
        ConditionKind::Regex(regex) => Some(!is_portable(regex.as_str())),
        _ => None,
    };
    for on in ConditionOn::ALL {
        let (key, all) = (on.key(), route.rule.conditions_on(on).collect::<Vec<_>>());
        let within = |condition: &&Condition| match &condition.kind {
            ConditionKind::Regex(regex) => !anchors_at_ends(regex.as_str()),
            _ => false,
        };
        let foreign = all.iter().filter_map(regex).any(|foreign| foreign)
            || on == ConditionOn::Cookie && list.is(&[Envoy]) && all.iter().any(within);
        list.say(foreign, name, key, "its regex uses what this target's dialect lacks; no request takes the route, and all that could are refused where it is guarded");
        let loose = |condition: &&Condition| match &condition.kind {
            ConditionKind::Regex(regex) => !names_its_characters(regex.as_str()),
            _ => false,
        };
        list.say(
            any_guard && all.iter().any(loose),
            name,
            key,
            "its regex may take other bytes than here where they are not ASCII, and so lead past what guards a route: name the characters, as in `^[a-z0-9]+$`",
        );
        list.say(
            on == ConditionOn::Header && list.is(&[HttpRoute]) && all.iter().any(forces),
            name,
            key,
            "the header that forces a side is believed from every client",
        );
        let raw = on == ConditionOn::Query
            && list.is(&[Nginx, Envoy])
            && all.iter().any(|condition| regex(condition).is_some());
        list.say(raw, name, key, "its regex sees the value as it stands in the URL, percent-encoded");
        let spelt =
            on == ConditionOn::Query && list.is(&[Envoy]) && all.iter().any(|condition| is_encoded(&condition.name));
        list.say(
            spelt,
            name,
            key,
            "its key has to be percent-encoded in the URL, which Envoy does not undo; no request takes the route, and all that could are refused where it is guarded",
        );
        let escaped =
            |condition: &&Condition| matches!(&condition.kind, ConditionKind::Equal(value) if looks_escaped(value));
        list.say(
            on == ConditionOn::Query && list.is(&[Envoy]) && all.iter().any(escaped),
            name,
            key,
            "its value looks like an escape, which Envoy's regexes cannot tell from one; no request takes the route, and all that could are refused where it is guarded",
        );
        let underscored =
            on == ConditionOn::Header && list.is(&[Nginx]) && all.iter().any(|condition| condition.name.contains('_'));
        list.say(
            underscored,
            name,
            key,
            "nginx drops headers with `_` in their names; no request takes the route, and all that could are refused where it is guarded",
        );
        let unseen = on == ConditionOn::Header && all.iter().any(|condition| is_unseen(list.target, &condition.name));
        list.say(
            unseen,
            name,
            key,
            "the match sees another value of it than here, which a client may have said; no request takes the route, and all that could are refused where it is guarded",
        );
        let empty = |condition: &&Condition| match &condition.kind {
            ConditionKind::Equal(value) => {
                value.is_empty()
                    && (on == ConditionOn::Header && list.is(&[Nginx, HttpRoute])
                        || on == ConditionOn::Query && list.is(&[HttpRoute]))
            }
            ConditionKind::Regex(regex) => list.is(&[Nginx]) && regex.is_match(""),
            ConditionKind::Present | ConditionKind::Absent => false,
        };
        let empty = all.iter().any(empty);
        list.say(
            empty,
            name,
            key,
            "an empty value cannot be asked for; no request takes the route, and all that could are refused where it is guarded",
        );
        if list.target != HttpRoute {
            continue;
        }
        list.say(
            on == ConditionOn::Cookie && !all.is_empty(),
            name,
            key,
            "no match on cookies; no request takes the route, and all that could are refused where it is guarded",
        );
        let kinds =
            all.iter().filter(|_| key != "cookies").any(|condition| !matches!(condition.kind, ConditionKind::Equal(_)));
        list.say(kinds, name, key, "only equal values are in the standard; no request takes the route, and all that could are refused where it is guarded");
    }
}
