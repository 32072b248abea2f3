//! Pools of fixed endpoints: picking, ejection, draining, reloads.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::*;
use crate::endpoint::{Address, Balance, Eject, Ejection, HttpVersions, Keepalive, Source, Timeouts, UpstreamSpec};

pub(super) fn address(text: &str) -> Address {
    let (host, port) = text.rsplit_once(':').unwrap();
    Address::Tcp { host: host.into(), port: port.parse().unwrap() }
}

pub(super) fn fixed(list: &[&str]) -> UpstreamSpec {
    spec(Source::Fixed(list.iter().map(|text| (address(text), 1)).collect()))
}

pub(super) fn spec(source: Source) -> UpstreamSpec {
    UpstreamSpec {
        target: crate::endpoint::TargetSpec::Http,
        name: "users".into(),
        source,
        host: None,
        balance: Balance::RoundRobin,
        health: None,
        eject: Eject::Rule(Ejection {
            failures: 3,
            base: Duration::from_secs(3600),
            max: Duration::from_secs(3600),
            last: false,
        }),
        http: HttpVersions::Http1,
        tls: None,
        timeouts: Timeouts { connect: Some(Duration::from_secs(2)), answer: None, idle: None, total: None },
        buffer: crate::endpoint::Buffering::default(),
        keepalive: Keepalive::For(Duration::from_secs(4)),
        limit: None,
        proxy_protocol: None,
        sandbox: false,
    }
}

pub(super) fn pool(upstreams: &Arc<Upstreams>, spec: UpstreamSpec) -> Arc<Pool> {
    upstreams.reconcile(&[Arc::new(spec)]).remove(0)
}

pub(super) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < deadline, "in 20 s it did not come true that {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn picks(pool: &Arc<Pool>, count: usize) -> BTreeMap<String, usize> {
    let mut picks = BTreeMap::new();
    for _ in 0..count {
        *picks.entry(pool.pick(None, &[]).unwrap().address().to_owned()).or_default() += 1;
    }
    picks
}

fn lease_on(pool: &Arc<Pool>, address: &str) -> Lease {
    (0..10_000).find_map(|_| pool.pick(None, &[]).ok().filter(|lease| lease.address() == address)).unwrap()
}

fn state_of(upstreams: &Upstreams, address: &str) -> Option<EndpointState> {
    upstreams.status().iter().flat_map(|u| &u.endpoints).find(|e| e.address == address).map(|e| e.state)
}

fn why_of(upstreams: &Upstreams, address: &str) -> String {
    upstreams.status().into_iter().flat_map(|u| u.endpoints).find(|e| e.address == address).map(|e| e.why).unwrap()
}

fn member(port: u16, priority: u16) -> pool::Member {
    let address = format!("127.0.0.1:{port}");
    let place = peers::Place::Inet(address.parse().unwrap());
    pool::Member { place, authority: address.into(), weight: 1, priority }
}

#[test]
fn a_fixed_list_can_be_picked_from_at_once_in_turn() {
    let upstreams = Upstreams::new(Arc::new(Unobserved));
    let pool = pool(&upstreams, fixed(&["127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"]));
    assert_eq!(picks(&pool, 300).values().copied().collect::<Vec<_>>(), [100, 100, 100]);
}

#[test]
fn an_endpoint_that_was_tried_is_not_picked_again_for_the_same_request() {
    let upstreams = Upstreams::new(Arc::new(Unobserved));
    for balance in [Balance::RoundRobin, Balance::LeastBusy, Balance::Sticky] {
        let pool = pool(&upstreams, UpstreamSpec { balance, ..fixed(&["127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"]) });
        for unit in 0..50 {
            let mut tried = Vec::new();
            for _ in 0..3 {
                let lease = pool.pick(Some(unit), &tried).unwrap();
                assert!(!tried.contains(&lease.key()));
                tried.push(lease.key());
            }
            assert_eq!(pool.pick(Some(unit), &tried).unwrap_err(), NoEndpoint::AllTried);
        }
    }
}

