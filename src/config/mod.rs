//! The file as it is written: spanned and unresolved. Every mistake of syntax and of type is gathered in one walk.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod auth;
mod buffer;
mod choices;
mod condition;
mod containers;
mod cookies;
mod edit;
mod edit_rule;
mod events;
mod excerpt;
mod field;
mod fleet;
mod gate;
mod http_names;
mod limit;
mod list;
mod merge;
mod notify;
mod reader;
mod recover;
mod route;
mod scalar;
mod secret;
mod server;
mod settings;
mod shadow;
mod switch;
mod table;
mod target;
mod unclosed;
mod units;
mod upstream;
mod variables;

#[cfg(test)]
mod schema_tests;

pub use auth::{Auth, ForwardAuth, Jwt, Revoked, RevokedKeys, TokenExchange};
pub use buffer::{AnswerBuffer, Buffer, RequestBuffer};
pub use choices::{
    Balance, CacheBy, EtcdApi, EventKind, Examples, FleetEvidence, HttpVersion, IpFamily, LambdaEvent, LogFormat,
    Notice, NotifyFormat, Numbers, OnFail, PathCase, ProxyProtocol, Role, SameSite, Stage, TlsVersion, TrailingSlash,
    Verify, Writes,
};
pub use condition::{Condition, ConditionTable, Conditions};
pub use containers::{Docker, Kubernetes, PortChoice};
pub use cookies::{CookieSecure, Cookies};
pub use edit::{Unwritable, with_dial};
pub use edit_rule::{FileRule, RuleUnwritable, changed_lines, rule_to_paste, with_rule};
pub use events::{EventsTable, KafkaEvents};
pub use excerpt::{route_text, without_other_routes};
pub use field::{Field, Given};
pub use fleet::{FleetEtcd, FleetTable};
pub use gate::Gate;
pub use http_names::{HeaderEntry, HeaderList, HeaderValues};
pub use limit::Limit;
pub use list::{Item, Named, NamedEntry, OneOrMany};
pub use notify::{BrokerUrl, Notify, SecretUrl};
pub use route::{Answer, Breaker, CookieDomain, Fallback, Fault, RateLimit, Redirect, Rewrite, Route, Variant};
pub use secret::{Secret, SecretTable};
pub use server::{Acme, AdminToken, Certificate, Force, Server, Tls, TrustedUser};
pub use settings::{Inventory, Limits, Logs, Matching, Metrics, Timeouts, Tracing};
pub use shadow::{Compare, CopyLimits, Follow, Noise, Shadow};
pub use switch::Switch;
pub use target::{CallArgument, CallTable, Credentials, CredentialsTable, Lambda, Nameko};
pub use units::{ByteRate, Count, Increase, Percent, Rate, Size, Streams, duration};
pub use upstream::{
    Consul, Discover, Dns, Eject, EndpointsFile, Etcd, Health, KeepaliveTime, Monolith, Queue, Service, Srv,
    UpstreamTls,
};

use reader::{Decode, Reader};
use recover::Damage;
use table::table;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::diagnostic::{Diagnostics, Sources, Span};

table! {
    /// routes.toml: a strangler-fig edge proxy in front of a monolith.
    pub struct File {
        /// Other files of the configuration: patterns such as `"routes.d/*.toml"`, or folders, which are their `*.toml`, beside
        /// this file. A table stands in one of the files only; an included file includes nothing. Default: none.
        include: Vec<Item<String>>,
        /// The proxy's own listeners and life cycle.
        server: Server,
        /// The existing application: everything that no route takes goes to it.
        monolith: Monolith,
        /// The new upstreams, by name.
        services: Named<Service>,
        /// The routes, by name. The name is the identity: metrics, journal, API, console.
        routes: Named<Route>,
        /// How paths are compared.
        matching: Matching,
        /// Limits of what a client may ask.
        limits: Limits,
        /// How long upstreams may take.
        timeouts: Timeouts,
        /// The access log.
        logs: Logs,
        /// Where spans are sent.
        tracing: Tracing,
        /// The endpoints that are learned from traffic.
        inventory: Inventory,
        /// Limits of the copies of all routes together.
        shadow: CopyLimits,
        /// The metrics.
        metrics: Metrics,
        /// Own error pages for browsers, by status (`"503"`) or for all others (`error`): files in which `{status}`, `{reason}`
        /// and `{request_id}` are filled in. Programs get `application/problem+json` as ever. Default: none, the proxy's own pages.
        pages: Named<String>,
        /// Defaults of all gates.
        gate: Gate,
        /// Receivers of notifications, by name.
        notify: Named<Notify>,
        /// Events for other programs.
        events: EventsTable,
        /// Several proxies behind one load balancer that share their dials.
        fleet: FleetTable,
    }
}

