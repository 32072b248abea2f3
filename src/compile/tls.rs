//! `[server.tls]`.

use super::draft::Draft;
use super::listeners::Listeners;
use super::{Acme, Certificate, TlsSettings, TlsVersion};
use crate::config::{self, Field, Item};
use crate::diagnostic::{Code, Span};
use crate::endpoint::Url;

const LETS_ENCRYPT: &str = "https://acme-v02.api.letsencrypt.org/directory";

pub(super) fn compile(file: &config::File, listeners: &mut Listeners, draft: &mut Draft<'_>) -> TlsSettings {
    let Some(server) = file.server.get() else { return TlsSettings::default() };
    let Some(tls) = server.tls.get() else { return TlsSettings::default() };
    let listen = tls.listen.get().map(|items| listeners.list(items, draft)).unwrap_or_default();
    let certificates: Vec<_> = tls.certificates.get().map(Vec::as_slice).unwrap_or_default().iter().collect();
    if !listen.is_empty()
        && certificates.is_empty()
        && tls.acme.is_absent()
        && !matches!(tls.certificates, Field::Wrong)
    {
        draft.say(
            Code::TlsWithoutCertificate,
            tls.listen.span().unwrap_or_else(|| tls.span.clone()),
            "a TLS listener needs a certificate",
            "no certificate",
            "add `certificates = [{ cert = \"edge.pem\", key = \"edge.key\" }]`, or `acme = { hosts = [\"shop.example\"] }`",
        );
    }
    if tls.listen.is_absent() || tls.listen.get().is_some_and(Vec::is_empty) {
        draft.say(
            Code::UnusedCertificate,
            tls.span.clone(),
            "`[server.tls]` has no effect without a TLS listener",
            "nothing listens with TLS",
            "add `listen = [\"0.0.0.0:8443\"]` to `[server.tls]`, or remove the table",
        );
    }
    if let (Some(given), Field::Absent) = (tls.redirect.given().filter(|given| given.value), &server.listen) {
        draft.say(
            Code::UselessSetting,
            given.span.clone(),
            "`redirect` has no effect: there is no plain listener to redirect from",
            "nothing to redirect",
            "add `listen = [\"0.0.0.0:8080\"]` to `[server]`, or remove `redirect`",
        );
    }
    if let (Some(given), Field::Absent) = (tls.client_ca_required.given(), &tls.client_ca) {
        draft.say(
            Code::UselessSetting,
            given.span.clone(),
            "`client_ca_required` has no effect: no client is asked for a certificate",
            "without `client_ca`",
            "add `client_ca = \"clients.pem\"`, or remove `client_ca_required`",
        );
    }
    let client_ca_hosts = client_hosts(tls, draft);
    // A handshake does not know yet which hosts its requests are for.
    let client_ca_required = tls.client_ca_required.or(client_ca_hosts.is_empty());
    let plain = match &server.listen {
        Field::Given(given) => !given.value.is_empty(),
        // Without a word, there is a plain listener only where there is no other.
        _ => listen.is_empty(),
    };
    let tls_alpn = !listen.is_empty() && (tls.client_ca.is_absent() || !client_ca_required);
    let acme = tls.acme.get().and_then(|written| acme(written, (plain, tls_alpn), draft));
    // While a file is rolled out, a replica without `acme` may be the one that the authority asks.
    let is_sealing = file.fleet.get().is_some_and(|fleet| !fleet.secret.is_absent());
    TlsSettings {
        listen,
        certificates: certificates
            .iter()
            .filter_map(|item| {
                Some(Certificate { cert: item.value.cert.get()?.clone(), key: item.value.key.get()?.clone() })
            })
            .collect(),
        redirect: tls.redirect.or(false),
        hsts: tls.hsts.get().and_then(|limit| limit.0),
        client_ca: tls.client_ca.get().cloned(),
        client_ca_required,
        client_ca_hosts,
        strict_sni: tls.strict_sni.or(false),
        min_version: match tls.min_version.or(config::TlsVersion::Tls12) {
            config::TlsVersion::Tls12 => TlsVersion::Tls12,
            config::TlsVersion::Tls13 => TlsVersion::Tls13,
        },
        tls_alpn_proofs: acme.is_some() || is_sealing,
        acme,
    }
}

