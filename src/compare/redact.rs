//! Removes secrets before anything is kept: by the name they stand under, and by value wherever they come back.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::LazyLock;

use http::{HeaderMap, HeaderName};
use regex::{Captures, Regex};

use super::json::Json;
use super::response::ComparedRequest;
use crate::message::{form_decoded, form_pairs, percent_decoded};

/// Stands in the place of a secret in whatever is kept.
pub const REDACTED: &str = "[redacted]";

/// Never kept, whatever the settings say.
const ALWAYS: [&str; 5] = ["authorization", "proxy-authorization", "cookie", "set-cookie", "x-api-key"];

/// Headers whose names hold one of these are taken for secrets as well; the header that no list has is the one that leaks.
const HEADER_HINTS: [&str; 9] =
    ["token", "secret", "password", "passwd", "auth", "session", "csrf", "api-key", "credential"];

/// Headers that such a hint is found in and that hold no secret: what a side asks for, or allows.
const NO_SECRETS: [&str; 3] = ["www-authenticate", "proxy-authenticate", "access-control-allow-credentials"];

/// Names whose texts and numbers are secrets, folded. As a part of a name they say nothing, and what stands below them may have
/// names of its own, which are kept.
const WORDS: [&str; 12] =
    ["auth", "session", "sid", "pwd", "pass", "pin", "otp", "cvv", "cvc", "sig", "signature", "passcode"];

/// Keys of a query that are secrets as well: in bodies these words are too common to say so.
const QUERY_WORDS: [&str; 2] = ["key", "code"];

/// Names in bodies, forms and queries that hold one of these stand for secrets, folded as names are.
const HINTS: [&str; 12] = [
    "token",
    "secret",
    "password",
    "passwd",
    "passphrase",
    "apikey",
    "accesskey",
    "privatekey",
    "credential",
    "csrf",
    "sessionid",
    "jwt",
];

/// Shorter values are not searched for elsewhere: `1` or `true` would blank out half the answer.
const MIN_SECRET: usize = 6;

/// Values searched for; each costs a pass over what is kept.
const MAX_SECRETS: usize = 1000;

/// Documents inside strings inside documents are followed this far.
const MAX_NESTED: usize = 3;

/// The names to redact; case, `-` and `_` do not count.
#[derive(Debug, Clone)]
pub(super) struct Redactor {
    names: BTreeSet<String>,
}

impl Redactor {
    pub(super) fn new(names: &[String]) -> Self {
        let names = ALWAYS.into_iter().chain(names.iter().map(String::as_str)).map(fold).collect();
        Self { names }
    }

    /// The hidden names: lower case, without `-` and `_`.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }

    /// Whether what stands under this name is a secret.
    pub(super) fn hides(&self, name: &str) -> bool {
        let name = fold(name);
        self.names.contains(&name)
            // A number of tokens is no token.
            || HINTS.iter().any(|hint| name.contains(hint)) && !name.ends_with("tokens")
    }

    /// Whether a text or a number under this name is a secret, and those below it.
    pub(super) fn hides_texts(name: &str) -> bool {
        WORDS.contains(&&*fold(name))
    }

    /// The same for a form or a query, where `user[password]` is what the framework calls the `password` of a `user`.
    pub(super) fn hides_parameter(&self, name: &str) -> bool {
        let hides = |name: &str| self.hides(name) || Self::hides_texts(name);
        hides(name) || last_part(name).is_some_and(hides)
    }

    /// The same for the query of a target, as the access log shows it.
    fn hides_in_query(&self, name: &str) -> bool {
        self.hides_parameter(name) || last_part(name).is_some_and(|last| QUERY_WORDS.contains(&&*fold(last)))
    }

    pub(super) fn hides_header(&self, name: &HeaderName) -> bool {
        let is_hinted = HEADER_HINTS.iter().any(|hint| name.as_str().contains(hint));
        self.names.contains(&fold(name.as_str()))
            || !NO_SECRETS.contains(&name.as_str()) && (is_hinted || self.hides(name.as_str()))
    }

