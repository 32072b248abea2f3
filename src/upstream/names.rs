//! Keeps the names in a list resolved, away from every request's path.
//!
//! A name that does not resolve is asked again after 1 s, 2 s … 30 s; addresses known once are kept meanwhile. The system's
//! resolver says nothing of lifetimes, so a name that resolved is asked again every 30 s, and a second after a connection
//! to it could not be made.

use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until, timeout};

use super::peers::Place;
use super::pool::{Entry, Informant, Member, PoolRef};
use crate::endpoint::Address;

const AGAIN: Duration = Duration::from_secs(30);
const SOONEST: Duration = Duration::from_secs(1);
const LOOKUP: Duration = Duration::from_secs(5);
/// How long a family of addresses has to prove that a server listens there.
const PROBE: Duration = Duration::from_millis(500);

/// The addresses that each name had last, for the whole process: a reload does not forget them.
pub(super) type KnownNames = Mutex<HashMap<Address, Vec<SocketAddr>>>;

/// One name and port.
#[derive(Debug)]
struct Name {
    asked: Instant,
    due: Instant,
    backoff: Duration,
    /// The family in use proved that it accepts connections.
    proven: bool,
    trouble: Option<String>,
}

/// Members of a list as far as they are known without asking a name server.
pub(super) fn members(list: &[Entry], known: &KnownNames) -> Vec<Member> {
    let known = known.lock();
    let mut seen = BTreeSet::new();
    let mut members = Vec::new();
    for entry in list {
        let places = match &entry.address {
            Address::Unix(path) => vec![Place::Unix(path.clone())],
            Address::Tcp { host, port } => match literal(host) {
                Some(ip) => vec![Place::Inet(SocketAddr::new(ip, *port))],
                None => known.get(&entry.address).into_iter().flatten().copied().map(Place::Inet).collect(),
            },
        };
        // Two names for one address are one endpoint.
        for place in places.into_iter().filter(|place| seen.insert(place.clone())) {
            members.push(Member {
                place,
                authority: authority(&entry.address),
                weight: entry.weight,
                priority: entry.priority,
            });
        }
    }
    members
}

/// True when nothing in the list has to be resolved.
pub(super) fn all_literal(list: &[Entry]) -> bool {
    list.iter().all(|entry| !is_name(&entry.address))
}

fn is_name(address: &Address) -> bool {
    matches!(address, Address::Tcp { host, .. } if literal(host).is_none())
}

