//! `multilith diff`: what is known of a route's two answers, for a person, as JSON, or as a file of tests.

use std::path::Path;

use super::admin_client::{AdminClient, AdminError};
use super::{DiffArgs, Exit, term};
use crate::compare::Report;

pub fn diff(args: &DiffArgs) -> Exit {
    let client = match AdminClient::new(&args.report.admin) {
        Ok(client) => client,
        Err(error) => return refused(&error),
    };
    let path = format!("/api/v1/routes/{}/comparisons", args.route);
    let done = match &args.export {
        Some(file) => return export(&client, &format!("{path}.hurl"), file),
        None if args.report.json => client.get::<serde_json::Value>(&path).map(|report| term::json(&report)),
        None => client.get::<Report>(&path).map(|report| term::out(&report.to_string())),
    };
    match done {
        Ok(()) => Exit::Fine,
        Err(error) => refused(&error),
    }
}

fn export(client: &AdminClient, path: &str, file: &Path) -> Exit {
    let text = match client.text(path) {
        Ok(text) if text.is_empty() => {
            let help = "set `examples = \"values\"` in the route's [shadow.compare], and wait for comparisons";
            term::fail("no requests are kept", Some(help));
            return Exit::Failed;
        }
        Ok(text) => text,
        Err(error) => return refused(&error),
    };
    match std::fs::write(file, text) {
        Ok(()) => {
            let file = file.display();
            term::say(&format!("wrote {file}; run it with `hurl --test --variable base=http://HOST:PORT {file}`"));
            Exit::Fine
        }
        Err(error) => {
            term::fail(&format!("cannot write `{}`: {error}", file.display()), Some("name a file that can be written"));
            Exit::Failed
        }
    }
}

fn refused(error: &AdminError) -> Exit {
    let help = match error {
        AdminError::Refused { status: 404, .. } => {
            "`multilith status` lists the routes; see also [routes.NAME.shadow.compare]"
        }
        other => other.help(),
    };
    term::fail(&error.to_string(), Some(help));
    Exit::Failed
}