    /// The secrets of one exchange: to be removed from whatever else repeats them.
    pub(super) fn secrets<'h>(
        &self,
        request: &ComparedRequest<'h>,
        responses: impl IntoIterator<Item = &'h HeaderMap>,
    ) -> Secrets {
        let mut found = BTreeSet::new();
        for headers in std::iter::once(request.headers).chain(responses) {
            for (name, value) in headers.iter().filter(|(name, _)| self.hides_header(name)) {
                let value = String::from_utf8_lossy(value.as_bytes());
                found.insert(value.trim().to_owned());
                // The parts that would be repeated alone: `Bearer X`, `a=X; b=Y`.
                let parts = value.split([' ', ';', ',']).map(|part| {
                    if name.as_str().contains("cookie") {
                        part.split_once('=').map_or(part, |(_, value)| value)
                    } else {
                        part
                    }
                });
                found.extend(parts.map(|part| part.trim_matches('"').to_owned()));
            }
        }
        let query = request.target.split_once('?').map_or("", |(_, query)| query);
        let forms = [query.as_bytes(), request.body];
        let pairs = forms.iter().flat_map(|form| form_pairs(form));
        found.extend(pairs.filter(|(name, _)| self.hides_parameter(name)).map(|(_, value)| value.into_owned()));
        let mut secrets = Secrets::default();
        secrets.extend(found);
        secrets
    }

    /// Adds the values that stand under redacted names in a document, in case they stand elsewhere too.
    pub(super) fn learn(&self, document: &Json<'_>, secrets: &mut Secrets) {
        let mut found = BTreeSet::new();
        self.gather(document, false, &mut found);
        secrets.extend(found);
    }

    fn gather(&self, value: &Json<'_>, hidden: bool, found: &mut BTreeSet<String>) {
        match value {
            Json::Array(items) => items.iter().for_each(|item| self.gather(item, hidden, found)),
            Json::Object(members) => {
                for (key, value) in members {
                    self.gather(value, hidden || self.hides(key) || Self::hides_texts(key), found);
                }
            }
            Json::String(text) if hidden => found.extend([text.to_string()]),
            Json::Number(text) if hidden => found.extend([(*text).to_owned()]),
            _ => {}
        }
    }

    /// Path and query without their secrets.
    pub(super) fn target(&self, target: &str, secrets: &Secrets) -> String {
        let clean = |part: &str| {
            // The secret may be encoded here and bare elsewhere.
            let decoded = form_decoded(part.as_bytes());
            if self.text(&decoded, secrets) == decoded { secrets.remove(part) } else { REDACTED.to_owned() }
        };
        let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
        let path = path.split('/').map(clean).collect::<Vec<_>>().join("/");
        let Some(query) = query else { return path };
        let pairs = query.split('&').map(|pair| match pair.split_once('=') {
            Some((name, _)) if self.hides_in_query(&form_decoded(name.as_bytes())) => format!("{name}={REDACTED}"),
            Some((name, value)) => format!("{}={}", clean(name), clean(value)),
            None => clean(pair),
        });
        format!("{path}?{}", pairs.collect::<Vec<_>>().join("&"))
    }

    /// A document without its secrets.
    pub(super) fn json<'a>(&self, value: &Json<'a>, secrets: &Secrets) -> Json<'a> {
        self.nested_json(value, secrets, false, 0)
    }

    /// `hidden`: below a name whose texts are secrets.
    fn nested_json<'a>(&self, value: &Json<'a>, secrets: &Secrets, hidden: bool, nested: usize) -> Json<'a> {
        match value {
            Json::Array(items) => {
                Json::Array(items.iter().map(|item| self.nested_json(item, secrets, hidden, nested)).collect())
            }
            Json::Object(members) => Json::Object(
                members
                    .iter()
                    .map(|(key, value)| {
                        let value = if self.hides(key) {
                            Json::String(REDACTED.into())
                        } else {
                            self.nested_json(value, secrets, hidden || Self::hides_texts(key), nested)
                        };
                        (Cow::Owned(secrets.remove(key)), value)
                    })
                    .collect(),
            ),
            Json::String(_) | Json::Number(_) if hidden => Json::String(REDACTED.into()),
            Json::String(text) => Json::String(Cow::Owned(self.nested_text(text, secrets, nested))),
            Json::Number(text) if secrets.0.iter().any(|secret| secret == text) => Json::String(REDACTED.into()),
            other => other.clone(),
        }
    }

    /// A text without its secrets: JSON inside a string, `name=value` anywhere, and known values.
    pub(super) fn text(&self, text: &str, secrets: &Secrets) -> String {
        self.nested_text(text, secrets, 0)
    }

    fn nested_text(&self, text: &str, secrets: &Secrets, nested: usize) -> String {
        if text.trim_start().starts_with(['{', '[', '"']) && text != REDACTED {
            if nested == MAX_NESTED {
                return REDACTED.to_owned();
            }
            if let Some(inner) = Json::parse(text) {
                let mut out = String::new();
                self.nested_json(&inner, secrets, false, nested + 1).write(&mut out);
                return out;
            }
        }
        secrets.remove(&without_credentials(&self.pairs(text)))
    }

    /// Blanks the value of every `name=value`, `name: value` and `<name>value<` whose name is redacted.
    fn pairs(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find(['=', ':', '>']) {
            let (before, after) = rest.split_at(at);
            let of_name = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '%' | '"' | '\'');
            out.push_str(before);
            let (mark, behind) = after.split_at(1);
            let name = if mark == ">" {
                element(&out)
            } else {
                let before = before.trim_end_matches([' ', ']']);
                before.rsplit(|c| !of_name(c)).next().unwrap_or(before).trim_matches(['"', '\''])
            };
            let hidden = self.hides_parameter(&percent_decoded(name.as_bytes()));
            out.push_str(mark);
            rest = behind;
            if hidden {
                let value = rest.trim_start_matches([' ', '"', '\'']);
                let ends: &[char] =
                    if mark == ">" { &['<'] } else { &['&', ';', ',', '\n', '"', '\'', '<', '>', '#', '}'] };
                let end = value.find(ends).unwrap_or(value.len());
                out.push_str(REDACTED);
                rest = value.get(end..).unwrap_or_default();
            }
        }
        out.push_str(rest);
        out
    }
}

