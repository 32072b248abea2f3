//! Writes kept requests as a Hurl file: the monolith's answers become the tests of the service.
//!
//! Secrets were removed before the requests were kept; in their places stand Hurl variables (`{{authorization}}`), to
//! be given with `--variable`. Fields that are ignored, redacted or noisy are not asserted.

use std::fmt::Write;

use super::evidence::Evidence;
use super::exchange::KeptExchange;
use super::json::Json;
use super::number::Decimal;
use super::path::FieldPath;
use super::place::{MAX_KEYS, Step, looks_like_data, name};
use super::redact::REDACTED;
use super::rules::Rules;

/// Assertions of one request; the fields that come first are enough to tell answers apart.
const MAX_ASSERTS: usize = 200;

/// Other bodies have no fields whose secrets could be left out, and are not kept.
pub const BODY_NOT_HELD: &str = "# The body is not asserted: only bodies of JSON are kept.";

impl Evidence {
    /// The kept requests of a route with the monolith's answers; empty unless examples are kept as values.
    pub fn to_hurl(&self, route: &str, rules: &Rules) -> String {
        let mut out = String::new();
        for exchange in self.exchanges() {
            Writer { evidence: self, rules, out: &mut out, asserts: Vec::new() }.exchange(route, exchange);
        }
        out
    }
}

struct Writer<'a> {
    evidence: &'a Evidence,
    rules: &'a Rules,
    out: &'a mut String,
    asserts: Vec<String>,
}

impl Writer<'_> {
    fn exchange(&mut self, route: &str, exchange: &KeptExchange) {
        let fields =
            exchange.fields.iter().filter(|field| !self.is_noisy(field)).map(String::as_str).collect::<Vec<_>>();
        let why = if fields.is_empty() { "answered alike".to_owned() } else { fields.join(", ") };
        let (route, why) = (one_line(route), one_line(&why));
        self.line(&format!("# {route}: {why}"));
        self.line(&format!("{} {{{{base}}}}{}", exchange.method, url(&exchange.target)));
        for (name, value) in &exchange.headers {
            let value = if value == REDACTED { variable(name) } else { escaped(value, "#") };
            self.line(&format!("{}: {value}", key(name)));
        }
        if let Some(body) = &exchange.body {
            let body = body_with_variables(body);
            // A fence ends with a line break that is part of the body: harmless in JSON, a part of a form's last value.
            let is_json = Json::parse(&body).is_some();
            self.line(&if is_json { format!("```\n{body}\n```") } else { format!("`{body}`") });
        }
        self.line(&format!("HTTP {}", exchange.status));
        for (name, value) in &exchange.answer_headers {
            let field = format!("header:{name}");
            let once = exchange.answer_headers.iter().filter(|(other, _)| other == name).count() == 1;
            let ignored = FieldPath::parse(&field).is_ok_and(|field| self.rules.ignores(&field));
            if once && !ignored && !value.contains(REDACTED) && !self.is_noisy(&field) {
                self.asserts.push(format!("header {} == {}", quoted(name), quoted(value)));
            }
        }
        let answer = exchange.answer.as_deref();
        if let Some(document) = answer.and_then(Json::parse).filter(|_| !self.is_noisy("body")) {
            self.json(&document, &mut Vec::new(), "$");
        }
        if answer.is_none() && exchange.answer_headers.iter().any(|(name, _)| name == "content-type") {
            // A test that passes says nothing of the page then, and its reader has to know.
            self.line(BODY_NOT_HELD);
        }
        if !self.asserts.is_empty() {
            self.line("[Asserts]");
        }
        for assert in std::mem::take(&mut self.asserts) {
            self.line(&assert);
        }
        self.out.push('\n');
    }

    fn line(&mut self, line: &str) {
        self.out.push_str(line);
        self.out.push('\n');
    }

    /// The monolith disagreed with itself here, so the service may too.
    fn is_noisy(&self, field: &str) -> bool {
        self.evidence.tallies().iter().any(|tally| tally.noise > 0 && tally.field == field)
    }

    fn json<'v>(&mut self, value: &'v Json<'v>, at: &mut Vec<Step<'v>>, path: &str) {
        if self.asserts.len() >= MAX_ASSERTS || self.rules.ignores_json(at) || self.is_noisy(&name(at, |_| false)) {
            return;
        }
        let query = format!("jsonpath {}", quoted(path));
        match value {
            Json::Array(items) => {
                self.asserts.push(format!("{query} count == {}", items.len()));
                let order = format!("{} order", name(at, |_| false));
                if !self.rules.is_unordered(at) && !self.is_noisy(&order) {
                    for (index, item) in items.iter().enumerate() {
                        at.push(Step::Item);
                        self.json(item, at, &format!("{path}[{index}]"));
                        at.pop();
                    }
                }
            }
            Json::Object(members) => {
                let all_data = members.len() > MAX_KEYS;
                for (index, (key, value)) in members.iter().enumerate() {
                    // Which occurrence a program takes is its own affair.
                    if members.iter().enumerate().any(|(other, (name, _))| other != index && name == key) {
                        continue;
                    }
                    let path = format!("{path}{}", step_to(key));
                    at.push(Step::Key { name: key, data: all_data || looks_like_data(key) });
                    self.json(value, at, &path);
                    at.pop();
                }
            }
            scalar => {
                let predicate = self.predicate(scalar, at);
                self.asserts.extend(predicate.map(|predicate| format!("{query} {predicate}")));
            }
        }
    }

    fn predicate(&self, value: &Json<'_>, at: &[Step<'_>]) -> Option<String> {
        match value {
            Json::String(text) if text.contains(REDACTED) => None,
            Json::String(text) => Some(format!("== {}", quoted(text))),
            Json::Number(text) if Decimal::parse(text).is_none() => None,
            // Hurl knows no exponents, and a tolerated value has no one value.
            Json::Number(text) if text.contains(['e', 'E']) || self.rules.tolerance(at).is_some() => {
                Some("isNumber".to_owned())
            }
            Json::Number(text) => Some(format!("== {text}")),
            Json::Bool(value) => Some(format!("== {value}")),
            Json::Null => Some("== null".to_owned()),
            Json::Array(_) | Json::Object(_) => None,
        }
    }
}

