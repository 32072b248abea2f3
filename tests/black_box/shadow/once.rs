//! How often a copy is sent and to whom, which requests have none, and what a reload does to those on their way.

use crate::harness::{Edge, Gate, Origin, Reply};
use crate::shadow::plan::{PATIENT, shadowing};

#[test]
fn each_copy_goes_to_one_endpoint() {
    let monolith = Origin::saying("monolith");
    let (one, other) = (Origin::saying("service"), Origin::saying("service"));
    let tables = format!(
        "[services.new]\nendpoints = [\"{}\", \"{}\"]\n[routes.all]\npath = \"/{{*rest}}\"\nservice = \"new\"\nstage = \"shadow\"\n",
        one.address(),
        other.address()
    );
    let edge = Edge::before(&monolith).with(&tables).start();
    for number in 1..=10 {
        edge.get(&format!("/{number}"));
        edge.await_sent("answered", number);
    }
    let mut seen: Vec<_> = [one.requests(), other.requests()].concat();
    seen.sort_by_key(|request| request.target().to_vec());
    seen.dedup_by_key(|request| request.target().to_vec());
    assert_eq!((seen.len(), one.requests().len(), other.requests().len()), (10, 5, 5));
}

/// A service may close an idle connection just when it is used again: a read is then sent once more, a write never.
#[test]
fn the_copy_of_a_write_is_sent_once_at_most() {
    let monolith = Origin::saying("monolith");
    let service =
        Origin::start(|request| if request.path_is("/first") { Reply::ok("kept") } else { Reply::no_answer() });
    let edge = shadowing(&monolith, service.address(), PATIENT);
    let mut client = edge.client();
    for (number, method, times) in [(1, "POST", 1), (2, "GET", 2)] {
        client.get("/first");
        edge.await_sent("answered", number);
        client.request(method, "/second", &["Content-Length: 0"]);
        edge.await_sent("reset", number);
        let seen = service.requests().iter().filter(|copy| copy.path_is("/second") && copy.method() == method).count();
        assert_eq!(seen, times, "{method}");
    }
    assert_eq!(service.connections(), 3, "the copy was sent on a connection that had been used");
}

#[test]
fn redirects_are_an_answer_and_are_not_followed() {
    let monolith = Origin::saying("monolith");
    let service = Origin::start(|_| Reply::status("302 Found", &["Location: /elsewhere"], ""));
    let edge = shadowing(&monolith, service.address(), "compare = { noise = { replay = \"0%\" } }\n");
    edge.get("/");
    let report = edge.await_compared(1);
    assert_eq!(
        (&report["statuses"][0]["from"], &report["statuses"][0]["to"]),
        (&200.into(), &302.into()),
        "{report:#}"
    );
    assert_eq!(service.request().target(), b"/");
}

#[test]
fn what_the_edge_answers_itself_is_not_copied() {
    let (monolith, service) = (Origin::saying("monolith"), Origin::saying("service"));
    let tables = format!(
        "[services.new]\nurl = \"{}\"\n[routes.all]\npath = \"/{{*rest}}\"\nservice = \"new\"\nstage = \"shadow\"\n\
         body_limit = \"10B\"\nrate_limit = {{ per = \"header:x-who\", rate = \"1/h\", burst = 1 }}\n[routes.all.shadow]\ncompare = {{ noise = {{ replay = \"0%\" }} }}\n",
        service.url()
    );
    let edge = Edge::before(&monolith).with(&tables).start();
    let mut statuses = Vec::new();
    for fields in [&["X-Who: a"][..], &["X-Who: a"], &["X-Who: b", "Content-Length: 11"]] {
        statuses.push(edge.client().request("GET", "/", fields).status());
    }
    assert_eq!(statuses, [200, 429, 413]);
    let report = edge.await_compared(1);
    assert_eq!((report["compared"].as_u64(), service.requests().len()), (Some(1), 1));
}

