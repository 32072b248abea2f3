//! `multilith fleet`: the replicas, their leader, the dials in force at each, and the counts of the regions.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use jiff::Timestamp;

use super::admin_client::{AdminClient, AdminError};
use super::table::{Column, Table};
use super::{Exit, ReportArgs, term};
use crate::diagnostic::grouped;
use crate::fleet::{Member, RegionSums, newest_dials};

/// Routes that get a line each where replicas differ.
const MOST_NAMED: usize = 20;

pub fn fleet(args: &ReportArgs) -> Exit {
    let asked = AdminClient::new(&args.admin).and_then(|client| {
        let members = client.get::<Vec<Member>>("/api/v1/fleet")?;
        let regions =
            (!args.json && !members.is_empty()).then(|| client.get::<Vec<RegionSums>>("/api/v1/fleet/regions"));
        Ok((members, regions))
    });
    match asked {
        Ok((members, _)) if args.json => term::json(&members),
        Ok((members, regions)) => {
            term::out(&told(&members, term::width()));
            match regions {
                Some(Ok(regions)) => term::out(&by_region(&regions, Timestamp::now(), term::width())),
                // An older program does not know the path.
                None | Some(Err(AdminError::Refused { status: 404, .. })) => {}
                Some(Err(error)) => term::out(&format!("{error}\n")),
            }
        }
        Err(error) => {
            term::fail(&error.to_string(), error.help());
            return Exit::Failed;
        }
    }
    Exit::Fine
}

/// Of each region and route the dial and the counts of the last interval; nothing where there is one region.
fn by_region(regions: &[RegionSums], now: Timestamp, width: usize) -> String {
    if regions.is_empty() {
        return String::new();
    }
    let mut table = Table::new([
        Column::left("REGION"),
        Column::left("ROUTE"),
        Column::left("DIAL"),
        Column::right("ASKED"),
        Column::right("FAILED"),
        Column::right("REFUSED"),
        Column::left("SAID"),
    ]);
    let of_both = |[monolith, service]: [u64; 2]| format!("{} / {}", grouped(monolith), grouped(service));
    for sums in regions {
        let dial = sums.dial.weight.as_ref().map_or_else(String::new, |weight| format!(" {weight}"));
        table.row([
            sums.region.clone(),
            sums.route.clone(),
            format!("{}{dial}, #{}", sums.dial.stage, sums.seq),
            of_both(sums.asked),
            of_both(sums.failed),
            of_both(sums.refused),
            said(sums, now),
        ]);
    }
    format!("\n{}counts of the last interval: monolith / service\n", table.text(width))
}

/// How long ago, and whether it is old.
fn said(sums: &RegionSums, now: Timestamp) -> String {
    let Ok(at) = sums.at.parse::<Timestamp>() else { return sums.at.clone() };
    let seconds = u64::try_from(now.duration_since(at).as_secs()).unwrap_or_default();
    let age = match seconds {
        0..120 => format!("{seconds} s ago"),
        120..7200 => format!("{} min ago", seconds / 60),
        7200..172_800 => format!("{} h ago", seconds / 3600),
        _ => format!("{} days ago", seconds / 86_400),
    };
    if sums.is_old(seconds) { format!("{age}: old") } else { age }
}

fn told(members: &[Member], width: usize) -> String {
    if members.is_empty() {
        return "this proxy is alone: its file has no [fleet]\n".to_owned();
    }
    let newest = newest_dials(members);
    let mut table = Table::new([
        Column::left("REPLICA"),
        Column::left("VERSION"),
        Column::right("GENERATION"),
        Column::left("ADMIN").may_go(),
        Column::left("DIALS IN FORCE"),
    ]);
    let mut behind_of: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for member in members {
        let mut behind = 0;
        for (route, seq) in &newest {
            let has = member.seq.get(*route);
            if has != Some(seq) {
                behind += 1;
                let has = has.map_or_else(|| "not in its file".to_owned(), |has| format!("#{has}"));
                behind_of.entry(route).or_default().push(format!("{} {has}", member.name));
            }
        }
        let leads = if member.leader { " (leads)" } else { "" };
        table.row([
            format!("{}{leads}", member.name),
            member.version.clone(),
            member.generation.to_string(),
            member.address.clone(),
            if behind == 0 { format!("all {}", newest.len()) } else { format!("{behind} of {} differ", newest.len()) },
        ]);
    }
    let mut text = table.text(width);
    for (route, others) in behind_of.iter().take(MOST_NAMED) {
        let newest = newest.get(route).copied().unwrap_or_default();
        writeln!(text, "{route}: #{newest} is the newest; {}", others.join(", ")).expect("writing to a string");
    }
    for member in members {
        for route in &member.untold {
            writeln!(text, "{route}: rolled back on {} alone, the others have not heard of it yet", member.name)
                .expect("writing to a string");
        }
    }
    if !members.iter().any(|member| member.leader) {
        text.push_str("nobody is known to lead: no gate advances\n");
    }
    if members.iter().any(|member| member.file != members[0].file) {
        text.push_str("the replicas have different files: a roll-out is under way, or stuck\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::DialText;

    #[test]
    fn regions_have_a_line_for_each_route_and_what_is_old_says_so() {
        let sums = |region: &str, at: &str| RegionSums {
            region: region.to_owned(),
            route: "read".to_owned(),
            dial: DialText { stage: "canary".to_owned(), weight: Some("5%".to_owned()) },
            seq: 3,
            term: 7,
            asked: [12_345, 678],
            failed: [0, 1],
            refused: [2, 0],
            seconds: 60,
            at: at.to_owned(),
        };
        let now = "2026-11-29T10:00:00Z".parse().expect("a time");
        let all = [sums("eu-1", "2026-11-29T09:59:48Z"), sums("us-1", "2026-11-29T09:20:00Z")];
        let text = by_region(&all, now, 120);
        let lines: Vec<&str> = text.lines().collect();
        assert!(
            lines[2].contains("eu-1") && lines[2].contains("canary 5%, #3") && lines[2].ends_with("12 s ago"),
            "{text}"
        );
        assert!(lines[2].contains("12 345 / 678") && lines[2].contains("0 / 1"), "{text}");
        assert!(lines[3].contains("us-1") && lines[3].ends_with("40 min ago: old"), "{text}");
        assert_eq!(by_region(&[], now, 120), "");
    }

    #[test]
    fn the_leader_and_what_is_behind_are_named() {
        let member = |name: &str, leader: bool, seq: u64, file: &str| Member {
            name: name.to_owned(),
            version: "0.1.0".to_owned(),
            generation: 2,
            leader,
            address: "10.0.0.1:9900".to_owned(),
            file: file.to_owned(),
            asked: false,
            seq: [("read".to_owned(), seq), ("list".to_owned(), 1)].into(),
            untold: Vec::new(),
        };
        let text = told(&[member("a", true, 42, "f"), member("b", false, 41, "g")], 120);
        assert!(text.contains("a (leads)") && text.contains("all 2") && text.contains("1 of 2 differ"), "{text}");
        assert!(text.contains("read: #42 is the newest; b #41"), "{text}");
        assert!(text.contains("different files") && !text.contains("nobody"), "{text}");
        let text = told(&[member("a", false, 1, "f")], 120);
        assert!(text.contains("nobody is known to lead"), "{text}");
        let text = told(&[Member { untold: vec!["read".to_owned()], ..member("a", false, 1, "f") }], 120);
        assert!(text.contains("read: rolled back on a alone"), "{text}");
        assert!(told(&[], 80).contains("alone"));
    }
}
