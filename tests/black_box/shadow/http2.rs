//! Copies of what clients send by HTTP/2, and to services that speak it.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use tokio::net::TcpStream;

use crate::harness::{Edge, Origin, eventually, http2_server, http2_service, read_body, runtime, say};
use crate::shadow::plan::shadowing;

/// One request on a connection of its own, by prior knowledge; the body in two frames, its end in a third.
async fn request(edge: SocketAddr, method: &str, target: &str, body: &[&'static [u8]]) -> (u16, Vec<u8>) {
    let stream = TcpStream::connect(edge).await.expect("the proxy listens");
    let (mut client, connection) = h2::client::handshake(stream).await.expect("it speaks HTTP/2");
    tokio::spawn(connection);
    let request = http::Request::builder().method(method).uri(format!("http://shop.example:81{target}"));
    let request = request.header("cookie", "a=1").header("cookie", "b=2").body(()).expect("a request");
    let (answer, mut sender) = client.send_request(request, body.is_empty()).expect("a stream");
    for frame in body {
        sender.send_data(Bytes::from_static(frame), false).expect("room for a frame");
    }
    if !body.is_empty() {
        sender.send_data(Bytes::new(), true).expect("room for the end");
    }
    let answer = answer.await.expect("an answer");
    let status = answer.status().as_u16();
    (status, read_body(&mut answer.into_body()).await)
}

#[test]
fn what_comes_by_http2_is_copied_by_http1() {
    let (monolith, service) = (Origin::saying("monolith"), Origin::saying("service"));
    let edge = shadowing(&monolith, service.address(), "");
    runtime().block_on(async {
        assert_eq!(request(edge.address(), "GET", "/a?b=c", &[]).await, (200, b"monolith".to_vec()));
        let posted = request(edge.address(), "POST", "/form", &[b"one", b"two"]).await;
        assert_eq!(posted, (200, b"monolith".to_vec()));
    });
    edge.await_sent("answered", 2);
    let mut copies = service.requests();
    copies.sort_by_key(crate::harness::Request::method);
    for (copy, method, target, body) in [(&copies[0], "GET", "/a?b=c", ""), (&copies[1], "POST", "/form", "onetwo")] {
        assert_eq!(
            (copy.method(), copy.target(), &*copy.body),
            (method.to_owned(), target.as_bytes(), body.as_bytes())
        );
        assert_eq!(copy.head.all("host"), ["shop.example:81"]);
        assert_eq!(copy.head.all("cookie"), ["a=1; b=2"]);
    }
}

/// Head and body of each request.
type Seen = Arc<Mutex<Vec<(http::request::Parts, Vec<u8>)>>>;

/// How a service ends its streams.
#[derive(Clone, Copy)]
enum Does {
    Answer,
    Reset,
    ResetInTheBody,
    GoAway,
}

/// Keeps what it was asked, and says `h2`, or not.
fn service(does: Does) -> (SocketAddr, Seen) {
    let seen = Seen::default();
    if matches!(does, Does::GoAway) {
        let address = http2_server(|stream| async {
            if let Ok(mut connection) = h2::server::handshake(stream).await {
                let _ = connection.accept().await;
            }
        });
        return (address, seen);
    }
    let record = Arc::clone(&seen);
    let address = http2_service(move |request, mut respond| {
        let record = Arc::clone(&record);
        async move {
            let (parts, mut body) = request.into_parts();
            let body = read_body(&mut body).await;
            record.lock().expect("no panic while held").push((parts, body));
            match does {
                Does::Answer => say(&mut respond, "h2"),
                Does::ResetInTheBody => {
                    let Ok(mut sender) = respond.send_response(http::Response::new(()), false) else { return };
                    drop(sender.send_data(Bytes::from_static(b"h2"), false));
                    sender.send_reset(h2::Reason::CANCEL);
                }
                Does::Reset | Does::GoAway => respond.send_reset(h2::Reason::INTERNAL_ERROR),
            }
        }
    });
    (address, seen)
}

fn tables(service: SocketAddr) -> String {
    format!(
        "[services.new]\nurl = \"http://{service}\"\nhttp = \"2\"\nsandbox = true\n[routes.all]\npath = \"/{{*rest}}\"\n\
         service = \"new\"\nstage = \"shadow\"\n[routes.all.shadow]\nmethods = [\"GET\", \"POST\"]\nwrites = \"sandbox\"\n\
         timeout = \"1h\"\ncompare = {{ headers = [], noise = {{ replay = \"0%\" }} }}\n"
    )
}

#[test]
fn a_service_that_ends_its_streams_early_hurts_nobody() {
    for does in [Does::Reset, Does::ResetInTheBody, Does::GoAway] {
        let monolith = Origin::saying("monolith");
        let (service, _) = service(does);
        let edge = Edge::before(&monolith).with(&tables(service)).start();
        let mut client = edge.client();
        for _ in 0..5 {
            assert_eq!(client.get("/").text(), "monolith");
            client.send("POST / HTTP/1.1\r\nHost: e\r\nContent-Length: 4\r\n\r\nbody");
            assert_eq!(client.response().text(), "monolith");
        }
        edge.await_sent("reset", 10);
        assert_eq!(monolith.requests().len(), 10);
    }
}

#[test]
fn a_service_that_speaks_http2_gets_its_copies_by_it() {
    let monolith = Origin::saying("h2");
    let (service, seen) = service(Does::Answer);
    let edge = Edge::before(&monolith).with(&tables(service)).start();
    let mut client = edge.client();
    client.request("GET", "/a?b=c", &["Host: shop.example:81"]);
    client.send(
        "POST /form HTTP/1.1\r\nHost: shop.example:81\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n0\r\n\r\n",
    );
    assert_eq!(client.response().status(), 200);
    let report = edge.await_compared(2);
    assert_eq!(report["verdicts"]["match"], 2, "{report:#}");
    let mut seen = eventually("both copies", || {
        let seen = seen.lock().expect("no panic while held").clone();
        (seen.len() == 2).then_some(seen)
    });
    seen.sort_by_key(|(parts, _)| parts.method.to_string());
    for ((parts, body), target, sent) in [(&seen[0], "/a?b=c", ""), (&seen[1], "/form", "one")] {
        assert_eq!(
            (parts.uri.path_and_query().map(ToString::to_string).as_deref(), &**body),
            (Some(target), sent.as_bytes())
        );
        assert_eq!(parts.uri.authority().map(ToString::to_string).as_deref(), Some("shop.example:81"));
        assert!(parts.headers.contains_key("x-multilith-shadow") && !parts.headers.contains_key("transfer-encoding"));
    }
}

#[test]
fn a_copy_that_cannot_be_written_is_not_sent_and_says_nothing_of_the_service() {
    let monolith = Origin::saying("h2");
    let (service, seen) = service(Does::Answer);
    let edge = Edge::before(&monolith).with(&tables(service)).start();
    for _ in 0..10 {
        assert_eq!(edge.get("/a?q=<b>").text(), "h2");
    }
    edge.await_skipped("target", 10);
    assert_eq!(edge.get("/a").text(), "h2");
    edge.await_sent("answered", 1);
    assert_eq!(seen.lock().expect("no panic while held").len(), 1);
    assert!(edge.sent("reset") < 0.5);
    let failing = [("upstream", "new"), ("state", "failing")];
    assert!(edge.metric("multilith_upstream_endpoints", &failing) < 0.5);
}
