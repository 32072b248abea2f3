//! The fleet on the board: who is there, what is in force where, and who judges. Nothing where this proxy is alone.

use maud::{Markup, html};

use super::page::Layout;
use super::shown::{ago, count, plain};
use crate::fleet::{FleetRole, Member, RegionSums, newest_dials};

/// Routes that get a line each where replicas differ.
const MOST_NAMED: usize = 20;

pub fn section(frame: &Layout<'_>) -> Markup {
    let Some(fleet) = &frame.parts.app.fleet else { return html! {} };
    html! {
        (drawn(&fleet.members(), &fleet.role(), &fleet.unsent_routes()))
        @if fleet.has_regions() { (regions(fleet.regions_lately().as_ref(), jiff::Timestamp::now())) }
    }
}

fn drawn(members: &[Member], role: &FleetRole, unsent: &[Box<str>]) -> Markup {
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
                    _ => {}
                }
                @if files { span.pill.f.warn { "different files" } }
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

/// What each region counted in its last interval, and where its dials stand.
fn regions(said: Option<&Result<Vec<RegionSums>, String>>, now: jiff::Timestamp) -> Markup {
    let both = |[monolith, service]: [u64; 2]| html! { (count(monolith)) " / " (count(service)) };
    html! {
        section.card #regions data-live aria-labelledby="regions-h" {
            div.h { h2 #regions-h { "Regions" } span.dim { "counts of the last interval, monolith / service" } }
            @match said {
                None => p.pad.dim { "They are being asked." },
                Some(Err(why)) => p.pad.bad { "etcd of the fleet does not say what the regions counted: " (plain(why)) },
                Some(Ok(all)) if all.is_empty() => p.pad.dim { "No region has said anything yet." },
                Some(Ok(all)) => table.w.even {
                    thead { tr { th scope="col" { "Region" } th scope="col" { "Route" } th scope="col" { "Dial" } th.r scope="col" { "Asked" } th.r scope="col" { "Failed" } th.r scope="col" { "Refused" } th scope="col" { "Said" } } }
                    tbody { @for sums in all {
                        tr data-row={ (plain(&sums.region)) " " (plain(&sums.route)) } {
                            td { b { (plain(&sums.region)) } }
                            td data-l="Route" { (plain(&sums.route)) }
                            td data-l="Dial" { (plain(&sums.dial.stage)) @if let Some(weight) = &sums.dial.weight { " " (plain(weight)) } ", #" (sums.seq) }
                            td.r data-l="Asked" { (both(sums.asked)) }
                            td.r data-l="Failed" { (both(sums.failed)) }
                            td.r data-l="Refused" { (both(sums.refused)) }
                            td.dim data-l="Said" { (ago(&sums.at, now)) @if is_old(sums, now) { " " span.pill.f.warn { "old" } } }
                        }
                    } }
                },
            }
        }
    }
}

/// Three intervals have gone without another word.
fn is_old(sums: &RegionSums, now: jiff::Timestamp) -> bool {
    let at = sums.at.parse::<jiff::Timestamp>();
    at.is_ok_and(|at| u64::try_from(now.duration_since(at).as_secs()).unwrap_or(0) > 3 * sums.seconds.max(1))
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
        let text = drawn(&[member("a", true, 42), member("b", false, 41)], &FleetRole::Leads(7), &[]).into_string();
        for part in ["2 replicas", "leads", "all 2", "1 of 2 differ", "#42 is the newest; b #41"] {
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
        let text = drawn(&[member("a", false, 1), one], &FleetRole::Cut, &["read".into()]).into_string();
        for part in ["cut off", "different files", "do not know yet", "&lt;b&gt;"] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }

    #[test]
    fn each_region_has_a_line_for_each_route_and_what_is_old_says_so() {
        let sums = |region: &str, at: &str| RegionSums {
            region: region.to_owned(),
            route: "read".to_owned(),
            dial: crate::fleet::DialText { stage: "canary".to_owned(), weight: Some("5%".to_owned()) },
            seq: 3,
            term: 7,
            asked: [12_345, 678],
            failed: [0, 1],
            refused: [2, 0],
            seconds: 60,
            at: at.to_owned(),
        };
        let now = "2026-11-29T10:00:00Z".parse().expect("a time");
        let said = Ok(vec![sums("eu-1", "2026-11-29T09:59:48Z"), sums("<us>", "2026-11-29T09:20:00Z")]);
        let text = regions(Some(&said), now).into_string().replace(['\u{a0}', '\u{202f}'], " ");
        for part in ["eu-1", "canary 5%, #3", "12 345 / 678", "0 / 1", "2 / 0", "&lt;us&gt;"] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert_eq!(text.matches(">old<").count(), 1, "{text}");
        assert!(regions(Some(&Err("too slow".to_owned())), now).into_string().contains("too slow"));
        assert!(regions(None, now).into_string().contains("being asked"));
    }
}
