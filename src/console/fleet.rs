//! The fleet on the board: who is there, what is in force where, and who judges. Nothing where this proxy is alone.

use maud::{Markup, html};

use super::page::Layout;
use super::shown::{count, plain};
use crate::fleet::{FleetRole, Member, newest_dials};

/// Routes that get a line each where replicas differ.
const MOST_NAMED: usize = 20;

pub fn section(frame: &Layout<'_>) -> Markup {
    let Some(fleet) = &frame.parts.app.fleet else { return html! {} };
    drawn(&fleet.members(), &fleet.role(), &fleet.unsent_routes())
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
}
