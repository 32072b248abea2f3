//! `multilith console`: a link that opens the console once.

use super::admin_client::AdminClient;
use super::{ConsoleArgs, Exit, term};

pub fn console(args: &ConsoleArgs) -> Exit {
    let answer = AdminClient::new(&args.report.admin).and_then(|client| {
        let answer = client.act_as("/api/v1/console", args.name.as_deref())?;
        let path = answer["path"].as_str().unwrap_or_default().to_owned();
        Ok((format!("{}/{path}", client.address()), answer))
    });
    match answer {
        Ok((link, answer)) if args.report.json => {
            term::json(&serde_json::json!({ "link": link, "seconds": answer["seconds"] }));
            Exit::Fine
        }
        Ok((link, _)) => {
            term::out(&format!("{link}\n"));
            Exit::Fine
        }
        Err(error) => {
            term::fail(&error.to_string(), error.help());
            Exit::Failed
        }
    }
}
