//! A connection of HTTP/2 over a pipe, spoken frame by frame.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::StatusCode;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::watch;

use super::*;
use crate::compile::Limits;
use crate::downstream::ClientFault;
use crate::message::{Fields, Framing, Malformed, Name, Piece, RequestHead, ResponseHead};
use crate::telemetry::Metrics;

#[path = "probes.rs"]
mod probes;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const PATIENCE: Duration = Duration::from_secs(10);

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = u32::try_from(payload.len()).unwrap().to_be_bytes()[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

fn string(out: &mut Vec<u8>, text: &[u8]) {
    if text.len() < 127 {
        out.push(u8::try_from(text.len()).unwrap());
    } else {
        out.push(127);
        let mut rest = text.len() - 127;
        while rest >= 128 {
            out.push(u8::try_from(rest % 128).unwrap() | 0x80);
            rest /= 128;
        }
        out.push(u8::try_from(rest).unwrap());
    }
    out.extend(text);
}

/// Literals; with `indexed`, the first of them enters the table.
fn block(fields: &[(&[u8], &[u8])], indexed: bool) -> Vec<u8> {
    let mut out = Vec::new();
    for (place, (name, value)) in fields.iter().enumerate() {
        out.push(if indexed && place == 0 { 0x40 } else { 0 });
        string(&mut out, name);
        string(&mut out, value);
    }
    out
}

fn get<'a>(method: &'a [u8], path: &'a [u8], more: &[(&'a [u8], &'a [u8])]) -> Vec<u8> {
    let pseudo = [(&b":method"[..], method), (b":scheme", b"http"), (b":path", path), (b":authority", b"a")];
    block(&[&pseudo, more].concat(), false)
}

fn limits() -> Limits {
    Limits::default()
}

/// A client, frame by frame, and the requests that the server sees of it.
struct Raw {
    io: DuplexStream,
    requests: UnboundedReceiver<Stream>,
    metrics: Arc<Metrics>,
    stop: watch::Sender<bool>,
    server: tokio::task::JoinHandle<()>,
}

#[derive(Debug, PartialEq)]
struct Seen {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: Vec<u8>,
}

fn start(limits: Limits, pipe: usize) -> Raw {
    let (io, far) = tokio::io::duplex(pipe);
    let (begin, requests) = tokio::sync::mpsc::unbounded_channel();
    let metrics = Metrics::new(&[1.0]).unwrap();
    let settings = Settings { limits, streams: 100, metrics: Arc::clone(&metrics) };
    let (stop, stopping) = watch::channel(false);
    let server = tokio::spawn(async move {
        let begin = move |stream: Box<Stream>| drop(begin.send(*stream));
        serve(far, BytesMut::new(), &(), &settings, stopping, begin).await;
    });
    Raw { io, requests, metrics, stop, server }
}

async fn connect_with(limits: Limits, settings: &[u8]) -> Raw {
    let mut raw = start(limits, 1 << 20);
    raw.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
    raw.write(&frame(SETTINGS, 0, 0, settings)).await;
    raw
}

async fn connect() -> Raw {
    connect_with(limits(), &[]).await
}

impl Raw {
    async fn write(&mut self, bytes: &[u8]) {
        self.io.write_all(bytes).await.unwrap();
    }

    async fn open(&mut self, stream: u32, flags: u8, block: &[u8]) {
        self.write(&frame(HEADERS, flags | END_HEADERS, stream, block)).await;
    }

    async fn stream(&mut self) -> Stream {
        tokio::time::timeout(PATIENCE, self.requests.recv()).await.expect("in time").expect("a request")
    }

    async fn request(&mut self) -> (Stream, Result<RequestHead, Malformed>) {
        let mut stream = self.stream().await;
        let head = stream.take_head();
        (stream, head)
    }

    /// The next frame; `None`: the connection has ended.
    async fn frame(&mut self) -> Option<Seen> {
        let read = async {
            let mut head = [0; 9];
            self.io.read_exact(&mut head).await.ok()?;
            let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
            self.io.read_exact(&mut payload).await.ok()?;
            let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
            Some(Seen { kind: head[3], flags: head[4], stream, payload })
        };
        tokio::time::timeout(PATIENCE, read).await.expect("a frame in time")
    }

    /// The next frame that is about a stream.
    async fn of_stream(&mut self) -> Seen {
        loop {
            let frame = self.frame().await.expect("the connection lives");
            assert_ne!(frame.kind, GOAWAY, "{frame:?}");
            if frame.stream > 0 && frame.kind != WINDOW_UPDATE {
                return frame;
            }
        }
    }

    /// The reasons of all GOAWAYs up to the end of the connection.
    async fn until_gone(&mut self) -> Vec<u32> {
        let mut reasons = Vec::new();
        while let Some(frame) = self.frame().await {
            if frame.kind == GOAWAY {
                reasons.push(u32::from_be_bytes(frame.payload[4..8].try_into().unwrap()));
            }
        }
        reasons
    }

    fn refused(&self, reason: &str) -> u32 {
        let text = rendered(&self.metrics);
        let line = format!("multilith_refused_total{{reason=\"{reason}\"}} ");
        text.lines().find_map(|other| other.strip_prefix(&line)?.parse().ok()).unwrap_or(0)
    }
}

