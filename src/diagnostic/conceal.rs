//! Secrets in the excerpts of a file: hidden byte for byte, so that every place stays where it was.
//!
//! The file may be broken anywhere, so it is read by characters, not as TOML: what stands behind `password =` is hidden, whether it is
//! a string, lacks its quotes or its end.

use std::borrow::Cow;

use super::login::logins;

const HIDDEN: u8 = b'*';
/// Parts of a key that say that its value is a secret.
const WITHIN: [&str; 8] =
    ["token", "secret", "password", "passwd", "passphrase", "authorization", "apikey", "credential"];
/// Keys that say so as a whole.
const WHOLE: [&str; 6] = ["pass", "pwd", "cookie", "set-cookie", "key", "session"];
/// A key that is one letter away from one of these is a slip.
const SLIPS: [&str; 5] = ["token", "secret", "password", "secrets", "tokens"];
/// A `key` may also be a file.
const FILES: [&str; 5] = [".pem", ".key", ".crt", ".json", ".p8"];

/// The text with its secrets hidden; as long as it was.
pub(super) fn concealed(text: &str) -> Cow<'_, str> {
    let mut hidden: Option<Vec<u8>> = None;
    let mut hide = |from: usize, to: usize| {
        for byte in &mut hidden.get_or_insert_with(|| text.as_bytes().to_vec())[from..to] {
            // A value may go over several lines.
            if !matches!(byte, b'\n' | b'\r') {
                *byte = HIDDEN;
            }
        }
    };
    // In `[notify.NAME]` the URL is a secret in itself.
    let mut in_notify = false;
    let mut at = 0;
    while at < text.len() {
        let end = text[at..].find('\n').map_or(text.len(), |length| at + length);
        let line = &text[at..end];
        if line.trim_start().starts_with('[') {
            in_notify = line.trim_start().trim_start_matches(['[', ' ']).starts_with("notify");
        }
        let mut next = end + 1;
        let comment = comment_of(line);
        for equals in line.match_indices('=').map(|(equals, _)| equals).filter(|equals| *equals < comment) {
            let key = key_before(&line[..equals]);
            let in_notify = in_notify || line.trim_start().starts_with("notify");
            let Some(value) = value_behind(text, at + equals + 1) else { continue };
            if names_a_secret(&key, &text[value.clone()]) || in_notify && key == "url" {
                hide(value.start, value.end);
                next = next.max(value.end);
            }
        }
        for login in logins(line, ['"', '\'']) {
            hide(at + login.start, at + login.end);
        }
        at = next;
    }
    match hidden {
        None => Cow::Borrowed(text),
        // Whole characters were replaced by ASCII; if not, better nothing than a secret.
        Some(bytes) => Cow::Owned(String::from_utf8(bytes).unwrap_or_else(|_| "*".repeat(text.len()))),
    }
}

/// Where the comment of a line begins, or its end.
fn comment_of(line: &str) -> usize {
    let mut quote = None;
    for (at, byte) in line.bytes().enumerate() {
        match (quote, byte) {
            (None, b'#') => return at,
            (None, b'"' | b'\'') => quote = Some(byte),
            (Some(open), byte) if byte == open => quote = None,
            _ => {}
        }
    }
    line.len()
}

/// The last part of the key that ends here, in lower case.
fn key_before(line: &str) -> String {
    let line = line.trim_end().trim_end_matches(['"', '\'']);
    let start = line
        .rfind(|c: char| !(c.is_alphanumeric() || matches!(c, '-' | '_')))
        .map_or(0, |at| at + line[at..].chars().next().map_or(1, char::len_utf8));
    line[start..].to_ascii_lowercase()
}

/// The strings or the bare word behind an `=`, without quotes and brackets; `None` for what says no secret itself: a table such as
/// `{ env = "NAME" }`, a switch, a number.
fn value_behind(text: &str, from: usize) -> Option<std::ops::Range<usize>> {
    let start = from + text[from..].len() - text[from..].trim_start_matches([' ', '\t']).len();
    let rest = &text[start..];
    let line = rest.split('\n').next().unwrap_or_default();
    let first = rest.bytes().next()?;
    for quotes in ["\"\"\"", "'''"] {
        if let Some(inside) = rest.strip_prefix(quotes) {
            return Some(start + 3..start + 3 + inside.find(quotes).unwrap_or(inside.len()));
        }
    }
    match first {
        b'{' | b'\n' | b'\r' | b'#' => None,
        b'"' | b'\'' => {
            let inside = &line[1..];
            let mut escaped = false;
            let end = inside.bytes().position(|byte| {
                let ends = byte == first && !escaped;
                escaped = first == b'"' && byte == b'\\' && !escaped;
                ends
            });
            Some(start + 1..start + 1 + end.unwrap_or(inside.trim_end().len()))
        }
        // A list: all of it up to its end.
        b'[' => Some(start + 1..start + rest.find(']').unwrap_or(line.len())),
        _ => {
            let word = line.find([',', '}', '#', ' ']).map_or(line, |end| &line[..end]).trim_end();
            let says_nothing = matches!(word, "true" | "false" | "") || word.bytes().all(|byte| byte.is_ascii_digit());
            (!says_nothing).then_some(start..start + word.len())
        }
    }
}

