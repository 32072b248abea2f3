//! The fleet: its replicas, what is in force at each, and the leader; of several regions the counts of each. Nothing of it where
//! this proxy is alone.

use jiff::Timestamp;
use maud::{Markup, html};

use super::page::{Layout, said};
use super::shown::{ago, count, plain, span};
use crate::admin::regions;
use crate::compile::OwnRegion;
use crate::fleet::{FleetRole, Member, RegionSums, newest_dials};

/// Routes that get a line each where replicas differ.
const MOST_NAMED: usize = 20;
/// Lines of regions.
const MOST_SUMS: usize = 500;

pub fn section(frame: &Layout<'_>) -> Markup {
    let Some(fleet) = &frame.parts.app.fleet else { return html! {} };
    let place = fleet.region().map(|region| place(frame, region));
    drawn(&fleet.members(), &fleet.role(), (&fleet.unsent_routes(), place))
}

/// Which region this is, and the way to what all of them count.
fn place(frame: &Layout<'_>, region: &OwnRegion) -> Markup {
    html! {
        span.dim { "region " b { (plain(&region.name)) } @match region.before() { Some(before) => { ", its gates wait for " (plain(before)) } None => ", the first" } }
        span.grow {}
        a href={ (frame.root) "fleet" } { "What each region counts" }
    }
}

/// The page of the fleet. Its regions are asked for in etcd, which the board does not wait for.
pub async fn fleet(frame: &Layout<'_>) -> Markup {
    let alone = frame.parts.app.fleet.is_none();
    let sums = regions(frame.parts).await;
    html! {
        div.head { div {
            h1 { "Who is there, and what is in force where" }
            p.dim { @if alone { "This proxy is alone: its file has no " code { "[fleet]" } "." } @else { "A move is one move everywhere: the journal is the same on every replica." } }
        } }
        (section(frame))
        @match &sums {
            Ok(sums) if sums.is_empty() => {}
            Ok(sums) => (by_region(frame, sums)),
            Err(why) => (said("b", &why.to_string())),
        }
    }
}

