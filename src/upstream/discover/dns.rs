//! Endpoints from DNS: addresses of a name, or the targets of SRV records; asked again when the answer's lifetime ends.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::net::NetError;
use hickory_resolver::proto::rr::RData;

use super::super::names::one_family;
use super::sink::{Carried, Sink};
use super::{Patience, SECOND_LOOK};
use crate::endpoint::{Address, Listing, Look};

/// Lifetimes are honoured between these.
const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(60);

/// Why a name gave no endpoint.
#[derive(Debug, Clone, thiserror::Error)]
enum Unresolved {
    /// The name servers are not known, or did not answer with what was asked.
    #[error(transparent)]
    Dns(#[from] NetError),
    #[error("no address")]
    NoAddress,
    #[error("the answer names no target")]
    NoTarget,
    #[error("`{target}` does not resolve: {why}")]
    Target { target: String, why: Box<Self> },
}

/// The system's name servers, asked without a cache: lifetimes are kept here.
fn system() -> Result<TokioResolver, NetError> {
    let mut builder = TokioResolver::builder_tokio()?;
    let options = builder.options_mut();
    options.cache_size = 0;
    options.timeout = Duration::from_secs(2);
    builder.build()
}

pub(super) async fn follow_addresses(sink: Sink, name: &str, port: u16) {
    addresses_from(sink, name, port, system).await;
}

pub(super) async fn follow_services(sink: Sink, name: &str) {
    services_from(sink, name, system).await;
}

async fn addresses_from(mut sink: Sink, name: &str, port: u16, resolver: impl Fn() -> Result<TokioResolver, NetError>) {
    let mut patience = Patience::new();
    let mut in_use = Vec::new();
    let mut proven = false;
    let mut asked = resolver();
    loop {
        match look_up(&asked, name).await {
            Ok((ips, lifetime)) => {
                patience.reset();
                let found = ips.into_iter().map(|ip| SocketAddr::new(ip, port)).collect();
                (in_use, proven) = one_family(found, &in_use, proven).await;
                if sink.listed(in_use.iter().copied().map(|a| listing(a, 1)).collect(), Look::Afresh).is_break() {
                    return;
                }
                let due = if sink.in_doubt() || !proven { lifetime.min(SECOND_LOOK) } else { lifetime };
                tokio::time::sleep(due).await;
            }
            Err(why) => {
                if sink.trouble(&format!("`{name}` does not resolve: {why}")).is_break() {
                    return;
                }
                patience.pause().await;
                // The machine may have got other name servers.
                asked = resolver();
            }
        }
    }
}

async fn services_from(mut sink: Sink, name: &str, resolver: impl Fn() -> Result<TokioResolver, NetError>) {
    let mut patience = Patience::new();
    let mut asked = resolver();
    let mut known: HashMap<String, Vec<IpAddr>> = HashMap::new();
    loop {
        match services(&asked, name, &mut known, &mut sink).await {
            Ok((carried, lifetime)) => {
                patience.reset();
                if carried.is_break() {
                    return;
                }
                let due = if sink.in_doubt() { lifetime.min(SECOND_LOOK) } else { lifetime };
                tokio::time::sleep(due).await;
            }
            Err(why) => {
                if sink.trouble(&format!("`{name}` does not resolve: {why}")).is_break() {
                    return;
                }
                patience.pause().await;
                asked = resolver();
            }
        }
    }
}

/// `known` are the addresses that each target had last: a target that does not resolve just now is not gone.
async fn services(
    resolver: &Result<TokioResolver, NetError>,
    name: &str,
    known: &mut HashMap<String, Vec<IpAddr>>,
    sink: &mut Sink,
) -> Result<(Carried, Duration), Unresolved> {
    let asked = resolver.as_ref().map_err(Clone::clone)?;
    let response = asked.srv_lookup(name).await?;
    let records: Vec<_> = response
        .answers()
        .iter()
        .filter_map(|record| match &record.data {
            RData::SRV(srv) => Some((srv.clone(), record.ttl)),
            _ => None,
        })
        .collect();
    let mut lifetime = LONGEST;
    let mut list = Vec::new();
    let mut priorities = HashMap::new();
    let mut unresolved = None;
    for (srv, ttl) in records {
        lifetime = lifetime.min(seconds(ttl));
        let target = srv.target.to_utf8();
        if target == "." {
            continue;
        }
        match look_up(resolver, &target).await {
            Ok((ips, ttl)) => {
                lifetime = lifetime.min(ttl);
                known.insert(target.clone(), ips);
            }
            Err(why) => unresolved = Some(Unresolved::Target { target: target.clone(), why: Box::new(why) }),
        }
        for ip in known.get(&target).into_iter().flatten() {
            // RFC 2782 gives weight 0 a very small chance; here it is the smallest weight.
            let listing = listing(SocketAddr::new(*ip, srv.port), u32::from(srv.weight.max(1)));
            priorities.insert(listing.address.clone(), srv.priority);
            list.push(listing);
        }
    }
    if list.is_empty() {
        return Err(unresolved.unwrap_or(Unresolved::NoTarget));
    }
    sink.set_priorities(priorities);
    let mut carried = sink.listed(list, Look::Afresh);
    if let Some(why) = unresolved {
        carried = sink.trouble(&why);
    }
    Ok((carried, lifetime))
}

/// The addresses of a name and how long they hold. IPv4 first: an IPv6 address on a machine without a route is common.
async fn look_up(
    resolver: &Result<TokioResolver, NetError>,
    name: &str,
) -> Result<(Vec<IpAddr>, Duration), Unresolved> {
    let resolver = resolver.as_ref().map_err(Clone::clone)?;
    let response = resolver.lookup_ip(name).await?;
    let lifetime = response.as_lookup().answers().iter().map(|record| seconds(record.ttl)).min().unwrap_or(SHORTEST);
    let mut ips: Vec<IpAddr> = response.iter().collect();
    ips.sort_by_key(|ip| (ip.is_ipv6(), *ip));
    ips.dedup();
    if ips.is_empty() { Err(Unresolved::NoAddress) } else { Ok((ips, lifetime)) }
}

fn seconds(ttl: u32) -> Duration {
    Duration::from_secs(ttl.into()).clamp(SHORTEST, LONGEST)
}

fn listing(address: SocketAddr, weight: u32) -> Listing {
    let host = address.ip().to_string().into();
    Listing { key: address.to_string().into(), address: Address::Tcp { host, port: address.port() }, weight }
}

#[cfg(test)]
mod tests;
