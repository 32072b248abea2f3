//! Requests to an upstream of HTTP/2 over a pipe: to the library's server, and to one that speaks frame by frame.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use bytes::Bytes;
use http::uri::Scheme;
use http::{Method, Version};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};

use super::*;
use crate::message::{Fields, Framing, Name, Piece, RequestHead, ResponseHead};

const PATIENCE: Duration = Duration::from_secs(10);
const MINUTE: Duration = Duration::from_secs(60);

fn request(method: Method, target: &[u8]) -> RequestHead {
    let mut head = RequestHead::new(method, Version::HTTP_11, target);
    head.fields.append(Name::Host, b"upstream.test");
    head
}

async fn in_time<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("in time")
}

async fn head(stream: &mut Stream) -> Result<ResponseHead, UpstreamFault> {
    in_time(poll_fn(|cx| stream.poll_head(cx))).await
}

/// The body as text, and how it ended.
async fn body(stream: &mut Stream) -> String {
    let mut text = String::new();
    loop {
        match in_time(poll_fn(|cx| stream.poll_piece(cx))).await {
            Ok(Piece::Data(data)) => {
                assert!(!data.is_empty());
                stream.passed(data.len());
                text.push_str(std::str::from_utf8(&data).unwrap());
                text.push('|');
            }
            Ok(Piece::End) => return text + "end",
            Ok(Piece::Trailers(fields)) => return format!("{text}{fields:?}"),
            Err(fault) => return format!("{text}{fault}"),
        }
    }
}

/// For one connection alone.
fn key() -> u64 {
    static NEXT: AtomicUsize = AtomicUsize::new(1000);
    NEXT.fetch_add(1, Relaxed) as u64
}

type Respond = h2::server::SendResponse<Bytes>;

/// A server of the library: `answer` gets each request.
fn serve(io: DuplexStream, streams: u32, answer: impl Fn(http::Request<h2::RecvStream>, Respond) + Send + 'static) {
    tokio::spawn(async move {
        let mut options = h2::server::Builder::new();
        options.max_concurrent_streams(streams);
        let mut connection = options.handshake(io).await.unwrap();
        while let Some(Ok((request, respond))) = connection.accept().await {
            answer(request, respond);
        }
    });
}

async fn connected(key: u64, io: DuplexStream) -> Stream {
    Stream::new(connect(io, key, MINUTE).await.expect("a connection"))
}

#[tokio::test]
async fn a_response_comes_with_its_interim_heads_and_its_trailers() {
    let (near, far) = tokio::io::duplex(1 << 16);
    serve(far, 100, |request, mut respond| {
        assert_eq!(request.uri(), "http://upstream.test/a?b=%20");
        assert_eq!(request.headers()["x-a"], "1");
        assert!(request.headers().get("host").is_none() && request.headers().get("connection").is_none());
        for status in [100, 103] {
            respond.send_informational(http::Response::builder().status(status).body(()).unwrap()).unwrap();
        }
        let response = http::Response::builder().status(203).header("date", "today").body(()).unwrap();
        let mut stream = respond.send_response(response, false).unwrap();
        stream.send_data(Bytes::from_static(b"hello"), false).unwrap();
        let mut trailers = http::HeaderMap::new();
        trailers.insert("grpc-status", "0".parse().unwrap());
        stream.send_trailers(trailers).unwrap();
    });
    let mut stream = connected(1, near).await;
    let mut asked = request(Method::GET, b"/a?b=%20");
    asked.fields.append("X-A", b"1");
    asked.fields.append(Name::Connection, b"close");
    stream.put_head(&asked, Framing::None, &Scheme::HTTP).expect("sent");
    for (status, interim) in [(100, true), (103, true), (203, false)] {
        let head = head(&mut stream).await.expect("a head");
        assert_eq!((head.status.as_u16(), head.is_interim(), head.version), (status, interim, Version::HTTP_2));
    }
    assert_eq!(stream.framing(), Framing::Open);
    assert_eq!(body(&mut stream).await, "hello|{\"grpc-status\": \"0\"}");
    assert!(stream.is_read());
}

