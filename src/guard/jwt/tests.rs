//! Tokens that are taken and tokens that are not.

use super::*;

/// Keys and tokens made with another implementation (Python's `cryptography`), for the second 1500 of the epoch.
const FIXTURES: &str = include_str!("fixtures.json");
const NOW: u64 = 1500;

fn fixtures() -> Value {
    serde_json::from_str(FIXTURES).unwrap()
}

fn keys() -> Keys {
    Keys::from_jwks(fixtures()["jwks"].to_string().as_bytes()).unwrap()
}

fn rules() -> ClaimRules {
    ClaimRules {
        issuer: Some("https://issuer".into()),
        audience: vec!["other".into(), "shop".into()],
        forward: vec![
            ("sub".into(), HeaderName::from_static("x-user-id")),
            ("level".into(), HeaderName::from_static("x-level")),
            ("absent".into(), HeaderName::from_static("x-absent")),
        ],
    }
}

fn token(name: &str) -> String {
    let fixtures = fixtures();
    let found = fixtures["tokens"].as_array().unwrap().iter().find(|entry| entry["name"] == name);
    found.unwrap()["token"].as_str().unwrap().to_owned()
}

#[test]
fn each_token_is_judged_as_the_table_says() {
    let (fixtures, keys, rules) = (fixtures(), keys(), rules());
    let table = fixtures["tokens"].as_array().unwrap();
    assert!(table.len() > 40);
    for entry in table {
        let verdict = verify(entry["token"].as_str().unwrap(), &keys, &rules, NOW);
        let said = verdict.map_or_else(Rejected::as_str, |_| "ok");
        assert_eq!(said, entry["expected"].as_str().unwrap(), "{}", entry["name"]);
    }
}

#[test]
fn any_change_of_a_byte_is_noticed() {
    let (keys, rules) = (keys(), rules());
    for name in ["RS256 by its key", "ES256 by its key", "EdDSA by its key", "HS256 by its key"] {
        let good = token(name);
        for place in (0..good.len() - 1).step_by(7) {
            let mut bytes = good.clone().into_bytes();
            bytes[place] = if bytes[place] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(bytes).unwrap();
            assert!(verify(&changed, &keys, &rules, NOW).is_err(), "{name} at {place}");
        }
    }
}

#[test]
fn a_public_key_in_pem_verifies_what_it_signed_and_nothing_else() {
    let fixtures = fixtures();
    for (pem, own) in [("rsa", "RS256 by its key"), ("ec", "ES256 by its key"), ("ed", "EdDSA by its key")] {
        let keys = Keys::from_pem(fixtures["pem"][pem].as_str().unwrap().as_bytes()).unwrap();
        for name in ["RS256 by its key", "ES256 by its key", "EdDSA by its key", "HS256 by its key"] {
            assert_eq!(verify(&token(name), &keys, &rules(), NOW).is_ok(), name == own, "{pem} and {name}");
        }
    }
}

#[test]
fn a_public_key_is_never_a_secret() {
    let fixtures = fixtures();
    let keys = Keys::from_pem(fixtures["pem"]["rsa"].as_str().unwrap().as_bytes()).unwrap();
    let forged = token("RSA key as HMAC secret, PEM");
    assert_eq!(verify(&forged, &keys, &rules(), NOW), Err(Rejected::Algorithm));
}

#[test]
fn keys_that_are_none_are_said_to_be() {
    assert_eq!(Keys::from_jwks(b"").unwrap_err(), KeysError::Unreadable);
    assert_eq!(Keys::from_jwks(b"{\"keys\":{}}").unwrap_err(), KeysError::Unreadable);
    assert_eq!(Keys::from_jwks(b"{\"keys\":[]}").unwrap_err(), KeysError::NoneUsable);
    assert_eq!(
        Keys::from_jwks(b"{\"keys\":[{\"kty\":\"RSA\",\"n\":\"AQAB\",\"e\":\"AQAB\"}]}").unwrap_err(),
        KeysError::NoneUsable
    );
    assert_eq!(
        Keys::from_jwks(b"{\"keys\":[{\"kty\":\"oct\",\"k\":\"c2hvcnQ\"}]}").unwrap_err(),
        KeysError::NoneUsable
    );
    assert_eq!(Keys::from_pem(b"no key").unwrap_err(), KeysError::Unreadable);
    assert_eq!(Keys::from_secret(b"short").unwrap_err(), KeysError::ShortSecret);
    assert!(!format!("{:?}", Keys::from_secret(&[b'x'; 32]).unwrap()).contains("xx"));
}

