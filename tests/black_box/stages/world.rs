//! A monolith and a service that say who they are, and routes between them.

use crate::harness::{Edge, Origin, Reply, Response};

pub(crate) struct World {
    pub(crate) monolith: Origin,
    pub(crate) service: Origin,
    pub(crate) edge: Edge,
}

impl World {
    /// `[services.users]` and these tables; both sides answer with their names.
    pub(crate) fn start(tables: &str) -> Self {
        Self::between(Origin::saying("monolith"), Origin::saying("service"), "", tables)
    }

    /// The service answers as told.
    pub(crate) fn answering(reply: Reply, tables: &str) -> Self {
        Self::between(Origin::saying("monolith"), Origin::start(move |_| reply.clone()), "", tables)
    }

    pub(crate) fn between(monolith: Origin, service: Origin, server: &str, tables: &str) -> Self {
        let edge = Edge::before(&monolith).server(server).service("users", &service).with(tables).start();
        Self { monolith, service, edge }
    }

    /// A GET with these header fields on a connection of its own.
    pub(crate) fn get(&self, target: &str, fields: &[&str]) -> Response {
        self.edge.client().request("GET", target, fields)
    }

    /// Who answers a client with this unit: `monolith` or `service`.
    pub(crate) fn side_of(&self, target: &str, unit: &str) -> String {
        self.get(target, &[&format!("X-User-Id: {unit}")]).text()
    }
}

/// A canary at `/users` by the header `x-user-id`.
pub(crate) fn canary(weight: &str, more: &str) -> String {
    format!(
        "[routes.users]\npath = \"/users\"\nservice = \"users\"\nstage = \"canary\"\nweight = \"{weight}\"\n\
         sticky = [\"header:x-user-id\"]\n{more}\n"
    )
}

/// A migrated route at `/users`.
pub(crate) fn migrated(more: &str) -> String {
    format!("[routes.users]\npath = \"/users\"\nservice = \"users\"\nstage = \"migrated\"\n{more}\n")
}

/// The `Set-Cookie` lines of an answer.
pub(crate) fn cookies(response: &Response) -> Vec<&str> {
    response.head.all("set-cookie")
}

/// Name and value of the cookie that this line sets, as a client sends it back.
pub(crate) fn pair(line: &str) -> &str {
    line.split(';').next().unwrap_or_default()
}
