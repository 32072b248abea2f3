//! `[server]`.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::draft::Draft;
use super::listeners::Listeners;
use super::{ForceRule, ProxyProtocol, ServerSettings, TlsSettings, admin, cookies, networks, tls};
use crate::config::{self, Field};
use crate::diagnostic::Code;

const DEFAULT_LISTEN: &str = "0.0.0.0:8080";
const DEFAULT_DRAIN: Duration = Duration::from_secs(30);

/// `None` after something was reported.
pub(super) fn compile(file: &config::File, draft: &mut Draft<'_>) -> Option<ServerSettings> {
    let empty = config::Server::default();
    let server = file.server.get().unwrap_or(&empty);
    let mut listeners = Listeners::default();
    let tls = tls::compile(file, &mut listeners, draft);
    let listen = plain(server, &tls, &mut listeners, draft);
    let admin = admin::compile(server, &mut listeners, draft);
    let metrics =
        server.metrics.given().map(|given| listeners.add(&given.value, &given.span, draft).map(|(address, _)| address));
    let trusted =
        networks::compile(&server.trusted, ("anybody may say which client they are", networks::OF_PROXIES), draft);
    let force = force(server, draft);
    let cookies = cookies::compile(file, !tls.listen.is_empty() || !trusted.is_empty(), draft);
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
        admin_base: admin::base(server, draft),
        console: admin::console(server, draft),
        trusted_user: admin::trusted_user(server, draft),
        threads: usize::from(server.threads.or(0)),
        state_dir: server.state_dir.get().cloned().unwrap_or_else(|| PathBuf::from(".multilith")),
        drain: server.drain.or(DEFAULT_DRAIN),
        lame_duck: server.lame_duck.or(Duration::ZERO),
        monolith_only: server.monolith_only.or(false),
        proxy_protocol: proxy_protocol(server, draft),
        trusted,
        forwarded: server.forwarded.or(false),
        force,
        cookies,
        allow_bare_lf: server.allow_bare_lf.or(false),
        debug_headers: server.debug_headers.or(false),
    })
}

/// Without a trusted peer no PROXY header is read.
fn proxy_protocol(server: &config::Server, draft: &mut Draft<'_>) -> ProxyProtocol {
    let Some(given) = server.proxy_protocol.given() else { return ProxyProtocol::Off };
    let nobody = match &server.trusted {
        Field::Given(trusted) => trusted.value.is_empty(),
        Field::Wrong => false,
        Field::Absent => true,
    };
    let help = "name the networks of your balancers, such as `trusted = [\"10.0.0.0/8\"]`";
    match given.value {
        config::ProxyProtocol::Off => ProxyProtocol::Off,
        config::ProxyProtocol::Accept => {
            if nobody {
                let message = "nobody is in `trusted`, so no PROXY header is read";
                draft.say(Code::UselessSetting, given.span.clone(), message, "no effect", help);
            }
            ProxyProtocol::Accept
        }
        config::ProxyProtocol::Require => {
            if nobody {
                let message = "nobody is in `trusted`, so every connection would be refused";
                draft.say(Code::InvalidValue, given.span.clone(), message, "nobody may send one", help);
            }
            ProxyProtocol::Require
        }
    }
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

fn force(server: &config::Server, draft: &mut Draft<'_>) -> Option<ForceRule> {
    let force = server.force.get()?;
    let from = networks::compile(
        &force.from,
        ("any client may choose its side", "name the networks of your own people, such as `10.0.0.0/8`"),
        draft,
    );
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