fn literal(host: &str) -> Option<IpAddr> {
    host.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

fn authority(address: &Address) -> Box<str> {
    match address {
        Address::Tcp { .. } => address.to_string().into(),
        Address::Unix(_) => "localhost".into(),
    }
}

/// Follows the pool's list for ever and gives it its members.
pub(super) async fn keep_resolved(pool: PoolRef, known: Arc<KnownNames>) {
    let mut names: HashMap<Address, Name> = HashMap::new();
    let Some((mut lists, doubted)) =
        pool.upgrade().map(|pool| (pool.entries.subscribe(), Arc::clone(&pool.names_doubted)))
    else {
        return;
    };
    let mut applied: Option<(Arc<[Entry]>, Vec<Member>)> = None;
    loop {
        let list = lists.borrow_and_update().clone();
        if let Some(list) = list {
            ask_for_due(&list, &mut names, &known).await;
            let members = members(&list, &known);
            let Some(pool) = pool.upgrade() else { return };
            pool.trouble(Informant::Names, names.values().find_map(|name| name.trouble.clone()));
            let same = applied.as_ref().is_some_and(|(l, m)| Arc::ptr_eq(l, &list) && *m == members);
            // An empty list is an answer; names of which none is known yet are not.
            if !same && (list.is_empty() || !members.is_empty()) {
                pool.apply(&members);
                applied = Some((list, members));
            }
        }
        let due = names.values().map(|name| name.due).min().unwrap_or_else(|| Instant::now() + AGAIN);
        tokio::select! {
            changed = lists.changed() => if changed.is_err() { return },
            () = sleep_until(due) => {}
            () = doubted.notified() => for name in names.values_mut() {
                name.proven = false;
                name.due = name.due.min(name.asked + SOONEST);
            },
        }
    }
}

async fn ask_for_due(list: &[Entry], names: &mut HashMap<Address, Name>, known: &KnownNames) {
    let wanted: BTreeSet<_> = list.iter().map(|entry| &entry.address).filter(|address| is_name(address)).collect();
    names.retain(|address, _| wanted.contains(address));
    for address in wanted {
        if names.get(address).is_none_or(|name| name.due <= Instant::now()) {
            let before = names.remove(address);
            names.insert(address.clone(), ask(address, before, known).await);
        }
    }
}

/// Asks for the addresses of a name and keeps them; after a failure the ones known before stay.
async fn ask(address: &Address, before: Option<Name>, known: &KnownNames) -> Name {
    let Address::Tcp { host, port } = address else { unreachable!("only names are asked for") };
    let asked = Instant::now();
    let backoff = before.as_ref().map_or(SOONEST, |name| name.backoff);
    let had = known.lock().get(address).cloned();
    match lookup(host, *port).await {
        Ok(found) => {
            let proven = before.is_some_and(|name| name.proven);
            let (addresses, proven) = one_family(found, had.as_deref().unwrap_or_default(), proven).await;
            if had.as_ref() != Some(&addresses) {
                tracing::info!(name = &**host, ?addresses, "a name was resolved");
                known.lock().insert(address.clone(), addresses);
            }
            // While no server listens in either family, the right one is not known yet.
            let (due, backoff) = if proven { (AGAIN, SOONEST) } else { (backoff, (backoff * 2).min(AGAIN / 6)) };
            Name { asked, due: asked + due, backoff, proven, trouble: None }
        }
        Err(why) => {
            if before.is_none_or(|name| name.trouble.is_none()) {
                tracing::warn!(name = &**host, %why, "a name could not be resolved and will be asked for again");
            }
            let trouble = Some(format!("`{host}` does not resolve: {why}"));
            Name { asked, due: asked + backoff, backoff: (backoff * 2).min(AGAIN), proven: false, trouble }
        }
    }
}

/// Why the system gave no address of a name.
#[derive(Debug, thiserror::Error)]
enum Unresolved {
    #[error(transparent)]
    System(#[from] std::io::Error),
    #[error("no answer within {} s", LOOKUP.as_secs())]
    Late,
    #[error("no address")]
    NoAddress,
}

async fn lookup(host: &str, port: u16) -> Result<Vec<SocketAddr>, Unresolved> {
    let found = timeout(LOOKUP, tokio::net::lookup_host((host, port))).await;
    let mut addresses: Vec<SocketAddr> = found.map_err(|_| Unresolved::Late)??.collect();
    let mut seen = BTreeSet::new();
    addresses.retain(|address| seen.insert(*address));
    if addresses.is_empty() { Err(Unresolved::NoAddress) } else { Ok(addresses) }
}

/// A name with addresses of both families stands for the same programs twice (`localhost` is the usual case), and often only
/// one of them is listened on. So one family is used: the one in use while nothing speaks against it, else the first, in
/// the order of the answer, that accepts a connection. While none does, all are kept.
pub(super) async fn one_family(found: Vec<SocketAddr>, in_use: &[SocketAddr], proven: bool) -> (Vec<SocketAddr>, bool) {
    let (first, second): (Vec<_>, Vec<_>) = found.iter().copied().partition(|a| a.is_ipv4() == found[0].is_ipv4());
    if second.is_empty() {
        return (found, true);
    }
    if proven && let Some(using) = in_use.first() {
        return (if using.is_ipv4() == first[0].is_ipv4() { first } else { second }, true);
    }
    let (first_listens, second_listens) = tokio::join!(anybody_listens(&first), anybody_listens(&second));
    match (first_listens, second_listens) {
        (true, _) => (first, true),
        (false, true) => (second, true),
        (false, false) => (found, false),
    }
}

async fn anybody_listens(addresses: &[SocketAddr]) -> bool {
    for address in addresses {
        if let Ok(Ok(_)) = timeout(PROBE, TcpStream::connect(address)).await {
            return true;
        }
    }
    false
}
