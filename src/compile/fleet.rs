//! `[fleet]`: what many replicas share.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use super::draft::{Draft, check_name};
use super::secret::secret;
use super::upstreams::{certificate_and_key, etcd_members};
use super::url::server_url;
use crate::config::{self, Field};
use crate::diagnostic::Code;
use crate::route::SecretSource;

const TTL: Duration = Duration::from_secs(10);
/// Below, a slow answer costs the lease; above, a crashed leader is not replaced for too long.
const TTL_BOUNDS: RangeInclusive<Duration> = Duration::from_secs(3)..=Duration::from_secs(300);

/// A key is made of it without the work that a password takes: it has to be random.
pub const SHORTEST_SECRET: usize = 32;

/// `[fleet]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FleetSettings {
    /// URLs of etcd's members.
    pub endpoints: Vec<Box<str>>,
    /// Ends in `/`.
    pub prefix: Box<str>,
    pub login: Option<(Box<str>, SecretSource)>,
    pub ca: Option<PathBuf>,
    /// The certificate by which etcd knows this proxy, and its key.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// `None`: the name of the host.
    pub name: Option<Box<str>>,
    pub ttl: Duration,
    /// Seals what lies in etcd for the replicas alone.
    pub secret: Option<SecretSource>,
    /// The Prometheus that has what the replicas count; `None`: etcd has it.
    pub prometheus: Option<Box<str>>,
    /// `None`: there is one region.
    pub region: Option<OwnRegion>,
}

/// This fleet's place among the regions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnRegion {
    /// All of them, in the order in which gates advance.
    pub order: Vec<Box<str>>,
    /// The prefix of the keys of all.
    pub parent: Box<str>,
    pub name: Box<str>,
}

impl OwnRegion {
    /// The region whose gates take each step first; `None`: this is the first.
    #[must_use]
    pub fn before(&self) -> Option<&str> {
        let at = self.order.iter().position(|region| *region == self.name)?;
        Some(&self.order[at.checked_sub(1)?])
    }
}

pub(super) fn compile(file: &config::File, draft: &mut Draft<'_>) -> Option<FleetSettings> {
    let fleet = file.fleet.get()?;
    let name = fleet.name.given().map(|given| {
        check_name("replica", &given.value, given.span.clone(), draft);
        given.value.as_str().into()
    });
    let ttl = match fleet.ttl.given() {
        Some(given) if !TTL_BOUNDS.contains(&given.value) => {
            let help = "write a time from `\"3s\"` to `\"5m\"`; the default is `\"10s\"`";
            draft.say(Code::OutOfRange, given.span.clone(), "`ttl` is out of its bounds", "3 s to 5 min", help);
            TTL
        }
        given => given.map_or(TTL, |given| given.value),
    };
    let etcd = fleet.etcd.get()?;
    let endpoints = etcd_members(etcd.endpoints.given()?, Code::InvalidValue, draft);
    if let Some(prefix) = etcd.prefix.given()
        && (prefix.value.len() < 2 || !prefix.value.ends_with('/'))
    {
        let help = "write it like `prefix = \"/multilith/shop/\"`";
        draft.say(Code::InvalidValue, prefix.span.clone(), "a prefix of keys ends in `/`", "not a prefix", help);
    }
    let tls = file.server.get().and_then(|server| server.tls.get());
    if let Some(acme) = tls.and_then(|tls| tls.acme.given())
        && fleet.secret.is_absent()
    {
        draft.say(
            Code::MissingKey,
            acme.key.clone(),
            "`acme` with `[fleet]` needs the fleet's `secret`: keys of certificates lie in etcd only sealed",
            "not shared",
            "add `secret = { env = \"FLEET_SECRET\" }` to `[fleet]`, the same for every replica: `openssl rand -base64 32`",
        );
    }
    let secret = fleet.secret.given().map(|given| {
        if let config::Secret::Value(value) = &given.value
            && value.len() < SHORTEST_SECRET
        {
            let help = "make one with `openssl rand -base64 32`";
            draft.say(Code::OutOfRange, given.span.clone(), "`secret` is too short", "below 32 bytes", help);
        }
        secret(&given.value)
    });
    Some(FleetSettings {
        endpoints,
        prefix: etcd.prefix.get()?.as_str().into(),
        login: login(etcd, draft),
        ca: etcd.ca.get().cloned(),
        identity: certificate_and_key(
            &etcd.cert,
            &etcd.key,
            "give both: `cert = \"edge.pem\", key = \"edge.key\"`",
            draft,
        ),
        name,
        ttl,
        secret,
        prometheus: prometheus(fleet, draft),
        region: region(fleet, draft),
    })
}