fn names_a_secret(key: &str, value: &str) -> bool {
    // A variable is no secret in the text, nor is a header's template such as `Bearer {token}`.
    let is_header = key.contains('-') || matches!(key, "authorization" | "cookie");
    let is_variable = value.starts_with("${") && !value.contains(":-");
    if is_variable || is_header && value.contains('{') && !value.contains("${") {
        return false;
    }
    if key == "key" && (value.starts_with(['/', '.']) || FILES.iter().any(|end| value.ends_with(end))) {
        return false;
    }
    // The key of `lambda` says where credentials come from.
    if key == "credentials" {
        return false;
    }
    let plain = key.replace(['-', '_'], "");
    WITHIN.iter().any(|word| plain.contains(word))
        || WHOLE.contains(&key)
        || key.ends_with("-key")
        || SLIPS.iter().any(|word| strsim::osa_distance(&plain, word) == 1)
}

#[cfg(test)]
mod tests {
    use super::concealed;

    #[test]
    fn secrets_are_hidden_however_the_line_is_broken_and_every_place_stays() {
        for (text, shown) in [
            ("token = \"s3cr3t\"\n", "token = \"******\"\n"),
            ("token = 's3cr3t' # why\n", "token = '******' # why\n"),
            ("tokn = \"s3cr3t\"\n", "tokn = \"******\"\n"),
            ("token = s3cr3t\n", "token = ******\n"),
            ("token = \"s3cr3t\nlisten = []\n", "token = \"******\nlisten = []\n"),
            ("token = \"a\\\"b\"\n", "token = \"****\"\n"),
            ("password = \"p{ss\"\n", "password = \"****\"\n"),
            ("password = \"\"\"\nab\ncd\"\"\"\nx = 1\n", "password = \"\"\"\n**\n**\"\"\"\nx = 1\n"),
            (
                "set = { authorization = \"Basic eA\", x-a = \"b\" }\n",
                "set = { authorization = \"********\", x-a = \"b\" }\n",
            ),
            ("add = { \"x-api-key\" = [\"a\", \"b\"] }\n", "add = { \"x-api-key\" = [********] }\n"),
            (
                "auth.jwt = { key = \"s3cr3t\", audience = \"a\" }\n",
                "auth.jwt = { key = \"******\", audience = \"a\" }\n",
            ),
            ("url = \"http://admin:hünter@a:1/x@y\"\n", "url = \"http://*************@a:1/x@y\"\n"),
            ("nameko = { broker = \"amqp://a:p/w #x@b/\" }\n", "nameko = { broker = \"amqp://********@b/\" }\n"),
            ("url = \"http//admin:pw@a\"\n", "url = \"http//********@a\"\n"),
            ("endpoints = [\"admin:pw@a:1\", 'b:1']\n", "endpoints = [\"********@a:1\", 'b:1']\n"),
            (
                "[notify.ops]\nurl = \"http://a/T0\"\n[b]\nurl = \"http://a\"\n",
                "[notify.ops]\nurl = \"***********\"\n[b]\nurl = \"http://a\"\n",
            ),
        ] {
            assert_eq!(concealed(text), shown, "{text}");
            assert_eq!(concealed(text).len(), text.len());
        }
        for text in [
            "token = { env = \"OPS_TOKEN\" }\n",
            "token = { file = \"/run/token\" }\n",
            "certificates = [{ cert = \"edge.pem\", key = \"edge.key\" }]\n",
            "tls = { key = \"/etc/own\" }\n",
            "issue_cookie = true\n",
            "secure = \"auto\"\n",
            "authorization = \"${TOKEN}\"\n",
            "set = { authorization = \"Bearer {token\" }\n",
            "per = \"cookie:token=\"\n",
            "# token = \"as an example\"\n",
            "url = \"http://127.0.0.1:3000\"\npath = \"/a/{token}\"\n",
        ] {
            assert_eq!(concealed(text), text);
        }
    }
}
