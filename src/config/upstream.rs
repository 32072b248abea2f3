//! `[monolith]` and `[services.NAME]` as written.

use std::path::PathBuf;
use std::time::Duration;

use http::{HeaderValue, Method};
use serde_json::json;

use super::list::Item;
use super::reader::{Decode, Reader, Value};
use super::switch::{Switch, Switched};
use super::table::table;
use super::{
    Balance, Buffer, Credentials, Docker, HeaderValues, HttpVersion, Kubernetes, Lambda, Limit, Nameko, Timeouts,
    Verify,
};
use crate::diagnostic::Code;

macro_rules! upstream {
    ($(#[doc = $about:literal])* $name:ident { $($(#[doc = $doc:literal])* $field:ident: $type:ty,)* }) => {
        table! {
            $(#[doc = $about])*
            pub struct $name {
                /// `http://host:port`, `https://host` or `unix:/path`. Required, unless another key names the endpoints.
                url: String,
                /// Several addresses, each `host:port` or `unix:/path`. Default: none, another key names the endpoints.
                endpoints: Vec<Item<String>>,
                /// Endpoints from a registry. Default: none.
                discover: Discover,
                /// How an endpoint is picked. Default: `"round-robin"`.
                balance: Balance,
                /// Active checks. Default: none.
                health: Health,
                /// Endpoints that fail are left out for a while; `false`: never. Default: after five failures in a row, never the last
                /// one.
                eject: Switch<Eject>,
                /// Version of HTTP. Default: `"1.1"`.
                http: HttpVersion,
                /// The Host, and the name in SNI, that it is asked under instead of the client's; a rewrite's own wins. Addresses and cookie
                /// domains of this host in its answers become the client's. Default: the client's.
                host: String,
                /// TLS towards the upstream.
                tls: UpstreamTls,
                /// In place of `[timeouts]`. Default: as that table has it.
                timeouts: Timeouts,
                /// Requests at once; more wait in `queue`. An open WebSocket is none, an event stream is one; copies take at most half of
                /// the places and never wait; health checks need none. 0 or `"none"`: no limit. Default: none.
                max_in_flight: Limit<u32>,
                /// Where requests wait beyond `max_in_flight`, first come first served. Default: `{}`.
                queue: Queue,
                /// The version, 1 or 2, of the PROXY header that begins each connection to the upstream and names the client; 0: none. A
                /// connection is used again for the same client's address and port alone. Health checks say `LOCAL` or `UNKNOWN`. Default: 0.
                proxy_protocol: u16,
                /// Idle connections are used again for less than this, or, with `"auto"`, for less than the upstream was seen to keep
                /// them. Default: `"auto"`.
                keepalive: KeepaliveTime,
                /// How much of bodies is held on their way; a route's own wins.
                buffer: Buffer,
                $($(#[doc = $doc])* $field: $type,)*
            }
        }
    };
}

upstream! {
    /// The existing application: everything that no route takes goes to it.
    Monolith {
        /// At the very end: no route needs it any more, nor an address of it; what no route takes gets 404. Default: false.
        retired: bool,
    }
}

upstream! {
    /// A new upstream that takes routes over. Exactly one of `url`, `endpoints`, `discover`, `lambda` and `nameko`.
    Service {
        /// A function of AWS Lambda in the place of a server. Default: none.
        lambda: Lambda,
        /// A service of Nameko in the place of a server. Default: none.
        nameko: Nameko,
        /// Where the credentials of AWS come from: `"environment"`, `{ file = "…" }`, `{ container = true }` or `{ imds = true }`.
        /// Default: `"environment"`.
        credentials: Credentials,
        /// Unsafe requests may be copied here: what they write does not matter. Default: false.
        sandbox: bool,
    }
}

table! {
    /// Active checks: exactly one of `path` and `connect`.
    pub struct Health {
        /// A request for this path must be answered with a good status. Required, unless `connect` is true.
        path: String,
        /// The Host of that request, where the application takes no other. Default: the endpoint's address.
        host: HeaderValue,
        /// More headers of that request. Default: none.
        headers: HeaderValues,
        /// Its method: `GET`, `HEAD` or `OPTIONS`. Default: `"GET"`.
        method: Method,
        /// A connection is enough. Default: false.
        connect: bool,
        /// Pause between two checks. Default: `"2s"`.
        interval: Duration,
        /// The longest wait for the outcome of a check. Default: `"1s"`.
        timeout: Duration,
        /// Successes in a row that make an endpoint healthy. Default: 2.
        healthy: u32,
        /// Failures in a row that make an endpoint unhealthy. Default: 3.
        unhealthy: u32,
        /// Lowest and highest good status. Default: `[200, 399]`.
        statuses: Vec<Item<u16>>,
    }
}

impl Switched for Eject {
    const EXAMPLE: &'static str = "{ failures = 5 }";
}

/// `keepalive = "auto"` or a duration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeepaliveTime {
    Auto,
    For(Duration),
}

impl Decode for KeepaliveTime {
    const EXPECTED: &'static str = "`auto` or a duration";
    const EXAMPLE: &'static str = "\"auto\"";

    fn decode(value: &Value<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        if value.get_ref().is_str() {
            let text = reader.string::<Self>(value)?;
            if text.trim() == "auto" {
                return Some(Self::Auto);
            }
            if !text.trim().starts_with(|first: char| first.is_ascii_digit()) {
                let message = format!("`{text}` is not {}", Self::EXPECTED);
                let help = format!("write `{key} = \"auto\"`, or a duration like `{key} = \"4s\"`", key = reader.key());
                reader.invalid(Code::InvalidValue, value.span(), message, "not a time", help);
                return None;
            }
        }
        Duration::decode(value, reader).map(Self::For)
    }

    fn schema() -> serde_json::Value {
        json!({ "anyOf": [{ "const": "auto" }, Duration::schema()] })
    }
}

table! {
    /// Requests that wait while `max_in_flight` others are at the upstream. One that finds it full, or waits for too long, gets 503; where
    /// a fallback is on, the monolith answers.
    pub struct Queue {
        /// Requests that may wait; 0: none does. Default: 100.
        length: u32,
        /// The longest wait. Default: `"5s"`.
        timeout: Duration,
    }
}

table! {
    /// Passive ejection: growing pauses, never the last endpoint unless told so.
    pub struct Eject {
        /// Failures in a row. Default: 5.
        failures: u32,
        /// First pause. Default: `"30s"`.
        base: Duration,
        /// Longest pause. Default: `"300s"`.
        max: Duration,
        /// Eject the last endpoint too: then no endpoint is asked. Default: false.
        last: bool,
    }
}

table! {
    /// TLS towards the upstream. Its files are watched: those that fit are put in force, a reload with others is refused.
    pub struct UpstreamTls {
        /// The name in SNI and in the certificate. Default: the host of the URL.
        server_name: String,
        /// Authorities to trust instead of the system's, PEM. A server may also show one of these as its own certificate, for the
        /// names that are in it. Default: the system's.
        ca: PathBuf,
        /// Our certificate, PEM. Default: none is shown.
        cert: PathBuf,
        /// The key of `cert`, PEM. Required with `cert`.
        key: PathBuf,
        /// The server's public key is one of these, each `sha256/` and base64; beside what `verify` says. Default: any.
        pin: Vec<Item<String>>,
        /// `full`: the authority of the certificate, and its name; `chain`: not the name; `none`: nothing. Default: `"full"`.
        verify: Verify,
    }
}

table! {
    /// Endpoints from a registry: exactly one of the seven.
    pub struct Discover {
        /// A and AAAA records.
        dns: Dns,
        /// SRV records, with priority and weight.
        srv: Srv,
        /// A file with one `host:port [weight=N]` a line, watched.
        file: EndpointsFile,
        /// Keys below a prefix, watched.
        etcd: Etcd,
        /// Healthy instances of a service.
        consul: Consul,
        /// A service of Kubernetes, by its `EndpointSlices`.
        kubernetes: Kubernetes,
        /// Containers of Docker or Podman with a label.
        docker: Docker,
    }
}

table! {
    /// A and AAAA records.
    pub struct Dns {
        /// The name to ask for.
        name: String = required,
        /// The port of every address.
        port: u16 = required,
    }
}

table! {
    /// SRV records.
    pub struct Srv {
        /// The name to ask for, as in `_http._tcp.users.internal`.
        name: String = required,
    }
}

table! {
    /// A watched file.
    pub struct EndpointsFile {
        /// One `host:port [weight=N]` a line.
        path: PathBuf = required,
    }
}

table! {
    /// Keys of etcd.
    pub struct Etcd {
        /// URLs of its members.
        endpoints: Vec<Item<String>> = required,
        /// Every key below it is one endpoint.
        prefix: String = required,
    }
}

table! {
    /// A service of Consul.
    pub struct Consul {
        /// URL of an agent.
        url: String = required,
        /// The service's name.
        service: String = required,
        /// Only instances with this tag. Default: all.
        tag: String,
    }
}