/// Where the counts of all replicas are read, unless that is etcd.
fn prometheus(fleet: &config::FleetTable, draft: &mut Draft<'_>) -> Option<Box<str>> {
    const EXAMPLE: &str = "prometheus = \"http://prometheus:9090\"";
    if let Some(url) = fleet.prometheus.given() {
        server_url(&url.value, &url.span, EXAMPLE, draft);
    }
    let wanted = fleet.evidence.given().filter(|given| given.value == config::FleetEvidence::Prometheus);
    match (wanted, &fleet.prometheus) {
        (Some(evidence), Field::Absent) => {
            draft.say(
                Code::MissingKey,
                evidence.span.clone(),
                "`evidence = \"prometheus\"` needs to know where Prometheus is",
                "which one?",
                format!("add `{EXAMPLE}`: the server that scrapes `/metrics` of all replicas"),
            );
            None
        }
        (None, Field::Given(url)) => {
            draft.say(
                Code::UselessSetting,
                url.key.clone(),
                "`prometheus` is not asked: the counts of all replicas are told by etcd",
                "no effect",
                "remove it, or add `evidence = \"prometheus\"`",
            );
            None
        }
        (Some(_), url) => url.get().map(|url| url.as_str().into()),
        (None, _) => None,
    }
}

/// The region that the prefix names.
fn region(fleet: &config::FleetTable, draft: &mut Draft<'_>) -> Option<OwnRegion> {
    let order = fleet.order.given()?;
    for (at, region) in order.value.iter().enumerate() {
        check_name("region", &region.value, region.span.clone(), draft);
        if order.value[..at].iter().any(|before| before.value == region.value) {
            let title = format!("region `{}` is twice in `order`", region.value);
            draft.say(Code::DuplicateValue, region.span.clone(), title, "again", "name each region once");
        }
    }
    let prefix = fleet.etcd.get()?.prefix.get()?;
    let (parent, own) = prefix.strip_suffix('/')?.rsplit_once('/').unwrap_or_default();
    if !order.value.iter().any(|region| region.value == own) {
        draft.say(
            Code::InvalidValue,
            order.span.clone(),
            format!("`order` does not have this fleet's own region, `{own}`"),
            "not this region",
            "let `prefix` end in the region's name: `prefix = \"/multilith/shop/eu-1/\"`",
        );
        return None;
    }
    Some(OwnRegion {
        order: order.value.iter().map(|region| region.value.as_str().into()).collect(),
        parent: format!("{parent}/").into(),
        name: own.into(),
    })
}

fn login(etcd: &config::FleetEtcd, draft: &mut Draft<'_>) -> Option<(Box<str>, SecretSource)> {
    match (&etcd.user, &etcd.password) {
        (Field::Given(user), Field::Given(password)) => Some((user.value.as_str().into(), secret(&password.value))),
        (Field::Given(user), Field::Absent) => {
            let help = "add `password = { env = \"ETCD_PASSWORD\" }`, or remove `user`";
            draft.say(Code::MissingKey, user.key.clone(), "`user` needs its `password`", "without a password", help);
            None
        }
        (Field::Absent, Field::Given(password)) => {
            let help = "add `user = \"multilith\"`, or remove `password`";
            draft.say(Code::MissingKey, password.key.clone(), "`password` needs its `user`", "whose?", help);
            None
        }
        _ => None,
    }
}