/// The hosts whose requests need a certificate of the client.
fn client_hosts(tls: &config::Tls, draft: &mut Draft<'_>) -> Vec<Box<str>> {
    let Some(given) = tls.client_ca_hosts.given() else { return Vec::new() };
    if tls.client_ca.is_absent() || tls.client_ca_required.get() == Some(&true) {
        let (why, help) = if tls.client_ca.is_absent() {
            ("no client is asked for a certificate", "add `client_ca = \"clients.pem\"`, or remove `client_ca_hosts`")
        } else {
            ("`client_ca_required = true` asks it of every host", "remove one of the two")
        };
        let code = if tls.client_ca.is_absent() { Code::MissingClientCa } else { Code::UselessSetting };
        draft.say(code, given.span.clone(), format!("`client_ca_hosts` has no effect: {why}"), "no effect", help);
    }
    if given.value.is_empty() {
        let help = "name them, `client_ca_hosts = [\"admin.shop.example\"]`, or write `client_ca_required = false`";
        let message = "`client_ca_hosts` names no host";
        draft.say(Code::InvalidValue, given.span.clone(), message, "no host", help);
    }
    let mut hosts = Vec::with_capacity(given.value.len());
    for Item { value, span, .. } in &given.value {
        // As requests are compared: in any case, without the dot of the root.
        let host = value.strip_suffix('.').unwrap_or(value).to_ascii_lowercase();
        let is_name =
            !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_'));
        if is_name {
            hosts.push(host.into());
        } else {
            let help = "write the name alone, such as `admin.shop.example`: without scheme, port, path and `*`";
            draft.say(Code::InvalidValue, span.clone(), format!("`{value}` is not a host's name"), "not a name", help);
        }
    }
    hosts
}

fn acme(acme: &config::Acme, (http, tls_alpn): (bool, bool), draft: &mut Draft<'_>) -> Option<Acme> {
    let hosts = hosts(acme, draft);
    if !http && !tls_alpn && acme.hosts.given().is_some() {
        draft.say(
            Code::AcmeNoChallenge,
            acme.span.clone(),
            "no listener can answer the authority's challenge: it shows no client certificate",
            "cannot be proved",
            "add a plain listener (`listen = [\"0.0.0.0:80\"]` in `[server]`), or `client_ca_required = false`",
        );
    }
    let email = acme.email.given().and_then(|given| {
        let fine = given.value.split_once('@').is_some_and(|(user, host)| !user.is_empty() && !host.is_empty())
            && !given.value.contains(|c: char| c.is_whitespace() || matches!(c, ',' | '?' | '<' | '>'));
        if !fine {
            draft.say(
                Code::InvalidValue,
                given.span.clone(),
                format!("`{}` is not an address that mail can be sent to", given.value),
                "not an address",
                "write `email = \"ops@shop.example\"`",
            );
        }
        fine.then(|| given.value.as_str().into())
    });
    let directory = match acme.directory.given() {
        None => LETS_ENCRYPT.into(),
        Some(given) => {
            if !given.value.parse::<Url>().is_ok_and(|url| url.is_tls()) {
                draft.say(
                    Code::InvalidUrl,
                    given.span.clone(),
                    format!("`{}` is not the URL of an ACME directory", given.value),
                    "not an https URL",
                    format!("write `directory = \"{LETS_ENCRYPT}\"`, or leave it out"),
                );
            }
            given.value.as_str().into()
        }
    };
    Some(Acme { hosts: hosts?, email, directory, ca: acme.ca.get().cloned(), http, tls_alpn })
}

/// Names that an authority can ask a proof for.
fn hosts(acme: &config::Acme, draft: &mut Draft<'_>) -> Option<Vec<Box<str>>> {
    let given = acme.hosts.given()?;
    if given.value.is_empty() {
        let help = "name the hosts: `hosts = [\"shop.example\"]`, or remove the table";
        draft.say(Code::UselessSetting, given.span.clone(), "`acme` without a host orders nothing", "no host", help);
    }
    let mut hosts: Vec<Box<str>> = Vec::with_capacity(given.value.len());
    for Item { value, span, .. } in &given.value {
        let host = value.to_ascii_lowercase();
        if hosts.iter().any(|other| **other == *host) {
            let message = format!("the host `{host}` stands here twice");
            draft.say(Code::DuplicateValue, span.clone(), message, "again", "remove one of them");
        } else if let Some(help) = unprovable(&host) {
            unusable(value, span, help, draft);
        } else {
            hosts.push(host.into());
        }
    }
    Some(hosts)
}

fn unusable(host: &str, span: &Span, help: &str, draft: &mut Draft<'_>) {
    let message = format!("no certificate can be ordered for `{host}`");
    draft.say(Code::InvalidValue, span.clone(), message, "not a host's name", help);
}

fn unprovable(host: &str) -> Option<&'static str> {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if host.starts_with("*.") {
        Some("a wildcard needs a proof by DNS, which multilith does not give: name each host")
    } else if host.parse::<std::net::IpAddr>().is_ok() {
        Some("an address is no name: write the name that clients use")
    } else if host.len() > 253 || !host.split('.').all(label) {
        Some(
            "write the name alone, such as `shop.example`: without scheme, port and path; others than ASCII as `xn--…`",
        )
    } else {
        None
    }
}