#[test]
fn requests_without_a_body_pass_whatever_the_limit_is() {
    let (monolith, service) = (Origin::saying("monolith"), Origin::saying("service"));
    let edge = shadowing(&monolith, service.address(), "body_limit = \"1B\"\n");
    let mut client = edge.client();
    let chunked = "POST / HTTP/1.1\r\nHost: e\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    for (number, method) in (1..).zip(["GET", "HEAD", "POST"]) {
        let fields: &[&str] = if method == "POST" { &["Content-Length: 0"] } else { &[] };
        assert_eq!(client.request(method, "/", fields).status(), 200);
        edge.await_sent("answered", number);
    }
    client.send(chunked);
    assert_eq!(client.response().status(), 200);
    edge.await_sent("answered", 4);
    assert_eq!(monolith.requests().len(), 4);
    assert!(service.requests().iter().all(|copy| copy.body.is_empty()));
}

#[test]
fn the_answers_are_compared_whichever_comes_last() {
    for copy_first in [true, false] {
        let (primary, copy) = (Gate::new(), Gate::new());
        let gated = |gate: &Gate, body: &'static str| {
            let gate = gate.clone();
            Origin::start(move |_| {
                let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 7\r\n\r\n";
                Reply::default().when(&gate).then(head).then(body)
            })
        };
        let (monolith, service) = (gated(&primary, "{\"a\":1}"), gated(&copy, "{\"a\":2}"));
        let edge = shadowing(
            &monolith,
            service.address(),
            &format!("{PATIENT}compare = {{ noise = {{ replay = \"0%\" }} }}\n"),
        );
        let mut client = edge.client();
        client.send("GET / HTTP/1.1\r\nHost: e\r\n\r\n");
        service.await_requests(1);
        if copy_first {
            copy.open();
            edge.await_sent("answered", 1);
            primary.open();
            client.response();
        } else {
            primary.open();
            client.response();
            copy.open();
        }
        let report = edge.await_compared(1);
        assert_eq!(report["fields"][0]["field"], "$.a", "{report:#}");
    }
}

#[test]
fn a_client_that_leaves_in_the_middle_of_its_answer_leaves_nothing_to_compare() {
    let gate = Gate::new();
    let held = gate.clone();
    // So long that what is left of it cannot all be on its way when it is seen that nobody takes it.
    let rest = "x".repeat(500_000);
    let monolith = Origin::start(move |_| {
        Reply::bytes("HTTP/1.1 200 OK\r\nContent-Length: 500004\r\n\r\nhalf").when(&held).then(&rest)
    });
    let service = Origin::saying("service");
    let edge = shadowing(&monolith, service.address(), "compare = { headers = [], noise = { replay = \"0%\" } }\n");
    let mut client = edge.client();
    client.send("GET / HTTP/1.1\r\nHost: e\r\n\r\n");
    client.head();
    assert_eq!(client.exactly(4), b"half");
    drop(client);
    gate.open();
    let report = edge.await_compared(1);
    assert_eq!(report["incomparable"]["truncated"], 1, "{report:#}");
}

#[test]
fn copies_on_their_way_outlive_a_reload_and_are_counted_against_the_new_limit() {
    let gate = Gate::new();
    let held = gate.clone();
    let monolith = Origin::saying("monolith");
    let service =
        Origin::start(move |_| Reply::default().when(&held).then("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx"));
    let edge = Edge::before(&monolith).start();
    let tables = |in_flight: u32| {
        format!(
            "[services.new]\nurl = \"{}\"\n[routes.all]\npath = \"/{{*rest}}\"\nservice = \"new\"\nstage = \"shadow\"\n\
             [routes.all.shadow]\ntimeout = \"1h\"\nin_flight = {in_flight}\n",
            service.url()
        )
    };
    edge.reload(&tables(3));
    (0..3).for_each(|_| drop(edge.get("/")));
    service.await_requests(3);
    edge.reload(&tables(4));
    (0..2).for_each(|_| drop(edge.get("/")));
    edge.await_skipped("queue_full", 1);
    service.await_requests(4);
    gate.open();
    edge.await_sent("answered", 4);
}
