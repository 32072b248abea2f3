//! A connection of HTTP/2: bytes in, requests out. What comes out keeps the rules of heads, whatever the client sends, and it
//! is the same however the bytes are cut.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::{Arc, OnceLock};

use multilith::compile::Limits;
use multilith::downstream::http2::{Settings, serve};
use multilith::guard::http2::hpack::Decoder;
use multilith::message::{Malformed, RequestHead};
use multilith::telemetry::Meters;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// A client's first frame.
const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];

pub fn hold(input: &[u8]) {
    let Some((first, rest)) = input.split_first() else { return };
    no_block_is_too_much(rest);
    // As it is, or as a list of frames: kind, flags, stream, length, payload.
    let frames = if first & 1 == 0 { rest.to_vec() } else { frames(rest) };
    let bytes = [PREFACE, SETTINGS, &frames].concat();
    let whole = requests(&bytes, bytes.len());
    for head in &whole {
        match head {
            Ok(head) => keeps_the_rules(head),
            Err(malformed) => assert!(matches!(malformed.status, 400 | 431), "{malformed:?}"),
        }
    }
    let cut = requests(&bytes, usize::from(first >> 1) % 40 + 1);
    let (whole, cut) = (shown(&whole), shown(&cut));
    // What ends a connection ends the requests that came with it before they are looked at.
    assert!(whole.starts_with(&cut) || cut.starts_with(&whole), "cut otherwise: {whole:#?} {cut:#?}");
}

fn frames(mut rest: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    while let [kind, flags, stream, length, more @ ..] = rest {
        let (payload, behind) = more.split_at(usize::from(*length).min(more.len()));
        bytes.extend_from_slice(&[
            0,
            0,
            u8::try_from(payload.len()).expect("a short one"),
            kind % 12,
            *flags,
            0,
            0,
            0,
            *stream,
        ]);
        bytes.extend_from_slice(payload);
        rest = behind;
    }
    bytes
}

fn no_block_is_too_much(block: &[u8]) {
    let mut fields = 0;
    // Each byte is at most one field.
    let _ = Decoder::new().decode(block, |_, _| fields += 1);
    assert!(fields <= block.len());
}

type Requests = Vec<Result<RequestHead, Malformed>>;

/// The requests of a client that sends these bytes in pieces of this size, and leaves.
fn requests(bytes: &[u8], size: usize) -> Requests {
    static METRICS: OnceLock<Arc<Meters>> = OnceLock::new();
    let metrics = METRICS.get_or_init(|| Meters::new(&[1.0]).expect("metrics"));
    thread_local! {
        static RUNTIME: tokio::runtime::Runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    }
    RUNTIME.with(|runtime| {
        runtime.block_on(async {
            let (near, far) = tokio::io::duplex(1 << 16);
            let settings = Settings { limits: Limits::default(), streams: 100, metrics: Arc::clone(metrics) };
            let (_stop, stopping) = tokio::sync::watch::channel(false);
            let seen = Rc::new(RefCell::new(Requests::new()));
            let heads = Rc::clone(&seen);
            let begin = |mut stream: Box<multilith::downstream::http2::ServerStream>| {
                heads.borrow_mut().push(stream.take_head());
            };
            let server = serve(far, bytes::BytesMut::new(), &(), &settings, stopping, begin);
            let client = async {
                let (mut read, mut write) = tokio::io::split(near);
                let sending = async {
                    for piece in bytes.chunks(size) {
                        if write.write_all(piece).await.is_err() {
                            break;
                        }
                        tokio::task::yield_now().await;
                    }
                    // So that all of it was looked at before the end.
                    drop(write.write_all(&[0, 0, 8, 6, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8]).await);
                    for _ in 0..20 {
                        tokio::task::yield_now().await;
                    }
                    drop(write.shutdown().await);
                };
                let mut all = Vec::new();
                let ((), _) = tokio::join!(sending, read.read_to_end(&mut all));
            };
            tokio::join!(server, client);
            seen.take()
        })
    })
}

fn shown(requests: &Requests) -> Vec<String> {
    let line = |head: &Result<RequestHead, Malformed>| match head {
        Ok(head) => format!("{} {} {:?}", head.method, head.target().escape_ascii(), head.fields),
        Err(malformed) => format!("{malformed:?}"),
    };
    requests.iter().map(line).collect()
}

fn keeps_the_rules(head: &RequestHead) {
    let target = head.target();
    let shown = || format!("{} {} {:?}", head.method, target.escape_ascii(), head.fields);
    if head.method != http::Method::CONNECT {
        let path = target.first() == Some(&b'/') || target == b"*" && head.method == http::Method::OPTIONS;
        assert!(path && target.iter().all(|byte| *byte > b' ' && *byte != 0x7f && *byte != b'#'), "{}", shown());
    }
    assert!(head.fields.len() <= 101, "{}", shown());
    let mut lengths = 0;
    for (name, value) in head.fields.iter() {
        assert!(http::HeaderName::from_bytes(name).is_ok(), "{}", shown());
        let ours = name == b"Host" || name == b"Cookie";
        assert!(ours || !name.iter().any(u8::is_ascii_uppercase), "{}", shown());
        assert!(
            !value.iter().any(|byte| *byte < b' ' && *byte != b'\t' || *byte == 0x7f) || name == b"Host",
            "{}",
            shown()
        );
        assert!(!matches!(name, b"connection" | b"transfer-encoding" | b"upgrade" | b"keep-alive"), "{}", shown());
        lengths += usize::from(name == b"content-length");
    }
    assert!(lengths <= 1, "{}", shown());
}