fn rendered(metrics: &Metrics) -> String {
    String::from_utf8(metrics.encode().0).unwrap()
}

fn written(head: &RequestHead) -> String {
    let mut out = Vec::new();
    head.write(&mut out);
    out.escape_ascii().to_string().replace("\\r\\n", "|")
}

async fn piece(stream: &mut Stream) -> Result<Piece, ClientFault> {
    let next = std::future::poll_fn(|cx| stream.poll_piece(cx));
    tokio::time::timeout(PATIENCE, next).await.expect("a piece in time")
}

async fn settled(stream: &mut Stream) -> Result<(), ClientFault> {
    let settled = std::future::poll_fn(|cx| stream.poll_settled(cx));
    tokio::time::timeout(PATIENCE, settled).await.expect("settled in time")
}

async fn sent(stream: &mut Stream) -> Result<(), ClientFault> {
    let sent = std::future::poll_fn(|cx| stream.poll_send(cx, &mut false));
    tokio::time::timeout(PATIENCE, sent).await.expect("sent in time")
}

/// The body as text, and how it ended.
async fn body(stream: &mut Stream) -> String {
    let mut text = String::new();
    loop {
        match piece(stream).await {
            Ok(Piece::Data(data)) => {
                assert!(!data.is_empty());
                stream.passed(data.len());
                text.push_str(std::str::from_utf8(&data).unwrap());
                text.push('|');
            }
            Ok(Piece::End) => return text + "end",
            Ok(Piece::Trailers(fields)) => return format!("{text}{fields:?}"),
            Err(ClientFault::Malformed(malformed)) => return text + malformed.reason,
            Err(fault) => return format!("{text}{fault}"),
        }
    }
}

fn ok(fields: &[(&str, &str)]) -> ResponseHead {
    let mut head = ResponseHead::new(StatusCode::OK);
    head.fields = fields.iter().copied().collect();
    head
}

#[tokio::test]
async fn a_request_keeps_its_bytes_and_its_order() {
    let mut raw = connect().await;
    let fields = [(&b"x-b"[..], &b"1"[..]), (b"x-a", b"\xe9"), (b"x-b", b"2")];
    raw.open(1, END_STREAM, &get(b"GET", b"/a?q={\"a\":1}&<x>\xe9", &fields)).await;
    let (stream, head) = raw.request().await;
    let head = head.expect("a good head");
    assert_eq!(written(&head), "GET /a?q={\\\"a\\\":1}&<x>\\xe9 HTTP/1.1|Host: a|x-b: 1|x-a: \\xe9|x-b: 2||");
    assert!(!stream.has_body());
}

#[tokio::test]
async fn a_malformed_head_is_answered_and_its_neighbours_live() {
    let mut raw = connect().await;
    raw.open(1, END_STREAM, &get(b"GET", b"/one", &[])).await;
    raw.open(3, END_STREAM, &get(b"GET", b"/\x01", &[])).await;
    raw.open(5, 0, &get(b"GET", b"/a#b", &[])).await;
    raw.open(7, END_STREAM, &get(b"GET", b"/", &[(b"X-Upper", b"")])).await;
    raw.open(9, END_STREAM, &get(b"GET", b"/three", &[])).await;
    for (id, expected) in
        [(1, Ok("/one")), (3, Err("target")), (5, Err("target")), (7, Err("framing")), (9, Ok("/three"))]
    {
        let (mut stream, head) = raw.request().await;
        let found = head.as_ref().map(|head| std::str::from_utf8(head.target()).unwrap()).map_err(|bad| bad.reason);
        assert_eq!(found, expected);
        stream.put_head(&ResponseHead::new(StatusCode::BAD_REQUEST), Framing::None);
        sent(&mut stream).await.expect("it is answered");
        drop(stream);
        let answer = raw.of_stream().await;
        assert_eq!((answer.kind, answer.flags, answer.stream), (HEADERS, END_STREAM | END_HEADERS, id));
        if id == 5 {
            let reset = raw.of_stream().await;
            assert_eq!((reset.kind, &reset.payload[..]), (RST_STREAM, &[0, 0, 0, 0][..]), "no error");
        }
    }
}

