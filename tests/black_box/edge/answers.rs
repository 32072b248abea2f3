//! Answers of every shape on the way that plain requests take: what is read of them by the proxy's own eyes, what is left to
//! pingora, and that no client can tell.

use crate::harness::{Client, Edge, Origin, Reply};

const WITH_LENGTH: &str =
    "HTTP/1.1 200 OK\r\nServer: old\r\nSet-Cookie: a=b\r\nset-cookie: c=d\r\nContent-Length: 11\r\n\r\nhello world";
const IN_CHUNKS: &str = "HTTP/1.1 200 OK\r\nServer: old\r\nSet-Cookie: a=b\r\nset-cookie: c=d\r\n\
                         Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n";
const BEHIND_A_HINT: &str = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\nHTTP/1.1 200 OK\r\nServer: old\r\n\
                             Set-Cookie: a=b\r\nset-cookie: c=d\r\nContent-Length: 11\r\n\r\nhello world";

/// `/0/7`: the first of these answers, cut behind its seventh byte.
fn cut(path: &str) -> Reply {
    let (answer, at) = path.trim_start_matches('/').split_once('/').expect("an answer and a place");
    let answer = [WITH_LENGTH, IN_CHUNKS, BEHIND_A_HINT][answer.parse::<usize>().expect("a number")];
    let (first, rest) = answer.split_at(at.parse().expect("a number"));
    Reply::bytes(first).then(rest)
}

#[test]
fn an_answer_is_the_same_wherever_it_is_cut_and_however_it_is_framed() {
    let monolith = Origin::start(|request| cut(std::str::from_utf8(request.target()).unwrap()));
    let edge = Edge::before(&monolith).start();
    let mut client = edge.client();
    for (number, answer) in [WITH_LENGTH, IN_CHUNKS, BEHIND_A_HINT].into_iter().enumerate() {
        for at in 1..answer.len() {
            let response = client.get(&format!("/{number}/{at}"));
            let cookies = response.head.all("set-cookie");
            assert_eq!((response.status(), response.text().as_str()), (200, "hello world"), "{number} at {at}");
            assert_eq!((response.get("server"), cookies), (Some("old"), vec!["a=b", "c=d"]), "{number} at {at}");
            assert_eq!(response.head.all("x-request-id").len(), 1);
            assert!(response.head.all("connection").is_empty());
            assert_eq!(response.head.all("date").len(), 1);
        }
    }
}

#[test]
fn what_comes_behind_an_answer_is_nobodys_answer() {
    let monolith = Origin::start(|request| {
        let more = if request.path_is("/first") { "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil" } else { "" };
        Reply::bytes(format!("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok{more}"))
    });
    let edge = Edge::before(&monolith).start();
    let mut client = edge.client();
    for path in ["/first", "/second", "/first", "/third"] {
        assert_eq!(client.get(path).text(), "ok", "{path}");
    }
}

#[test]
fn an_answer_that_breaks_off_does_not_look_whole() {
    let monolith = Origin::start(|request| match request.target() {
        b"/body" => Reply::bytes("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort").close(),
        b"/nothing" => Reply::bytes("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n").close(),
        _ => Reply::bytes("HTTP/1.1 200 OK\r\nContent-Le").close(),
    });
    let edge = Edge::before(&monolith).start();
    for (path, body) in [("/body", "short"), ("/nothing", "")] {
        let mut client = edge.client();
        client.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"));
        let answer = String::from_utf8(client.until_closed().unwrap_or_default()).unwrap();
        let (head, got) = answer.split_once("\r\n\r\n").expect("a head");
        assert!(head.to_ascii_lowercase().contains("content-length: 10"), "{head}");
        assert_eq!(got, body, "{path}");
    }
    assert_eq!(edge.get("/head").status(), 502);
}

#[test]
fn an_answer_that_says_goodbye_is_passed_on_and_its_connection_left() {
    let monolith = Origin::start(|_| Reply::status("200 OK", &["Connection: close"], "bye"));
    let edge = Edge::before(&monolith).start();
    let mut client = edge.client();
    for _ in 0..3 {
        let response = client.get("/");
        assert_eq!((response.text().as_str(), response.get("connection")), ("bye", None));
    }
}

#[test]
fn a_status_line_of_its_own_words_is_kept() {
    let monolith = Origin::start(|_| Reply::status("499 Nobody Knows", &[], "x"));
    let edge = Edge::before(&monolith).start();
    let mut client = edge.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    let answer = client.until_closed().expect("an orderly end");
    assert!(answer.starts_with(b"HTTP/1.1 499 Nobody Knows\r\n"), "{}", answer.escape_ascii());
}

/// A body far longer than any buffer, in front of a client that takes its time.
#[test]
fn a_long_body_arrives_byte_for_byte() {
    let body: Vec<u8> = (0..3_000_000_u32).map(|number| u8::try_from(number * 7 % 251).unwrap()).collect();
    let sent = body.clone();
    let monolith = Origin::start(move |_| Reply::ok(&sent));
    let edge = Edge::before(&monolith).start();
    let mut client: Client = edge.client();
    for _ in 0..3 {
        assert!(client.get("/").body == body);
    }
}