/// Hurl's dotted steps take plain ASCII names alone.
fn step_to(key: &str) -> String {
    let plain = key.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if plain { format!(".{key}") } else { format!("['{}']", key.replace('\\', "\\\\").replace('\'', "\\'")) }
}

/// The name of a header. HTTP allows more in it than Hurl does without an escape.
fn key(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for c in name.chars() {
        if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') {
            out.push(c);
        } else {
            write!(out, "\\u{{{:x}}}", u32::from(c)).expect("writing to a String cannot fail");
        }
    }
    out
}

/// `{{x_api_key}}`.
fn variable(name: &str) -> String {
    let name = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect::<String>();
    format!("{{{{{name}}}}}")
}

/// The target with variables for what was removed, and nothing in it that Hurl would read as syntax.
fn url(target: &str) -> String {
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    let plain = |part: &str| {
        let encoded = part.chars().map(|c| match c {
            '{' => "%7B".to_owned(),
            '}' => "%7D".to_owned(),
            '#' => "%23".to_owned(),
            '\\' => "%5C".to_owned(),
            c if c.is_whitespace() || c.is_control() => "%20".to_owned(),
            c => c.to_string(),
        });
        encoded.collect::<String>()
    };
    let path = path.split(REDACTED).map(plain).collect::<Vec<_>>().join("{{path}}");
    let Some(query) = query else { return path };
    let pairs = query.split('&').map(|pair| match pair.split_once('=') {
        Some((name, value)) if value.contains(REDACTED) => format!("{}={}", plain(name), variable(name)),
        _ => pair.split(REDACTED).map(plain).collect::<Vec<_>>().join("{{query}}"),
    });
    format!("{path}?{}", pairs.collect::<Vec<_>>().join("&"))
}

fn body_with_variables(body: &str) -> String {
    // Two opening braces stand only inside a string of JSON, where an escape says the same; forms encode theirs. So does
    // the fence.
    body.replace("{{", "\\u007b\\u007b").replace("```", "\\u0060\\u0060\\u0060").replace(REDACTED, "{{redacted}}")
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", escaped(text, "\""))
}

/// A text that Hurl reads as itself.
fn escaped(text: &str, special: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if special.contains(c) => {
                out.push('\\');
                out.push(c);
            }
            '{' | '}' => write!(out, "\\u{{{:x}}}", u32::from(c)).expect("writing to a String cannot fail"),
            c if c.is_control() => write!(out, "\\u{{{:x}}}", u32::from(c)).expect("writing to a String cannot fail"),
            c => out.push(c),
        }
    }
    out
}

fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::verdict::tests::{headers, response};
    use crate::compare::{ComparedRequest, Took, WrittenRules, compare};
    use crate::migration::Examples;

    fn exported(target: &str, sent: &[(&str, &str)], body: &str) -> String {
        let rules = Rules::new(&WrittenRules {
            examples: Examples::Values,
            ignore: vec!["$.at".to_owned()],
            unordered: vec!["$.tags".to_owned()],
            redact: vec!["token".to_owned()],
            ..WrittenRules::default()
        })
        .expect("valid");
        let mut evidence = Evidence::new(&rules);
        let sent = headers(sent);
        let request = ComparedRequest { method: &http::Method::GET, target, headers: &sent, body: b"" };
        let json = [("content-type", "application/json"), ("set-cookie", "sid=cookie-secret")];
        let control = response(200, &json, body.to_owned());
        let candidate = response(200, &json, "{}");
        let outcome = compare(&request, &control, &candidate, &rules);
        let second = std::time::Duration::from_secs(1);
        evidence.record(&outcome, None, Took { control: second, candidate: second }, false, 1);
        assert!(evidence.wants_exchange(&outcome, 1));
        evidence.keep(KeptExchange::redacted(&request, &control, &outcome, &rules, 1).expect("values are kept"));
        evidence.to_hurl("read-user", &rules)
    }

    #[test]
    fn an_exchange_becomes_a_request_with_assertions() {
        let sent = [
            ("authorization", "Bearer header-secret"),
            ("accept", "*/*"),
            ("host", "a"),
            ("x-forwarded-for", "1.2.3.4"),
        ];
        let body = r#"{"id":9007199254740993,"at":1,"tags":["a","b"],"token":"json-secret","a b":{"n":null,"t":"say \"{{hi}}\""},"list":[1e3,true]}"#;
        let hurl = exported("/users/42?token=query-secret&x=1", &sent, body);
        let expected = r#"# read-user: $['a b'], $.at, $.id, $.list, $.tags, $.token
GET {{base}}/users/42?token={{token}}&x=1
authorization: {{authorization}}
accept: */*
host: a
HTTP 200
[Asserts]
header "content-type" == "application/json"
jsonpath "$.id" == 9007199254740993
jsonpath "$.tags" count == 2
jsonpath "$['a b'].n" == null
jsonpath "$['a b'].t" == "say \"\u{7b}\u{7b}hi\u{7d}\u{7d}\""
jsonpath "$.list" count == 2
jsonpath "$.list[0]" isNumber
jsonpath "$.list[1]" == true

"#;
        let expected = expected.replace(", $.at", "");
        assert_eq!(hurl, expected);
    }

    #[test]
    fn a_form_is_one_line_and_what_cannot_be_sent_again_is_left_out() {
        let rules = Rules::new(&WrittenRules { examples: Examples::Values, ..WrittenRules::default() }).expect("valid");
        let kept = |method: &str, kind: &str, body: &[u8]| {
            let sent = headers(&[("content-type", kind)]);
            let method = http::Method::from_bytes(method.as_bytes()).expect("a method");
            let request = ComparedRequest { method: &method, target: "/", headers: &sent, body };
            let (control, candidate) = (response(200, &[], "a"), response(200, &[], "b"));
            let outcome = compare(&request, &control, &candidate, &rules);
            let exchange = KeptExchange::redacted(&request, &control, &outcome, &rules, 1)?;
            let mut evidence = Evidence::new(&rules);
            evidence.keep(exchange);
            Some(evidence.to_hurl("r", &rules))
        };
        let form = kept("POST", "application/x-www-form-urlencoded", b"a=1&b=%7B%7Bx+%60").expect("a form is kept");
        assert!(form.contains("\n`a=1&b=%7B%7Bx%20%60`\n"), "{form}");
        let json = kept("POST", "application/json", b"{\"a\":\"{{b}} ```\"}").expect("a document is kept");
        assert!(json.contains("```\n{\"a\":\"\\u007b\\u007bb}} \\u0060\\u0060\\u0060\"}\n```\n"), "{json}");
        for (kind, body) in [("image/png", &b"\xff\0"[..]), ("text/xml", b"<a/>"), ("application/json", b"\xff")] {
            assert_eq!(kept("POST", kind, body), None, "{kind}");
        }
        assert_eq!(kept("M-SEARCH", "text/plain", b""), None, "Hurl has no such method");
    }

    #[test]
    fn a_page_whose_body_is_not_kept_is_said_not_to_be_asserted() {
        let rules = Rules::new(&WrittenRules { examples: Examples::Values, ..WrittenRules::default() }).expect("valid");
        for (kind, body, said) in [("text/html", "<p>10 EUR", true), ("application/json", "{}", false)] {
            let sent = headers(&[]);
            let request = ComparedRequest { method: &http::Method::GET, target: "/", headers: &sent, body: b"" };
            let control = response(200, &[("content-type", kind)], body);
            let outcome = compare(&request, &control, &control, &rules);
            let mut evidence = Evidence::new(&rules);
            evidence.keep(KeptExchange::redacted(&request, &control, &outcome, &rules, 1).expect("values are kept"));
            assert_eq!(evidence.to_hurl("r", &rules).contains(BODY_NOT_HELD), said, "{kind}");
        }
    }

    #[test]
    fn what_hurl_would_read_as_syntax_is_escaped() {
        let hurl = exported("/a{{b}}?q={{x}}", &[("x-note", "{{v}} # no comment")], "[]");
        assert!(hurl.contains("GET {{base}}/a%7B%7Bb%7D%7D?q=%7B%7Bx%7D%7D\n"), "{hurl}");
        assert!(hurl.contains(r"x-note: \u{7b}\u{7b}v\u{7d}\u{7d} \# no comment"), "{hurl}");
        assert!(exported("/", &[("x-!#$%", "v")], "[]").contains(r"x-\u{21}\u{23}\u{24}\u{25}: v"));
    }
}