#[test]
fn a_retry_goes_to_another_endpoint_and_does_not_move_the_turn() {
    let upstreams = Upstreams::new(Arc::new(Unobserved));
    for (count, list) in [(2, &["127.0.0.1:1", "127.0.0.1:2"][..]), (3, &["127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"])]
    {
        let pool = pool(&upstreams, fixed(list));
        let mut first = BTreeMap::new();
        for _ in 0..100 * count {
            let lease = pool.pick(None, &[]).unwrap();
            *first.entry(lease.address().to_owned()).or_insert(0) += 1;
            if lease.address() == "127.0.0.1:1" {
                let tried = [lease.key()];
                assert!(pool.has_other(&tried));
                assert_ne!(pool.pick(None, &tried).unwrap().address(), "127.0.0.1:1");
            }
        }
        assert_eq!(first.into_values().collect::<Vec<_>>(), vec![100; count], "each has its turn: {count}");
    }
}

#[test]
fn requests_in_flight_are_counted_until_the_lease_is_dropped() {
    let upstreams = Upstreams::new(Arc::new(Unobserved));
    let pool = pool(&upstreams, fixed(&["127.0.0.1:1"]));
    let leases: Vec<_> = (0..3).map(|_| pool.pick(None, &[]).unwrap()).collect();
    assert_eq!(upstreams.status()[0].endpoints[0].in_flight, 3);
    drop(leases);
    assert_eq!(upstreams.status()[0].endpoints[0].in_flight, 0);
}

#[test]
fn failures_in_a_row_eject_an_endpoint_but_never_the_last() {
    let upstreams = Upstreams::new(Arc::new(Unobserved));
    let pool = pool(&upstreams, fixed(&["127.0.0.1:1", "127.0.0.1:2"]));
    let fail = |address: &str| (0..3).for_each(|_| lease_on(&pool, address).failed(EndpointFailure::Timeout));
    lease_on(&pool, "127.0.0.1:1").failed(EndpointFailure::Timeout);
    lease_on(&pool, "127.0.0.1:1").failed(EndpointFailure::Timeout);
    lease_on(&pool, "127.0.0.1:1").succeeded();
    assert_eq!(picks(&pool, 10).len(), 2, "a success in between starts over");
    fail("127.0.0.1:1");
    assert_eq!(picks(&pool, 10), BTreeMap::from([("127.0.0.1:2".to_owned(), 10)]));
    assert_eq!(state_of(&upstreams, "127.0.0.1:1"), Some(EndpointState::Unhealthy));
    fail("127.0.0.1:2");
    fail("127.0.0.1:2");
    assert_eq!(picks(&pool, 10), BTreeMap::from([("127.0.0.1:2".to_owned(), 10)]), "the last one stays");
}

#[test]
fn the_last_endpoint_is_ejected_where_the_file_says_so_and_comes_back() {
    let upstreams = Upstreams::new(Arc::new(Unobserved));
    let eject =
        Eject::Rule(Ejection { failures: 3, base: Duration::from_secs(1), max: Duration::from_secs(1), last: true });
    let pool = pool(&upstreams, UpstreamSpec { eject, ..fixed(&["127.0.0.1:1"]) });
    let lease = lease_on(&pool, "127.0.0.1:1");
    (0..3).for_each(|_| lease.failed(EndpointFailure::Timeout));
    assert_eq!(pool.pick(None, &[]).err(), Some(NoEndpoint::AllDown));
    eventually("it is back", || pool.pick(None, &[]).is_ok());
}

