//! Signing in with a token or by a one-time link, and signing out.

use std::time::Instant;

use http::Method;
use maud::{Markup, html};

use super::form::Form;
use super::login::{Holder, Sessions};
use super::page::{Layout, said};
use super::shown::plain;
use super::visitor::{How, address, cookie, posted, set_cookie};
use crate::admin::{PageRequest, Reply, guessed_wrong, tell_failure};
use crate::message::percent_encoded;

/// An unknown visitor asked for a page: a browser is shown where to sign in, a program is told what is missing.
pub fn wanted(request: &PageRequest) -> Reply {
    let browser = request.field("accept").is_some_and(|accept| accept.contains("text/html"));
    if !browser || request.method != Method::GET {
        return Reply::problem(401, "send the admin token: `Authorization: Bearer TOKEN`");
    }
    let path = request.uri.path();
    let up = super::root(path);
    let next = request.uri.path_and_query().map_or("/", |all| all.as_str());
    let next =
        if next == "/" { String::new() } else { format!("?next={}", percent_encoded(next.trim_start_matches('/'))) };
    Reply::see_other(format!("{up}console/login{next}"))
}

/// The pages below `/console/` that need no session.
pub fn answer(sessions: &Sessions, frame: Layout<'_>, request: &PageRequest) -> Reply {
    let post = request.method == Method::POST;
    let query = Form::of_query(request.uri.query());
    match (request.uri.path(), post) {
        ("/console/login", false) => shown(frame, sessions, request, query.get("next"), None, 200),
        ("/console/login", true) => sign_in(sessions, frame, request),
        ("/console/enter", false) => {
            Reply::html(200, frame.page("Enter", &enter(frame, sessions, query.get("link"), None)))
        }
        ("/console/enter", true) => follow(sessions, frame, request),
        ("/console/logout", false) => Reply::html(200, frame.page("Sign out", &out(frame, sessions))),
        _ => sign_out(sessions, frame, request),
    }
}