/// Of each region and route the dial and the counts of the last interval.
fn by_region(frame: &Layout<'_>, sums: &[RegionSums]) -> Markup {
    let now = Timestamp::now();
    let own = frame.parts.app.fleet.as_ref().and_then(|fleet| fleet.region());
    let generation = frame.parts.app.in_force.load();
    let pair =
        |[monolith, service]: [u64; 2]| html! { span.mono { (count(monolith)) } " / " span.serv { (count(service)) } };
    html! {
        section.card aria-labelledby="regions-h" {
            div.h {
                h2 #regions-h { "Regions" }
                @if let Some(own) = own { span.dim { "a gate takes a step here once the one before has left it: " (plain(&own.order.join(" → "))) } }
            }
            table.w.even {
                thead { tr { th scope="col" { "Region" } th scope="col" { "Route" } th scope="col" { "Dial" } th.r scope="col" { "Asked" } th.r scope="col" { "Failed" } th.r scope="col" { "Refused" } th scope="col" { "Said" } } }
                tbody { @for sums in sums.iter().take(MOST_SUMS) {
                    @let known = generation.named(&sums.route).is_some();
                    tr {
                        td { b { (plain(&sums.region)) } @if own.is_some_and(|own| *own.name == *sums.region) { " " span.dim { "this one" } } }
                        td data-l="Route" { @if known { (frame.route_link(&sums.route)) } @else { span.name { (plain(&sums.route)) } } }
                        td data-l="Dial" { (plain(&sums.dial.stage)) @if let Some(weight) = &sums.dial.weight { " " (plain(&weight.replace('%', "\u{a0}%"))) } " " span.dim { "#" (sums.seq) } }
                        td.r data-l="Asked" { (pair(sums.asked)) }
                        td.r data-l="Failed" { (pair(sums.failed)) }
                        td.r data-l="Refused" { (pair(sums.refused)) }
                        td.dim data-l="Said" { (plain(&ago(&sums.at, now))) @if is_old(sums, now) { " " span.pill.f.warn { "old" } } br; "in term " (sums.term) ", of " (span(seconds_of(sums))) }
                    }
                } }
            }
            @if sums.len() > MOST_SUMS { p.pad.dim { "And " (count((sums.len() - MOST_SUMS) as u64)) " more: " code { "multilith fleet" } " has them all." } }
            p.pad.lab { "Requests of the gate’s last interval: " span.mono { "monolith" } " / " span.serv { "service" } "." }
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "an interval is no 2^52 seconds")]
fn seconds_of(sums: &RegionSums) -> f64 {
    sums.seconds as f64
}

fn is_old(sums: &RegionSums, now: Timestamp) -> bool {
    sums.at
        .parse::<Timestamp>()
        .is_ok_and(|at| sums.is_old(u64::try_from(now.duration_since(at).as_secs()).unwrap_or_default()))
}

fn drawn(members: &[Member], role: &FleetRole, (unsent, place): (&[Box<str>], Option<Markup>)) -> Markup {
    let newest = newest_dials(members);
    let behind = |member: &Member| newest.iter().filter(|(route, seq)| member.seq.get(**route) != Some(*seq)).count();
    let differing =
        newest.iter().filter(|(route, seq)| members.iter().any(|member| member.seq.get(**route) != Some(*seq)));
    let files = members.iter().any(|member| member.file != members[0].file);
    html! {
        section.card #fleet data-live aria-labelledby="fleet-h" {
            div.h {
                h2 #fleet-h { "Fleet" }
                span.dim { (members.len()) @if members.len() == 1 { " replica" } @else { " replicas" } }
                @match role {
                    FleetRole::Cut => span.pill.f.bad { "cut off" },
                    FleetRole::Follows(None) => span.pill.f.warn { "nobody leads" },
                    FleetRole::Leads(term) => span.dim { "this one leads, in term " (term) },
                    FleetRole::Follows(_) => {}
                }
                @if files { span.pill.f.warn { "different files" } }
                @if let Some(place) = place { (place) }
            }
            @if *role == FleetRole::Cut {
                p.pad.bad { "etcd does not answer this replica: the last dials are in force, gates hold. These replicas were there last." }
            }
            @for route in unsent {
                p.pad.bad { "The others do not know yet of the roll-back of " b { (plain(route)) } " here." }
            }
            table.w.even {
                thead { tr { th scope="col" { "Replica" } th scope="col" { "Version" } th.r scope="col" { "Generation" } th scope="col" { "Admin" } th scope="col" { "Dials in force" } } }
                tbody { @for member in members { (row(member, behind(member), newest.len())) } }
            }
            @for (route, seq) in differing.take(MOST_NAMED) {
                p.pad.lab {
                    b { (plain(route)) } ": #" (seq) " is the newest; "
                    @for (at, member) in members.iter().filter(|member| member.seq.get(*route) != Some(seq)).enumerate() {
                        @if at > 0 { ", " }
                        (plain(&member.name)) " "
                        @match member.seq.get(*route) { Some(has) => { "#" (has) }, None => "does not have it in its file" }
                    }
                }
            }
        }
    }
}

fn row(member: &Member, behind: usize, of: usize) -> Markup {
    html! {
        tr data-row=(plain(&member.name)) {
            td {
                b { (plain(&member.name)) }
                @if member.leader { " " span.pill.f.good { "leads" } }
                @if member.asked { " " span.dim { "this one" } }
            }
            td data-l="Version" { (plain(&member.version)) }
            td.r data-l="Generation" { (count(member.generation)) }
            td.dim data-l="Admin" { code { (plain(&member.address)) } }
            td data-l="Dials in force" {
                @if behind == 0 { "all " (of) } @else { span.pill.f.warn { (behind) " of " (of) " differ" } }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(name: &str, leader: bool, seq: u64) -> Member {
        Member {
            name: name.to_owned(),
            version: "0.1.0".to_owned(),
            generation: 2,
            leader,
            address: "10.0.0.1:9900".to_owned(),
            file: "f".to_owned(),
            asked: leader,
            seq: [("read".to_owned(), seq), ("list".to_owned(), 1)].into(),
            untold: Vec::new(),
        }
    }

    #[test]
    fn who_leads_and_what_differs_is_named() {
        let text =
            drawn(&[member("a", true, 42), member("b", false, 41)], &FleetRole::Leads(7), (&[], None)).into_string();
        for part in ["2 replicas", "this one leads, in term 7", "all 2", "1 of 2 differ", "#42 is the newest; b #41"] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(
            !text.contains("cut off") && !text.contains("nobody leads") && !text.contains("different files"),
            "{text}"
        );
    }

    #[test]
    fn a_replica_that_is_cut_off_says_so_and_what_the_others_do_not_know() {
        let one = Member { file: "g".to_owned(), ..member("<b>", false, 1) };
        let text = drawn(&[member("a", false, 1), one], &FleetRole::Cut, (&["read".into()], None)).into_string();
        for part in ["cut off", "different files", "do not know yet", "&lt;b&gt;"] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
}