#[test]
fn without_a_rule_five_failures_eject_and_refused_connections_sooner_but_not_for_long() {
    let upstreams = Upstreams::new(Arc::new(Unobserved));
    let list = ["127.0.0.1:1", "127.0.0.1:2"];
    let (never, usual) = (Eject::Never, Eject::Usual);
    let off = pool(&upstreams, UpstreamSpec { eject: never, ..fixed(&list) });
    (0..9).for_each(|_| lease_on(&off, "127.0.0.1:1").failed(EndpointFailure::Connect));
    assert_eq!(picks(&off, 10).len(), 2, "`eject = false`");
    let five = pool(&upstreams, UpstreamSpec { name: "five".into(), eject: usual.clone(), ..fixed(&list) });
    (0..4).for_each(|_| lease_on(&five, "127.0.0.1:1").failed(EndpointFailure::Reset));
    assert_eq!(picks(&five, 10).len(), 2, "four are not enough");
    lease_on(&five, "127.0.0.1:1").failed(EndpointFailure::Reset);
    assert_eq!(picks(&five, 10), BTreeMap::from([("127.0.0.1:2".to_owned(), 10)]));
    (0..9).for_each(|_| lease_on(&five, "127.0.0.1:2").failed(EndpointFailure::Reset));
    assert_eq!(picks(&five, 10), BTreeMap::from([("127.0.0.1:2".to_owned(), 10)]), "never the last one");
    let alone = pool(&upstreams, UpstreamSpec { name: "alone".into(), eject: usual.clone(), ..fixed(&list[..1]) });
    (0..9).for_each(|_| lease_on(&alone, "127.0.0.1:1").failed(EndpointFailure::Reset));
    assert_eq!(picks(&alone, 10).len(), 1);
    let pool = pool(&upstreams, UpstreamSpec { name: "refusing".into(), eject: usual, ..fixed(&list) });
    (0..3).for_each(|_| lease_on(&pool, "127.0.0.1:1").failed(EndpointFailure::Connect));
    assert_eq!(picks(&pool, 10), BTreeMap::from([("127.0.0.1:2".to_owned(), 10)]));
    eventually("it is back", || state_of(&upstreams, "127.0.0.1:1") != Some(EndpointState::Unhealthy));
}

#[test]
fn an_ejected_endpoint_comes_back_and_takes_its_share_step_by_step() {
    let upstreams = Upstreams::new(Arc::new(Unobserved));
    let eject = Eject::Rule(Ejection {
        failures: 1,
        base: Duration::from_millis(50),
        max: Duration::from_secs(1),
        last: false,
    });
    let pool = pool(&upstreams, UpstreamSpec { eject, ..fixed(&["127.0.0.1:1", "127.0.0.1:2"]) });
    lease_on(&pool, "127.0.0.1:1").failed(EndpointFailure::Connect);
    eventually("it is back", || why_of(&upstreams, "127.0.0.1:1") == "refused 1 request; takes its share step by step");
    assert_eq!(state_of(&upstreams, "127.0.0.1:1"), Some(EndpointState::Failing), "it has answered nothing since");
    let share = picks(&pool, 1_100)["127.0.0.1:1"];
    assert!((100..=520).contains(&share), "just after it came back it was picked {share} times of 1100");
}

#[test]
fn an_endpoint_that_takes_its_share_step_by_step_is_one_that_can_be_asked() {
    let upstreams = Upstreams::new(Arc::new(Unobserved));
    let pool = pool(&upstreams, fixed(&["127.0.0.1:1"]));
    let list = |ports: &[u16]| pool.apply(&ports.iter().map(|port| member(*port, 1)).collect::<Vec<_>>());
    list(&[1, 2]);
    let said = || (state_of(&upstreams, "127.0.0.1:2"), why_of(&upstreams, "127.0.0.1:2"));
    assert_eq!(said(), (Some(EndpointState::Unchecked), "takes its share step by step".to_owned()));
    lease_on(&pool, "127.0.0.1:2").succeeded();
    eventually("it is well", || said().0 == Some(EndpointState::Healthy));
    assert_eq!((pool.counts().healthy, pool.counts().unchecked, pool.counts().starting), (1, 1, 0));
}

