//! Requests as they happen: one line each, and everything that is known of one when it is opened.

use maud::{Markup, html};
use serde_json::Value;

use super::differs::sides;
use super::explain_form::ExplainQuestion;
use super::form::Form;
use super::page::{Layout, prose};
use super::recent::RecentRequests;
use super::shown::{plain, seconds};
use super::sides::{MONOLITH, SERVICE, Tone, tone_of};
use crate::admin::filter;
use crate::compare::ComparisonResult;
use crate::message::{ResultCode, percent_encoded};
use crate::shadow::Ending;
use crate::telemetry::{Event, EventFilter};

/// The filters of the stream, and what stands in their boxes.
const FILTERS: [(&str, &str, &str); 5] = [
    ("route", "Route", "read-user"),
    ("side", "Side", "service"),
    ("status", "Status", "5xx"),
    ("client", "Client", "10.0.0.7"),
    ("id", "Request id", ""),
];

/// Rows that stand there before the stream says more.
const SHOWN: usize = 50;

pub fn requests(frame: &Layout<'_>, query: &Form, recent: &RecentRequests) -> Markup {
    let given: Vec<String> =
        FILTERS.iter().filter_map(|(key, _, _)| Some(format!("{key}={}", percent_encoded(query.some(key)?)))).collect();
    let asked = given.join("&");
    let (wanted, wrong) = match filter(Some(&asked)) {
        Ok(wanted) => (wanted, None),
        Err(wrong) => (EventFilter::default(), Some(wrong)),
    };
    let rows: Vec<Markup> = recent.newest(&wanted, SHOWN).iter().filter_map(|event| row(frame, event, false)).collect();
    // A later file may have it: then its requests come.
    let unknown = query.some("route").filter(|name| {
        let generation = frame.parts.app.in_force.load();
        !generation.routes.iter().chain([&generation.unmatched]).any(|entry| entry.name() == *name)
    });
    html! {
        div.head {
            div { h1 { "Requests as they happen" } p.dim { "A sample where there are many; one client or one request is followed without gaps." } }
            span.grow {}
            div.acts { span.dim #waits {} span.dim #left role="status" {} a.btn href={ (frame.root) "explain" } { "Explain a request" } button type="button" #pause hidden { "Hold" } }
        }
        section.card aria-label="Filters" {
            form.pad.acts.low method="get" {
                @for (key, word, example) in FILTERS {
                    label.f.lab { (word) input type="text" name=(key) value=(query.get(key)) placeholder=(example) size="14"; }
                }
                button { "Filter" }
            }
        }
        section.card aria-labelledby="list-h" {
            div.h { h2 #list-h { "Requests" } span.dim { "the newest above; open one for all that is known of it" } }
            @if let Some(wrong) = wrong { p.pad.bad { "This filter cannot be read: " (prose(&wrong.to_string())) "." } } @else {
                @if let Some(name) = unknown { p.pad.bad { "There is no route " code { (plain(name)) } ": nothing comes before the file names it." } }
                div data-stream={ "console/stream?" (asked) } {
                    @if rows.is_empty() { p.pad.dim.empty { "Nothing came yet." } } @else { @for row in &rows { (row) } }
                }
            }
            noscript { p.pad.dim { "Without a script the page has the last " (SHOWN) " and loads itself anew every five seconds. " code { "multilith logs --follow" } " shows all on a terminal." } }
        }
    }
}

/// A page of one request, which stays as it is.
pub fn one(frame: &Layout<'_>, id: &str, recent: &RecentRequests) -> Markup {
    let wanted = EventFilter { id: Some(id.to_owned()), ..EventFilter::default() };
    let found = recent.newest(&wanted, 1);
    let event = found.first().and_then(|event| Some((event, row(frame, event, true)?)));
    html! {
        div.head { div { h1 { "One request" } p.dim { code { (plain(id)) } } } span.grow {} div.acts { a.btn href={ (frame.root) "requests" } { "All requests" } } }
        section.card aria-label="The request" {
            @match event {
                Some((event, drawn)) => {
                    (drawn)
                    @let copy = Form::read(format!("route={}&id={}", percent_encoded(&*event.route), percent_encoded(id)).as_bytes());
                    @if event.data.contains("\"shadow\":\"sent\"") { noscript { div.pad { (self::copy(frame, &copy)) } } }
                }
                None => p.pad.dim { "It is not among the last requests that were kept. " code { "multilith logs" } " and the access log may have it." },
            }
        }
    }
}

fn row(frame: &Layout<'_>, event: &Event, open: bool) -> Option<Markup> {
    let generation = frame.parts.app.in_force.load();
    let variant = |route: &str, side: &str| tone_of(&generation, route, side);
    markup(&event.data, frame.visitor.operates(), variant, open)
}

/// One request, as an event of the stream has it. A reader sees no query strings. `variant`: the colour of a route's variant.
pub fn drawn(line: &str, values: bool, variant: impl Fn(&str, &str) -> Option<Tone>) -> Option<String> {
    // An event's data is one line.
    Some(markup(line, values, variant, false)?.into_string().replace(['\n', '\r'], " "))
}

fn markup(line: &str, values: bool, variant: impl Fn(&str, &str) -> Option<Tone>, open: bool) -> Option<Markup> {
    let value: Value = serde_json::from_str(line).ok()?;
    let text = |key: &str| value[key].as_str().unwrap_or("");
    let number = |key: &str| value[key].as_f64();
    let status = value["http.response.status_code"].as_u64();
    let class = match status {
        Some(500..) | None => "bad",
        Some(400..) => "warn",
        _ => "good",
    };
    let path = match text("url.query") {
        query if values && !query.is_empty() => format!("{}?{query}", text("url.path")),
        _ => text("url.path").to_owned(),
    };
    let time = text("timestamp").get(11..19).unwrap_or("").to_owned();
    let method = text("http.request.method");
    let write = !matches!(method, "GET" | "HEAD" | "OPTIONS");
    let tone = match (text("stage"), text("side")) {
        (_, "none") => None,
        // A route of before may have had other variants.
        ("split", side) => variant(text("route"), side).or((text("upstream") == "monolith").then_some(MONOLITH)),
        (_, "monolith") => Some(MONOLITH),
        _ => Some(SERVICE),
    };
    let side = tone.map_or("dim", |tone| tone.text);
    let took = number("duration_seconds").map_or_else(|| "–".to_owned(), seconds);
    Some(html! {
        details.req data-row=(plain(text("request_id"))) open[open] {
            summary {
                span.dim.nw { (time) }
                span class={ "meth" @if write { " w" } } { (plain(method)) }
                code.p { (plain(&path)) }
                span.x.name { (plain(text("route"))) }
                span class={ "x " (side) } { (plain(text("side"))) }
                b class=(class) { (status.map_or_else(|| "–".to_owned(), |status| status.to_string())) }
                span.r.nw { (took) }
            }
            div.facts {
                @for (title, keys) in FACTS {
                    @let known = facts(&value, keys, values);
                    @if !known.is_empty() { div { h3 { (title) } dl.kv { @for (word, said) in known { dt { (word) } dd { (plain(&said)) } } } } }
                }
                p { a href={ "explain?" (such(&value, &path).query()) } { "Explain such a request" } span.dim { ", without its headers, which are not kept" } }
                noscript { p { a href={ "requests?one=" (percent_encoded(text("request_id"))) } { "This request alone" } } }
                @if text("shadow") == "sent" {
                    div.copy data-fill={ "console/copy?route=" (percent_encoded(text("route"))) "&id=" (percent_encoded(text("request_id"))) } {}
                }
            }
        }
    })
}

/// The question which route takes such a request. `path`: with the query, where it may be seen.
fn such(value: &Value, path: &str) -> ExplainQuestion {
    let text = |key: &str| value[key].as_str().unwrap_or("");
    let (scheme, host) = (text("url.scheme"), text("server.address"));
    let host = if host.contains(':') && !host.starts_with('[') { format!("[{host}]") } else { host.to_owned() };
    let port = value["server.port"].as_u64().map(|port| format!(":{port}")).unwrap_or_default();
    ExplainQuestion {
        method: text("http.request.method").to_owned(),
        url: if host.is_empty() { path.to_owned() } else { format!("{scheme}://{host}{port}{path}") },
        client: text("client.address").to_owned(),
        ..ExplainQuestion::default()
    }
}

/// The comparison of one request's copy: a part of its page, asked for when it is opened.
pub fn copy(frame: &Layout<'_>, query: &Form) -> Markup {
    let (route, id) = (query.get("route"), query.get("id"));
    let values = frame.visitor.operates();
    let all = html! { " " a href={ "route/" (percent_encoded(route)) } { "All that differs on this route" } };
    let Some((compared, noise)) = frame.parts.app.shadow.compared(route, id) else {
        return html! {
            h3 { "Copy" }
            p.lab { "Sent. Its comparison is not known here: the route compares nothing, it is not over, or newer ones took its place." (all) }
        };
    };
    let (class, word, why) = match compared.ending {
        Ending::Judged(ComparisonResult::Match) => ("good", "match", String::new()),
        Ending::Judged(ComparisonResult::Mismatch) => ("bad", "mismatch", String::new()),
        Ending::Judged(ComparisonResult::Undecided) => {
            ("n", "undecided", "What differs is noise, and nothing else could be compared.".to_owned())
        }
        Ending::Judged(ComparisonResult::Incomparable(reason)) => ("n", "incomparable", format!("{reason}.")),
        Ending::Judged(ComparisonResult::Dropped) => ("n", "dropped", String::new()),
        Ending::Waits => ("n", "waits", "It is judged once the noise of the monolith is known.".to_owned()),
        Ending::NoAnswer => ("bad", "no answer", "The service gave no whole answer to the copy.".to_owned()),
    };
    html! {
        h3 { "Copy " span class={ "pill f " (class) } { (word) } }
        @if !why.is_empty() { p.lab { (why) } }
        @if let Some(took) = compared.took {
            dl.kv {
                @if let Some(statuses) = compared.statuses {
                    @let [control, candidate] = statuses.map(|status| ResultCode::from_number(status).to_string());
                    dt { "Statuses" } dd { span.mono { "monolith " (control) } ", " span.serv { "service " (candidate) } }
                }
                @let [control, candidate] = took.map(|took| seconds(took.as_secs_f64()));
                dt { "First byte" } dd { span.mono { "monolith " (control) } ", " span.serv { "service " (candidate) } }
            }
        }
        @for difference in &compared.differences {
            p { code { (plain(&difference.field)) } " " span.pill.n { (difference.kind.as_str()) } @if noise.contains(&difference.field) { " " span.pill.n { "noise" } } }
            @if let Some(example) = difference.first_example() { (sides(example.control.as_deref(), example.candidate.as_deref(), values)) }
        }
        @if compared.more > 0 { p.lab { "And " (compared.more) " more fields." } }
        p.lab { (all) }
    }
}

/// A key of the access log, and its word on the page.
type Fact = (&'static str, &'static str);

/// The facts of a request: the request, the side that answers and why, each upstream and how often it was asked, and the times.
const FACTS: [(&str, &[Fact]); 4] = [
    (
        "Asked",
        &[
            ("request_id", "Request id"),
            ("trace_id", "Trace id"),
            ("client.address", "Client"),
            ("server.address", "Host"),
            ("url.scheme", "Scheme"),
            ("network.protocol.version", "HTTP"),
            ("user_agent.original", "User agent"),
            ("http.request.body.size", "Bytes in"),
            ("http.response.body.size", "Bytes out"),
        ],
    ),
    (
        "Decided",
        &[
            ("route", "Route"),
            ("stage", "Stage"),
            ("side", "Side"),
            ("reason", "Why this side"),
            ("shadow", "Copy"),
            ("generation", "Generation"),
        ],
    ),
    (
        "Tried",
        &[
            ("upstream", "Upstream"),
            ("endpoint", "Endpoint"),
            ("attempts", "Attempts"),
            ("fallback", "Fell back because"),
            ("fallback_status", "The service’s status"),
            ("error.type", "Error"),
            ("error.fault", "Whose fault"),
            ("rpc.grpc.status_code", "gRPC status"),
        ],
    ),
    (
        "Took",
        &[
            ("queue_seconds", "In our hands"),
            ("queue_wait_seconds", "Waited in the queue"),
            ("connect_seconds", "Connect"),
            ("first_byte_seconds", "First byte"),
            ("duration_seconds", "In all"),
        ],
    ),
];

fn facts(value: &Value, keys: &[Fact], values: bool) -> Vec<(&'static str, String)> {
    let hidden = |key: &str| !values && matches!(key, "user_agent.original");
    let said = |&(key, word): &Fact| {
        let known = &value[key];
        let text = match known {
            Value::Null => return None,
            Value::String(text) => text.clone(),
            number if key.ends_with("_seconds") => seconds(number.as_f64()?),
            other => other.to_string(),
        };
        (!hidden(key)).then_some((word, text))
    };
    keys.iter().filter_map(said).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hostile_request_is_one_line_of_text_and_a_reader_sees_no_query() {
        let line = r#"{"timestamp":"2026-11-28T14:02:11.123Z","request_id":"7f","http.request.method":"GET","url.path":"/<script>\n","url.query":"email=a@b","side":"service","http.response.status_code":200,"duration_seconds":0.0021,"user_agent.original":"\"><img onerror=x>"}"#;
        let all = drawn(line, true, |_, _| None).expect("it is JSON");
        assert!(!all.contains("<script>") && !all.contains("<img") && !all.contains('\n'), "{all}");
        assert!(all.contains("email=a@b") && all.contains("2.1\u{a0}ms") && all.contains("14:02:11"), "{all}");
        let less = drawn(line, false, |_, _| None).expect("it is JSON");
        assert!(!less.contains("email") && !less.contains("onerror"), "{less}");
        assert!(drawn("nonsense", true, |_, _| None).is_none());
    }

    #[test]
    fn each_variant_of_a_split_has_its_own_colour_and_none_is_the_services_by_mistake() {
        let class = |stage: &str, side: &str, upstream: &str| {
            let line = serde_json::json!({"route": "pay", "stage": stage, "side": side, "upstream": upstream});
            let green = |route: &str, side: &str| (route == "pay" && side == "green").then_some(SERVICE);
            let all = drawn(&line.to_string(), true, green).expect("it is JSON");
            all.split_once(&format!("\">{side}<"))
                .and_then(|(head, _)| head.rsplit_once("\"x "))
                .map(|(_, class)| class.to_owned())
        };
        for (stage, side, upstream, expected) in [
            ("split", "green", "shop", "serv"),
            ("split", "old", "monolith", "mono"),
            ("split", "gone", "shop", "dim"),
            ("canary", "service", "shop", "serv"),
            ("canary", "monolith", "monolith", "mono"),
            ("canary", "none", "", "dim"),
        ] {
            assert_eq!(class(stage, side, upstream).as_deref(), Some(expected), "{stage} {side} {upstream}");
        }
    }
}
