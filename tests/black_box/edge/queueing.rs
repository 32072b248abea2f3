//! `max_in_flight` and `queue`: at most so many requests at an upstream at once, and the others wait, first come first served.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::sign_in;
use crate::harness::{Client, Edge, EdgePlan, Gate, Origin, Reply, eventually};

/// Answers when the gate opens, and knows how many it had at once.
struct Busy {
    origin: Origin,
    gate: Gate,
    most: Arc<AtomicUsize>,
}

impl Busy {
    fn start() -> Self {
        let (gate, now, most) = (Gate::new(), AtomicUsize::new(0), Arc::new(AtomicUsize::new(0)));
        let (opens, highest) = (gate.clone(), Arc::clone(&most));
        let origin = Origin::start(move |request| {
            highest.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            opens.wait();
            now.fetch_sub(1, Ordering::SeqCst);
            Reply::ok(request.target())
        });
        Self { origin, gate, most }
    }

    /// In front of it, with these lines in the monolith's table.
    fn behind(&self, lines: &str) -> EdgePlan {
        Edge::before(&self.origin).monolith(lines)
    }

    fn targets(&self) -> Vec<String> {
        self.origin.requests().iter().map(|request| String::from_utf8_lossy(request.target()).into_owned()).collect()
    }
}

fn queue_of(edge: &Edge, name: &str) -> Value {
    let upstreams = edge.admin_json("GET", "/api/v1/upstreams").1;
    let all = upstreams.as_array().expect("a list of upstreams");
    all.iter().find(|upstream| upstream["name"] == name).expect("the upstream is there")["queue"].clone()
}

fn await_queue(edge: &Edge, name: &str, in_flight: u64, waiting: u64) {
    eventually(&format!("{in_flight} at `{name}` and {waiting} in its queue"), || {
        let queue = queue_of(edge, name);
        (queue["in_flight"] == in_flight && queue["waiting"] == waiting).then_some(())
    });
}