#[tokio::test]
async fn a_body_and_its_trailers_reach_the_upstream_as_far_as_they_are_whole() {
    let (near, far) = tokio::io::duplex(1 << 16);
    let (seen, mut bodies) = tokio::sync::mpsc::unbounded_channel();
    serve(far, 100, move |request, mut respond| {
        let seen = seen.clone();
        tokio::spawn(async move {
            let length = request.headers().get("content-length").map(|length| length.to_str().unwrap().to_owned());
            let mut body = request.into_body();
            let mut text = String::new();
            let end = loop {
                match body.data().await {
                    Some(Ok(data)) => text.push_str(std::str::from_utf8(&data).unwrap()),
                    Some(Err(error)) => break format!("{:?}", error.reason().unwrap()),
                    None => break format!("{:?}", body.trailers().await.unwrap()),
                }
            };
            seen.send((length, text, end)).unwrap();
            drop(respond.send_response(http::Response::new(()), true));
        });
    });
    drop(connected(2, near).await);
    let data = |text: &'static str| Piece::Data(Bytes::from_static(text.as_bytes()));
    let trailers = Fields::from_iter([("X-Sum", "7")]);
    for (framing, pieces, length, text, end) in [
        (Framing::Length(5), vec![data("hello"), Piece::End], Some("5"), "hello", "None"),
        (Framing::Open, vec![data("he"), data("llo"), Piece::End], None, "hello", "None"),
        (Framing::Open, vec![Piece::End], None, "", "None"),
        (Framing::Open, vec![data("x"), Piece::Trailers(trailers)], None, "x", "Some({\"x-sum\": \"7\"})"),
        (Framing::Length(5), vec![data("hell"), Piece::End], Some("5"), "", "INTERNAL_ERROR"),
        (Framing::Length(2), vec![data("hello"), Piece::End], Some("2"), "", "INTERNAL_ERROR"),
    ] {
        let mut stream = Stream::new(reserve(2).expect("a place"));
        stream.put_head(&request(Method::POST, b"/"), framing, &Scheme::HTTP).expect("sent");
        for piece in pieces {
            stream.put(piece);
        }
        let whole = in_time(poll_fn(|cx| stream.poll_send(cx, &mut false))).await.is_ok();
        assert_eq!(whole, end != "INTERNAL_ERROR");
        let (seen_length, seen_text, seen_end) = in_time(bodies.recv()).await.unwrap();
        assert_eq!((seen_length.as_deref(), &seen_text[..], &seen_end[..]), (length, text, end));
    }
}

#[tokio::test]
async fn a_response_without_a_body_says_so() {
    let (near, far) = tokio::io::duplex(1 << 16);
    serve(far, 100, |request, mut respond| {
        let response =
            http::Response::builder().header("content-length", if request.method() == "HEAD" { 5 } else { 0 });
        respond.send_response(response.body(()).unwrap(), true).unwrap();
    });
    let mut first = connected(3, near).await;
    for method in [Method::GET, Method::HEAD] {
        first.put_head(&request(method.clone(), b"/"), Framing::None, &Scheme::HTTP).expect("sent");
        assert!(head(&mut first).await.expect("a head").fields.has(Name::ContentLength), "{method}");
        assert_eq!((first.framing(), body(&mut first).await.as_str()), (Framing::None, "end"));
        first = Stream::new(reserve(3).expect("a place"));
    }
}