/// Looks a variable of the environment up.
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The file as far as it could be read.
#[derive(Debug)]
pub struct Parsed {
    pub file: File,
    /// A table header could not be read: what seems to be missing may be in the part that was lost.
    pub tables_lost: bool,
}

/// Reads the text. Never fails as a whole: what cannot be read is reported and left out.
pub fn parse(text: &str, env: Environment<'_>, diagnostics: &mut Diagnostics) -> Parsed {
    parse_all(&Sources::one("", text), env, diagnostics)
}

/// The same for a configuration of several files, which are read as one.
pub fn parse_all(sources: &Sources, env: Environment<'_>, diagnostics: &mut Diagnostics) -> Parsed {
    let mut read = Vec::with_capacity(sources.files().len());
    for file in sources.files() {
        let text = sources.text_of(file);
        let (table, errors) = DeTable::parse_recoverable(text);
        let mut own = Diagnostics::default();
        let left = recover::recover(text, errors, &mut own);
        diagnostics.extend(own.shifted(file.span.start));
        read.push((table.into_inner(), left));
    }
    let (mut damage, mut tables_lost) = (Damage::default(), false);
    let mut texts = Vec::with_capacity(read.len());
    let mut root = merge::Merged::new(sources);
    for (file, (_, left)) in sources.files().iter().zip(&read) {
        if let Some(left) = left {
            damage.add(&left.damage, file.span.start);
            tables_lost |= left.tables_lost;
        }
        texts.push(left.as_ref().map(|left| left.text.clone()));
    }
    for ((file, (table, _)), text) in sources.files().iter().zip(read).zip(&texts) {
        let table = text.as_ref().map_or(table, |text| DeTable::parse_recoverable(text).0.into_inner());
        root.add(table, file, diagnostics);
    }
    let root = Spanned::new(0..0, DeValue::Table(root.into_table()));
    let mut reader = Reader::new(sources.text(), env, &damage, diagnostics);
    Parsed { file: File::decode(&root, &mut reader).unwrap_or_default(), tables_lost }
}

/// Files that belong to one file of the configuration, as far as it can be read.
#[derive(Debug, Default)]
pub struct FilesNamed {
    /// The patterns of `include`.
    pub include: Vec<Item<String>>,
    /// The files of `[pages]`.
    pub pages: Vec<String>,
}

/// The files that a file names and that are a part of the configuration.
pub fn files_named(text: &str, env: Environment<'_>) -> FilesNamed {
    // Most files name none, and reading a tree takes time.
    if !text.contains("include") && !text.contains("pages") {
        return FilesNamed::default();
    }
    let (root, _) = DeTable::parse_recoverable(text);
    let (damage, mut unsaid) = (Damage::default(), Diagnostics::default());
    let mut reader = Reader::new(text, env, &damage, &mut unsaid);
    let include = root.get_ref().get("include").and_then(|value| Vec::decode(value, &mut reader));
    let pages = root.get_ref().get("pages").and_then(|value| Named::<String>::decode(value, &mut reader));
    FilesNamed {
        include: include.unwrap_or_default(),
        pages: pages.into_iter().flat_map(|pages| pages.entries).map(|entry| entry.value).collect(),
    }
}

/// The bytes of the text that stand for a part of a string's value; the whole value where escapes or variables make the
/// two differ.
#[must_use]
pub fn inside(text: &str, span: &Span, value: &str, part: Span) -> Span {
    let Some(raw) = text.get(span.clone()) else { return span.clone() };
    let quotes = if raw.starts_with("\"\"\"") || raw.starts_with("'''") { 3 } else { 1 };
    let start = span.start + quotes;
    if raw.get(quotes..).is_some_and(|rest| rest.starts_with(value)) {
        start + part.start..(start + part.end).max(start + part.start)
    } else {
        span.clone()
    }
}

/// A share as it is written in the file, for the command line and the API.
#[must_use]
pub fn read_percent(text: &str) -> Option<Percent> {
    units::percent(text)
}

/// A duration as it is written in the file, for the command line.
#[must_use]
pub fn read_duration(text: &str) -> Option<std::time::Duration> {
    units::WithUnit::read(text).ok()
}

/// The JSON Schema of routes.toml, draft 2020-12.
#[must_use]
pub fn schema() -> serde_json::Value {
    let mut schema = File::schema();
    if let Some(object) = schema.as_object_mut() {
        object.insert("$schema".into(), "https://json-schema.org/draft/2020-12/schema".into());
        object.insert("title".into(), "routes.toml of multilith".into());
        if let Some(properties) = object.get_mut("properties").and_then(serde_json::Value::as_object_mut) {
            properties.insert("$schema".into(), serde_json::json!({ "type": "string" }));
        }
        object.insert("required".into(), serde_json::json!(["monolith"]));
    }
    schema
}
