//! Requests of HTTP/2 without a body take the way of plain requests where they can: no client and no upstream can tell.

use bytes::Bytes;
use http::{HeaderMap, Request};
use tokio::net::TcpStream;

use crate::harness::{Edge, Origin, Reply, http2_service, say};

/// Of every shape: with a length, in chunks, behind a hint, up to the end of the connection, without a body.
fn shapes(path: &[u8]) -> Reply {
    const FIELDS: &str = "Server: old\r\nSet-Cookie: a=b\r\nset-cookie: c=d\r\nX-Own: \u{e9}\r\nConnection: keep-alive\r\nKeep-Alive: timeout=5\r\n";
    let ok = |more: &str| Reply::bytes(format!("HTTP/1.1 200 OK\r\n{FIELDS}{more}"));
    match path {
        b"/length" => ok("Content-Length: 5\r\n\r\nhello"),
        b"/long" => ok("Content-Length: 300000\r\n\r\n").then(vec![b'x'; 300_000]),
        b"/chunks" => ok("Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"),
        b"/hint" => Reply::bytes("HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n")
            .then("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"),
        b"/close" => {
            Reply::bytes(format!("HTTP/1.1 200 OK\r\n{}\r\nhello", FIELDS.replace("keep-alive", "close"))).close()
        }
        b"/none" => Reply::bytes("HTTP/1.1 204 No Content\r\nX-Own: y\r\n\r\n"),
        b"/same" => Reply::bytes("HTTP/1.1 304 Not Modified\r\nETag: \"1\"\r\n\r\n"),
        b"/empty" => ok("Content-Length: 0\r\n\r\n"),
        _ => Reply::status("404 Not Here", &[], "nothing"),
    }
}

/// Status, fields without those that differ each time, body.
type Answer = (u16, HeaderMap, Vec<u8>);

async fn ask(client: &mut h2::client::SendRequest<Bytes>, request: Request<()>) -> Answer {
    let mut client = client.clone().ready().await.expect("the connection lives");
    let (answer, _) = client.send_request(request, true).expect("a stream");
    let (mut parts, mut body) = answer.await.expect("an answer").into_parts();
    let mut read = Vec::new();
    while let Some(chunk) = body.data().await {
        let chunk = chunk.expect("a whole body");
        drop(body.flow_control().release_capacity(chunk.len()));
        read.extend_from_slice(&chunk);
    }
    for name in ["date", "x-request-id"] {
        assert!(parts.headers.remove(name).is_some(), "{name}");
        assert!(parts.headers.get(name).is_none(), "{name} twice");
    }
    (parts.status.as_u16(), parts.headers, read)
}

fn run<T>(edge: &Edge, test: impl AsyncFnOnce(h2::client::SendRequest<Bytes>) -> T) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let stream = TcpStream::connect(edge.address()).await.expect("the proxy listens");
        let (client, connection) = h2::client::handshake(stream).await.expect("it speaks HTTP/2");
        tokio::spawn(connection);
        test(client).await
    })
}

fn request(method: &str, path: &str, more: &[(&str, &str)]) -> Request<()> {
    let mut request = Request::builder().method(method).uri(format!("http://shop.example:81{path}"));
    for (name, value) in more {
        request = request.header(*name, *value);
    }
    request.body(()).expect("a request")
}

#[test]
fn both_ways_give_the_same_answers_and_send_the_same_requests() {
    let monolith = Origin::start(|request| shapes(request.target()));
    let service = Origin::start(|request| shapes(request.target()));
    let tables = "[routes.one]\npath = \"/length\"\nservice = \"new\"\nstage = \"migrated\"\n\
                  [routes.two]\npath = \"/chunks\"\nservice = \"new\"\nstage = \"migrated\"\nrewrite = { set = { x-set = \"1\" } }\n";
    let edge = Edge::before(&monolith).service("new", &service).with(tables).start();
    run(&edge, async |mut client| {
        for method in ["GET", "HEAD"] {
            for path in ["/length", "/long", "/chunks", "/hint", "/close", "/none", "/same", "/empty", "/other?a=%20b"]
            {
                if (method, path) == ("HEAD", "/hint") {
                    // The origin of these tests says only the first of two heads.
                    continue;
                }
                let fields =
                    [("cookie", "a=1"), ("cookie", "b=2"), ("user-agent", "x"), ("x-forwarded-for", "1.2.3.4")];
                let express = ask(&mut client, request(method, path, &fields)).await;
                // Whoever takes trailers goes through pingora's proxy.
                let with_te = [&fields[..], &[("te", "trailers")]].concat();
                let other = ask(&mut client, request(method, path, &with_te)).await;
                assert_eq!(express, other, "{method} {path}");
                let hop_by_hop = ["connection", "keep-alive", "transfer-encoding"];
                assert!(hop_by_hop.iter().all(|name| !express.1.contains_key(*name)), "{express:?}");
                match (method, path) {
                    ("GET", "/long") => assert!(express.2 == vec![b'x'; 300_000]),
                    ("GET", "/length" | "/chunks" | "/hint" | "/close") => assert_eq!(express.2, b"hello", "{path}"),
                    ("GET", "/other?a=%20b") => assert_eq!((express.0, &express.2[..]), (404, &b"nothing"[..])),
                    _ => assert_eq!(express.2, b"", "{method} {path}"),
                }
            }
        }
    });
    for origin in [&monolith, &service] {
        let requests = origin.requests();
        assert!(!requests.is_empty());
        for pair in requests.chunks(2) {
            assert_eq!(pair[0].lines(), pair[1].lines());
            assert_eq!(pair[0].head.all("cookie"), ["a=1; b=2"]);
            assert_eq!(pair[0].head.all("host"), ["shop.example:81"]);
            assert_eq!(pair[0].head.all("x-forwarded-host"), ["shop.example:81"]);
            assert_eq!(pair[0].head.all("x-forwarded-for"), ["127.0.0.1"]);
        }
    }
}