#[test]
fn an_endpoint_takes_all_at_once_where_no_other_takes_the_rest() {
    let upstreams = Upstreams::new(Arc::new(Unobserved));
    let pool = pool(&upstreams, fixed(&["127.0.0.1:1"]));
    let said = |port: u16| {
        let address = format!("127.0.0.1:{port}");
        (state_of(&upstreams, &address), why_of(&upstreams, &address))
    };
    let at_once = (Some(EndpointState::Unchecked), String::new());
    // The only endpoint is replaced.
    pool.apply(&[member(2, 1)]);
    assert_eq!(said(2), at_once);
    // So are all of them: none was there before the others.
    pool.apply(&[member(3, 1), member(4, 1)]);
    assert_eq!([said(3), said(4)], [at_once.clone(), at_once.clone()]);
    assert_eq!(picks(&pool, 10).values().copied().collect::<Vec<_>>(), [5, 5]);
    // Endpoints of a higher number take nothing as long as this one is there.
    pool.apply(&[member(3, 2), member(4, 2), member(5, 1)]);
    assert_eq!(said(5), at_once);
    // The one whose requests it shared step by step leaves.
    pool.apply(&[member(5, 1), member(6, 1)]);
    assert_eq!(said(6).1, "takes its share step by step");
    pool.apply(&[member(6, 1)]);
    assert_eq!(said(6), at_once);
}

#[test]
fn an_endpoint_that_answers_with_errors_is_not_said_to_be_silent() {
    let upstreams = Upstreams::new(Arc::new(Unobserved));
    let pool = pool(&upstreams, UpstreamSpec { eject: Eject::Usual, ..fixed(&["127.0.0.1:1"]) });
    (0..5).for_each(|_| lease_on(&pool, "127.0.0.1:1").failed(EndpointFailure::Status));
    eventually("it fails", || state_of(&upstreams, "127.0.0.1:1") == Some(EndpointState::Failing));
    assert_eq!(why_of(&upstreams, "127.0.0.1:1"), "answered 5 requests with an error");
}

#[test]
fn an_equal_specification_keeps_its_pool_and_a_changed_one_keeps_what_is_known_of_its_endpoints() {
    let upstreams = Upstreams::new(Arc::new(Unobserved));
    let list = ["127.0.0.1:1", "127.0.0.1:2"];
    let first = pool(&upstreams, fixed(&list));
    let in_flight = lease_on(&first, "127.0.0.1:2");
    (0..3).for_each(|_| lease_on(&first, "127.0.0.1:1").failed(EndpointFailure::Reset));
    assert!(Arc::ptr_eq(&first, &pool(&upstreams, fixed(&list))));

    let changed = UpstreamSpec { keepalive: Keepalive::For(Duration::from_secs(9)), ..fixed(&list) };
    let second = pool(&upstreams, changed);
    assert!(!Arc::ptr_eq(&first, &second));
    assert_eq!(state_of(&upstreams, "127.0.0.1:1"), Some(EndpointState::Unhealthy), "the ejection was forgotten");
    assert_eq!(picks(&second, 10), BTreeMap::from([("127.0.0.1:2".to_owned(), 10)]));
    assert_eq!(upstreams.status()[0].endpoints.iter().map(|e| e.in_flight).sum::<u32>(), 1);
    assert_eq!(second.pick(None, &[]).unwrap().peer().options.idle_timeout, Some(Duration::from_secs(9)));
    drop(in_flight);
}

#[test]
fn an_endpoint_that_leaves_gets_nothing_new_and_is_shown_until_its_requests_are_done() {
    let upstreams = Upstreams::new(Arc::new(Unobserved));
    let blue = pool(&upstreams, fixed(&["127.0.0.1:1"]));
    let in_flight = blue.pick(None, &[]).unwrap();
    let green = pool(&upstreams, fixed(&["127.0.0.1:2"]));
    assert_eq!(picks(&green, 10), BTreeMap::from([("127.0.0.1:2".to_owned(), 10)]));
    assert_eq!(state_of(&upstreams, "127.0.0.1:1"), Some(EndpointState::Draining));
    assert_eq!(blue.pick(None, &[]).unwrap().address(), "127.0.0.1:1", "a request that began with blue ends with blue");
    drop(in_flight);
    eventually("it is gone", || state_of(&upstreams, "127.0.0.1:1").is_none());
}