#[tokio::test]
async fn what_an_upstream_says_of_a_request_is_a_fault_of_its_kind() {
    for (reason, expected) in [
        (Reason::REFUSED_STREAM, "not processed"),
        (Reason::HTTP_1_1_REQUIRED, "HTTP/1.1 required"),
        (Reason::CANCEL, "connection reset"),
        (Reason::INTERNAL_ERROR, "connection reset"),
    ] {
        let (near, far) = tokio::io::duplex(1 << 16);
        serve(far, 100, move |_, mut respond| respond.send_reset(reason));
        let mut stream = connected(key(), near).await;
        stream.put_head(&request(Method::POST, b"/"), Framing::Open, &Scheme::HTTP).expect("sent");
        let fault = head(&mut stream).await.expect_err("a reset");
        assert_eq!(fault.to_string(), expected, "{reason:?}");
    }
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = u32::try_from(payload.len()).unwrap().to_be_bytes()[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// Whether HEADERS are among the frames behind the preface.
fn has_head(bytes: &[u8]) -> bool {
    let mut rest = bytes.get(24..).unwrap_or_default();
    while let Some(head) = rest.first_chunk::<9>() {
        if head[3] == 1 {
            return true;
        }
        rest = rest.get(9 + u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize..).unwrap_or_default();
    }
    false
}

/// An upstream that reads a request and says these bytes.
async fn says(key: u64, bytes: Vec<u8>) -> Stream {
    let (near, mut far) = tokio::io::duplex(1 << 16);
    tokio::spawn(async move {
        far.write_all(&frame(4, 0, 0, &[])).await.unwrap();
        let mut all = Vec::new();
        // The preface, and the frames up to the request's head.
        while !has_head(&all) && far.read_buf(&mut all).await.unwrap() > 0 {}
        far.write_all(&bytes).await.unwrap();
        let mut rest = Vec::new();
        drop(far.read_to_end(&mut rest).await);
    });
    let mut stream = connected(key, near).await;
    stream.put_head(&request(Method::GET, b"/"), Framing::None, &Scheme::HTTP).expect("sent");
    stream
}

#[tokio::test]
async fn an_upstream_that_leaves_or_breaks_the_rules_is_told_apart() {
    let status = [0x88];
    let goaway = |last: u32, reason: u32| frame(7, 0, 0, &[last.to_be_bytes(), reason.to_be_bytes()].concat());
    let long = [&[0x88, 0, 1, b'x', 0x7f, 0x81, 0xff, 0x03][..], &vec![b'y'; 65_536]].concat();
    let parts: Vec<u8> = long
        .chunks(16_384)
        .enumerate()
        .flat_map(|(place, part)| {
            frame(if place == 0 { 1 } else { 9 }, if (place + 1) * 16_384 >= long.len() { 4 } else { 0 }, 1, part)
        })
        .collect();
    for (name, bytes, expected) in [
        ("GOAWAY below this request", goaway(0, 0), Err("not processed")),
        ("GOAWAY with an error", goaway(0, 2), Err("connection reset")),
        ("GOAWAY, and the response", [goaway(1, 0), frame(1, 5, 1, &status)].concat(), Ok(200)),
        ("no HTTP at all", b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(), Err("not HTTP")),
        ("a head without a status", frame(1, 5, 1, &[0, 1, b'x', 1, b'y']), Err("not HTTP")),
        ("a head that is too long", parts, Err("not HTTP")),
        ("a switch of protocols", frame(1, 4, 1, &[8, 3, b'1', b'0', b'1']), Err("not HTTP")),
    ] {
        let key = key();
        let mut stream = says(key, bytes).await;
        match (head(&mut stream).await, expected) {
            (Ok(head), Ok(status)) => assert_eq!(head.status.as_u16(), status, "{name}"),
            (Err(fault), Err(expected)) => assert!(fault.to_string().starts_with(expected), "{name}: {fault:?}"),
            (found, _) => panic!("{name}: {found:?}"),
        }
        if name.starts_with("GOAWAY") {
            assert!(reserve(key).is_none(), "{name}: nobody is sent there any more");
        }
    }
    // The body breaks off, and the upstream breaks its own length.
    let length = [0x88, 0x0f, 0x0d, 1, b'5'];
    for (name, bytes, expected) in [
        (
            "a reset",
            [frame(1, 4, 1, &status), frame(0, 0, 1, b"some"), frame(3, 0, 1, &8_u32.to_be_bytes())].concat(),
            "some|connection reset",
        ),
        (
            "refused too late",
            [frame(1, 4, 1, &status), frame(3, 0, 1, &7_u32.to_be_bytes())].concat(),
            "connection reset",
        ),
        ("too short", [frame(1, 4, 1, &length), frame(0, 1, 1, b"some")].concat(), "not HTTP"),
        (
            "whole, and a reset",
            [frame(1, 4, 1, &length), frame(0, 1, 1, b"whole"), frame(3, 0, 1, &[0; 4])].concat(),
            "whole|end",
        ),
        (
            "data of nothing at the end",
            [frame(1, 4, 1, &length), frame(0, 0, 1, b"whole"), frame(0, 1, 1, b"")].concat(),
            "whole|end",
        ),
    ] {
        let mut stream = says(key(), bytes).await;
        assert!(head(&mut stream).await.is_ok(), "{name}");
        let found = body(&mut stream).await;
        assert!(found == expected || expected == "not HTTP" && found.contains(expected), "{name}: {found}");
    }
}

#[tokio::test]
async fn places_are_counted_and_given_back() {
    let (near, far) = tokio::io::duplex(1 << 16);
    let (keep, mut kept) = tokio::sync::mpsc::unbounded_channel();
    serve(far, 2, move |request, respond| drop(keep.send((request, respond))));
    let mut first = connected(7, near).await;
    first.put_head(&request(Method::GET, b"/"), Framing::None, &Scheme::HTTP).expect("sent");
    // The upstream's settings have come with this.
    in_time(kept.recv()).await.unwrap().1.send_response(http::Response::new(()), true).unwrap();
    head(&mut first).await.expect("a head");
    let second = reserve(7).expect("the upstream takes two");
    assert!(reserve(7).is_none() && reserve(8).is_none());
    drop(first);
    let third = reserve(7).expect("a place is free again");
    assert!(reserve(7).is_none());
    drop((second, third));
    assert!(reserve(7).is_some());
}

#[tokio::test]
async fn requests_that_come_at_once_share_the_first_connection() {
    let key = key();
    let (near, _far) = tokio::io::duplex(1 << 16);
    let first = connect(near, key, MINUTE).await.expect("a connection");
    let (near, mut far) = tokio::io::duplex(1 << 16);
    let second = connect(near, key, MINUTE).await.expect("a place");
    let mut bytes = Vec::new();
    in_time(far.read_to_end(&mut bytes)).await.expect("it is closed");
    assert!(bytes.is_empty(), "nothing was said there");
    drop((first, second));
}

#[tokio::test]
async fn a_connection_without_requests_says_goodbye_after_its_time() {
    let (near, mut far) = tokio::io::duplex(1 << 16);
    let handle = connect(near, 9, Duration::from_millis(50)).await.expect("a connection");
    let held = tokio::spawn(async move {
        let mut all = Vec::new();
        far.read_to_end(&mut all).await.unwrap();
        all
    });
    tokio::time::sleep(Duration::from_millis(150)).await;
    assert!(reserve(9).is_some() && !held.is_finished(), "it is used");
    drop(handle);
    let all = in_time(held).await.unwrap();
    assert_eq!(all[all.len() - 17..][3], 7, "GOAWAY is the last word");
    assert!(reserve(9).is_none());
}

#[tokio::test]
async fn a_request_that_is_given_up_is_cancelled() {
    for explicit in [true, false] {
        let (near, far) = tokio::io::duplex(1 << 16);
        let (seen, mut reasons) = tokio::sync::mpsc::unbounded_channel();
        serve(far, 100, move |_, mut respond| {
            let seen = seen.clone();
            tokio::spawn(async move {
                seen.send(None).unwrap();
                let reason = poll_fn(|cx| respond.poll_reset(cx)).await.unwrap();
                seen.send(Some(reason)).unwrap();
            });
        });
        let mut stream = connected(key(), near).await;
        stream.put_head(&request(Method::GET, b"/"), Framing::None, &Scheme::HTTP).expect("sent");
        assert_eq!(in_time(reasons.recv()).await.unwrap(), None);
        if explicit {
            stream.cancel();
        } else {
            drop(stream);
        }
        assert_eq!(in_time(reasons.recv()).await.unwrap(), Some(Reason::CANCEL));
    }
}

/// Counts how often it is woken.
#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Relaxed);
    }
}

