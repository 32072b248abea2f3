//! The visitor of a page: the name, how it is known, the role.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use http::{HeaderName, header};

use super::form::Form;
use super::login::{Sessions, is_value};
use super::shown::cut;
use crate::admin::{PageRequest, Parts, Reply, came_from};
use crate::compile::Role;

/// The visitor of a page.
#[derive(Debug, Clone)]
pub struct Visitor {
    pub name: Arc<str>,
    pub role: Role,
    pub how: How,
    /// The cookie that the request brought, or that its answer sets.
    pub cookie: String,
    /// The request brought it.
    pub brought: bool,
}

/// How the visitor is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// There are no tokens, and the listener is on loopback.
    Loopback,
    Session,
    Bearer,
    /// A proxy in front said so.
    Proxy,
    /// Nothing is known: the sign-in page, and no other.
    Nobody,
}

/// Longer names and reasons are cut: they stand in the journal for ever.
pub const LONGEST: usize = 500;

/// The name of the cookie, and what stands behind its value; `None`: a cookie would be readable on its way.
pub fn cookie(parts: &Parts, request: &PageRequest) -> Option<(&'static str, String)> {
    let generation = parts.app.in_force.load();
    let base = &*generation.snapshot.server.admin_base;
    let rest = "HttpOnly; SameSite=Strict";
    if came_by_https(parts, request) {
        return Some(match base {
            "/" => ("__Host-multilith", format!("Path=/; Secure; {rest}")),
            base => ("__Secure-multilith", format!("Path={base}; Secure; {rest}")),
        });
    }
    parts.address.ip().is_loopback().then(|| ("multilith_console", format!("Path={base}; {rest}")))
}

fn came_by_https(parts: &Parts, request: &PageRequest) -> bool {
    crate::admin::came_by_https(parts, request.peer, &request.fields)
}

/// Where the person sits.
pub fn address(parts: &Parts, request: &PageRequest) -> Option<IpAddr> {
    crate::admin::address(parts, request.peer, &request.fields)
}

/// The visitor of a request. `touch`: a person sent it, not a page that redraws itself.
pub fn visitor(parts: &Parts, sessions: &Sessions, request: &PageRequest, touch: bool) -> Visitor {
    let given = cookie(parts, request).and_then(|(name, _)| brought(request, name));
    let (brought, value) = given.map_or_else(|| (false, sessions.value()), |value| (true, value.to_owned()));
    let (name, role, how) = known(parts, sessions, request, brought.then_some(&*value), touch);
    Visitor { name, role, how, cookie: value, brought }
}

fn known(
    parts: &Parts,
    sessions: &Sessions,
    request: &PageRequest,
    cookie: Option<&str>,
    touch: bool,
) -> (Arc<str>, Role, How) {
    if let Some((name, role)) =
        cookie.and_then(|value| sessions.find(value, &parts.app.admin_keys, Instant::now(), touch))
    {
        return (name, role, How::Session);
    }
    let nobody = || ("nobody".into(), Role::Read, How::Nobody);
    if let Some(key) = bearer(request).and_then(|token| parts.app.admin_keys.find(token)) {
        return (Arc::clone(&key.name), key.role, How::Bearer);
    }
    let generation = parts.app.in_force.load();
    let server = &generation.snapshot.server;
    if let Some(trusted) = &server.trusted_user {
        let believed = request.peer.is_some_and(|peer| trusted.from.iter().any(|network| network.contains(peer)));
        if believed {
            let name = request.field(trusted.header.as_str()).map(str::trim).filter(|name| !name.is_empty());
            return name.map_or_else(nobody, |name| (cut(name, LONGEST).into(), trusted.role, How::Proxy));
        }
    }
    if parts.app.admin_keys.is_empty() && parts.address.ip().is_loopback() {
        return ("loopback".into(), server.console, How::Loopback);
    }
    nobody()
}

/// The token that a program sent.
pub fn bearer(request: &PageRequest) -> Option<&str> {
    let (scheme, token) = request.field(header::AUTHORIZATION.as_str())?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn brought<'a>(request: &'a PageRequest, name: &str) -> Option<&'a str> {
    let lines = request.fields.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
    let pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.filter(|(known, _)| *known == name).map(|(_, value)| value).find(|value| is_value(value))
}

impl Visitor {
    /// May press what changes something.
    pub fn operates(&self) -> bool {
        self.role == Role::Operate
    }

    /// The journal's `who`.
    pub fn who(&self, parts: &Parts, request: &PageRequest) -> String {
        format!("{} via console{}", self.name, came_from(parts, request.peer, &request.fields))
    }

    /// The browser: by its cookie; without one by the visitor's name and address, and by what it calls itself.
    pub fn browser(&self, parts: &Parts, request: &PageRequest) -> String {
        if self.brought {
            return self.cookie.clone();
        }
        let address = address(parts, request).map(|address| address.to_string()).unwrap_or_default();
        format!("{} {address} {}", self.name, request.field("user-agent").unwrap_or(""))
    }

    /// The answer with the cookie, where the request brought none.
    pub fn remembered(&self, parts: &Parts, request: &PageRequest, reply: Reply) -> Reply {
        match cookie(parts, request) {
            Some((name, rest)) if !self.brought => set_cookie(reply, name, &self.cookie, &rest),
            _ => reply,
        }
    }
}

pub fn set_cookie(reply: Reply, name: &str, value: &str, rest: &str) -> Reply {
    let set: HeaderName = header::SET_COOKIE;
    reply.with(set, format!("{name}={value}; {rest}"))
}

/// A form that may change something: from a page of ours, by a cookie of ours, with the word that its page was given.
pub fn posted(
    parts: &Parts,
    sessions: &Sessions,
    request: &PageRequest,
    visitor: &Visitor,
    act: &str,
) -> Result<Form, Reply> {
    let kind = request.field("content-type").unwrap_or("");
    if !kind.split(';').next().unwrap_or("").trim().eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        return Err(Reply::problem(415, "a form of the console is sent here"));
    }
    if request.field("sec-fetch-site").is_some_and(|site| site != "same-origin") {
        return Err(Reply::problem(403, "the form was not sent by a page of the console"));
    }
    // That it names us was looked at before.
    if request.field("origin").is_none() {
        return Err(Reply::problem(403, "a form says from which page it was sent (`Origin`): this one does not"));
    }
    let form = Form::read(&request.body);
    if !visitor.brought {
        let generation = parts.app.in_force.load();
        let base = &*generation.snapshot.server.admin_base;
        let why = match base {
            "/" => "this browser keeps no cookie of the console, which a form needs".to_owned(),
            base => format!("the cookie of the console is good below `{base}` alone: open the console there"),
        };
        return Err(Reply::problem(403, &why));
    }
    if !sessions.is_word(&visitor.cookie, act, form.get("word")) {
        return Err(Reply::problem(403, "this form is no longer good: load its page again"));
    }
    Ok(form)
}
