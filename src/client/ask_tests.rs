//! The tests of exchanges.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::Version;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::message::Name;

/// A server that answers connections one after another with these, each after it has read to the end of a head, and closes.
async fn server(said: Vec<Vec<u8>>) -> (std::net::SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let heads = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&heads);
    tokio::spawn(async move {
        for said in said {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut read = Vec::new();
            while !read.windows(4).any(|end| end == b"\r\n\r\n") {
                if socket.read_buf(&mut read).await.unwrap() == 0 {
                    break;
                }
            }
            count.fetch_add(1, Ordering::SeqCst);
            socket.write_all(&said).await.unwrap();
            // Half-closed and read on, so that the response is not lost to a reset (RFC 9112, 9.6).
            socket.shutdown().await.unwrap();
            tokio::spawn(
                async move { while socket.read_buf(&mut Vec::with_capacity(4096)).await.is_ok_and(|n| n > 0) {} },
            );
        }
    });
    (address, heads)
}

async fn connected(address: std::net::SocketAddr) -> Result<End, UpstreamFault> {
    Ok(End::http1(TcpStream::connect(address).await?.into()))
}

fn head(method: Method) -> RequestHead {
    let mut head = RequestHead::new(method, Version::HTTP_11, b"/");
    head.fields.append(Name::Host, b"a");
    head
}

fn is_reused(response: Response) -> bool {
    let End::Http1(conn) = response.end else { return false };
    conn.reuse().is_some()
}

async fn asked(said: &[u8]) -> Result<Vec<u8>, UpstreamFault> {
    let (address, _) = server(vec![said.to_vec()]).await;
    let head = head(Method::GET);
    let request = Request { head: &head, framing: Framing::None, body: &[] };
    let mut response = ask(connected(address).await?, &request).await?;
    Ok(response.body(10).await?.unwrap_or_else(|| b"too long".to_vec()))
}

#[tokio::test]
async fn a_response_is_read_behind_interim_ones_and_within_its_bound() {
    let interim = b"HTTP/1.1 103 Early Hints\r\n\r\n";
    let ok = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    for (said, expected) in [
        (ok.to_vec(), Ok("ok")),
        ([&interim.repeat(100)[..], ok].concat(), Ok("ok")),
        ([&interim.repeat(101)[..], ok].concat(), Err("not HTTP: more than 100 interim responses")),
        (
            b"HTTP/1.1 101 Switching Protocols\r\n\r\n".to_vec(),
            Err("not HTTP: a switch of protocols that was not asked for"),
        ),
        (b"HTTP/1.1 200 OK\r\n\r\n0123456789".to_vec(), Ok("0123456789")),
        (b"HTTP/1.1 200 OK\r\n\r\n0123456789a".to_vec(), Ok("too long")),
        (b"".to_vec(), Err("unexpected end of file")),
    ] {
        let found = asked(&said).await.map_err(|fault| fault.to_string());
        let expected = expected.map(|body| body.as_bytes().to_vec()).map_err(str::to_owned);
        assert_eq!(found, expected, "{}", said.escape_ascii());
    }
}

#[tokio::test]
async fn a_response_that_comes_before_the_upload_was_taken_is_read() {
    let head = head(Method::POST);
    let body = vec![Bytes::from(vec![b'x'; 1 << 20]); 32];
    for framing in [Framing::Length(32 << 20), Framing::Open] {
        let (address, _) = server(vec![b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno".to_vec()]).await;
        let request = Request { head: &head, framing, body: &body };
        let socket = connected(address).await.unwrap();
        let exchange = async {
            let mut response = ask(socket, &request).await?;
            Ok::<_, UpstreamFault>((response.head.status.as_u16(), response.body(10).await?, is_reused(response)))
        };
        let found = tokio::time::timeout(Duration::from_secs(20), exchange).await.expect("in time").unwrap();
        assert_eq!(found, (413, Some(b"no".to_vec()), false), "{framing:?}");
    }
}

#[tokio::test]
async fn a_body_arrives_as_it_is_framed() {
    for (framing, pieces, expected) in [
        (Framing::Length(5), vec!["he", "", "llo"], "Content-Length: 5\r\n\r\nhello"),
        (Framing::Open, vec!["he", "", "llo"], "Transfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"),
        (Framing::Open, vec![], "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        (Framing::None, vec![], "\r\n\r\n"),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(async move {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut read = Vec::new();
            while !read.ends_with(expected.as_bytes()) && socket.read_buf(&mut read).await.unwrap() > 0 {}
            socket.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
            read
        });
        let head = head(Method::POST);
        let body: Vec<_> = pieces.iter().map(|piece| Bytes::from_static(piece.as_bytes())).collect();
        let request = Request { head: &head, framing, body: &body };
        let mut response = ask(connected(address).await.unwrap(), &request).await.unwrap();
        assert_eq!(response.body(10).await.unwrap(), Some(Vec::new()));
        assert!(is_reused(response), "{framing:?}");
        let read = String::from_utf8(server.await.unwrap()).unwrap();
        assert!(read.ends_with(expected), "{framing:?}: {read}");
    }
}

#[tokio::test]
async fn a_kept_connection_that_had_ended_is_replaced_once_for_what_is_harmless_twice() {
    const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    for (method, kept_says, heads, expected) in [
        (Method::GET, &b""[..], 2, Ok(200)),
        (Method::HEAD, b"", 2, Ok(200)),
        (Method::GET, b"HTTP/1.1 200 O", 2, Ok(200)),
        (Method::GET, b"garbage", 1, Err("not HTTP: no response")),
        (Method::POST, b"", 1, Err("unexpected end of file")),
        (Method::PUT, b"", 1, Err("unexpected end of file")),
        (Method::TRACE, b"", 1, Err("unexpected end of file")),
    ] {
        let (address, count) = server(vec![kept_says.to_vec(), OK.to_vec()]).await;
        let kept = connected(address).await.unwrap();
        let head = head(method.clone());
        let request = Request { head: &head, framing: Framing::None, body: &[] };
        let found = ask_over(Some(kept), connected(address), &request).await;
        let found = found.map(|response| response.head.status.as_u16()).map_err(|fault| fault.to_string());
        assert_eq!(found, expected.map_err(str::to_owned), "{method}");
        assert_eq!(count.load(Ordering::SeqCst), heads, "{method}");
    }
}