#[tokio::test]
async fn an_upload_waits_for_the_upstream_and_no_wake_up_is_lost() {
    const LENGTH: usize = 300_000;
    let (near, far) = tokio::io::duplex(5000);
    let (keep, mut kept) = tokio::sync::mpsc::unbounded_channel();
    serve(far, 100, move |request, respond| drop(keep.send((request, respond))));
    let mut stream = connected(11, near).await;
    stream.put_head(&request(Method::POST, b"/"), Framing::Length(LENGTH as u64), &Scheme::HTTP).expect("sent");
    let (request, _respond) = in_time(kept.recv()).await.unwrap();
    let counter = Arc::new(Woken::default());
    let waker = Waker::from(Arc::clone(&counter));
    let mut cx = Context::from_waker(&waker);
    let mut put = 0;
    // The upstream reads nothing: what is taken is bounded.
    while put < LENGTH && stream.room() > 0 {
        stream.put(Piece::Data(Bytes::from(vec![b'x'; 1000])));
        put += 1000;
        let _ = stream.poll_send(&mut cx, &mut false);
        tokio::task::yield_now().await;
    }
    assert!(put < 250_000, "{put} bytes were taken");
    let reading = tokio::spawn(async move {
        let mut body = request.into_body();
        let mut read = 0;
        while let Some(data) = body.data().await {
            let data = data.unwrap();
            read += data.len();
            body.flow_control().release_capacity(data.len()).unwrap();
        }
        read
    });
    loop {
        let before = counter.0.load(Relaxed);
        while put < LENGTH && stream.room() > 0 {
            stream.put(Piece::Data(Bytes::from(vec![b'x'; 1000])));
            put += 1000;
            if put == LENGTH {
                stream.put(Piece::End);
            }
        }
        let mut moved = false;
        if let Poll::Ready(sent) = stream.poll_send(&mut cx, &mut moved) {
            sent.expect("sent");
            if put == LENGTH {
                break;
            }
        } else if !moved {
            let deadline = tokio::time::Instant::now() + PATIENCE;
            while counter.0.load(Relaxed) == before {
                assert!(tokio::time::Instant::now() < deadline, "a wake-up was lost");
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
    }
    assert_eq!(in_time(reading).await.unwrap(), LENGTH);
}