/// Values that may not appear in anything that is kept.
#[derive(Debug, Clone, Default)]
pub(super) struct Secrets(Vec<String>);

impl Secrets {
    fn extend(&mut self, found: BTreeSet<String>) {
        self.0.extend(found.into_iter().filter(|secret| secret.len() >= MIN_SECRET));
        // The longest first, so that no part of one is left standing.
        self.0.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        self.0.dedup();
        self.0.truncate(MAX_SECRETS);
    }

    /// Whether a text repeats a secret.
    pub(super) fn touch(&self, text: &str) -> bool {
        self.0.iter().any(|secret| text.contains(secret.as_str()))
    }

    fn remove(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, secret| {
            if text.contains(secret.as_str()) { text.replace(secret.as_str(), REDACTED) } else { text }
        })
    }
}

/// A text without what is a secret wherever it stands: a JSON web token, what follows `Bearer` or `Basic`, and the user in an address.
fn without_credentials(text: &str) -> Cow<'_, str> {
    static KNOWN: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(
            r"(?x) \b eyJ [A-Za-z0-9_-]{8,} \. [A-Za-z0-9_-]+ (?: \. [A-Za-z0-9_-]* )*
            | \b (?i: bearer | basic ) \x20+ (?<run> [A-Za-z0-9._~+/-]{8,} =* )
            | :// (?<user> [^\s/?\#@<>]+ ) @",
        )
        .expect("it is a regular expression")
    });
    KNOWN.replace_all(text, |found: &Captures<'_>| {
        let whole = &found[0];
        if let Some(run) = found.name("run") {
            // A word may follow in a sentence, too.
            let is_word = !run.as_str().bytes().any(|byte| byte.is_ascii_digit() || byte == b'=');
            return if is_word { whole.to_owned() } else { whole.replace(run.as_str(), REDACTED) };
        }
        if found.name("user").is_some() { format!("://{REDACTED}@") } else { REDACTED.to_owned() }
    })
}

/// Of `user[password]` the `password`.
fn last_part(name: &str) -> Option<&str> {
    name.split(['[', ']', '.']).rfind(|part| !part.is_empty())
}

/// The element whose opening tag ends here, without its prefix; empty where none does.
fn element(text: &str) -> &str {
    const LONGEST_TAG: usize = 200;
    let begin = text.bytes().rev().take(LONGEST_TAG).position(|byte| byte == b'<');
    let tag =
        begin.and_then(|back| text.get(text.len() - back..)).filter(|tag| !tag.starts_with('/')).unwrap_or_default();
    let name = tag.split(|c: char| c.is_whitespace() || c == '/').next().unwrap_or_default();
    name.rsplit(':').next().unwrap_or_default()
}

