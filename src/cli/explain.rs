//! `multilith explain METHOD URL`: which route takes a request and why, by the code that routes requests.

use std::fmt::Write as _;

use super::compiled::compiled;
use super::{Exit, ExplainArgs, term};
use crate::client::Translation;
use crate::proxy::{ExplainError, ExplainRequest, Explained, ExplainedKey, explain as explain_request};
use crate::reload::ConfigSource;

pub fn explain(args: &ExplainArgs) -> Exit {
    let source = ConfigSource::Files(args.config.clone());
    let snapshot = match compiled(&source, false) {
        Ok(snapshot) => snapshot,
        Err(exit) => return exit,
    };
    let asked = match asked(args) {
        Ok(asked) => asked,
        Err(error) => {
            term::fail(&error.to_string(), None);
            return Exit::Failed;
        }
    };
    match explain_request(&snapshot, &asked, snapshot.server.monolith_only, &|_| None) {
        Ok(explained) if args.json => term::json(&explained),
        Ok(explained) => term::out(&describe(&explained)),
        Err(error @ ExplainError::Refused(..)) => {
            term::fail(&error.to_string(), None);
            return Exit::Findings;
        }
        Err(error) => {
            term::fail(&error.to_string(), None);
            return Exit::Failed;
        }
    }
    Exit::Fine
}

fn asked(args: &ExplainArgs) -> Result<ExplainRequest, ExplainError> {
    let split = |header: &String| {
        let (name, value) = header.split_once(':').ok_or_else(|| ExplainError::Header(header.clone()))?;
        Ok((name.trim().to_owned(), value.trim().to_owned()))
    };
    Ok(ExplainRequest {
        method: args.method.clone(),
        url: args.url.clone(),
        headers: args.headers.iter().map(split).collect::<Result<_, _>>()?,
        client: args.client,
    })
}

