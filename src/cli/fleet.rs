//! `multilith fleet`: who is there, who leads, and which dial is in force where.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::admin_client::AdminClient;
use super::table::{Column, Table};
use super::{Exit, ReportArgs, term};
use crate::fleet::{Member, newest_dials};

/// Routes that get a line each where replicas differ.
const MOST_NAMED: usize = 20;

pub fn fleet(args: &ReportArgs) -> Exit {
    match AdminClient::new(&args.admin).and_then(|client| client.get::<Vec<Member>>("/api/v1/fleet")) {
        Ok(members) if args.json => term::json(&members),
        Ok(members) => term::out(&told(&members, term::width())),
        Err(error) => {
            term::fail(&error.to_string(), error.help());
            return Exit::Failed;
        }
    }
    Exit::Fine
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
