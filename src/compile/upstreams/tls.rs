//! TLS towards an upstream. The name to verify is never empty: pingora skips verification for an empty one.

use super::super::draft::Draft;
use super::parts::Parts;
use crate::config::Field;
use crate::diagnostic::Code;
use crate::endpoint::TlsIdentity;

/// `secure` is the host of an https URL.
pub(super) fn compile(parts: &Parts<'_>, secure: Option<&str>, draft: &mut Draft<'_>) -> Option<TlsIdentity> {
    let Some(given) = parts.tls.given() else {
        return secure.map(|host| TlsIdentity { server_name: host.into(), ca: None, client: None });
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
        Field::Given(name) => name.value.as_str(),
        Field::Wrong => return None,
        Field::Absent => {
            let Some(host) = secure else {
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
    let client = match (&tls.cert, &tls.key) {
        (Field::Given(cert), Field::Given(key)) => Some((cert.value.clone(), key.value.clone())),
        (Field::Given(one), Field::Absent) | (Field::Absent, Field::Given(one)) => {
            draft.say(
                Code::MissingKey,
                one.key.clone(),
                "a client certificate needs both `cert` and `key`",
                "one without the other",
                "give both: `cert = \"client.pem\", key = \"client.key\"`",
            );
            None
        }
        _ => None,
    };
    Some(TlsIdentity { server_name: name.into(), ca: tls.ca.get().cloned(), client })
}