#[tokio::test]
async fn heads_are_the_same_however_their_bytes_are_cut() {
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    bytes.extend(frame(SETTINGS, 0, 0, &[]));
    let first =
        block(&[(b":authority", b"edge.test"), (b":method", b"POST"), (b":scheme", b"https"), (b":path", b"/x")], true);
    // In three fragments, with padding and a priority.
    let padded = [&[3][..], &[0, 0, 0, 0, 16], &first[..5], &[0; 3]].concat();
    bytes.extend(frame(HEADERS, 0x8 | 0x20, 1, &padded));
    bytes.extend(frame(CONTINUATION, 0, 1, &first[5..5]));
    bytes.extend(frame(CONTINUATION, END_HEADERS, 1, &first[5..]));
    bytes.extend(frame(DATA, 0, 1, b"some"));
    bytes.extend(frame(PING, 0, 0, b"01234567"));
    bytes.extend(frame(0x77, 0, 1, b"what nobody knows"));
    // The authority is the newest entry of the table now.
    let second =
        [&[0xbe][..], &block(&[(b":method", b"GET"), (b":scheme", b"https"), (b":path", b"/y")], false)].concat();
    bytes.extend(frame(HEADERS, END_HEADERS | END_STREAM, 3, &second));
    bytes.extend(frame(DATA, 0, 1, b" data"));
    bytes.extend(frame(HEADERS, END_HEADERS | END_STREAM, 1, &block(&[(b"x-sum", b"7")], true)));
    for size in [1, 2, 3, 7, 9, 10, 31, 64, 100, bytes.len()] {
        let mut raw = start(limits(), if size < 10 { size } else { 1 << 16 });
        let mut acknowledged = 0;
        let (mut read, mut write) = tokio::io::split(raw.io);
        let bytes = bytes.clone();
        let writing = tokio::spawn(async move {
            for piece in bytes.chunks(size) {
                write.write_all(piece).await.unwrap();
                tokio::task::yield_now().await;
            }
            write
        });
        let reading = tokio::spawn(async move {
            let mut all = Vec::new();
            drop(read.read_to_end(&mut all).await);
            all
        });
        let mut streams = Vec::new();
        for expected in ["POST /x HTTP/1.1|Host: edge.test||", "GET /y HTTP/1.1|Host: edge.test||"] {
            let mut stream =
                tokio::time::timeout(PATIENCE, raw.requests.recv()).await.expect("in time").expect("a request");
            assert_eq!(written(&stream.take_head().expect("a good head")), expected, "in pieces of {size}");
            streams.push(stream);
        }
        let text = body(&mut streams[0]).await;
        assert_eq!(text.replace('|', ""), "some data{\"x-sum\": \"7\"}", "in pieces of {size}");
        acknowledged += 1;
        drop(writing.await.unwrap());
        reading.abort();
        assert_eq!(acknowledged, 1);
    }
}

#[tokio::test]
async fn a_body_ends_once_however_its_end_comes() {
    let mut raw = connect().await;
    let trailers = block(&[(b"x-sum", b"7"), (b"content-length", b"3")], false);
    let of_nothing = block(&[(b"content-length", b"3")], false);
    let cases: [(&[Vec<u8>], &str); 7] = [
        (&[frame(DATA, END_STREAM, 1, b"abc")], "abc|end"),
        (&[frame(DATA, 0, 1, b"abc"), frame(DATA, END_STREAM, 1, b"")], "abc|end"),
        (&[frame(DATA, 0, 1, b""), frame(DATA, 0, 1, b"abc"), frame(DATA, END_STREAM, 1, b"")], "abc|end"),
        (
            &[frame(DATA, 0, 1, b"abc"), frame(HEADERS, END_STREAM | END_HEADERS, 1, &trailers)],
            "abc|{\"x-sum\": \"7\"}",
        ),
        (&[frame(DATA, 0, 1, b"abc"), frame(HEADERS, END_STREAM | END_HEADERS, 1, &[])], "abc|end"),
        (&[frame(DATA, 0, 1, b"abc"), frame(HEADERS, END_STREAM | END_HEADERS, 1, &of_nothing)], "abc|end"),
        (&[frame(DATA, END_STREAM, 1, b"")], "end"),
    ];
    for (number, (frames, expected)) in cases.iter().enumerate() {
        let id = 2 * u32::try_from(number).unwrap() + 1;
        raw.open(id, 0, &get(b"POST", b"/", &[])).await;
        let (mut stream, head) = raw.request().await;
        assert!(head.is_ok() && stream.has_body());
        for frame in *frames {
            let mut frame = frame.clone();
            frame[5..9].copy_from_slice(&id.to_be_bytes());
            raw.write(&frame).await;
        }
        assert_eq!(body(&mut stream).await, *expected, "{frames:x?}");
        let again = stream.poll_piece(&mut Context::from_waker(Waker::noop()));
        assert!(again.is_pending(), "{frames:x?}");
    }
}

#[tokio::test]
async fn a_body_that_contradicts_its_head_is_malformed() {
    let mut raw = connect().await;
    let cases: [(&str, &[&[u8]], &str); 5] = [
        ("3", &[b"12345"], "content_length"),
        ("3", &[b"12", b"34", b"5"], "12|content_length"),
        ("9", &[b"12345"], "12345|content_length"),
        ("5", &[b""], "content_length"),
        ("5", &[b"123", b"45", b""], "123|45|end"),
    ];
    for (number, (length, data, expected)) in cases.iter().enumerate() {
        let id = 2 * u32::try_from(number).unwrap() + 1;
        raw.open(id, 0, &get(b"POST", b"/", &[(b"content-length", length.as_bytes())])).await;
        let (mut stream, head) = raw.request().await;
        assert!(head.is_ok());
        for (place, data) in data.iter().enumerate() {
            raw.write(&frame(DATA, u8::from(place + 1 == cases[number].1.len()), id, data)).await;
        }
        assert_eq!(body(&mut stream).await, *expected, "{length}: {data:?}");
        stream.put_head(&ResponseHead::new(StatusCode::BAD_REQUEST), Framing::None);
        sent(&mut stream).await.expect("it is answered");
        assert_eq!(raw.of_stream().await.kind, HEADERS);
    }
    assert_eq!(raw.refused("framing"), 0);
}