fn describe(explained: &Explained) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: &str| writeln!(text, "{name:<10} {value}").expect("writing to a string");
    line("route", explained.route.as_deref().unwrap_or("none (unmatched)"));
    line("stage", explained.stage);
    line("side", &explained.side);
    line("why", &explained.reason);
    let endpoint = explained.endpoint.as_ref().map_or(String::new(), |endpoint| format!(" ({endpoint})"));
    line("upstream", &format!("{}{endpoint}", explained.upstream));
    if explained.proxy_protocol > 0 {
        line("proxy", &format!("a PROXY header of version {} names the client first", explained.proxy_protocol));
    }
    if let Some(limit) = &explained.limit {
        let (length, timeout) = (limit.queue_length, limit.queue_timeout_seconds);
        line("limit", &format!("{} requests at once; {length} more wait for at most {timeout} s", limit.max_in_flight));
    }
    if let Some(safe) = explained.safe_call {
        let said = if safe { "declared safe by `safe_methods`" } else { "not declared safe by `safe_methods`" };
        line("grpc", said);
    }
    if let Some(redirect) = &explained.redirect {
        line("redirect", &format!("{} to {}", redirect.status, redirect.location));
    }
    if let Some(times) = &explained.timeouts {
        let shown = |time: Option<f64>| time.map_or_else(|| "none".to_owned(), |time| format!("{time}s"));
        let (connect, answer) = (shown(times.connect), shown(times.answer));
        let (idle, total) = (shown(times.idle), shown(times.total));
        line("timeouts", &format!("connect {connect}, answer {answer}, idle {idle}, total {total}"));
    }
    if let Some(fault) = &explained.fault {
        line("fault", fault);
    }
    if explained.fallback {
        let mut statuses: Vec<_> = explained.fallback_statuses.iter().map(u16::to_string).collect();
        if explained.safe_call.is_some() {
            statuses = vec!["with a status of gRPC that is a failure".to_owned()];
        }
        let and = if statuses.is_empty() { String::new() } else { format!(", or answers {}", statuses.join(", ")) };
        let safe =
            matches!(&*explained.request.method, "GET" | "HEAD" | "OPTIONS") || explained.safe_call == Some(true);
        let or = if safe {
            format!(", breaks off or takes too long{and}")
        } else {
            "; not once it may have got the request".to_owned()
        };
        line("fallback", &format!("the monolith answers if the service cannot be reached{or}"));
    }
    if let Some(token) = &explained.token {
        let what = match (token.required, token.shown) {
            (true, true) => "a valid bearer token is needed; the request's is not checked here",
            (true, false) => "a valid bearer token is needed; there is none: 401",
            (false, true) => "a bearer token is not needed, but checked; the request's is not checked here",
            (false, false) => "a bearer token is not needed; there is none",
        };
        let fills =
            if token.headers.is_empty() { String::new() } else { format!("; fills {}", token.headers.join(", ")) };
        line("token", &format!("{what}{fills} (auth.jwt)"));
    }
    for asked in &explained.asked {
        let headers =
            if asked.headers.is_empty() { String::new() } else { format!(" for {}", asked.headers.join(", ")) };
        line("asked", &format!("{} first{headers} ({})", asked.url, asked.by));
    }
    let buffer = &explained.buffer;
    if (buffer.request.as_str(), buffer.answer.as_str()) != ("auto", "none") {
        line("buffer", &format!("request {}, answer {}", buffer.request, buffer.answer));
    }
    if let Some(copy) = &explained.shadow {
        let to =
            copy.upstream.as_ref().map_or_else(|| "no copy".to_owned(), |upstream| format!("a copy to {upstream}"));
        line("shadow", &format!("{to}: {}", copy.why));
    }
    let copied = explained.shadow.as_ref().and_then(|copy| Some((copy.upstream.as_ref()?, copy.translation.as_ref()?)));
    if !explained.keys.is_empty() {
        text.push_str("\nof the file also\n");
        for ExplainedKey { key, effect } in &explained.keys {
            writeln!(text, "  {key}: {effect}").expect("writing to a string");
        }
    }
    if !explained.candidates.is_empty() {
        text.push_str("\nroutes that did not get it\n");
        for candidate in &explained.candidates {
            writeln!(text, "  {}: {}", candidate.route, candidate.lost).expect("writing to a string");
        }
    }
    if !explained.near_misses.is_empty() {
        text.push_str("\nroutes that it just misses\n");
        for near in &explained.near_misses {
            writeln!(text, "  {} takes `{}`: {}", near.route, near.path, near.why).expect("writing to a string");
        }
    }
    if explained.redirect.is_some() {
        return text;
    }
    writeln!(text, "\nsent to {}", explained.upstream).expect("writing to a string");
    writeln!(text, "  {} {} HTTP/1.1", explained.request.method, explained.request.target)
        .expect("writing to a string");
    for (name, value) in &explained.request.headers {
        writeln!(text, "  {name}: {value}").expect("writing to a string");
    }
    if let Some(translation) = &explained.translation {
        translated(&mut text, "instead of it", &explained.upstream, translation);
    }
    if let Some((upstream, translation)) = copied {
        translated(&mut text, "as a copy", upstream, translation);
    }
    text
}

/// The event or the call that goes to what is no server of HTTP.
fn translated(text: &mut String, how: &str, upstream: &str, translation: &Translation) {
    let Translation { target, to, expires_seconds, headers, message, refused } = translation;
    let expires = expires_seconds.map_or_else(String::new, |seconds| format!(", expires after {seconds} s"));
    writeln!(text, "\nsent {how} to {upstream} ({target})\n  {to}{expires}").expect("writing to a string");
    for (name, value) in headers {
        writeln!(text, "  {name}: {value}").expect("writing to a string");
    }
    let message = match refused {
        Some(why) => format!("nothing: the client gets {why}"),
        None => serde_json::to_string_pretty(message).expect("JSON can be written"),
    };
    for line in message.lines() {
        writeln!(text, "  {line}").expect("writing to a string");
    }
}
