//! `multilith monolith-only on|off`: the big red button.

use super::admin_client::AdminClient;
use super::moves::claimed;
use super::{ButtonArgs, Exit, Position, term};

pub fn monolith_only(args: &ButtonArgs) -> Exit {
    let on = args.position == Position::On;
    let mut body = serde_json::json!({ "on": on });
    if let Some(reason) = &args.reason {
        body["reason"] = reason.as_str().into();
    }
    let answer: Result<serde_json::Value, _> =
        AdminClient::new(&args.admin).and_then(|client| client.act("/api/v1/monolith-only", &body, &claimed()));
    match answer {
        Ok(answer) if args.json => term::json(&answer),
        Ok(_) if on => term::out("on: every route that is not retired goes to the monolith, from the next request\n"),
        Ok(_) => term::out("off: every route follows its stage again, from the next request\n"),
        Err(error) => {
            term::fail(&error.to_string(), error.help());
            return Exit::Failed;
        }
    }
    Exit::Fine
}
