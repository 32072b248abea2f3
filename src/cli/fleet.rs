//! `multilith fleet`: who is there, who leads, and which dial is in force where.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::Value;

use super::admin_client::AdminClient;
use super::table::{Column, Table};
use super::{Exit, ReportArgs, term};

/// Routes that get a line each where replicas differ.
const MOST_NAMED: usize = 20;

pub fn fleet(args: &ReportArgs) -> Exit {
    match AdminClient::new(&args.admin).and_then(|client| client.get::<Value>("/api/v1/fleet")) {
        Ok(members) if args.json => term::json(&members),
        Ok(members) => term::out(&told(&members, term::width())),
        Err(error) => {
            term::fail(&error.to_string(), error.help());
            return Exit::Failed;
        }
    }
    Exit::Fine
}

fn told(members: &Value, width: usize) -> String {
    let members = members.as_array().map(Vec::as_slice).unwrap_or_default();
    if members.is_empty() {
        return "this proxy is alone: its file has no [fleet]\n".to_owned();
    }
    // The last entry of each route, on whichever replica it is in force.
    let mut newest: BTreeMap<&str, u64> = BTreeMap::new();
    for (route, seq) in members.iter().flat_map(numbers) {
        let known = newest.entry(route).or_default();
        *known = (*known).max(seq);
    }
    let mut table = Table::new([
        Column::left("REPLICA"),
        Column::left("VERSION"),
        Column::right("GENERATION"),
        Column::left("ADMIN").may_go(),
        Column::left("DIALS IN FORCE"),
    ]);
    let files: BTreeMap<&str, usize> =
        members.iter().filter_map(|member| member["file"].as_str()).fold(BTreeMap::new(), |mut files, file| {
            *files.entry(file).or_default() += 1;
            files
        });
    let mut behind_of: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for member in members {
        let name = member["name"].as_str().unwrap_or("?");
        let own: BTreeMap<&str, u64> = numbers(member).collect();
        let mut behind = 0;
        for (route, seq) in &newest {
            let has = own.get(route).copied();
            if has != Some(*seq) {
                behind += 1;
                let has = has.map_or_else(|| "not in its file".to_owned(), |has| format!("#{has}"));
                behind_of.entry(route).or_default().push(format!("{name} {has}"));
            }
        }
        let leads = if member["leader"] == true { " (leads)" } else { "" };
        table.row([
            format!("{name}{leads}"),
            member["version"].as_str().unwrap_or("?").to_owned(),
            member["generation"].to_string(),
            member["address"].as_str().unwrap_or("").to_owned(),
            if behind == 0 { format!("all {}", newest.len()) } else { format!("{behind} of {} differ", newest.len()) },
        ]);
    }
    let mut text = table.text(width);
    for (route, others) in behind_of.iter().take(MOST_NAMED) {
        let newest = newest.get(route).copied().unwrap_or_default();
        writeln!(text, "{route}: #{newest} is the newest; {}", others.join(", ")).expect("writing to a string");
    }
    if !members.iter().any(|member| member["leader"] == true) {
        text.push_str("nobody is known to lead: no gate advances\n");
    }
    if files.len() > 1 {
        text.push_str("the replicas have different files: a roll-out is under way, or stuck\n");
    }
    text
}

fn numbers(member: &Value) -> impl Iterator<Item = (&str, u64)> {
    let seq = member["seq"].as_object();
    seq.into_iter().flatten().filter_map(|(route, seq)| Some((route.as_str(), seq.as_u64()?)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_leader_and_what_is_behind_are_named() {
        let member = |name: &str, leader: bool, seq: u64, file: &str| {
            json!({ "name": name, "version": "0.1.0", "generation": 2, "leader": leader, "address": "10.0.0.1:9900",
                "file": file, "seq": { "read": seq, "list": 1 } })
        };
        let text = told(&json!([member("a", true, 42, "f"), member("b", false, 41, "g")]), 120);
        assert!(text.contains("a (leads)") && text.contains("all 2") && text.contains("1 of 2 differ"), "{text}");
        assert!(text.contains("read: #42 is the newest; b #41"), "{text}");
        assert!(text.contains("different files") && !text.contains("nobody"), "{text}");
        let text = told(&json!([member("a", false, 1, "f")]), 120);
        assert!(text.contains("nobody is known to lead"), "{text}");
        assert!(told(&json!([]), 80).contains("alone"));
    }
}
