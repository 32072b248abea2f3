//! Values that never reach a log: those of query keys that name a secret.

use percent_encoding::percent_decode;

use super::text::LONGEST;

/// Compared without regard to case, to `-` against `_`, and after decoding.
const SECRET_KEYS: [&str; 22] = [
    "token",
    "access_token",
    "refresh_token",
    "id_token",
    "auth",
    "authorization",
    "password",
    "passwd",
    "pwd",
    "secret",
    "client_secret",
    "api_key",
    "apikey",
    "key",
    "code",
    "session",
    "sessionid",
    "sid",
    "sig",
    "signature",
    "jwt",
    "otp",
];
const REDACTED: &[u8] = b"REDACTED";

/// The longest key that is looked at, with every byte of it encoded.
const LONGEST_KEY: usize = 3 * 64;

/// Copies a query string with the values of secret keys replaced; `hidden` names more of them. Reads at most `LONGEST` + 1 bytes of it.
pub(super) fn query(query: &[u8], hidden: &[Box<str>], into: &mut Vec<u8>) {
    let seen = query.get(..LONGEST + 1).unwrap_or(query);
    for (number, pair) in seen.split(|byte| matches!(byte, b'&' | b';')).enumerate() {
        if number > 0 {
            into.push(b'&');
        }
        match pair.iter().position(|byte| *byte == b'=') {
            Some(equals) if is_secret(&pair[..equals], hidden) => {
                into.extend_from_slice(&pair[..=equals]);
                into.extend_from_slice(REDACTED);
            }
            _ => into.extend_from_slice(pair),
        }
    }
}

/// Copies an address with a query, as the Referer header holds it; user and password are removed, too.
pub(super) fn address(address: &[u8], hidden: &[Box<str>], into: &mut Vec<u8>) {
    let (before, after) = match address.iter().position(|byte| matches!(byte, b'?' | b'#')) {
        Some(at) => (&address[..at], Some(&address[at..])),
        None => (address, None),
    };
    let authority = before.windows(3).position(|window| window == b"://").map_or(0, |at| at + 3);
    let rest = &before[authority..];
    let slash = rest.iter().position(|byte| *byte == b'/').unwrap_or(rest.len());
    let user = rest[..slash].iter().rposition(|byte| *byte == b'@').map_or(0, |at| at + 1);
    into.extend_from_slice(&before[..authority]);
    into.extend_from_slice(&rest[user..]);
    if let Some((mark, rest)) = after.and_then(<[u8]>::split_first) {
        into.push(*mark);
        query(rest, hidden, into);
    }
}

fn is_secret(key: &[u8], hidden: &[Box<str>]) -> bool {
    if key.len() > LONGEST_KEY {
        return false;
    }
    let mut plain = [0_u8; LONGEST_KEY];
    let mut length = 0;
    for decoded in percent_decode(key) {
        plain[length] = if decoded == b'-' { b'_' } else { decoded.to_ascii_lowercase() };
        length += 1;
    }
    // `user[password]`, as forms of some frameworks write it.
    let plain = &plain[..length];
    let last = plain.split(|byte| matches!(byte, b'[' | b']' | b'.')).rfind(|part| !part.is_empty()).unwrap_or(plain);
    SECRET_KEYS.iter().any(|secret| secret.as_bytes() == last)
        || hidden.iter().any(|name| last.iter().filter(|byte| **byte != b'_').eq(name.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_in_a_query_are_not_written() {
        for (given, wanted) in [
            ("page=2&sort=up", "page=2&sort=up"),
            ("token=abc", "token=REDACTED"),
            ("a=1&Access-Token=abc&b=2", "a=1&Access-Token=REDACTED&b=2"),
            ("%74oken=abc", "%74oken=REDACTED"),
            ("user%5Bpassword%5D=abc", "user%5Bpassword%5D=REDACTED"),
            ("user[password]=abc", "user[password]=REDACTED"),
            ("token=a=b=c", "token=REDACTED"),
            ("a=1;api_key=x", "a=1&api_key=REDACTED"),
            ("token", "token"),
            ("tokens=3&monkey=4&keyword=5", "tokens=3&monkey=4&keyword=5"),
            ("%", "%"),
            ("%zz=1&%4=2", "%zz=1&%4=2"),
            ("", ""),
        ] {
            let mut got = Vec::new();
            query(given.as_bytes(), &[], &mut got);
            assert_eq!(String::from_utf8(got).unwrap(), wanted);
        }
    }

    #[test]
    fn what_a_route_hides_is_not_written_either() {
        let hidden = ["iban".into(), "cardnumber".into()];
        for (given, wanted) in [
            ("iban=DE02&page=2", "iban=REDACTED&page=2"),
            ("pay[Card-Number]=4111&a=1", "pay[Card-Number]=REDACTED&a=1"),
            ("ibans=2", "ibans=2"),
        ] {
            let mut got = Vec::new();
            query(given.as_bytes(), &hidden, &mut got);
            assert_eq!(String::from_utf8(got).unwrap(), wanted);
        }
    }

    #[test]
    fn secrets_in_a_referer_are_not_written() {
        for (given, wanted) in [
            ("https://example.com/a?code=x&b=1", "https://example.com/a?code=REDACTED&b=1"),
            ("https://user:pass@example.com/a@b", "https://example.com/a@b"),
            ("https://example.com/cb#access_token=x", "https://example.com/cb#access_token=REDACTED"),
            ("nonsense", "nonsense"),
        ] {
            let mut got = Vec::new();
            address(given.as_bytes(), &[], &mut got);
            assert_eq!(String::from_utf8(got).unwrap(), wanted);
        }
    }
}