#[tokio::test]
async fn what_contradicts_a_head_is_seen_before_it_is_sent_on() {
    let mut raw = connect().await;
    let pseudo = block(&[(b":path", b"/other")], false);
    for (id, method, more, data, trailers, expected) in [
        (1, "POST", Some("0"), &b"GET /smuggled HTTP/1.1\r\n\r\n"[..], false, Err("content_length")),
        (3, "POST", None, b"abc", true, Err("framing")),
        (5, "GET", None, b"", false, Ok(false)),
        (7, "GET", None, b"abc", false, Ok(true)),
        (9, "POST", Some("0"), b"", false, Ok(false)),
        (11, "POST", None, b"", false, Ok(false)),
    ] {
        let more: Vec<_> = more.iter().map(|length| (&b"content-length"[..], length.as_bytes())).collect();
        let mut bytes = frame(HEADERS, END_HEADERS, id, &get(method.as_bytes(), b"/", &more));
        bytes.extend(frame(DATA, u8::from(!trailers), id, data));
        if trailers {
            bytes.extend(frame(HEADERS, END_STREAM | END_HEADERS, id, &pseudo));
        }
        raw.write(&bytes).await;
        let (mut stream, head) = raw.request().await;
        assert!(head.is_ok());
        let found = match settled(&mut stream).await {
            Ok(()) => Ok(stream.has_body()),
            Err(ClientFault::Malformed(malformed)) => Err(malformed.reason),
            Err(other) => panic!("{other}"),
        };
        assert_eq!(found, expected, "stream {id}");
        if found == Ok(true) {
            assert_eq!(body(&mut stream).await, "abc|end");
        }
    }
}

#[tokio::test]
async fn a_get_whose_end_has_not_come_is_waited_for_and_a_post_is_not() {
    let mut raw = connect().await;
    raw.open(1, 0, &get(b"POST", b"/", &[])).await;
    raw.open(3, 0, &get(b"GET", b"/", &[])).await;
    let (mut post, _) = raw.request().await;
    settled(&mut post).await.expect("at once");
    assert!(post.has_body());
    let (mut plain, _) = raw.request().await;
    assert!(plain.poll_settled(&mut Context::from_waker(Waker::noop())).is_pending());
    raw.write(&frame(DATA, END_STREAM, 3, b"")).await;
    settled(&mut plain).await.expect("settled");
    assert!(!plain.has_body());
}

#[tokio::test]
async fn a_response_has_its_interim_heads_its_body_and_its_trailers() {
    let mut raw = connect().await;
    raw.open(1, END_STREAM, &get(b"GET", b"/", &[])).await;
    let (mut stream, _) = raw.request().await;
    let mut hints = ResponseHead::new(StatusCode::EARLY_HINTS);
    hints.fields.append("Link", b"</a.css>");
    stream.put_interim(&hints);
    let head = ok(&[("Date", "today"), ("Connection", "close"), ("X-A", "\u{e9}"), ("Keep-Alive", "5")]);
    stream.put_head(&head, Framing::Open);
    stream.put_interim(&hints);
    stream.put(Piece::Data(Bytes::from_static(b"hello")));
    stream.put(Piece::Trailers(Fields::from_iter([("Grpc-Status", "0"), ("Connection", "x")])));
    sent(&mut stream).await.expect("sent");
    assert_eq!(stream.bytes_sent(), 5);
    let kinds: Vec<_> = [raw.of_stream().await, raw.of_stream().await, raw.of_stream().await, raw.of_stream().await]
        .map(|frame| (frame.kind, frame.flags))
        .into();
    let expected = [(HEADERS, END_HEADERS), (HEADERS, END_HEADERS), (DATA, 0), (HEADERS, END_HEADERS | END_STREAM)];
    assert_eq!(kinds, expected);
    drop(stream);
    raw.open(3, END_STREAM, &get(b"GET", b"/", &[])).await;
    let (mut stream, _) = raw.request().await;
    stream.put_head(&ok(&[("content-length", "7")]), Framing::Length(5));
    stream.put(Piece::Data(Bytes::from_static(b"hello")));
    stream.put(Piece::End);
    sent(&mut stream).await.expect("sent");
    let head = raw.of_stream().await;
    assert!(!head.payload.is_empty());
    let data = raw.of_stream().await;
    assert_eq!((data.kind, data.flags, &data.payload[..]), (DATA, END_STREAM, &b"hello"[..]), "one frame");
}

#[tokio::test]
async fn a_response_that_is_not_as_long_as_it_said_never_looks_whole() {
    let mut raw = connect().await;
    for (id, pieces) in [(1, vec!["hell"]), (3, vec!["hello", "!"])] {
        raw.open(id, END_STREAM, &get(b"GET", b"/", &[])).await;
        let (mut stream, _) = raw.request().await;
        stream.put_head(&ok(&[]), Framing::Length(5));
        for piece in pieces {
            stream.put(Piece::Data(Bytes::from_static(piece.as_bytes())));
        }
        stream.put(Piece::End);
        assert!(matches!(sent(&mut stream).await, Err(ClientFault::Reset(h2::Reason::INTERNAL_ERROR))));
        loop {
            let frame = raw.of_stream().await;
            assert!(frame.kind == RST_STREAM || frame.flags & END_STREAM == 0, "{frame:?}");
            if frame.kind == RST_STREAM {
                break;
            }
        }
    }
    // One that is dropped half-way, and one that was not answered at all.
    for (id, begun) in [(5, true), (7, false)] {
        raw.open(id, END_STREAM, &get(b"GET", b"/", &[])).await;
        let (mut stream, _) = raw.request().await;
        if begun {
            stream.put_head(&ok(&[]), Framing::Open);
            stream.put(Piece::Data(Bytes::from_static(b"some")));
            sent(&mut stream).await.expect("sent");
        }
        drop(stream);
        while raw.of_stream().await.kind != RST_STREAM {}
    }
}

