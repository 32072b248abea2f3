//! The tests of a connection of HTTP/1.

use std::future::poll_fn;

use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};

use super::*;

/// A connection to a peer that says this and closes.
async fn answering(said: &[u8], method: Method) -> Conn {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let socket = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (mut other, _) = listener.accept().await.unwrap();
    other.write_all(said).await.unwrap();
    drop(other);
    let mut conn = Conn::new(socket.into());
    conn.put_head(&RequestHead::new(method, Version::HTTP_11, b"/"), Framing::None);
    conn
}

async fn read(conn: &mut Conn) -> Result<(u16, Vec<u8>, Option<String>), UpstreamFault> {
    let head = loop {
        let head = poll_fn(|cx| conn.poll_head(cx)).await?;
        if !head.is_interim() {
            break head;
        }
    };
    let mut body = Vec::new();
    loop {
        match poll_fn(|cx| conn.poll_piece(cx)).await? {
            Piece::Data(data) => body.extend_from_slice(&data),
            Piece::Trailers(fields) => return Ok((head.status.as_u16(), body, Some(format!("{fields:?}")))),
            Piece::End => return Ok((head.status.as_u16(), body, None)),
        }
    }
}

#[tokio::test]
async fn responses_are_read_as_their_heads_frame_them() {
    let get = Method::GET;
    let table: &[(&[u8], Method, &[u8], Framing)] = &[
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", get.clone(), b"hello", Framing::Length(5)),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nok", get.clone(), b"ok", Framing::Length(2)),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", get.clone(), b"", Framing::Length(0)),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", Method::HEAD, b"", Framing::None),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", get.clone(), b"", Framing::None),
        (b"HTTP/1.1 204 No Content\r\n\r\n", get.clone(), b"", Framing::None),
        (b"HTTP/1.1 200 OK\r\n\r\nto the end", get.clone(), b"to the end", Framing::Open),
        (b"HTTP/1.0 200 OK\r\n\r\nto the end", get.clone(), b"to the end", Framing::Open),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", get.clone(), b"ok", Framing::Open),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
            get.clone(),
            b"ok",
            Framing::Open,
        ),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", get, b"ok", Framing::Length(2)),
    ];
    for (said, method, body, framing) in table {
        let mut conn = answering(said, method.clone()).await;
        let (_, seen, trailers) =
            read(&mut conn).await.unwrap_or_else(|fault| panic!("{}: {fault}", said.escape_ascii()));
        assert_eq!((&seen[..], conn.framing(), trailers), (*body, *framing, None), "{}", said.escape_ascii());
    }
}

#[tokio::test]
async fn trailers_are_read() {
    let said = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-T: 1\r\n\r\n";
    let mut conn = answering(said, Method::GET).await;
    assert_eq!(read(&mut conn).await.unwrap().2.as_deref(), Some("{\"X-T\": \"1\"}"));
}

#[tokio::test]
async fn what_is_cut_short_or_is_not_http_is_a_fault() {
    for (said, expected) in [
        (&b""[..], "unexpected end of file"),
        (b"HTTP/1.1 200 OK\r\nContent-", "unexpected end of file"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell", "unexpected end of file"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n", "unexpected end of file"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n", "not HTTP: chunks"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, chunked\r\n\r\n", "not HTTP: transfer_encoding"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok", "not HTTP: content_length"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nok", "not HTTP: content_length"),
        (b"garbage", "not HTTP: no response"),
        (b"HTTP/1.1 600000 OK\r\n\r\n", "not HTTP: head"),
    ] {
        let mut conn = answering(said, Method::GET).await;
        let fault = read(&mut conn).await.expect_err(&said.escape_ascii().to_string());
        assert_eq!(fault.to_string(), expected, "{}", said.escape_ascii());
    }
}

#[tokio::test]
async fn a_connection_is_used_again_only_when_nothing_is_left_on_it() {
    for (said, reused) in [
        (&b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"[..], true),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", true),
        (b"HTTP/1.1 204 No Content\r\n\r\n", true),
        (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok", true),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokEXTRA", false),
        (b"HTTP/1.1 200 OK\r\nConnection: x, close\r\nContent-Length: 2\r\n\r\nok", false),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", false),
        (b"HTTP/1.1 200 OK\r\n\r\nok", false),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", false),
    ] {
        let mut conn = answering(said, Method::GET).await;
        let mut moved = false;
        poll_fn(|cx| conn.poll_send(cx, &mut moved)).await.unwrap();
        read(&mut conn).await.unwrap();
        assert_eq!(conn.reuse().is_some(), reused, "{}", said.escape_ascii());
    }
}
