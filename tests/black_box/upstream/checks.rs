//! Active health checks.

use std::net::TcpListener;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{HeaderName, HeaderValue, Method};
use multilith::endpoint::{Address, Health, HealthCheck, HealthRequest, Keepalive, Source, UpstreamSpec};
use multilith::upstream::{EndpointState, NoEndpoint};

use super::stand_in::{StandIn, answer};
use super::{World, spec};

fn checked(addresses: &[String], check: HealthCheck) -> UpstreamSpec {
    let list = addresses.iter().map(|address| (address.parse::<Address>().unwrap(), 1)).collect();
    let health = Health {
        check,
        interval: Duration::from_millis(100),
        timeout: Duration::from_secs(5),
        healthy: 2,
        unhealthy: 3,
    };
    UpstreamSpec { health: Some(health), ..spec(Source::Fixed(list)) }
}

fn get(path: &str) -> HealthCheck {
    HealthCheck::Http(HealthRequest::get(path, (200, 299)))
}

/// A server whose answer to a check can be changed.
fn program() -> (StandIn, Arc<AtomicU16>) {
    let status = Arc::new(AtomicU16::new(200));
    let now = Arc::clone(&status);
    let server = StandIn::new(move |asked| {
        let right = asked.target == "/healthz" && !asked.host.is_empty();
        answer(if right { now.load(Ordering::SeqCst) } else { 404 }, "", "")
    });
    (server, status)
}

#[test]
fn an_endpoint_whose_check_fails_gets_nothing_until_it_is_well_again() {
    let ((one, status), (two, _)) = (program(), program());
    let world = World::new(checked(&[one.address.to_string(), two.address.to_string()], get("/healthz")));
    let one = one.address.to_string();
    world.eventually("both are healthy", || world.state(&one) == Some(EndpointState::Healthy));
    status.store(503, Ordering::SeqCst);
    world.eventually("one is unhealthy", || world.state(&one) == Some(EndpointState::Unhealthy));
    assert_eq!(world.endpoint(&one).unwrap().why, "check failed: status 503");
    for _ in 0..20 {
        assert_eq!(world.pool.pick(None, &[]).unwrap().address(), two.address.to_string());
    }
    status.store(204, Ordering::SeqCst);
    let back = (EndpointState::Healthy, "takes its share step by step");
    world.eventually("it comes back step by step", || {
        let endpoint = world.endpoint(&one).unwrap();
        (endpoint.state, &*endpoint.why) == back
    });
    world.eventually("it is picked again", || world.pool.pick(None, &[]).unwrap().address() == one);
}

#[test]
fn when_all_checks_fail_there_is_no_endpoint() {
    let (server, status) = program();
    let world = World::new(checked(&[server.address.to_string()], get("/healthz")));
    world.eventually("it is healthy", || world.pool.counts().healthy == 1);
    status.store(500, Ordering::SeqCst);
    world.eventually("all are down", || world.pool.pick(None, &[]).err() == Some(NoEndpoint::AllDown));
}

#[test]
fn before_its_first_check_an_endpoint_may_be_used_only_when_nobody_else_is_known_to_be_well() {
    let (server, _) = program();
    // Takes connections and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent_address = silent.local_addr().unwrap().to_string();
    let alone = World::new(checked(std::slice::from_ref(&silent_address), get("/healthz")));
    assert_eq!(alone.pool.pick(None, &[]).unwrap().address(), silent_address);
    let both = World::new(checked(&[server.address.to_string(), silent_address.clone()], get("/healthz")));
    both.eventually("the one that answers is healthy", || both.pool.counts().healthy == 1);
    for _ in 0..20 {
        assert_eq!(both.pool.pick(None, &[]).unwrap().address(), server.address.to_string());
    }
    assert_eq!(both.endpoint(&silent_address).unwrap().why, "waits for its first check");
}

#[test]
fn a_connection_is_enough_for_a_connect_check() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let world = World::new(checked(std::slice::from_ref(&address), HealthCheck::Connect));
    world.eventually("it is healthy", || world.state(&address) == Some(EndpointState::Healthy));
    drop(listener);
    world.eventually("it is unhealthy", || world.state(&address) == Some(EndpointState::Unhealthy));
    let why = world.endpoint(&address).unwrap().why;
    assert!(why.contains("refused"), "{why}");
}

#[test]
fn a_reload_that_does_not_touch_an_endpoint_keeps_what_its_checks_found() {
    let ((one, status), (two, _)) = (program(), program());
    status.store(500, Ordering::SeqCst);
    let addresses = [one.address.to_string(), two.address.to_string()];
    let mut world = World::new(checked(&addresses, get("/healthz")));
    world.eventually("one is unhealthy", || world.state(&addresses[0]) == Some(EndpointState::Unhealthy));
    world.reload(UpstreamSpec {
        keepalive: Keepalive::For(Duration::from_secs(1)),
        ..checked(&addresses, get("/healthz"))
    });
    assert_eq!(world.state(&addresses[0]), Some(EndpointState::Unhealthy));
    for _ in 0..20 {
        assert_eq!(world.pool.pick(None, &[]).unwrap().address(), addresses[1]);
    }
}

/// As Django with `ALLOWED_HOSTS`: whoever asks for another host gets 400.
#[test]
fn an_application_that_knows_its_names_is_checked_under_one_of_them() {
    let heads = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&heads);
    let server = StandIn::new(move |asked| {
        seen.lock().unwrap().push(asked.head.clone());
        answer(if asked.host == "shop.example" { 204 } else { 400 }, "", "")
    });
    let address = server.address.to_string();
    let plain = World::new(checked(std::slice::from_ref(&address), get("/healthz")));
    plain.eventually("it is unhealthy", || plain.state(&address) == Some(EndpointState::Unhealthy));
    let why = plain.endpoint(&address).unwrap().why;
    assert_eq!(why, format!("check failed: status 400 to Host `{address}`; `health.host` names another"));
    drop(plain);
    // With a `host` of the upstream's own, the application was asked under that.
    let named = UpstreamSpec {
        host: Some("legacy.example".into()),
        ..checked(std::slice::from_ref(&address), get("/healthz"))
    };
    let named = World::new(named);
    named.eventually("it is unhealthy", || named.state(&address) == Some(EndpointState::Unhealthy));
    let why = named.endpoint(&address).unwrap().why;
    assert_eq!(why, "check failed: status 400 to Host `legacy.example`; `health.host` names another");
    drop(named);
    heads.lock().unwrap().clear();
    let request = HealthRequest {
        method: Method::HEAD,
        host: Some(HeaderValue::from_static("shop.example")),
        headers: vec![
            (HeaderName::from_static("x-probe"), HeaderValue::from_static("1")),
            (HeaderName::from_static("user-agent"), HeaderValue::from_static("prober")),
        ],
        ..HealthRequest::get("/healthz", (200, 299))
    };
    let world = World::new(checked(std::slice::from_ref(&address), HealthCheck::Http(request)));
    world.eventually("it is healthy", || world.state(&address) == Some(EndpointState::Healthy));
    let head = heads.lock().unwrap().last().unwrap().to_ascii_lowercase();
    let fields = "host: shop.example\r\nuser-agent: prober\r\nx-probe: 1\r\nconnection: close\r\n";
    assert_eq!(head, format!("head /healthz http/1.1\r\n{fields}\r\n"));
}