#[tokio::test]
async fn a_response_that_is_dropped_at_any_moment_is_whole_or_never_looks_so() {
    let whole: Vec<u8> = (0..30_000_u32).map(|place| place.to_be_bytes()[3]).collect();
    let (mut ended, mut reset) = (0, 0);
    for framing in [Framing::Length(30_000), Framing::Open] {
        for polls in 0..12 {
            // A window of 5 000, and a piece is put at each poll.
            let mut raw = connect_with(limits(), &[0, 4, 0, 0, 0x13, 0x88]).await;
            raw.open(1, END_STREAM, &get(b"GET", b"/", &[])).await;
            let (mut stream, _) = raw.request().await;
            stream.put_head(&ok(&[]), framing);
            let mut pieces = whole.chunks(3000).map(|part| Piece::Data(Bytes::copy_from_slice(part)));
            for _ in 0..polls {
                match pieces.next() {
                    Some(piece) => stream.put(piece),
                    None => stream.put(Piece::End),
                }
                let _ = stream.poll_send(&mut Context::from_waker(Waker::noop()), &mut false);
                raw.write(&frame(WINDOW_UPDATE, 0, 1, &10_000_u32.to_be_bytes())).await;
                // The server's task has its turn.
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            drop(stream);
            let mut come = Vec::new();
            loop {
                let seen = raw.of_stream().await;
                if seen.kind == DATA {
                    come.extend_from_slice(&seen.payload);
                }
                assert!(whole.starts_with(&come), "after {polls} polls");
                if seen.kind == RST_STREAM {
                    reset += 1;
                    break;
                }
                if seen.flags & END_STREAM != 0 {
                    assert!(come == whole, "after {polls} polls");
                    ended += 1;
                    break;
                }
            }
        }
    }
    assert!(ended > 0 && reset > 0, "{ended} whole, {reset} reset");
}

/// Counts how often it is woken.
#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Relaxed);
    }
}

