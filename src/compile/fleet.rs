//! `[fleet]`: what many replicas share.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use super::draft::{Draft, check_name};
use super::secret::secret;
use super::upstreams::{certificate_and_key, etcd_members};
use crate::config::{self, Field};
use crate::diagnostic::Code;
use crate::route::SecretSource;

const TTL: Duration = Duration::from_secs(10);
/// Below, a slow answer costs the lease; above, a crashed leader is not replaced for too long.
const TTL_BOUNDS: RangeInclusive<Duration> = Duration::from_secs(3)..=Duration::from_secs(300);

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
    if let Some(acme) = tls.and_then(|tls| tls.acme.given()) {
        draft.say(
            Code::InvalidValue,
            acme.key.clone(),
            "`acme` with `[fleet]`: the authority's challenge would reach a replica that does not know it",
            "not shared",
            "order the certificates in one place, give them to every replica as `certificates`, and remove this table",
        );
    }
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
