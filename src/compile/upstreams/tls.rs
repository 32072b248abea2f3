//! TLS towards an upstream. The name to verify is never empty: pingora skips verification for an empty one.

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::ServerName;

use super::super::address::host_port;
use super::super::draft::Draft;
use super::parts::Parts;
use crate::config::{self, Field};
use crate::diagnostic::Code;
use crate::endpoint::{KeyPin, TlsIdentity, Verify};

/// `secure` is the host of an https URL.
pub(super) fn compile(parts: &Parts<'_>, secure: Option<&str>, draft: &mut Draft<'_>) -> Option<TlsIdentity> {
    let asked = parts.host.get().and_then(|host| host_port(host, Some(0)).ok()).map(|read| read.host);
    // An upstream that is asked under another host shows that host's certificate.
    let secure = secure.map(|host| asked.unwrap_or(host));
    let Some(given) = parts.tls.given() else {
        return secure.map(|host| TlsIdentity {
            server_name: host.into(),
            ca: None,
            client: None,
            verify: Verify::Full,
            pins: Vec::new(),
        });
    };
    let tls = &given.value;
    if let Some(url) = parts.url.given()
        && secure.is_none()
        && !url.value.starts_with("https:")
    {
        draft.say(
            Code::TlsWithoutHttps,
            given.span.clone(),
            format!("`tls` has no effect: `{}` is not an https URL", url.value),
            "without https",
            format!("write `url = \"https://{}\"`, or remove `tls`", url.value.trim_start_matches("http://")),
        );
        return None;
    }
    // With endpoints or a registry, the table itself says that TLS is spoken.
    let name = match &tls.server_name {
        Field::Given(name) if name.value.is_empty() => {
            draft.say(
                Code::InvalidValue,
                name.span.clone(),
                "`server_name` is empty, so no certificate could be verified",
                "empty",
                "write the name that the certificate has",
            );
            return None;
        }
        Field::Given(name) if ServerName::try_from(name.value.as_str()).is_err() => {
            draft.say(
                Code::InvalidValue,
                name.span.clone(),
                format!("`{}` is not a name that a certificate can have", name.value),
                "not a name",
                "write the name alone, such as `users.internal`: without scheme, port and path",
            );
            return None;
        }
        Field::Given(name) => name.value.as_str(),
        Field::Wrong => return None,
        Field::Absent => {
            let Some(host) = secure.or(asked) else {
                if parts.url.is_absent() {
                    draft.say(
                        Code::MissingKey,
                        given.span.clone(),
                        "`tls` needs `server_name`: there is no URL to take it from",
                        "`server_name` is missing",
                        "add `server_name = \"users.internal\"`, the name that the certificates have",
                    );
                }
                return None;
            };
            host
        }
    };
    let help = "give both: `cert = \"client.pem\", key = \"client.key\"`";
    let client = certificate_and_key(&tls.cert, &tls.key, help, draft);
    let verify = match tls.verify.or(config::Verify::Full) {
        config::Verify::Full => Verify::Full,
        config::Verify::Chain => Verify::Chain,
        config::Verify::Off => Verify::Off,
    };
    warn_unverified(tls, verify, draft);
    Some(TlsIdentity { server_name: name.into(), ca: tls.ca.get().cloned(), client, verify, pins: pins(tls, draft) })
}

/// A certificate that proves nothing, unless its key is pinned.
fn warn_unverified(tls: &config::UpstreamTls, verify: Verify, draft: &mut Draft<'_>) {
    let Some(given) = tls.verify.given() else { return };
    let has_pins = tls.pin.get().is_some_and(|pins| !pins.is_empty());
    let what = match verify {
        Verify::Off if !has_pins => "any server is believed: its certificate is not checked",
        // A public authority gives any applicant a certificate for a name of the applicant's own.
        Verify::Chain if !has_pins && tls.ca.is_absent() => {
            "any server with a certificate of a public authority is believed: the name is not checked"
        }
        _ => return,
    };
    let help = if tls.ca.is_absent() {
        "name the authority or the certificate itself: `ca = \"upstream.pem\"`, or its key: `pin = [\"sha256/…\"]`"
    } else {
        "remove `verify`: then the certificate is checked by `ca`; or write `verify = \"chain\"`, which takes any name"
    };
    draft.say(Code::UnverifiedUpstream, given.span.clone(), what, "not checked", help);
}

fn pins(tls: &config::UpstreamTls, draft: &mut Draft<'_>) -> Vec<KeyPin> {
    if let Some(given) = tls.pin.given().filter(|given| given.value.is_empty()) {
        let help = "name the keys of the server, or remove `pin`: without it any key is believed that `verify` allows";
        draft.say(Code::InvalidValue, given.span.clone(), "`pin` names no key", "no key", help);
    }
    let items = tls.pin.get().map(Vec::as_slice).unwrap_or_default();
    let mut pins = Vec::with_capacity(items.len());
    for item in items {
        let key = item.value.strip_prefix("sha256/").and_then(|text| STANDARD.decode(text).ok());
        match key.and_then(|key| <[u8; 32]>::try_from(key).ok()) {
            Some(key) => pins.push(KeyPin(key)),
            None => draft.say(
                Code::InvalidValue,
                item.span.clone(),
                format!("`{}` is not the pin of a key", item.value),
                "not a pin",
                "a pin is `sha256/` and the base64 of 32 bytes; `openssl x509 -in cert.pem -noout -pubkey | openssl pkey -pubin \
                 -outform DER | openssl dgst -sha256 -binary | base64` prints them",
            ),
        }
    }
    pins
}

/// A client's certificate, which needs its key, and the other way round.
pub(in crate::compile) fn certificate_and_key(
    cert: &Field<PathBuf>,
    key: &Field<PathBuf>,
    help: &str,
    draft: &mut Draft<'_>,
) -> Option<(PathBuf, PathBuf)> {
    match (cert, key) {
        (Field::Given(cert), Field::Given(key)) => Some((cert.value.clone(), key.value.clone())),
        (Field::Given(one), Field::Absent) | (Field::Absent, Field::Given(one)) => {
            let message = "a client certificate needs both `cert` and `key`";
            draft.say(Code::MissingKey, one.key.clone(), message, "one without the other", help);
            None
        }
        _ => None,
    }
}