fn request(lines: &[(&'static str, &str)]) -> RequestHead {
    let mut request = RequestHead::new(http::Method::GET, http::Version::HTTP_11, b"/");
    for (name, value) in lines {
        request.fields.push_raw(name.as_bytes(), value.as_bytes());
    }
    request
}

#[test]
fn claims_are_passed_on_and_cannot_be_forged() {
    let bearer = format!("Bearer {}", token("ES256 by its key"));
    let mut good = request(&[
        ("Authorization", &bearer),
        ("X-User-Id", "root"),
        ("x_user_id", "root"),
        ("X-Absent", "forged"),
        ("X-Other", "stays"),
    ]);
    assert!(check(&mut good, &keys(), &rules(), NOW).is_ok());
    let all =
        |name: &'static str| good.fields.all(name).map(|value| std::str::from_utf8(value).unwrap()).collect::<Vec<_>>();
    assert_eq!(all("x-user-id"), ["user-7"]);
    assert_eq!(all("x-level"), ["3"]);
    assert!(all("x_user_id").is_empty() && all("x-absent").is_empty());
    assert_eq!(all("x-other"), ["stays"]);
}

#[test]
fn no_connection_may_take_a_claim_away() {
    let bearer = format!("Bearer {}", token("ES256 by its key"));
    let mut request = request(&[("Authorization", &bearer), ("Connection", "close, X-User-ID")]);
    assert_eq!(check(&mut request, &keys(), &rules(), NOW), Err(Rejected::Malformed));
}

#[test]
fn there_is_one_bearer_token() {
    let bearer = format!("bEARER  {}", token("ES256 by its key"));
    for (lines, expected) in [
        (&[("Authorization", bearer.as_str())][..], Ok(())),
        (&[], Err(Rejected::Missing)),
        (&[("Authorization", "Basic dTpw")], Err(Rejected::Missing)),
        (&[("Authorization", "Bearer")], Err(Rejected::Missing)),
        (&[("Authorization", &bearer), ("Authorization", &bearer)], Err(Rejected::Missing)),
    ] {
        assert_eq!(check(&mut request(lines), &keys(), &rules(), NOW).map(drop), expected);
    }
}

#[test]
fn the_answer_is_a_challenge() {
    assert_eq!(Rejected::Missing.challenge(), "Bearer");
    assert_eq!(Rejected::Expired.challenge(), "Bearer error=\"invalid_token\"");
}

#[test]
fn a_text_is_a_public_key_or_a_set_or_a_secret_and_never_taken_for_another() {
    let fixtures = fixtures();
    let pem = fixtures["pem"]["rsa"].as_str().unwrap();
    let keys = Keys::from_text(pem.as_bytes()).unwrap();
    assert!(verify(&token("RS256 by its key"), &keys, &rules(), NOW).is_ok());
    let forged = token("RSA key as HMAC secret, PEM");
    assert_eq!(verify(&forged, &keys, &rules(), NOW), Err(Rejected::Algorithm));
    assert!(Keys::from_text(fixtures["jwks"].to_string().as_bytes()).is_ok());
    assert!(
        Keys::from_text(
            b"a shared secret of more than 32 bytes
"
        )
        .is_ok()
    );
    for (text, expected) in [
        (&pem.as_bytes()[..pem.len() / 2], KeysError::Unreadable),
        (
            b"-----BEGIN CERTIFICATE-----
AAAA
-----END CERTIFICATE-----
",
            KeysError::Unreadable,
        ),
        (b"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIexampleexample", KeysError::Unreadable),
        (&[0x30, 0x82, 0x01, 0xff, 0xfe, 0x80, 0x81], KeysError::Unreadable),
        (b"short", KeysError::ShortSecret),
    ] {
        assert_eq!(Keys::from_text(text).unwrap_err(), expected);
    }
}
