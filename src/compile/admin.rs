//! The admin listener: its address, and the networks that can reach it.

use std::sync::Arc;

use super::address::is_loopback;
use super::draft::Draft;
use super::listeners::Listeners;
use crate::config::{self, Field};
use crate::diagnostic::{Code, Span};

const DEFAULT_ADMIN: &str = "127.0.0.1:9900";

/// The address; `None` after something was reported.
pub(super) fn compile(server: &config::Server, listeners: &mut Listeners, draft: &mut Draft<'_>) -> Option<Arc<str>> {
    let given = match &server.admin {
        Field::Given(given) => given,
        Field::Wrong => return None,
        Field::Absent => return listeners.add(DEFAULT_ADMIN, &server.span, draft).map(|(address, _)| address),
    };
    let (address, host) = listeners.add(&given.value, &given.span, draft)?;
    if server.token.is_absent() && !is_loopback(&host) {
        without_token(&address, given.span.clone(), draft);
    }
    Some(address)
}

fn without_token(address: &str, span: Span, draft: &mut Draft<'_>) {
    let port = address.rsplit(':').next().unwrap_or("9900");
    draft.say(
        Code::AdminWithoutToken,
        span,
        format!("the admin listener on `{address}` can be reached from other machines and has no token"),
        "not a loopback address",
        format!(
            "add `token = {{ env = \"MULTILITH_TOKEN\" }}`, or write `admin = \"127.0.0.1:{port}\"`; metrics alone need no token: `metrics = \"{address}\"`"
        ),
    );
}

/// Names under which the admin listener may be reached, in lower case.
pub(super) fn hosts(server: &config::Server, draft: &mut Draft<'_>) -> Vec<Box<str>> {
    let mut hosts = Vec::new();
    for item in server.admin_hosts.get().map(Vec::as_slice).unwrap_or_default() {
        match super::address::host_port(&item.value, Some(0)) {
            Ok(_) => hosts.push(item.value.to_ascii_lowercase().into()),
            Err(error) => {
                let at = draft.inside(&item.span, &item.value, error.part);
                let help = "write a host, or a host and a port: `edge.internal:9900`";
                draft.say(Code::InvalidAddress, at, error.message, "not a host", help);
            }
        }
    }
    hosts
}
