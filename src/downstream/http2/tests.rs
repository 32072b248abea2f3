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
use crate::telemetry::Meters;

mod blocks;
mod connections;
#[path = "probes.rs"]
mod probes;
mod requests;
mod responses;

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
    requests: UnboundedReceiver<ServerStream>,
    metrics: Arc<Meters>,
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
    let metrics = Meters::new(&[1.0]).unwrap();
    let settings = Settings { limits, streams: 100, metrics: Arc::clone(&metrics) };
    let (stop, stopping) = watch::channel(false);
    let server = tokio::spawn(async move {
        let begin = move |stream: Box<ServerStream>| drop(begin.send(*stream));
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

    async fn stream(&mut self) -> ServerStream {
        tokio::time::timeout(PATIENCE, self.requests.recv()).await.expect("in time").expect("a request")
    }

    async fn request(&mut self) -> (ServerStream, Result<RequestHead, Malformed>) {
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

fn rendered(metrics: &Meters) -> String {
    String::from_utf8(metrics.encode().0).unwrap()
}

fn written(head: &RequestHead) -> String {
    let mut out = Vec::new();
    head.write(&mut out);
    out.escape_ascii().to_string().replace("\\r\\n", "|")
}

async fn piece(stream: &mut ServerStream) -> Result<Piece, ClientFault> {
    let next = std::future::poll_fn(|cx| stream.poll_piece(cx));
    tokio::time::timeout(PATIENCE, next).await.expect("a piece in time")
}

async fn settled(stream: &mut ServerStream) -> Result<(), ClientFault> {
    let settled = std::future::poll_fn(|cx| stream.poll_settled(cx));
    tokio::time::timeout(PATIENCE, settled).await.expect("settled in time")
}

async fn sent(stream: &mut ServerStream) -> Result<(), ClientFault> {
    let sent = std::future::poll_fn(|cx| stream.poll_send(cx, &mut false));
    tokio::time::timeout(PATIENCE, sent).await.expect("sent in time")
}

/// The body as text, and how it ended.
async fn body(stream: &mut ServerStream) -> String {
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

#[test]
fn handles_are_small() {
    assert!(std::mem::size_of::<ServerStream>() <= 512, "{}", std::mem::size_of::<ServerStream>());
    assert!(
        std::mem::size_of::<FrameGate<crate::client::Socket>>() <= 640,
        "{}",
        std::mem::size_of::<FrameGate<crate::client::Socket>>()
    );
    assert_eq!(Name::of(b"host"), Name::Host);
}
