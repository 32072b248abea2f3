//! `multilith diff`: what is known of a route's two answers, for a person, as JSON, or as a file of tests.

use std::path::Path;
use std::time::Duration;

use super::admin_client::{AdminClient, AdminError};
use super::moves::claimed;
use super::{DiffArgs, Exit, term};
use crate::compare::{AgainReport, BODY_NOT_HELD, Report};

pub fn diff(args: &DiffArgs) -> Exit {
    let client = match AdminClient::new(&args.report.admin) {
        Ok(client) => client,
        Err(error) => return refused(&error),
    };
    let Some(route) = &args.route else { return all(args, &client) };
    let path = format!("/api/v1/routes/{route}/comparisons");
    if let Some(file) = &args.export {
        return export(&client, &path, file);
    }
    if args.reset {
        let why = serde_json::json!({ "reason": args.reason });
        return match client.delete(&path, &why, &claimed()) {
            Ok(made) if args.report.json => {
                term::json(&made);
                Exit::Fine
            }
            Ok(made) => {
                term::say(&format!("the evidence of `{route}` begins anew: #{} of its journal", made["seq"]));
                Exit::Fine
            }
            Err(error) => refused(&error),
        };
    }
    if let Some(number) = args.replay {
        return replay(args, &client, route, number);
    }
    let report = match client.get::<Report>(&with_since(&path, args.since)) {
        Ok(report) => shown(report, args),
        Err(error) => return refused(&error),
    };
    if args.report.json {
        term::json(&report);
    } else {
        term::out(&report.to_text(term::colour_on_stdout()));
    }
    Exit::Fine
}

/// 1: they differ; 2: they could not be compared.
fn replay(args: &DiffArgs, client: &AdminClient, route: &str, number: u64) -> Exit {
    let mut headers = Vec::new();
    for written in &args.headers {
        let Some((name, value)) = written.split_once(':') else {
            term::fail(&format!("`{written}` is not a header"), Some("write `name: value`"));
            return Exit::Failed;
        };
        headers.push((name.trim(), value.trim()));
    }
    let body = serde_json::json!({ "number": number, "headers": headers });
    let report = match client.act(&format!("/api/v1/routes/{route}/replay"), &body, &claimed()) {
        Ok(report) => report,
        Err(error) => return refused(&error),
    };
    let report: AgainReport = match serde_json::from_value(report) {
        Ok(report) => report,
        Err(error) => return refused(&AdminError::Unreadable(error.to_string())),
    };
    if args.report.json {
        term::json(&report);
    } else {
        term::out(&report.to_text(term::colour_on_stdout()));
    }
    match report.differs {
        Some(false) => Exit::Fine,
        Some(true) => Exit::Findings,
        None => Exit::Failed,
    }
}

/// The part of a report that the arguments ask for.
fn shown(mut report: Report, args: &DiffArgs) -> Report {
    report.part = args.field.is_some() || args.status;
    if let Some(field) = &args.field {
        report.fields.retain(|known| known.field == *field);
        report.statuses.clear();
    }
    if args.status {
        report.fields.retain(|known| known.field == "status");
    }
    report
}

fn with_since(path: &str, since: Option<Duration>) -> String {
    since.map_or_else(|| path.to_owned(), |since| format!("{path}?since={}s", since.as_secs().max(1)))
}

/// One line for each route that compares.
fn all(args: &DiffArgs, client: &AdminClient) -> Exit {
    let routes = match client.get::<Vec<serde_json::Value>>("/api/v1/routes") {
        Ok(routes) => routes,
        Err(error) => return refused(&error),
    };
    let names = routes.iter().filter_map(|route| route["name"].as_str());
    let mut reports = Vec::new();
    for name in names {
        match client.get::<Report>(&with_since(&format!("/api/v1/routes/{name}/comparisons"), args.since)) {
            Ok(report) => reports.push(report),
            // It compares nothing.
            Err(AdminError::Refused { status: 404, .. }) => {}
            Err(error) => return refused(&error),
        }
    }
    if args.report.json {
        term::json(&reports);
        return Exit::Fine;
    }
    if reports.is_empty() {
        term::say("no route compares: give one [routes.NAME.shadow.compare]");
        return Exit::Fine;
    }
    term::out(&format!("{}\n", Report::heading()));
    for report in &reports {
        term::out(&format!("{}\n", report.to_line().trim_end()));
    }
    Exit::Fine
}

fn export(client: &AdminClient, path: &str, file: &Path) -> Exit {
    let as_shell = file.extension().is_some_and(|extension| extension == "sh");
    let ending = if as_shell { "sh" } else { "hurl" };
    let text = match client.text(&format!("{path}.{ending}")) {
        Ok(text) if text.is_empty() => {
            let help = "set `examples = \"values\"` in the route's [shadow.compare], and wait for comparisons";
            term::fail("no requests are kept", Some(help));
            return Exit::Failed;
        }
        Ok(text) => text,
        Err(error) => return refused(&error),
    };
    match std::fs::write(file, &text) {
        Ok(()) => {
            let file = file.display();
            let secrets = left_open(&text, as_shell).into_iter();
            let command = if as_shell {
                let secrets = secrets.map(|name| format!("_{name}=SECRET ")).collect::<Vec<_>>().concat();
                format!("{secrets}base=http://HOST:PORT sh {file}")
            } else {
                let secrets = secrets.map(|name| format!(" --variable {name}=SECRET")).collect::<Vec<_>>().concat();
                format!("hurl --test --variable base=http://HOST:PORT{secrets} {file}")
            };
            term::say(&format!("wrote {file}; run it with `{command}`"));
            let silent = text.lines().filter(|line| *line == BODY_NOT_HELD).count();
            if silent > 0 {
                term::say(&format!(
                    "of {silent} requests the answers' bodies are not asserted: only bodies of JSON are kept"
                ));
            }
            Exit::Fine
        }
        Err(error) => {
            term::fail(&format!("cannot write `{}`: {error}", file.display()), Some("name a file that can be written"));
            Exit::Failed
        }
    }
}

/// The variables in the place of secrets, which are not kept.
fn left_open(text: &str, as_shell: bool) -> Vec<&str> {
    let (open, close) = if as_shell { ("'\"$_", "\"'") } else { ("{{", "}}") };
    let mut names = Vec::new();
    for (name, _) in text.split(open).skip(1).filter_map(|part| part.split_once(close)) {
        let is_name = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if is_name && name != "base" && !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

fn refused(error: &AdminError) -> Exit {
    let help = match error {
        AdminError::Refused { status: 404, detail, .. } if detail.contains("number") => {
            Some("`multilith diff ROUTE` has them: #17")
        }
        AdminError::Refused { status: 404, .. } => {
            Some("`multilith status` lists the routes; see also [routes.NAME.shadow.compare]")
        }
        other => other.help(),
    };
    term::fail(&error.to_string(), help);
    Exit::Failed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_exported_file_leaves_open_is_named_once() {
        let hurl = "GET {{base}}/a?token={{token}}\ncookie: a={{cookie}}\n\nGET {{base}}/b\ncookie: {{cookie}}\n";
        assert_eq!(left_open(hurl, false), ["token", "cookie"]);
        let shell = "curl \"$base\"'/a' \\\n  -H 'cookie: '\"$_cookie\"'' -H 'x: $_y \"$_z\"'\n";
        assert_eq!(left_open(shell, true), ["cookie"]);
        assert!(left_open("GET {{base}}/a\nHTTP 200\n", false).is_empty());
    }
}