/// Polls until it is ready; between two polls the waker has to be woken, or a wake-up is lost.
async fn woken<T>(woken: &Arc<Woken>, mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>) -> T {
    let waker = Waker::from(Arc::clone(woken));
    loop {
        let before = woken.0.load(Relaxed);
        if let Poll::Ready(ready) = poll(&mut Context::from_waker(&waker)) {
            return ready;
        }
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while woken.0.load(Relaxed) == before {
            assert!(tokio::time::Instant::now() < deadline, "a wake-up was lost");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

#[tokio::test]
async fn a_closed_window_holds_a_bounded_part_and_each_opening_wakes() {
    // An initial window of 0.
    let mut raw = connect_with(limits(), &[0, 4, 0, 0, 0, 0]).await;
    raw.open(1, END_STREAM, &get(b"GET", b"/", &[])).await;
    let (mut stream, _) = raw.request().await;
    stream.put_head(&ok(&[]), Framing::Open);
    let mut put = 0;
    while stream.room() > 0 {
        stream.put(Piece::Data(Bytes::from(vec![b'x'; 1000])));
        put += 1000;
        assert!(put <= 64 * 1024, "without bound");
    }
    stream.put(Piece::End);
    let counter = Arc::new(Woken::default());
    let waker = Waker::from(Arc::clone(&counter));
    let mut cx = Context::from_waker(&waker);
    assert!(stream.poll_send(&mut cx, &mut false).is_pending() && stream.poll_gone(&mut cx).is_pending());
    assert!(stream.is_stuck() && stream.shared.unread.load(Relaxed) == 1);
    assert_eq!(raw.of_stream().await.kind, HEADERS);
    // Byte by byte at first: with what the library gave before, an increase would never be told of.
    let mut taken = 0;
    for grant in [1, 1, 5, 10, 1, 1000, 17, 40_000] {
        raw.write(&frame(WINDOW_UPDATE, 0, 1, &u32::try_from(grant).unwrap().to_be_bytes())).await;
        let whole = taken + grant >= put;
        let mut moved = false;
        woken(&counter, |cx| match stream.poll_send(cx, &mut moved) {
            Poll::Pending if moved && !whole => Poll::Ready(()),
            Poll::Ready(done) => {
                done.expect("sent");
                Poll::Ready(())
            }
            Poll::Pending => Poll::Pending,
        })
        .await;
        while taken < put.min(taken + grant) {
            let data = raw.of_stream().await;
            assert_eq!(data.kind, DATA);
            taken += data.payload.len();
            if data.flags & END_STREAM != 0 {
                break;
            }
            if taken == put || stream.is_stuck() {
                break;
            }
        }
    }
    assert_eq!((taken, stream.is_stuck()), (put, false));
    assert_eq!(stream.shared.unread.load(Relaxed), 0);
}

#[tokio::test]
async fn a_client_that_gives_up_is_noticed_whatever_is_waited_for() {
    let mut raw = connect_with(limits(), &[0, 4, 0, 0, 0, 0]).await;
    for (id, stage) in [(1, "head"), (3, "window"), (5, "body")] {
        raw.open(id, u8::from(stage != "body"), &get(b"POST", b"/", &[])).await;
        let (mut stream, _) = raw.request().await;
        if stage == "window" {
            stream.put_head(&ok(&[]), Framing::Open);
            stream.put(Piece::Data(Bytes::from_static(b"x")));
            assert!(stream.poll_send(&mut Context::from_waker(Waker::noop()), &mut false).is_pending());
        }
        let counter = Arc::new(Woken::default());
        assert!(stream.poll_gone(&mut Context::from_waker(&Waker::from(Arc::clone(&counter)))).is_pending());
        raw.write(&frame(RST_STREAM, 0, id, &8_u32.to_be_bytes())).await;
        let gone = woken(&counter, |cx| stream.poll_gone(cx)).await;
        assert!(matches!(gone, ClientFault::Reset(h2::Reason::CANCEL)), "{stage}: {gone}");
        if stage == "window" {
            assert!(sent(&mut stream).await.is_err());
        }
    }
    raw.open(7, 0, &get(b"POST", b"/", &[])).await;
    let (mut stream, _) = raw.request().await;
    drop(raw.io);
    let gone = std::future::poll_fn(|cx| stream.poll_gone(cx)).await;
    assert!(matches!(gone, ClientFault::Gone(_)), "{gone}");
    assert!(matches!(piece(&mut stream).await, Err(ClientFault::Gone(_))));
}

#[tokio::test]
async fn an_upload_waits_until_what_came_was_passed_on() {
    let mut raw = connect().await;
    raw.open(1, 0, &get(b"POST", b"/", &[])).await;
    let (mut stream, _) = raw.request().await;
    for _ in 0..3 {
        raw.write(&frame(DATA, 0, 1, &[b'x'; 16_384])).await;
    }
    let mut read = 0;
    while read < 3 * 16_384 {
        let Ok(Piece::Data(data)) = piece(&mut stream).await else { panic!("data") };
        read += data.len();
    }
    // Nothing was passed on: the window stays closed.
    raw.write(&frame(PING, 0, 0, b"01234567")).await;
    loop {
        let frame = raw.frame().await.expect("the connection lives");
        assert!(frame.kind != WINDOW_UPDATE || frame.stream == 0, "{frame:?}");
        if frame.kind == PING {
            break;
        }
    }
    stream.passed(read);
    loop {
        let frame = raw.frame().await.expect("the connection lives");
        if frame.kind == WINDOW_UPDATE && frame.stream == 1 {
            break;
        }
    }
}

#[tokio::test]
async fn frames_that_are_wrong_end_the_connection_as_the_standard_says() {
    let whole = get(b"GET", b"/", &[]);
    for (name, bytes, reason) in [
        ("not HPACK", frame(HEADERS, END_HEADERS, 1, &[0x40, 1]), 1),
        ("an index of nothing", frame(HEADERS, END_HEADERS, 1, &[0xbe]), 1),
        ("a head for no stream", frame(HEADERS, END_HEADERS, 0, &whole), 1),
        ("a stream of the server", frame(HEADERS, END_HEADERS, 2, &whole), 1),
        ("a ping inside a head", [frame(HEADERS, 0, 1, &whole[..9]), frame(PING, 0, 0, &[0; 8])].concat(), 1),
        ("another stream inside", [frame(HEADERS, 0, 1, &[]), frame(CONTINUATION, 4, 3, &[])].concat(), 1),
        ("a head inside a head", [frame(HEADERS, 0, 1, &[]), frame(HEADERS, 5, 3, &whole)].concat(), 1),
        ("a fragment of nothing", frame(CONTINUATION, 4, 1, &[]), 1),
        ("too much padding", frame(HEADERS, 4 | 8, 1, &[200, 0x82]), 1),
        ("no priority", frame(HEADERS, 4 | 0x20, 1, &[0, 0]), 1),
        ("a long frame", frame(HEADERS, 4, 1, &vec![0; 16_385]), 6),
        ("a long fragment", [frame(HEADERS, 0, 1, &[]), frame(CONTINUATION, 4, 1, &vec![0; 16_385])].concat(), 6),
        ("data before a head", frame(DATA, 0, 1, b"x"), 1),
    ] {
        let mut raw = connect().await;
        drop(raw.io.write_all(&bytes).await);
        assert_eq!(raw.until_gone().await, [reason], "{name}");
        assert_eq!(raw.refused("framing"), 1, "{name}");
        assert!(raw.requests.try_recv().is_err(), "{name}");
    }
}

#[tokio::test]
async fn a_client_that_asks_for_too_much_is_sent_away() {
    let bad = get(b"GET", b"/a b", &[]);
    let malformed: Vec<u8> = (0..40).flat_map(|n| frame(HEADERS, 5, 2 * n + 1, &bad)).collect();
    let mut bomb = get(b"GET", b"/", &[]);
    bomb.extend([0x40, 1, b'x', 0x7f, 0xa1, 0x1e]);
    bomb.extend([b'y'; 4000]);
    bomb.extend([0xbe; 9_000]);
    let endless = [frame(HEADERS, 0, 1, &[]), frame(CONTINUATION, 0, 1, &[0; 16_384]).repeat(9)].concat();
    for (name, bytes) in [
        ("pings", frame(PING, 0, 0, b"01234567").repeat(6000)),
        ("malformed heads", malformed),
        ("a bomb", frame(HEADERS, 5, 1, &bomb)),
        ("a head without end", endless),
        ("fragments of nothing", [frame(HEADERS, 0, 1, &[]), frame(CONTINUATION, 0, 1, &[]).repeat(6000)].concat()),
        ("trailers again and again", {
            let mut bytes = frame(HEADERS, END_HEADERS, 1, &get(b"POST", b"/", &[]));
            bytes.extend(frame(HEADERS, END_HEADERS | END_STREAM, 1, &[0xff; 9]));
            bytes
        }),
    ] {
        let mut raw = connect().await;
        drop(raw.io.write_all(&bytes).await);
        let reasons = raw.until_gone().await;
        let expected = if name.starts_with("trailers") { 1 } else { 11 };
        assert_eq!(reasons, [expected], "{name}");
        if expected == 11 {
            assert_eq!(raw.refused("http2_flood"), 1, "{name}");
        }
        if name == "malformed heads" {
            let mut refused = 0;
            while let Ok(mut stream) = raw.requests.try_recv() {
                refused += u32::from(stream.take_head().is_err());
            }
            assert_eq!(refused, 32);
        }
    }
}

#[tokio::test]
async fn a_head_beyond_the_limits_is_431() {
    let mut raw = connect().await;
    let long = vec![b'x'; 20_000];
    let many = vec![(&b"x"[..], &b"y"[..]); 101];
    for (id, more, reason) in [(1, vec![(&b"x"[..], &long[..])], "request_head"), (3, many, "headers")] {
        let block = get(b"GET", b"/", &more);
        let (first, rest) = block.split_at(block.len().min(16_000));
        raw.write(&frame(HEADERS, END_STREAM, id, first)).await;
        raw.write(&frame(CONTINUATION, END_HEADERS, id, rest)).await;
        let (_, head) = raw.request().await;
        assert_eq!(head.expect_err("too much"), Malformed { status: 431, reason });
    }
}

#[tokio::test]
async fn a_connection_keeps_no_head_of_a_stream_that_is_over() {
    let mut raw = connect().await;
    let block = get(b"GET", b"/", &[]);
    let mut streams = Vec::new();
    for number in 0..150 {
        raw.open(2 * number + 1, END_STREAM, &block).await;
    }
    for _ in 0..100 {
        streams.push(raw.stream().await);
    }
    let mut refused = 0;
    while refused < 50 {
        let frame = raw.of_stream().await;
        refused += u32::from(frame.kind == RST_STREAM && frame.payload == 7_u32.to_be_bytes());
    }
    assert_eq!(raw.refused("http2_streams"), 50);
    let shared = Arc::clone(&streams[0].shared);
    assert_eq!(shared.heads.lock().len(), 100);
    assert!(shared.is_active());
    drop(streams);
    assert_eq!((shared.heads.lock().len(), shared.is_active()), (0, false));
}

#[tokio::test]
async fn connections_end_when_it_is_time() {
    let soon = Some(Duration::from_millis(100));
    // Idle: told twice, as the standard wants it, and closed.
    let mut idle = connect_with(Limits { idle_timeout: soon, ..limits() }, &[]).await;
    assert!(idle.until_gone().await.iter().all(|reason| *reason == 0));
    // A client that says nothing at all, or half of what HTTP/2 begins with.
    for said in [&b""[..], b"PRI * HTTP/2.0"] {
        let mut silent = start(Limits { header_timeout: soon, ..limits() }, 1 << 16);
        silent.write(said).await;
        assert!(silent.until_gone().await.is_empty());
        assert_eq!(silent.refused("header_timeout"), 1);
    }
    let mut other = start(limits(), 1 << 16);
    other.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    other.until_gone().await;
    // A header block that does not end.
    let mut begun = connect_with(Limits { header_timeout: soon, ..limits() }, &[]).await;
    begun.write(&frame(HEADERS, 0, 1, &get(b"GET", b"/", &[]))).await;
    assert_eq!(begun.until_gone().await, [11]);
    assert_eq!(begun.refused("header_timeout"), 1);
    // A response that the client does not take.
    let mut closed = connect_with(Limits { write_timeout: soon, ..limits() }, &[0, 4, 0, 0, 0, 0]).await;
    closed.open(1, END_STREAM, &get(b"GET", b"/", &[])).await;
    let (mut stream, _) = closed.request().await;
    stream.put_head(&ok(&[]), Framing::Open);
    stream.put(Piece::Data(Bytes::from_static(b"x")));
    assert!(stream.poll_send(&mut Context::from_waker(Waker::noop()), &mut false).is_pending());
    assert_eq!(closed.until_gone().await, [11]);
    assert_eq!(closed.refused("write_timeout"), 1);
    // A socket that takes nothing.
    let mut full = start(Limits { write_timeout: soon, ..limits() }, 1000);
    full.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
    full.write(&frame(SETTINGS, 0, 0, &[])).await;
    full.open(1, END_STREAM, &get(b"GET", b"/", &[])).await;
    let (mut stream, _) = full.request().await;
    stream.put_head(&ok(&[]), Framing::Open);
    stream.put(Piece::Data(Bytes::from(vec![b'x'; 30_000])));
    sent(&mut stream).await.expect("the library has it");
    tokio::time::timeout(PATIENCE, full.server).await.expect("it is not waited for").unwrap();
    assert_eq!(rendered(&full.metrics).matches("reason=\"write_timeout\"} 1").count(), 1);
}

#[tokio::test]
async fn the_end_of_the_server_lets_what_is_in_flight_finish() {
    let mut raw = connect().await;
    raw.open(1, END_STREAM, &get(b"GET", b"/", &[])).await;
    let (mut stream, _) = raw.request().await;
    raw.stop.send_replace(true);
    loop {
        let frame = raw.frame().await.expect("the connection lives");
        if frame.kind == GOAWAY {
            assert_eq!(frame.payload[4..8], [0; 4]);
            break;
        }
    }
    stream.put_head(&ok(&[]), Framing::Open);
    stream.put(Piece::Data(Bytes::from_static(b"whole")));
    stream.put(Piece::End);
    sent(&mut stream).await.expect("sent");
    drop(stream);
    let mut whole = false;
    let mut reasons = Vec::new();
    while let Some(frame) = raw.frame().await {
        whole |= frame.kind == DATA && frame.flags & END_STREAM != 0;
        if frame.kind == PING && frame.flags == 0 {
            raw.write(&super::tests::frame(PING, 1, 0, &frame.payload)).await;
        }
        if frame.kind == GOAWAY {
            reasons.push(frame.payload[7]);
        }
    }
    assert!(whole && reasons.iter().all(|reason| *reason == 0), "{reasons:?}");
}

/// Sends back what comes: the loop that a driver has, in a few lines.
async fn echo(mut stream: Stream) {
    let Ok(_) = stream.take_head() else { return };
    stream.put_head(&ok(&[]), Framing::Open);
    let mut over = false;
    std::future::poll_fn(|cx| {
        loop {
            let mut moved = false;
            while !over && stream.room() > 0 {
                match stream.poll_piece(cx) {
                    Poll::Ready(Ok(piece)) => {
                        moved = true;
                        over = piece.is_last();
                        let length = piece.len();
                        stream.put(piece);
                        stream.passed(length);
                    }
                    Poll::Ready(Err(_)) => return Poll::Ready(()),
                    Poll::Pending => break,
                }
            }
            match stream.poll_send(cx, &mut moved) {
                Poll::Ready(Ok(())) if over => return Poll::Ready(()),
                Poll::Ready(Err(_)) => return Poll::Ready(()),
                _ => {}
            }
            if stream.poll_gone(cx).is_ready() {
                return Poll::Ready(());
            }
            if !moved {
                return Poll::Pending;
            }
        }
    })
    .await;
}

#[tokio::test]
async fn the_librarys_own_client_gets_back_what_it_sends() {
    for (pipe, window, lengths) in [
        (1 << 16, 65_535, vec![0, 1, 100_000, 1 << 20]),
        (777, 100, vec![3000; 8]),
        (1 << 20, 1 << 20, vec![300_000; 30]),
    ] {
        let Raw { io, mut requests, stop: _stop, .. } = start(limits(), pipe);
        tokio::spawn(async move {
            while let Some(stream) = requests.recv().await {
                tokio::spawn(echo(stream));
            }
        });
        let (client, connection) =
            h2::client::Builder::new().initial_window_size(window).handshake::<_, Bytes>(io).await.unwrap();
        tokio::spawn(connection);
        let mut asked = Vec::new();
        for length in lengths {
            let mut client = client.clone().ready().await.unwrap();
            asked.push(tokio::spawn(async move {
                let request = http::Request::post("http://a/x").header("x-long", "y".repeat(200)).body(()).unwrap();
                let (answer, mut send) = client.send_request(request, false).unwrap();
                let sending = tokio::spawn(async move {
                    let mut left = length;
                    while left > 0 {
                        send.reserve_capacity(left);
                        let may = std::future::poll_fn(|cx| send.poll_capacity(cx)).await.unwrap().unwrap().min(left);
                        send.send_data(Bytes::from(vec![b'x'; may]), false).unwrap();
                        left -= may;
                    }
                    send.send_data(Bytes::new(), true).unwrap();
                });
                let mut answer = answer.await.unwrap().into_body();
                let mut come = 0;
                while let Some(data) = answer.data().await {
                    let data = data.unwrap();
                    come += data.len();
                    answer.flow_control().release_capacity(data.len()).unwrap();
                }
                sending.await.unwrap();
                assert_eq!(come, length);
            }));
        }
        for asked in asked {
            tokio::time::timeout(PATIENCE, asked).await.expect("in time").unwrap();
        }
    }
}

#[test]
fn handles_are_small() {
    assert!(std::mem::size_of::<Stream>() <= 512, "{}", std::mem::size_of::<Stream>());
    assert!(
        std::mem::size_of::<FrameGate<crate::client::Socket>>() <= 640,
        "{}",
        std::mem::size_of::<FrameGate<crate::client::Socket>>()
    );
    assert_eq!(Name::of(b"host"), Name::Host);
}
