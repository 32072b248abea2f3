//! An upstream out of the keys that the monolith and a service have in common.

use super::super::address::host_port;
use super::super::draft::Draft;
use super::super::settings::{buffer, timeouts};
use super::parts::Parts;
use super::{health, limit, source, tls};
use crate::config::{self, Field};
use crate::diagnostic::Code;
use crate::endpoint::{Balance, HttpVersions, Keepalive, Source, TargetSpec, Timeouts, UpstreamSpec};
use crate::message::ProxyVersion;

impl Parts<'_> {
    pub(super) fn compile(&self, base: Timeouts, sandbox: bool, draft: &mut Draft<'_>) -> UpstreamSpec {
        let (source, secure) = source::compile(self, draft);
        self.compile_from(source, secure, base, sandbox, draft)
    }

    fn host(&self, draft: &mut Draft<'_>) -> Option<Box<str>> {
        let given = self.host.given()?;
        if let Err(error) = host_port(&given.value, Some(0)) {
            let at = draft.part(given, error.part);
            draft.say(
                Code::InvalidValue,
                at,
                error.message,
                "not a host",
                "write it like `host = \"legacy.paas.example\"`",
            );
            return None;
        }
        Some(given.value.as_str().into())
    }

    /// `secure` is the name to verify when the URL asks for TLS.
    pub(super) fn compile_from(
        &self,
        source: Source,
        secure: Option<&str>,
        base: Timeouts,
        sandbox: bool,
        draft: &mut Draft<'_>,
    ) -> UpstreamSpec {
        UpstreamSpec {
            name: self.name.into(),
            target: TargetSpec::Http,
            tls: tls::compile(self, secure, draft),
            source,
            host: self.host(draft),
            balance: match self.balance.or(config::Balance::RoundRobin) {
                config::Balance::RoundRobin => Balance::RoundRobin,
                config::Balance::LeastBusy => Balance::LeastBusy,
                config::Balance::Sticky => Balance::Sticky,
            },
            health: health::check(self.health, draft),
            eject: health::eject(self.eject, draft),
            http: match self.http.or(config::HttpVersion::Http1) {
                config::HttpVersion::Http1 => HttpVersions::Http1,
                config::HttpVersion::Http2 => HttpVersions::Http2,
                config::HttpVersion::Auto => HttpVersions::Auto,
            },
            timeouts: timeouts(self.timeouts, base),
            keepalive: match self.keepalive.or(config::KeepaliveTime::Auto) {
                config::KeepaliveTime::Auto => Keepalive::Auto,
                config::KeepaliveTime::For(time) => Keepalive::For(time),
            },
            limit: limit::compile(self.max_in_flight, self.queue, draft),
            proxy_protocol: proxy_protocol(self.proxy_protocol, draft),
            buffer: buffer(self.buffer),
            sandbox,
        }
    }
}

fn proxy_protocol(field: &Field<u16>, draft: &mut Draft<'_>) -> Option<ProxyVersion> {
    let given = field.given()?;
    match given.value {
        0 => None,
        1 => Some(ProxyVersion::V1),
        2 => Some(ProxyVersion::V2),
        other => {
            let message = format!("the PROXY protocol has no version {other}");
            let help = "write `proxy_protocol = 2`, or 1 for servers that read lines alone";
            draft.say(Code::OutOfRange, given.span.clone(), message, "neither 1 nor 2", help);
            None
        }
    }
}
