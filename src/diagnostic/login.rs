//! User and password of a URL, in a text that may be no URL: a password that is mistyped is still a password.

use std::borrow::Cow;
use std::ops::Range;

/// Stands in messages where a login stood.
const HIDDEN: &str = "***";
/// The placeholder in remedies is no login.
const EXAMPLE: &str = "user:password";

/// The text without users and passwords: `http//admin:pw@host` becomes `http//***@host`.
#[must_use]
pub fn without_logins(text: &str) -> Cow<'_, str> {
    let mut found = logins(text, ['`', '"']);
    found.retain(|login| text[login.clone()] != *EXAMPLE);
    if found.is_empty() {
        return Cow::Borrowed(text);
    }
    let (mut shown, mut from) = (String::with_capacity(text.len()), 0);
    for login in found {
        shown.push_str(&text[from..login.start]);
        shown.push_str(HIDDEN);
        from = login.end;
    }
    shown.push_str(&text[from..]);
    Cow::Owned(shown)
}

/// Where logins stand in a line, in rising order. Between two of these quotes a space is part of a password; elsewhere it ends a word.
pub(super) fn logins(line: &str, quotes: [char; 2]) -> Vec<Range<usize>> {
    if !line.contains('@') {
        return Vec::new();
    }
    let (mut found, mut quote, mut start) = (Vec::new(), None, 0);
    for (at, letter) in line.char_indices().chain([(line.len(), '\n')]) {
        let ends = match quote {
            Some(open) => letter == open || letter == '\n',
            None => letter.is_whitespace() || letter == ',' || quotes.contains(&letter),
        };
        // A quote within a quote: `url = "…"` in a remedy.
        let ends = ends || quotes.contains(&letter);
        if ends {
            found.extend(login(&line[start..at]).map(|login| login.start + start..login.end + start));
            start = at + letter.len_utf8();
            if quotes.contains(&letter) {
                quote = if quote == Some(letter) { None } else { Some(letter) };
            }
        }
    }
    found
}

/// The part before the `@` of a URL's host.
fn login(word: &str) -> Option<Range<usize>> {
    let scheme = word.find("://").filter(|scheme| !word[..*scheme].contains('@'));
    let start = scheme.map_or_else(|| broken_scheme(word), |scheme| scheme + 3);
    let rest = &word[start..];
    let host = rest.find(['/', '?', '#']).map_or(rest, |end| &rest[..end]);
    // In the URL of a broker nothing but the login can have an `@`, and its password may lack its escapes.
    let is_broker = ["amqp", "amqps"].iter().any(|broker| word[..scheme.unwrap_or(0)].ends_with(broker));
    let end = match host.rfind('@').filter(|_| !is_broker) {
        Some(at) => at,
        // A slash may be part of a password, but not what stands behind a port.
        None if has_port(host) && !is_broker => return None,
        None => rest.rfind('@')?,
    };
    let login = &rest[..end];
    // Without a scheme, `ops@shop.example` is an address of mail.
    let is_one = !login.is_empty() && (scheme.is_some() || login.contains(':') && !login.starts_with('/'));
    // A variable is no secret in the text; its default is.
    let is_variable = |part: &str| part.is_empty() || part.starts_with("${") && part.ends_with('}');
    (is_one && !login.split(':').all(is_variable)).then_some(start..start + end)
}

/// The length of a scheme that lost a part of its `://`.
fn broken_scheme(word: &str) -> usize {
    let name = word.len() - word.trim_start_matches(|letter: char| letter.is_ascii_alphabetic()).len();
    let marks = word.len() - name - word[name..].trim_start_matches([':', '/']).len();
    if name > 0 && word[name..name + marks].contains('/') { name + marks } else { 0 }
}

/// `host`, `host:80`, `[::1]`: what could be a host, and no user with the first half of a password.
fn has_port(host: &str) -> bool {
    host.starts_with('[') || host.split_once(':').is_none_or(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::without_logins;

    #[test]
    fn a_login_is_hidden_however_its_url_is_mistyped() {
        for (text, shown) in [
            ("`http://admin:pw@a:1/x@y` is a URL", "`http://***@a:1/x@y` is a URL"),
            ("`http//admin:pw@a` is not a URL", "`http//***@a` is not a URL"),
            ("`http:/admin:pw@a` is not a URL", "`http:/***@a` is not a URL"),
            ("`http:admin:pw@a` is not a URL", "`***@a` is not a URL"),
            ("`admin:p w@a`", "`***@a`"),
            ("`admin:pw@://a`", "`***@://a`"),
            ("`http://admin:p/w@a`", "`http://***@a`"),
            ("write `url = \"http://admin:pw@a\"`", "write `url = \"http://***@a\"`"),
            ("http://admin@a, http://b:pw@c", "http://***@a, http://***@c"),
            ("`http://${USER}:${PASS:-pw}@a`", "`http://***@a`"),
            ("`amqp://admin:1/2 #3@a/`", "`amqp://***@a/`"),
            ("`http://${USER}:pw@a`", "`http://***@a`"),
        ] {
            assert_eq!(without_logins(text), shown, "{text}");
        }
        for text in [
            "`ops@shop.example` is not a route",
            "write it like `email = \"ops@shop.example\"`: mail goes there",
            "`http://a:80/x@y`",
            "write `amqp://user:password@host:5672/`",
            "`http://[::1]:80/x@y`",
            "`/@scope/name:1@2`",
            "`http://${USER}:${PASS}@a`",
            "a place: the `@` in `users`",
        ] {
            assert_eq!(without_logins(text), text);
        }
    }
}