fn shown(
    frame: Layout<'_>,
    sessions: &Sessions,
    request: &PageRequest,
    next: &str,
    wrong: Option<&str>,
    status: u16,
) -> Reply {
    if frame.visitor.how != How::Nobody && wrong.is_none() {
        return Reply::see_other(format!("{}./", frame.root));
    }
    let possible = cookie(frame.parts, request).is_some();
    let main = html! {
        section.card.narrow aria-labelledby="in" {
            div.h { h1 #in { "Sign in" } }
            @if possible {
                form.pad.ask method="post" action="login" {
                    @if let Some(wrong) = wrong { (said("b", wrong)) }
                    input type="hidden" name="word" value=(sessions.word(&frame.visitor.cookie, "login"));
                    input type="hidden" name="next" value=(next);
                    // A browser that keeps passwords asks for a name beside them.
                    input type="text" name="username" value="multilith" autocomplete="username" readonly hidden;
                    label.f { "Token" input type="password" name="token" autocomplete="current-password" required autofocus; }
                    p.lab { "One of " code { "[[server.tokens]]" } " in the file; its name stands in the journal. The session ends after half an hour without you, after twelve hours, when the proxy restarts, and when the token changes." }
                    div.acts { button.pri { "Sign in" } }
                }
            } @else {
                div.pad.stack {
                    p { b { "No sign-in over a plain connection." } " The token could be read on its way." }
                    p.dim { "Reach this page by https, through a proxy that is named in " code { "trusted" } " of " code { "[server]" } " and says " code { "X-Forwarded-Proto: https" } "; or from the machine itself, with " code { "admin" } " on loopback. Programs send " code { "Authorization: Bearer TOKEN" } " as ever." }
                }
            }
        }
    };
    Reply::html(status, frame.page("Sign in", &main))
}

fn sign_in(sessions: &Sessions, frame: Layout<'_>, request: &PageRequest) -> Reply {
    let form = match posted(frame.parts, sessions, request, frame.visitor, "login") {
        Ok(form) => form,
        Err(refused) => return refused,
    };
    let Some((name, rest)) = cookie(frame.parts, request) else {
        return Reply::problem(403, "no sign-in over a plain connection");
    };
    let (now, from) = (Instant::now(), address(frame.parts, request));
    if from.is_some_and(|from| !frame.parts.guesses.may_guess(from, now)) {
        return shown(
            frame,
            sessions,
            request,
            form.get("next"),
            Some("Too many wrong tokens from your address: wait a minute."),
            429,
        );
    }
    let Some(key) = frame.parts.app.admin_keys.find(form.get("token").trim()) else {
        guessed_wrong(frame.parts, from);
        return shown(frame, sessions, request, form.get("next"), Some("This token is not known."), 403);
    };
    tracing::info!(name = &*key.name, "signed in at the console");
    // Another value than before: one that had leaked opens nothing.
    let value = sessions.open(Holder { name: key.name.clone(), role: key.role, key: Some(key) }, now);
    set_cookie(Reply::see_other(next_of(form.get("next"))), name, &value, &rest)
}

/// Only a page of ours: a path below the root, without a host. Behind the `?` stands a filter, in which a `:` is no scheme's.
fn next_of(next: &str) -> String {
    let fine = |c: char| c.is_ascii_alphanumeric() || "-_./=&%+~".contains(c);
    let in_query = |c: char| fine(c) || "?:,".contains(c);
    let (path, query) = next.split_once('?').unwrap_or((next, ""));
    let is_ours = path.chars().all(fine)
        && query.chars().all(in_query)
        && !path.starts_with('/')
        && !next.contains("//")
        && !next.contains("..");
    format!("../{}", if is_ours && !next.is_empty() { next } else { "./" })
}

fn enter(frame: Layout<'_>, sessions: &Sessions, link: &str, wrong: Option<&str>) -> Markup {
    html! {
        section.card.narrow aria-labelledby="in" {
            div.h { h1 #in { "Enter the console" } }
            form.pad.ask method="post" action="enter" {
                @if let Some(wrong) = wrong { (said("b", wrong)) }
                input type="hidden" name="word" value=(sessions.word(&frame.visitor.cookie, "enter"));
                input type="hidden" name="link" value=(link);
                p { "The link works once, within a minute after it was printed." }
                div.acts { button.pri { "Enter" } }
            }
        }
    }
}

fn follow(sessions: &Sessions, frame: Layout<'_>, request: &PageRequest) -> Reply {
    let form = match posted(frame.parts, sessions, request, frame.visitor, "enter") {
        Ok(form) => form,
        Err(refused) => return refused,
    };
    let now = Instant::now();
    let (Some((name, rest)), Some(holder)) = (cookie(frame.parts, request), sessions.follow(form.get("link"), now))
    else {
        tell_failure(frame.parts, address(frame.parts, request), "link");
        let wrong =
            Some("This link was used already, or is older than a minute: print a new one with `multilith console`.");
        return Reply::html(403, frame.page("Enter", &enter(frame, sessions, "", wrong)));
    };
    tracing::info!(name = &*holder.name, "entered the console by a link");
    let value = sessions.open(holder, now);
    set_cookie(Reply::see_other("../".to_owned()), name, &value, &rest)
}

fn out(frame: Layout<'_>, sessions: &Sessions) -> Markup {
    html! {
        section.card.narrow data-ask aria-labelledby="ask" {
            div.h { h1 #ask { "Sign out?" } }
            form.pad.ask method="post" action="logout" {
                input type="hidden" name="word" value=(sessions.word(&frame.visitor.cookie, "logout"));
                p { "You are " b { (plain(&frame.visitor.name)) } "." }
                div.acts { a.btn href="../" data-cancel { "Stay" } button.pri { "Sign out" } }
            }
        }
    }
}

fn sign_out(sessions: &Sessions, frame: Layout<'_>, request: &PageRequest) -> Reply {
    if let Err(refused) = posted(frame.parts, sessions, request, frame.visitor, "logout") {
        return refused;
    }
    sessions.close(&frame.visitor.cookie);
    let reply = Reply::see_other("../".to_owned());
    match cookie(frame.parts, request) {
        Some((name, rest)) => set_cookie(reply, name, "", &format!("Max-Age=0; {rest}")),
        None => reply,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_signs_in_comes_to_the_page_that_was_asked_for_and_to_no_other_site() {
        for next in [
            "journal",
            "journal?q=route:users",
            "?q=stage:canary+errors%3E1%25",
            "requests?status=4xx,5xx",
            "route/a%2Fb?a=b?c",
        ] {
            assert_eq!(next_of(next), format!("../{next}"));
        }
        for next in [
            "",
            "/evil.example",
            "//evil.example",
            "https://evil.example",
            "javascript:alert(1)",
            "journal:x?q=a",
            "a,b",
            "journal?q=http://evil.example",
            "../up",
            "journal?q=../up",
            "\\evil.example",
            "journal?q=a#b",
            "journal\r\nx: y",
        ] {
            assert_eq!(next_of(next), ".././", "{next}");
        }
    }
}
