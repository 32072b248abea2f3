//! Copies whose target knows other credentials than the monolith's clients show.

use crate::harness::{Edge, Gate, Origin, Reply, Request};
use crate::shadow::plan::staged;

const SHADOW: &str = "stage = \"shadow\"";

/// A server that knows the session of Alice.
fn exchange() -> Origin {
    Origin::start(|request| match &request.body[..] {
        b"subject_token=alice" => Reply::ok(r#"{"token":"t-alice"}"#),
        _ => Reply::status("401 Unauthorized", &[], "no"),
    })
}

fn credentials(server: &Origin) -> String {
    format!(
        "credentials = {{ exchange = \"{}\", from = \"cookie:sessionid\", set = {{ authorization = \"Bearer {{token}}\" }} }}\n",
        server.url()
    )
}

fn ask(edge: &Edge, user: &str) -> String {
    edge.client().request("GET", "/a", &[&format!("Cookie: sessionid={user}"), "Authorization: Basic own"]).text()
}

#[test]
fn a_copy_gets_what_its_target_believes_and_the_monolith_what_the_client_sent() {
    let (monolith, service, server) = (Origin::saying("monolith"), Origin::saying("service"), exchange());
    let edge = staged(&monolith, service.address(), SHADOW, &format!("compare = {{}}\n{}", credentials(&server)));
    assert_eq!(ask(&edge, "alice"), "monolith");
    assert_eq!(ask(&edge, "alice"), "monolith");
    let copies = service.await_requests(2);
    assert!(copies.iter().all(|copy| copy.head.all("authorization") == ["Bearer t-alice"]));
    assert!(copies.iter().all(|copy| copy.get("cookie") == Some("sessionid=alice")));
    assert!(monolith.requests().iter().all(|request| request.head.all("authorization") == ["Basic own"]));
    assert_eq!(server.requests().len(), 1, "the answer is used again");
    edge.await_compared(2);
}

#[test]
fn a_copy_without_credentials_is_not_sent() {
    let (monolith, service, server) = (Origin::saying("monolith"), Origin::saying("service"), exchange());
    let edge = staged(&monolith, service.address(), SHADOW, &credentials(&server));
    assert_eq!(ask(&edge, "mallory"), "monolith");
    edge.await_skipped("credentials", 1);
    drop(server);
    assert_eq!(ask(&edge, "bob"), "monolith");
    edge.await_skipped("credentials", 2);
    assert!(service.requests().is_empty());
}

#[test]
fn the_client_never_waits_for_a_question_about_its_copy() {
    let gate = Gate::new();
    let whoami = {
        let gate = gate.clone();
        Origin::start(move |_: &Request| {
            gate.wait();
            Reply::status("200 OK", &["X-User-Id: 7"], "")
        })
    };
    let (monolith, service) = (Origin::saying("monolith"), Origin::saying("service"));
    let stage = format!("{SHADOW}\nauth.forward = {{ url = \"{}/whoami\", headers = [\"x-user-id\"] }}", whoami.url());
    let edge = staged(&monolith, service.address(), &stage, "");
    let response = edge.client().request("GET", "/a?b", &["Cookie: sessionid=alice", "X-User-Id: 1"]);
    assert_eq!(response.text(), "monolith");
    whoami.await_requests(1);
    assert!(service.requests().is_empty());
    assert_eq!(monolith.request().get("x-user-id"), Some("1"));
    gate.open();
    let copy = service.await_requests(1).remove(0);
    assert_eq!(copy.head.all("x-user-id"), ["7"]);
    let asked = whoami.request();
    assert_eq!((asked.get("x-forwarded-uri"), asked.get("host")), (Some("/a?b"), Some("edge.test")));
    assert_eq!(asked.get("x-forwarded-for"), Some("127.0.0.1"));
}

#[test]
fn a_copy_takes_the_exchange_of_the_route_where_it_has_none_of_its_own() {
    let (monolith, service, server) = (Origin::saying("monolith"), Origin::saying("service"), exchange());
    let stage = format!("{SHADOW}\nauth.{}", credentials(&server).trim_end().replace("credentials", "exchange"));
    let edge = staged(&monolith, service.address(), &stage, "");
    assert_eq!(ask(&edge, "alice"), "monolith");
    assert_eq!(service.await_requests(1)[0].get("authorization"), Some("Bearer t-alice"));
}