/// A client that has sent a GET and reads the answer later.
fn asking(edge: &Edge, target: &str) -> Client {
    let mut client = edge.client();
    client.send(format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n"));
    client
}

#[test]
fn forty_clients_at_a_limit_of_eight_are_never_more_than_eight_and_all_are_answered() {
    let busy = Busy::start();
    let edge = busy.behind("max_in_flight = 8\nqueue = { length = 100, timeout = \"20s\" }").start();
    let mut clients: Vec<_> = (0..40).map(|number| asking(&edge, &format!("/{number}"))).collect();
    await_queue(&edge, "monolith", 8, 32);
    assert_eq!(busy.origin.await_requests(8).len(), 8);
    let page = edge.admin("GET", "/metrics").text();
    assert!(page.contains("multilith_queue_length{upstream=\"monolith\"} 32"), "{page}");
    busy.gate.open();
    for client in &mut clients {
        assert_eq!(client.response().status(), 200);
    }
    assert!(busy.most.load(Ordering::SeqCst) <= 8);
    await_queue(&edge, "monolith", 0, 0);
    assert!(edge.metric("multilith_queue_length", &[("upstream", "monolith")]).abs() < 0.5);
    let count = edge.metric("multilith_queue_wait_seconds_count", &[("upstream", "monolith")]);
    assert!((count - 40.0).abs() < 0.5, "{count}");
    assert!(edge.metric("multilith_queue_wait_seconds_sum", &[]) > 0.0);
    edge.await_log_line(&["\"queue_wait_seconds\":"]);
}

#[test]
fn who_came_first_goes_first() {
    let busy = Busy::start();
    let edge = busy.behind("max_in_flight = 1").start();
    let mut clients = Vec::new();
    for number in 0..6 {
        clients.push(asking(&edge, &format!("/{number}")));
        await_queue(&edge, "monolith", 1, number);
    }
    busy.gate.open();
    for client in &mut clients {
        assert_eq!(client.response().status(), 200);
    }
    assert_eq!(busy.targets(), ["/0", "/1", "/2", "/3", "/4", "/5"]);
}

#[test]
fn a_queue_that_is_full_and_a_wait_that_is_too_long_are_503() {
    let busy = Busy::start();
    let edge = busy.behind("max_in_flight = 1\nqueue = { length = 1, timeout = \"1s\" }").start();
    let began = Instant::now();
    let mut first = asking(&edge, "/first");
    await_queue(&edge, "monolith", 1, 0);
    let mut second = asking(&edge, "/second");
    await_queue(&edge, "monolith", 1, 1);
    let third = edge.get("/third");
    assert_eq!((third.status(), third.get("retry-after")), (503, Some("5")));
    let second = second.response();
    assert_eq!((second.status(), second.get("retry-after")), (503, Some("5")));
    assert!(began.elapsed() >= Duration::from_secs(1));
    busy.gate.open();
    assert_eq!(first.response().status(), 200);
    assert_eq!(busy.targets(), ["/first"]);
    let errors = edge.metric("multilith_upstream_errors_total", &[("side", "monolith"), ("kind", "queue")]);
    assert!((errors - 2.0).abs() < 0.5, "{errors}");
    let line = edge.await_log_line(&["/second"]);
    assert!(line.contains("queue_wait_seconds\":1.") && line.contains("queue\""), "{line}");
}

#[test]
fn where_a_fallback_is_on_the_monolith_answers_in_place_of_a_full_service_whatever_the_method() {
    let (busy, monolith) = (Busy::start(), Origin::saying("monolith"));
    let service = format!(
        "[services.users]\nurl = \"{}\"\nmax_in_flight = 1\nqueue = {{ length = 0 }}\n\
         [routes.users]\npath = \"/users/{{*rest}}\"\nservice = \"users\"\nstage = \"migrated\"\n\
         fallback = true\nbreaker = {{ failures = 2 }}",
        busy.origin.url()
    );
    let edge = Edge::before(&monolith).with(&service).start();
    let mut first = asking(&edge, "/users/1");
    await_queue(&edge, "users", 1, 0);
    let post = edge.client().request("POST", "/users/2", &["Content-Length: 0"]);
    assert_eq!((post.status(), post.text().as_str()), (200, "monolith"));
    assert_eq!(edge.get("/users/3").text(), "monolith");
    // Two in a row open the breaker, as for a service without an endpoint.
    assert_eq!(edge.get("/users/4").text(), "monolith");
    busy.gate.open();
    assert_eq!(first.response().text(), "/users/1");
    for (reason, count) in [("queue", 2.0), ("breaker_open", 1.0)] {
        let seen = edge.metric("multilith_fallbacks_total", &[("route", "users"), ("reason", reason)]);
        assert!((seen - count).abs() < 0.5, "{reason}: {seen}");
    }
}

#[test]
fn the_monolith_s_own_limit_holds_for_what_falls_back_to_it() {
    let busy = Busy::start();
    let service = "[services.users]\nurl = \"http://127.0.0.1:9\"\n\
                   [routes.users]\npath = \"/users/{*rest}\"\nservice = \"users\"\nstage = \"migrated\"\nfallback = true";
    let edge = busy.behind("max_in_flight = 1\nqueue = { length = 1 }").with(service).start();
    let mut clients = [asking(&edge, "/users/1"), asking(&edge, "/users/2")];
    await_queue(&edge, "monolith", 1, 1);
    assert_eq!(edge.get("/users/3").status(), 503);
    busy.gate.open();
    assert!(clients.iter_mut().all(|client| client.response().status() == 200));
    assert_eq!(busy.most.load(Ordering::SeqCst), 1);
}

#[test]
fn a_client_that_goes_away_leaves_the_queue() {
    let busy = Busy::start();
    let edge = busy.behind("max_in_flight = 1").start();
    let mut first = asking(&edge, "/first");
    await_queue(&edge, "monolith", 1, 0);
    let (gone, mut last) = (asking(&edge, "/gone"), asking(&edge, "/last"));
    await_queue(&edge, "monolith", 1, 2);
    gone.reset();
    await_queue(&edge, "monolith", 1, 1);
    busy.gate.open();
    assert_eq!((first.response().status(), last.response().status()), (200, 200));
    assert!(!busy.targets().contains(&"/gone".to_owned()));
}

#[test]
fn a_reload_changes_the_limits_and_loses_nothing_that_waits() {
    let busy = Busy::start();
    let edge = busy.behind("max_in_flight = 1").start();
    let mut clients: Vec<_> = (0..5).map(|number| asking(&edge, &format!("/{number}"))).collect();
    await_queue(&edge, "monolith", 1, 4);
    let text = edge.text("").replace("max_in_flight = 1", "max_in_flight = 3\nqueue = { length = 1 }");
    edge.replace_file(&text);
    edge.await_text(&text);
    await_queue(&edge, "monolith", 3, 2);
    busy.origin.await_requests(3);
    let without = text.replace("max_in_flight = 3\nqueue = { length = 1 }", "");
    edge.replace_file(&without);
    edge.await_text(&without);
    busy.origin.await_requests(5);
    assert!(queue_of(&edge, "monolith").is_null());
    busy.gate.open();
    for client in &mut clients {
        assert_eq!(client.response().status(), 200);
    }
    assert!(!edge.admin("GET", "/metrics").text().contains("multilith_queue_length{"), "a series without a limit");
}

#[test]
fn copies_do_not_wait_and_keep_no_client_waiting() {
    let (busy, monolith) = (Busy::start(), Origin::saying("monolith"));
    let service = format!(
        "[services.users]\nurl = \"{}\"\nmax_in_flight = 2\n\
         [routes.users]\npath = \"/users/{{*rest}}\"\nservice = \"users\"\nstage = \"shadow\"\n\
         [routes.direct]\npath = \"/direct\"\nservice = \"users\"\nstage = \"migrated\"",
        busy.origin.url()
    );
    let edge = Edge::before(&monolith).with(&service).start();
    assert_eq!(edge.get("/users/1").text(), "monolith");
    await_queue(&edge, "users", 1, 0);
    assert_eq!(edge.get("/users/2").text(), "monolith");
    let skipped = edge.metric("multilith_shadow_skipped_total", &[("route", "users"), ("reason", "queue_full")]);
    assert!((skipped - 1.0).abs() < 0.5, "{skipped}");
    let mut direct = asking(&edge, "/direct");
    await_queue(&edge, "users", 2, 0);
    busy.gate.open();
    assert_eq!(direct.response().text(), "/direct");
    await_queue(&edge, "users", 0, 0);
}

#[test]
fn an_open_web_socket_takes_no_place() {
    let (address, heard) = super::websockets::origin(b"", |stream| drop(stream.set_nodelay(true)));
    let edge = Edge::before_address(address).monolith("max_in_flight = 1").start();
    let mut client = edge.client();
    client.send(
        "GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    );
    assert!(client.head().word(1) == b"101");
    await_queue(&edge, "monolith", 0, 0);
    heard.recv().expect("the server of the WebSocket has played");
}

#[test]
fn a_connection_on_which_somebody_has_signed_in_takes_a_place_only_while_it_is_asked() {
    let server = sign_in::Server::start("NTLM");
    let edge = Edge::before_address(server.address).monolith("max_in_flight = 1\nqueue = { length = 0 }").start();
    let mut alice = edge.client();
    let challenge = alice.request("GET", "/", &["Authorization: NTLM 1"]);
    let nonce = challenge.get("www-authenticate").and_then(|value| value.split(' ').nth(1)).expect("a challenge");
    assert_eq!(alice.request("GET", "/", &[&format!("Authorization: NTLM 3 alice {nonce}")]).status(), 200);
    await_queue(&edge, "monolith", 0, 0);
    assert_eq!(edge.get("/").status(), 401);
    assert_eq!(alice.get("/").status(), 200);
}

#[test]
fn many_clients_that_come_and_go_lose_no_place() {
    let origin = Origin::saying("fine");
    let edge =
        Edge::before(&origin).monolith("max_in_flight = 3\nqueue = { length = 1000, timeout = \"20s\" }").start();
    thread::scope(|scope| {
        for number in 0..16 {
            let edge = &edge;
            scope.spawn(move || {
                for turn in 0..30 {
                    let mut client = asking(edge, "/");
                    if (number + turn) % 3 == 0 {
                        client.reset();
                    } else {
                        assert_eq!(client.response().status(), 200);
                    }
                }
            });
        }
    });
    await_queue(&edge, "monolith", 0, 0);
    assert_eq!(edge.get("/").status(), 200);
}
