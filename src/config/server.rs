//! `[server]` as written.

use std::path::PathBuf;
use std::time::Duration;

use http::HeaderName;

use super::list::Item;
use super::table::table;
use super::{Cookies, Limit, ProxyProtocol, Role, Secret, TlsVersion};

table! {
    /// The proxy's own listeners and life cycle.
    pub struct Server {
        /// Addresses for HTTP/1.1, and h2c with prior knowledge. Default: `["0.0.0.0:8080"]`, none when `server.tls` listens.
        listen: Vec<Item<String>>,
        /// TLS listeners.
        tls: Tls,
        /// Address of metrics, API and console. Default: `"127.0.0.1:9900"`.
        admin: String,
        /// Address of /metrics, /healthz and /readyz alone, without a token. Default: none.
        metrics: String,
        /// The token of one caller, called `token`, with every role. Required when `admin` is not a loopback address and there are no
        /// `tokens`.
        token: Secret,
        /// People and programs that may use the admin listener, by name. Default: none.
        tokens: Vec<Item<AdminToken>>,
        /// Names under which the admin listener may be reached, beside its address. Default: none.
        admin_hosts: Vec<Item<String>>,
        /// The path below which a proxy in front shows the admin listener: where cookies and redirects of the console belong. Default: `"/"`.
        admin_base: String,
        /// The role of the console on loopback without a token. Default: `"operate"`.
        console: Role,
        /// People that a proxy in front of the console has signed in. Default: none.
        trusted_user: TrustedUser,
        /// Worker threads; 0 is one per core. Default: 0.
        threads: u16,
        /// Journal and evidence are kept here. Default: `".multilith"`.
        state_dir: PathBuf,
        /// Longest wait for requests in flight at SIGTERM. Default: `"30s"`.
        drain: Duration,
        /// How long /readyz is false before listening stops. Default: `"0s"`.
        lame_duck: Duration,
        /// The big red button: every route that is not retired goes to the monolith. Default: false.
        monolith_only: bool,
        /// Networks of peers whose X-Forwarded-*, Forwarded, X-Request-Id and PROXY header are believed. Default: none.
        trusted: Vec<Item<String>>,
        /// Send Forwarded (RFC 7239) also where the peer has sent none; it says the same as X-Forwarded-*. Default: false.
        forwarded: bool,
        /// Whether connections begin with a PROXY header (version 1 or 2), which names the client: `accept`, they may; `require`, they
        /// must. On plain and TLS listeners, read from peers in `trusted` alone; from others it is 400. The address in it is the peer
        /// from then on: its X-Forwarded-*, Forwarded and X-Request-Id are believed if that address is in `trusted`. Default: `"off"`.
        proxy_protocol: ProxyProtocol,
        /// The clients that may name a side, and the header. Default: none may.
        force: Force,
        /// Attributes of the cookies that the proxy issues.
        cookies: Cookies,
        /// Read lines of a request's head that end in LF alone; else they are refused with 400. Default: false.
        allow_bare_lf: bool,
        /// Tell clients route and side in X-Multilith-Route and X-Multilith-Side. Default: false.
        debug_headers: bool,
    }
}

table! {
    /// A caller that may use the admin listener.
    pub struct AdminToken {
        /// Stands in the log and in the journal.
        name: String = required,
        /// Sent as `Authorization: Bearer TOKEN`.
        token: Secret = required,
        /// The role of its caller. Default: `"read"`.
        role: Role,
    }
}

table! {
    /// A proxy in front of the console signs people in and names them.
    pub struct TrustedUser {
        /// The header with the person's name. From any other peer it is not read.
        header: HeaderName = required,
        /// Networks of the proxies that are believed.
        from: Vec<Item<String>> = required,
        /// The role of these people. Default: `"read"`.
        role: Role,
    }
}

table! {
    /// TLS listeners: HTTP/1.1 and HTTP/2 by ALPN.
    pub struct Tls {
        /// Addresses for HTTPS. Default: none.
        listen: Vec<Item<String>>,
        /// Several are chosen by SNI. Their files are watched: those that fit are put in force, a reload with others is refused.
        /// Required where TLS listens, unless `acme` is given.
        certificates: Vec<Item<Certificate>>,
        /// Answer plain requests with a redirect to https. Default: false.
        redirect: bool,
        /// `max-age` of Strict-Transport-Security. Default: not sent.
        hsts: Limit<Duration>,
        /// Ask clients for a certificate that this authority signed. It has to be of version 3: what `openssl x509 -req` of OpenSSL 3.0 makes
        /// without `-extfile` is of version 1, and refused. Default: none is asked for.
        client_ca: PathBuf,
        /// Refuse clients without such a certificate. Default: true, with `client_ca_hosts` false.
        client_ca_required: bool,
        /// The hosts whose requests need such a certificate; requests for others pass without. A request for one of these that comes
        /// without gets 403, whatever name its TLS handshake was for. Default: with `client_ca_required`, every host.
        client_ca_hosts: Vec<Item<String>>,
        /// Refuse a client that asks for a name which no certificate is for, or for none. Default: false, it gets the first.
        strict_sni: bool,
        /// The oldest version of TLS that is spoken, `"1.2"` or `"1.3"`. Default: `"1.2"`.
        min_version: TlsVersion,
        /// Certificates that are ordered, and renewed in time, from an authority that speaks ACME. Default: none.
        acme: Acme,
    }
}

table! {
    /// Certificates by RFC 8555, one for each host; using this means agreeing to the authority's terms. Until the first one is
    /// there, handshakes for its host are refused, unless a certificate of `certificates` is for it.
    pub struct Acme {
        /// The names, each reachable from the authority on port 80 (http-01) or 443 (tls-alpn-01).
        hosts: Vec<Item<String>> = required,
        /// Where the authority writes to when a certificate expires. Default: none.
        email: String,
        /// The authority's directory. Default: Let's Encrypt, `"https://acme-v02.api.letsencrypt.org/directory"`.
        directory: String,
        /// The authorities that signed the directory's own certificate, PEM: for an authority of your own. Default: the system's authorities.
        ca: PathBuf,
    }
}

table! {
    /// A certificate and its key, PEM.
    pub struct Certificate {
        /// The certificate with its chain.
        cert: PathBuf = required,
        /// The private key.
        key: PathBuf = required,
    }
}

table! {
    /// Trusted clients may name their side in `canary` and `split`.
    pub struct Force {
        /// The header that names `monolith`, `service` or a variant. From any other client it is removed.
        header: HeaderName = required,
        /// Networks of the clients that may.
        from: Vec<Item<String>> = required,
    }
}
