//! `[server]`.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::draft::Draft;
use super::listeners::Listeners;
use super::{Certificate, ForceRule, ServerSettings, TlsSettings, admin, networks};
use crate::config::{self, Field};
use crate::diagnostic::Code;

const DEFAULT_LISTEN: &str = "0.0.0.0:8080";
const DEFAULT_DRAIN: Duration = Duration::from_secs(30);

/// `None` after something was reported.
pub(super) fn compile(file: &config::File, draft: &mut Draft<'_>) -> Option<ServerSettings> {
    let empty = config::Server::default();
    let server = file.server.get().unwrap_or(&empty);
    let mut listeners = Listeners::default();
    let tls = tls(server, &mut listeners, draft);
    let listen = plain(server, &tls, &mut listeners, draft);
    let admin = admin::compile(server, &mut listeners, draft);
    let metrics =
        server.metrics.given().map(|given| listeners.add(&given.value, &given.span, draft).map(|(address, _)| address));
    let trusted = networks::compile(&server.trusted, "anybody may say which client they are", draft);
    let force = force(server, draft);
    Some(ServerSettings {
        listen,
        tls,
        admin: admin?,
        metrics: match metrics {
            Some(None) => return None,
            Some(address) => address,
            None => None,
        },
        tokens: admin::tokens(server, draft),
        admin_hosts: admin::hosts(server, draft),
        threads: usize::from(server.threads.or(0)),
        state_dir: server.state_dir.get().cloned().unwrap_or_else(|| PathBuf::from(".multilith")),
        drain: server.drain.or(DEFAULT_DRAIN),
        lame_duck: server.lame_duck.or(Duration::ZERO),
        monolith_only: server.monolith_only.or(false),
        trusted,
        forwarded: server.forwarded.or(false),
        force,
        allow_bare_lf: server.allow_bare_lf.or(false),
        debug_headers: server.debug_headers.or(false),
    })
}

/// Without a word about listeners, the plain one is the default; with TLS listeners alone there is none.
fn plain(
    server: &config::Server,
    tls: &TlsSettings,
    listeners: &mut Listeners,
    draft: &mut Draft<'_>,
) -> Vec<Arc<str>> {
    match &server.listen {
        Field::Given(given) if given.value.is_empty() && tls.listen.is_empty() => {
            draft.say(
                Code::NothingListens,
                given.span.clone(),
                "the proxy listens nowhere",
                "no address",
                format!("write `listen = [\"{DEFAULT_LISTEN}\"]`"),
            );
            Vec::new()
        }
        Field::Given(given) => listeners.list(&given.value, draft),
        Field::Wrong => Vec::new(),
        Field::Absent if !tls.listen.is_empty() => Vec::new(),
        Field::Absent => {
            listeners.add(DEFAULT_LISTEN, &server.span, draft).map(|(address, _)| address).into_iter().collect()
        }
    }
}

fn tls(server: &config::Server, listeners: &mut Listeners, draft: &mut Draft<'_>) -> TlsSettings {
    let Some(tls) = server.tls.get() else { return TlsSettings::default() };
    let listen = tls.listen.get().map(|items| listeners.list(items, draft)).unwrap_or_default();
    let certificates: Vec<_> = tls.certificates.get().map(Vec::as_slice).unwrap_or_default().iter().collect();
    if !listen.is_empty() && certificates.is_empty() && !matches!(tls.certificates, Field::Wrong) {
        draft.say(
            Code::TlsWithoutCertificate,
            tls.listen.span().unwrap_or_else(|| tls.span.clone()),
            "a TLS listener needs a certificate",
            "no certificate",
            "add `certificates = [{ cert = \"edge.pem\", key = \"edge.key\" }]`",
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
    }
}

fn force(server: &config::Server, draft: &mut Draft<'_>) -> Option<ForceRule> {
    let force = server.force.get()?;
    let from = networks::compile(&force.from, "any client may choose its side", draft);
    if let Some(given) = force.from.given().filter(|given| given.value.is_empty()) {
        draft.say(
            Code::UselessSetting,
            given.span.clone(),
            "`server.force` without a network: nobody may name a side",
            "nobody",
            "name the networks of those who may, such as `from = [\"10.0.0.0/8\"]`, or remove the table",
        );
    }
    Some(ForceRule { header: force.header.get()?.clone(), from })
}
