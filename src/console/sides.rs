//! The sides of a route as every page draws them: amber is the monolith, blue the service, and each further variant has a colour of
//! its own.

use maud::{Markup, html};

use super::shown::{large_percent, plain};
use super::spark;
use crate::admin::{RouteSide, RouteStatus};
use crate::endpoint::UpstreamId;
use crate::proxy::Generation;

/// The classes of one colour: of a text, of an area, of a line, of a square in a legend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tone {
    pub text: &'static str,
    pub area: &'static str,
    pub line: &'static str,
    pub legend: &'static str,
}

pub const MONOLITH: Tone = Tone { text: "mono", area: "mo", line: "li lm", legend: "l-mo" };
pub const SERVICE: Tone = Tone { text: "serv", area: "se", line: "li ls", legend: "l-se" };
/// A second variant of the monolith has the same colour, and a line that can be told apart.
const MONOLITHS: [Tone; 2] = [MONOLITH, Tone { line: "li lm da", ..MONOLITH }];
/// Further services, in turn.
const SERVICES: [Tone; 4] = [
    SERVICE,
    Tone { text: "v2", area: "v2", line: "li v2", legend: "l-v2" },
    Tone { text: "v3", area: "v3", line: "li v3", legend: "l-v3" },
    Tone { text: "v4", area: "v4", line: "li v4", legend: "l-v4" },
];

fn tones(are_monolith: impl Iterator<Item = bool>) -> impl Iterator<Item = Tone> {
    let (mut monoliths, mut services) = (MONOLITHS.into_iter().cycle(), SERVICES.into_iter().cycle());
    let tone = move |is_monolith| if is_monolith { monoliths.next() } else { services.next() };
    are_monolith.map(tone).map(|tone| tone.unwrap_or(SERVICE))
}

/// The sides that clients are sent to, with their colours.
pub fn sides(route: &RouteStatus) -> impl Iterator<Item = (&RouteSide, Tone)> {
    route.sides.iter().zip(tones(route.sides.iter().map(|side| side.is_monolith)))
}

/// The colour of a variant of a route in a line about a request.
pub fn tone_of(generation: &Generation, route: &str, side: &str) -> Option<Tone> {
    let policy = &generation.named(route)?.policy;
    let are_monolith = policy.variants.iter().map(|variant| variant.upstream == UpstreamId::MONOLITH);
    let mut variants = policy.variants.iter().zip(tones(are_monolith));
    variants.find(|(variant, _)| *variant.name == *side).map(|(_, tone)| tone)
}

/// In `shadow` the service answers copies alone.
pub fn is_copied(route: &RouteStatus, side: &RouteSide) -> bool {
    route.stage == "shadow" && !side.is_monolith
}

/// Of a service in `shadow` that of its copies; what it answered before that may be in the window, too.
pub fn p99(route: &RouteStatus, side: &RouteSide) -> Option<f64> {
    let copies = route.copies_p99.filter(|_| is_copied(route, side));
    copies.or_else(|| route.p99_seconds.get(&side.name).copied())
}

/// The share of the clients that the dial gives to others than the monolith. A redirect is no side, and none of the monolith's.
pub fn moved(route: &RouteStatus, monolith_only: bool) -> f64 {
    if monolith_only && route.stage != "retired" {
        return 0.0;
    }
    1.0 - route.sides.iter().filter(|side| side.is_monolith).map(|side| side.share).sum::<f64>()
}

/// The sides that answer by the dial: a bar with a part for each side, and the same in words.
pub fn who_answers(route: &RouteStatus, monolith_only: bool, width: f64) -> Markup {
    let moved = moved(route, monolith_only);
    let words = match route.stage {
        _ if monolith_only && route.stage != "retired" => "monolith only".to_owned(),
        "shadow" if route.copies_nothing.is_some() => "the monolith; no request is copied".to_owned(),
        "shadow" => "copies to the service".to_owned(),
        "canary" => format!("{} to the service", large_percent(moved)),
        "split" => return variants(route, width),
        "migrated" | "retired" => "100\u{a0}% to the service".to_owned(),
        _ => "the monolith".to_owned(),
    };
    html! { div.nw { (spark::share(moved, width)) span.lab { (words) } } }
}

/// Of a split: each variant with its share, and its upstream where that has another name.
fn variants(route: &RouteStatus, width: f64) -> Markup {
    let shown = || sides(route).filter(|(side, _)| side.share > 0.0);
    let parts: Vec<(&str, f64, &str)> =
        shown().map(|(side, tone)| (tone.area, side.share, side.name.as_str())).collect();
    html! {
        div {
            (spark::shares(&parts, width))
            div.legend {
                @for (side, tone) in shown() {
                    span class=(tone.legend) { (plain(&side.name)) @if side.name != side.upstream { " (" (plain(&side.upstream)) ")" } " " (large_percent(side.share)) }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn side(name: &str, upstream: &str, share: f64) -> RouteSide {
        RouteSide {
            name: name.to_owned(),
            upstream: upstream.to_owned(),
            is_monolith: upstream == "monolith",
            share,
            ..RouteSide::default()
        }
    }

    #[test]
    fn each_variant_of_a_split_is_drawn_with_its_own_share_and_colour() {
        let sides = vec![side("blue", "shop", 0.3), side("green", "till", 0.2), side("old", "monolith", 0.5)];
        let split = RouteStatus { stage: "split", sides, ..RouteStatus::default() };
        assert!((moved(&split, false) - 0.5).abs() < 1e-9 && moved(&split, true) < 1e-9);
        let drawn = who_answers(&split, false, 120.0).into_string();
        for part in [
            "<rect class=\"se\" x=\"0\" width=\"36\"",
            "<rect class=\"v2\" x=\"38\" width=\"22\"",
            "<rect class=\"mo\" x=\"62\" width=\"58\"",
            "aria-label=\"blue 30\u{a0}%, green 20\u{a0}%, old 50\u{a0}%\"",
            "<span class=\"l-v2\">green (till) 20\u{a0}%</span>",
        ] {
            assert!(drawn.contains(part), "{part} in {drawn}");
        }
        assert!(who_answers(&split, true, 120.0).into_string().contains("monolith only"));
    }

    #[test]
    fn copies_are_drawn_where_there_are_any() {
        let shadow = |copies_nothing| RouteStatus { stage: "shadow", copies_nothing, ..RouteStatus::default() };
        assert!(who_answers(&shadow(None), false, 120.0).into_string().contains("copies to the service"));
        let nothing = who_answers(&shadow(Some("why".to_owned())), false, 120.0).into_string();
        assert!(nothing.contains("no request is copied") && !nothing.contains("copies to"), "{nothing}");
    }

    #[test]
    fn a_canary_is_drawn_with_its_weight() {
        let sides = vec![side("monolith", "monolith", 0.75), side("service", "shop", 0.25)];
        let canary = RouteStatus { stage: "canary", sides, ..RouteStatus::default() };
        let drawn = who_answers(&canary, false, 120.0).into_string();
        assert!(drawn.contains("25\u{a0}% to the service") && drawn.contains("service 25\u{a0}%, monolith 75\u{a0}%"));
    }
}
