//! The endpoints that a registry named last, kept in the store: a start while the registry is down serves with them.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::{Value, json};
use xxhash_rust::xxh3::xxh3_64;

use super::pool::{Entry, Pool};
use crate::endpoint::{Address, AddressFamily, Listing, Look, ServicePort, Source, UpstreamSpec};
use crate::store::{KnownEndpoint, Store};

/// The rows of one upstream.
pub(super) struct KnownEndpoints {
    store: Arc<Store>,
    upstream: Arc<str>,
    /// Which registry, and where in it: the rows of another place mean nothing here.
    source: String,
}

impl KnownEndpoints {
    /// `None` for what needs no registry.
    pub(super) fn of(store: Arc<Store>, spec: &UpstreamSpec) -> Option<Self> {
        Some(Self { store, upstream: Arc::clone(&spec.name), source: key(&spec.source)? })
    }

    /// Gives a new pool what was kept; `None` if that is nothing.
    pub(super) fn restore(&self, pool: &Pool) -> Option<Arc<[Entry]>> {
        let rows = self.store.endpoints(&self.upstream, &self.source).unwrap_or_default();
        let mut listings = Vec::new();
        let mut entries = Vec::new();
        for KnownEndpoint { key, address, weight, priority } in rows {
            match address.parse::<Address>() {
                Ok(address) => {
                    entries.push(Entry { address: address.clone(), weight, priority });
                    listings.push(Listing { key, address, weight });
                }
                Err(why) => {
                    let upstream = &*self.upstream;
                    tracing::warn!(upstream, key, %why, "an endpoint in the database is not understood; it was passed over");
                }
            }
        }
        if entries.is_empty() {
            return None;
        }
        tracing::info!(
            upstream = &*self.upstream,
            endpoints = entries.len(),
            "the endpoints known last are used until the source answers"
        );
        pool.begin_restored();
        pool.membership.lock().listed(listings, Look::Afresh);
        Some(entries.into())
    }

    /// Keeps what the pool knows now. Does not wait.
    pub(super) fn keep(&self, pool: &Pool, priorities: &HashMap<Address, u16>) {
        let rows = {
            let membership = pool.membership.lock();
            let row = |listing: &Listing| KnownEndpoint {
                key: listing.key.clone(),
                address: listing.address.to_string().into(),
                weight: listing.weight,
                priority: priorities.get(&listing.address).copied().unwrap_or_default(),
            };
            membership.listings().map(row).collect()
        };
        self.store.keep_endpoints(&self.upstream, &self.source, rows);
    }
}

/// Names a registry and the place in it, in a database that other versions of the program read. Hashed, so that nothing secret in
/// a URL is written. `None`: no registry is needed.
fn key(source: &Source) -> Option<String> {
    Some(format!("{:016x}", xxh3_64(place(source)?.as_bytes())))
}

/// Written for the key alone, so that a renamed field loses no endpoints.
fn place(source: &Source) -> Option<String> {
    let place: Value = match source {
        Source::Fixed(_) | Source::File { .. } => return None,
        Source::Dns { name, port } => json!(["dns", name, port]),
        Source::Srv { name } => json!(["srv", name]),
        Source::Etcd { endpoints, prefix } => json!(["etcd", endpoints, prefix]),
        Source::Consul { url, service, tag } => json!(["consul", url, service, tag]),
        Source::Kubernetes(of) => {
            let port = of.port.as_ref().map(|port| match port {
                ServicePort::Named(name) => json!(name),
                ServicePort::Number(number) => json!(number),
            });
            let family = of.family.map(|family| match family {
                AddressFamily::Ipv4 => "ipv4",
                AddressFamily::Ipv6 => "ipv6",
            });
            json!(["kubernetes", of.api, of.namespace, of.service, port, family])
        }
        Source::Docker(of) => json!(["docker", of.socket.to_string_lossy(), of.label, of.network, of.port]),
    };
    Some(place.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::endpoint::{DockerContainers, KubernetesService};

    /// A key that changes loses what every running proxy has kept.
    #[test]
    fn the_key_of_a_source_is_the_same_in_every_version() {
        let consul = Source::Consul { url: "http://127.0.0.1:8500".into(), service: "users".into(), tag: None };
        assert_eq!(key(&consul).as_deref(), Some("b9b8f3baaaa01a25"));
        let kubernetes = KubernetesService {
            service: "users".into(),
            namespace: None,
            port: Some(ServicePort::Number(8080)),
            family: Some(AddressFamily::Ipv4),
            api: None,
            token: None,
            ca: None,
        };
        let docker =
            DockerContainers { label: "a=b".into(), socket: "/run/docker.sock".into(), network: None, port: Some(80) };
        let etcd = Source::Etcd { endpoints: vec!["http://127.0.0.1:2379".into()], prefix: "/services/users/".into() };
        for (source, text) in [
            (consul, r#"["consul","http://127.0.0.1:8500","users",null]"#),
            (etcd, r#"["etcd",["http://127.0.0.1:2379"],"/services/users/"]"#),
            (Source::Dns { name: "users.internal".into(), port: 80 }, r#"["dns","users.internal",80]"#),
            (Source::Srv { name: "_http._tcp.users".into() }, r#"["srv","_http._tcp.users"]"#),
            (Source::Kubernetes(Box::new(kubernetes)), r#"["kubernetes",null,null,"users",8080,"ipv4"]"#),
            (Source::Docker(docker), r#"["docker","/run/docker.sock","a=b",null,80]"#),
        ] {
            assert_eq!(place(&source).as_deref(), Some(text));
        }
        assert_eq!(key(&Source::Fixed(Vec::new())), None);
    }
}