/// A service that says the path it was asked for.
fn service() -> std::net::SocketAddr {
    http2_service(|request, mut respond| async move {
        let route = request.headers().get("x-multilith-route");
        say(&mut respond, format!("{} {route:?}", request.uri().path()));
    })
}

/// Which way a request takes is known only when its route is.
#[test]
fn a_request_for_an_upstream_of_http_2_goes_on_as_it_was_admitted() {
    let monolith = Origin::saying("monolith");
    let service = service();
    let tables = format!(
        "[services.new]\nurl = \"http://{service}\"\nhttp = \"2\"\n[routes.new]\npath = \"/new/{{*rest}}\"\nservice = \"new\"\n\
         stage = \"migrated\"\nrate_limit = {{ per = \"ip\", rate = \"3/h\", burst = 3 }}\n"
    );
    let edge = Edge::before(&monolith).with(&tables).start();
    run(&edge, async |mut client| {
        for _ in 0..3 {
            let new = ask(&mut client, request("GET", "/new/x", &[])).await;
            assert_eq!((new.0, String::from_utf8(new.2).unwrap().as_str()), (200, "/new/x Some(\"new\")"));
            assert_eq!(ask(&mut client, request("GET", "/old", &[])).await.2, b"monolith");
        }
        // It was counted once each time, not twice.
        assert_eq!(ask(&mut client, request("GET", "/new/x", &[])).await.0, 429);
    });
    let counted = |code: &str| edge.metric("multilith_requests_total", &[("route", "new"), ("code", code)]);
    assert_eq!((counted("200"), counted("429")), (3.0, 1.0));
}

#[test]
fn an_answer_of_our_own_ends_its_stream_whatever_was_asked() {
    let nobody = crate::harness::free_address();
    let edge = Edge::before_address(nobody).start();
    run(&edge, async |mut client| {
        for (method, empty) in [("GET", false), ("HEAD", true)] {
            for more in [&[][..], &[("te", "trailers")]] {
                let (status, _, body) = ask(&mut client, request(method, "/", more)).await;
                assert_eq!((status, body.is_empty()), (502, empty), "{method} {more:?}");
            }
        }
    });
}

#[test]
fn bodies_are_held_over_http_2_as_over_http_1() {
    let monolith = Origin::start(|request| Reply::chunked(&[]).chunk(&request.body).last_chunk(&["X-Sum: 1"]));
    let buffer = "buffer = { request = \"4MiB\", answer = \"4MiB\" }";
    let edge = Edge::before(&monolith).monolith(buffer).start();
    let sent: Vec<u8> = (0..=250_u8).cycle().take(2_000_000).collect();
    run(&edge, async |client| {
        let mut client = client.ready().await.expect("the connection lives");
        let (answer, mut upload) = client.send_request(request("POST", "/up", &[]), false).expect("a stream");
        upload.send_data(sent.clone().into(), true).expect("the library takes all of it");
        let mut body = answer.await.expect("an answer").into_body();
        let mut read = Vec::new();
        while let Some(chunk) = body.data().await {
            let chunk = chunk.expect("a whole body");
            drop(body.flow_control().release_capacity(chunk.len()));
            read.extend_from_slice(&chunk);
        }
        assert!(read == sent);
        let trailers = body.trailers().await.expect("the end").expect("trailers");
        assert_eq!(trailers["x-sum"], "1");
    });
    let request = monolith.request();
    assert!(request.head.content_length() == Some(sent.len()) && request.body == sent);
}
