//! The findings of `explain`, in the words that a terminal and a page have in common.

use std::fmt::Write as _;

use super::Explained;
use super::token::ExplainedToken;
use crate::client::Translation;

impl Explained {
    /// The facts that bear on the request beside its route and side: a word and a sentence.
    pub fn facts(&self) -> Vec<(&'static str, String)> {
        let mut facts = Vec::new();
        let mut say = |word, said: String| facts.push((word, said));
        if self.proxy_protocol > 0 {
            say("proxy", format!("a PROXY header of version {} names the client first", self.proxy_protocol));
        }
        if let Some(limit) = &self.limit {
            let (length, timeout) = (limit.queue_length, limit.queue_timeout_seconds);
            say(
                "limit",
                format!("{} requests at once; {length} more wait for at most {timeout} s", limit.max_in_flight),
            );
        }
        if let Some(safe) = self.safe_call {
            let said = if safe { "declared safe by `safe_methods`" } else { "not declared safe by `safe_methods`" };
            say("grpc", said.to_owned());
        }
        if let Some(redirect) = &self.redirect {
            say("redirect", format!("{} to {}", redirect.status, redirect.location));
        }
        if let Some(times) = &self.timeouts {
            let shown = |time: Option<f64>| time.map_or_else(|| "none".to_owned(), |time| format!("{time}s"));
            let (connect, answer) = (shown(times.connect), shown(times.answer));
            let (idle, total) = (shown(times.idle), shown(times.total));
            say("timeouts", format!("connect {connect}, answer {answer}, idle {idle}, total {total}"));
        }
        if let Some(fault) = &self.fault {
            say("fault", fault.clone());
        }
        if self.fallback {
            say("fallback", self.falls_back());
        }
        if let Some(token) = &self.token {
            say("token", token.told());
        }
        for asked in &self.asked {
            let headers =
                if asked.headers.is_empty() { String::new() } else { format!(" for {}", asked.headers.join(", ")) };
            say("asked", format!("{} first{headers} ({})", asked.url, asked.by));
        }
        let buffer = &self.buffer;
        if (buffer.request.as_str(), buffer.answer.as_str()) != ("auto", "none") {
            say("buffer", format!("request {}, answer {}", buffer.request, buffer.answer));
        }
        if let Some(copy) = &self.shadow {
            let to =
                copy.upstream.as_ref().map_or_else(|| "no copy".to_owned(), |upstream| format!("a copy to {upstream}"));
            say("shadow", format!("{to}: {}", copy.why));
        }
        facts
    }

    fn falls_back(&self) -> String {
        let mut statuses: Vec<_> = self.fallback_statuses.iter().map(u16::to_string).collect();
        if self.safe_call.is_some() {
            statuses = vec!["with a status of gRPC that is a failure".to_owned()];
        }
        let and = if statuses.is_empty() { String::new() } else { format!(", or answers {}", statuses.join(", ")) };
        let safe = matches!(&*self.request.method, "GET" | "HEAD" | "OPTIONS") || self.safe_call == Some(true);
        let or = if safe {
            format!(", breaks off or takes too long{and}")
        } else {
            "; not once it may have got the request".to_owned()
        };
        format!("the monolith answers if the service cannot be reached{or}")
    }

    /// The messages that are sent, each with its heading and its lines; nothing where the proxy answers with another address.
    pub fn messages(&self) -> Vec<(String, String)> {
        if self.redirect.is_some() {
            return Vec::new();
        }
        let mut head = format!("{} {} HTTP/1.1\n", self.request.method, self.request.target);
        for (name, value) in &self.request.headers {
            writeln!(head, "{name}: {value}").expect("writing to a string");
        }
        let mut messages = vec![(format!("sent to {}", self.upstream), head)];
        let translated = |how: &str, upstream: &str, translation: &Translation| {
            (format!("sent {how} to {upstream} ({})", translation.target), lines(translation))
        };
        if let Some(translation) = &self.translation {
            messages.push(translated("instead of it", &self.upstream, translation));
        }
        let copy = self.shadow.as_ref().and_then(|copy| Some((copy.upstream.as_ref()?, copy.translation.as_ref()?)));
        if let Some((upstream, translation)) = copy {
            messages.push(translated("as a copy", upstream, translation));
        }
        messages
    }
}

impl ExplainedToken {
    fn told(&self) -> String {
        let what = match (self.required, self.shown) {
            (true, true) => "a valid bearer token is needed; the request's is not checked here",
            (true, false) => "a valid bearer token is needed; there is none: 401",
            (false, true) => "a bearer token is not needed, but checked; the request's is not checked here",
            (false, false) => "a bearer token is not needed; there is none",
        };
        let fills =
            if self.headers.is_empty() { String::new() } else { format!("; fills {}", self.headers.join(", ")) };
        format!("{what}{fills} (auth.jwt)")
    }
}

/// The event or the call that goes to what is no server of HTTP.
fn lines(translation: &Translation) -> String {
    let Translation { to, expires_seconds, headers, message, refused, .. } = translation;
    let expires = expires_seconds.map_or_else(String::new, |seconds| format!(", expires after {seconds} s"));
    let mut text = format!("{to}{expires}\n");
    for (name, value) in headers {
        writeln!(text, "{name}: {value}").expect("writing to a string");
    }
    let message = match refused {
        Some(why) => format!("nothing: the client gets {why}"),
        None => serde_json::to_string_pretty(message).expect("JSON can be written"),
    };
    writeln!(text, "{message}").expect("writing to a string");
    text
}