#[test]
fn a_pool_that_nobody_names_goes_with_its_last_user() {
    let upstreams = Upstreams::new(Arc::new(Unobserved));
    let old = pool(&upstreams, fixed(&["localhost:1"]));
    let weak = Arc::downgrade(&old);
    assert!(upstreams.reconcile(&[]).is_empty());
    drop(old);
    eventually("the pool is gone", || weak.strong_count() == 0);
}

#[test]
fn a_name_that_does_not_resolve_is_reported_and_gives_no_endpoint() {
    let upstreams = Upstreams::new(Arc::new(Unobserved));
    let pool = pool(&upstreams, fixed(&["no-such-name.invalid:80"]));
    assert_eq!(pool.pick(None, &[]).unwrap_err(), NoEndpoint::NotKnownYet);
    eventually("it is reported", || upstreams.status()[0].trouble.is_some());
    let status = upstreams.status().remove(0);
    assert!(status.stale);
    assert!(status.trouble.unwrap().contains("no-such-name.invalid"));
}

/// The names in `/etc/hosts` of this machine decide whether `localhost` has two families at all.
#[test]
fn localhost_is_used_in_the_family_that_is_listened_on() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let upstreams = Upstreams::new(Arc::new(Unobserved));
    let pool = pool(&upstreams, fixed(&[&format!("localhost:{port}")]));
    eventually("it is resolved", || pool.pick(None, &[]).is_ok());
    assert_eq!(picks(&pool, 10), BTreeMap::from([(format!("127.0.0.1:{port}"), 10)]));
}

#[test]
fn of_two_families_the_one_that_listens_is_used_and_both_while_none_does() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let v4 = listener.local_addr().unwrap();
    let v6 = std::net::SocketAddr::new("::1".parse().unwrap(), v4.port());
    runtime.block_on(async {
        assert_eq!(names::one_family(vec![v6, v4], &[], false).await, (vec![v4], true));
        assert_eq!(names::one_family(vec![v4, v6], &[], false).await, (vec![v4], true));
        assert_eq!(names::one_family(vec![v6], &[], false).await, (vec![v6], true), "one family is not asked");
        drop(listener);
        assert_eq!(names::one_family(vec![v6, v4], &[v4], true).await, (vec![v4], true), "in use and not doubted");
        assert_eq!(names::one_family(vec![v6, v4], &[v4], false).await, (vec![v6, v4], false));
    });
}

#[test]
fn a_request_of_one_sticky_unit_stays_with_its_endpoint() {
    let upstreams = Upstreams::new(Arc::new(Unobserved));
    let pool = pool(&upstreams, UpstreamSpec { balance: Balance::Sticky, ..fixed(&["127.0.0.1:1", "127.0.0.1:2"]) });
    let owner = pool.pick(Some(42), &[]).unwrap().address().to_owned();
    assert!((0..100).all(|_| pool.pick(Some(42), &[]).unwrap().address() == owner));
    (0..3).for_each(|_| pool.pick(Some(42), &[]).unwrap().failed(EndpointFailure::Connect));
    assert_ne!(pool.pick(Some(42), &[]).unwrap().address(), owner, "its endpoint is ejected");
}

#[test]
fn the_peer_carries_the_timeouts_and_the_version() {
    let upstreams = Upstreams::new(Arc::new(Unobserved));
    let http2 = UpstreamSpec { http: HttpVersions::Http2, ..fixed(&["127.0.0.1:1"]) };
    let pool = pool(&upstreams, http2);
    let lease = pool.pick(None, &[]).unwrap();
    let (peer, http1) = (lease.peer(), lease.peer_http1());
    assert_eq!(peer.options.connection_timeout, Some(Duration::from_secs(2)));
    assert_eq!(peer.options.alpn.get_min_http_version(), 2);
    assert_eq!(peer.options.max_h2_streams, 100);
    assert_eq!(http1.options.alpn.get_max_http_version(), 1);
    assert_ne!(peer.group_key, http1.group_key, "connections of both versions would be mixed");
}