fn fold(name: &str) -> String {
    name.chars().filter(|c| !matches!(c, '-' | '_')).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;

    fn redactor() -> Redactor {
        Redactor::new(&["password".to_owned(), "card_number".to_owned()])
    }

    #[test]
    fn names_match_anywhere_in_a_document() {
        for (text, expected) in [
            (r#"{"password":"p"}"#, r#"{"password":"[redacted]"}"#),
            (r#"{"a":[{"cardNumber":{"x":1}}]}"#, r#"{"a":[{"cardNumber":"[redacted]"}]}"#),
            (r#"{"Set-Cookie":["a"],"ok":1}"#, r#"{"Set-Cookie":"[redacted]","ok":1}"#),
            (r#"{"raw":"{\"PASSWORD\":\"p\"}"}"#, r#"{"raw":"{\"PASSWORD\":\"[redacted]\"}"}"#),
            (r#"{"next":"/x?page=2&password=p%20q&a=1"}"#, r#"{"next":"/x?page=2&password=[redacted]&a=1"}"#),
            (r#"{"raw":"\"{\\\"password\\\":\\\"p\\\"}\""}"#, r#"{"raw":"\"{\\\"password\\\":\\\"[redacted]\\\"}\""}"#),
            (r#"{"form":"user[password]=p&b=1"}"#, r#"{"form":"user[password]=[redacted]&b=1"}"#),
            (r#"{"form":"user%5Bpassword%5D=p&b=1"}"#, r#"{"form":"user%5Bpassword%5D=[redacted]&b=1"}"#),
            (
                r#"{"soap":"<a:Password>p q</a:Password>x<b>1</b>"}"#,
                r#"{"soap":"<a:Password>[redacted]</a:Password>x<b>1</b>"}"#,
            ),
            (
                r#"{"xml":"<password x=\"1\">p</password><q/>"}"#,
                r#"{"xml":"<password x=\"1\">[redacted]</password><q/>"}"#,
            ),
            (r#"{"log":"Authorization: Bearer abc\nok"}"#, r#"{"log":"Authorization:[redacted]\nok"}"#),
            (r#"{"log":"window.csrf = 'abc'; x"}"#, r#"{"log":"window.csrf =[redacted]'; x"}"#),
            (
                r#"{"session":{"id":"a1","n":[7,true]},"pin":12,"pins":3}"#,
                r#"{"session":{"id":"[redacted]","n":["[redacted]",true]},"pin":"[redacted]","pins":3}"#,
            ),
            (r#"{"t":"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln"}"#, r#"{"t":"[redacted]"}"#),
            (r#"{"t":"sent Bearer a1b2c3d4e5f6= on"}"#, r#"{"t":"sent Bearer [redacted] on"}"#),
            (r#"{"t":"Basic authentication is needed"}"#, r#"{"t":"Basic authentication is needed"}"#),
            (r#"{"t":"see https://ann:pw@shop.example/a@b"}"#, r#"{"t":"see https://[redacted]@shop.example/a@b"}"#),
        ] {
            let mut out = String::new();
            redactor().json(&Json::parse(text).expect("json"), &Secrets::default()).write(&mut out);
            assert_eq!(out, expected);
        }
    }

    #[test]
    fn a_secret_is_removed_wherever_it_comes_back() {
        let headers = HeaderMap::from_iter([
            (http::header::AUTHORIZATION, "Bearer abcdef123".parse().expect("a header")),
            (http::header::COOKIE, "a=1; sid=cookie-secret".parse().expect("a header")),
            (HeaderName::from_static("x-csrf-token"), "csrf-secret".parse().expect("a header")),
        ]);
        let request = ComparedRequest {
            method: &Method::GET,
            target: "/a?password=in%20query",
            headers: &headers,
            body: b"card-number=4111111111&user%5Bpassword%5D=in-brackets",
        };
        let secrets = redactor().secrets(&request, []);
        let text = "abcdef123 cookie-secret csrf-secret in query 4111111111 in-brackets kept";
        let kept = redactor().text(text, &secrets);
        assert_eq!(kept, format!("{} kept", [REDACTED; 6].join(" ")));
        let target = redactor().target("/a?user%5Bpassword%5D=p&user[password]=p&b=1", &Secrets::default());
        assert_eq!(target, "/a?user%5Bpassword%5D=[redacted]&user[password]=[redacted]&b=1");
        let target = redactor().target("/a?key=1&Code=2&sid=3&keys=4", &Secrets::default());
        assert_eq!(target, "/a?key=[redacted]&Code=[redacted]&sid=[redacted]&keys=4");
    }

    #[test]
    fn what_a_side_asks_for_is_no_secret() {
        for (name, hidden) in
            [("www-authenticate", false), ("access-control-allow-credentials", false), ("x-auth", true)]
        {
            assert_eq!(redactor().hides_header(&HeaderName::from_static(name)), hidden, "{name}");
        }
        let told = Redactor::new(&["www-authenticate".to_owned()]);
        assert!(told.hides_header(&http::header::WWW_AUTHENTICATE), "who names it has it hidden");
    }

    #[test]
    fn documents_nested_too_deep_are_dropped_whole() {
        let mut text = r#"{"password":"deep-secret"}"#.to_owned();
        for _ in 0..6 {
            let mut outer = String::from("{\"v\":");
            super::super::json::write_string(&mut outer, &text);
            outer.push('}');
            text = outer;
        }
        assert!(!redactor().text(&text, &Secrets::default()).contains("deep-secret"));
    }
}
