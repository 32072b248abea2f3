//! Framing: what the edge takes for one request is one request to a second, strict parser, with the same body.
//!
//! An input is what a client sends. It is read as in production: the parser of messages, the checks of the head, and the
//! chunk reader.

use bytes::BytesMut;
use multilith::compile::Limits;
use multilith::guard::framing;
use multilith::guard::headers::{PeerFacts, receive};
use multilith::message::{ChunkReader, Name, Piece, RequestHead, digits, head_end};

use super::strict::{End, Strict, chunked};

/// The longest trailer section, in bytes.
const TRAILERS: usize = 16 * 1024;

pub fn hold(input: &[u8]) {
    reader(input);
    let Some(end) = head_end(input, 0) else { return };
    let Ok(request) = RequestHead::parse(&input[..end], false) else { return };
    if framing::check(&request, Some(end), &Limits::default()).is_err() {
        return;
    }
    let strict = Strict::head(&input[..end]).unwrap_or_else(|why| {
        panic!("taken, and refused by the strict parser ({why}): {}", input[..end].escape_ascii());
    });
    agree(&strict, &request);
    if let Some(body) = body(&request, &input[end..]) {
        let expected = strict.body(&input[end..]).unwrap_or_else(|why| {
            panic!("a body that the strict parser refuses ({why}): {}", input.escape_ascii());
        });
        assert_eq!(body, expected, "another body: {}", input.escape_ascii());
    }
    clean(request);
}

/// Pieces do not matter to the chunk reader, and what it takes the strict parser takes, as far as it has come.
fn reader(input: &[u8]) {
    let whole = by(input, input.len());
    assert_eq!(whole, by(input, 1));
    assert_eq!(whole, by(input, 7));
    match (&whole, chunked(input)) {
        (Ok(Some(data)), strict) => assert_eq!(strict.as_ref(), Ok(data), "{}", input.escape_ascii()),
        (Ok(None), Err(End::Wrong)) => panic!("not chunks, and waited for: {}", input.escape_ascii()),
        _ => {}
    }
}

/// The data of a chunked body, read in pieces of this size. `None`: it has not ended. The error: it is no chunked body.
fn by(input: &[u8], size: usize) -> Result<Option<Vec<u8>>, ()> {
    let (mut reader, mut unread, mut data) = (ChunkReader::new(TRAILERS), BytesMut::new(), Vec::new());
    let mut pieces = input.chunks(size.max(1));
    loop {
        match reader.next(&mut unread).map_err(|_| ())? {
            Some(Piece::Data(piece)) => data.extend_from_slice(&piece),
            Some(Piece::Trailers(_) | Piece::End) => return Ok(Some(data)),
            None => match pieces.next() {
                Some(piece) => unread.extend_from_slice(piece),
                None => return Ok(None),
            },
        }
    }
}

/// The body, if it is a whole one.
fn body(request: &RequestHead, rest: &[u8]) -> Option<Vec<u8>> {
    if request.fields.has(Name::TransferEncoding) {
        return by(rest, rest.len()).ok().flatten();
    }
    let length = request.fields.get(Name::ContentLength).and_then(digits).unwrap_or(0);
    rest.get(..usize::try_from(length).ok()?).map(<[u8]>::to_vec)
}

/// What is made of an accepted request for an upstream names one path and one host.
fn clean(mut request: RequestHead) {
    let arrival = PeerFacts {
        peer: "192.0.2.1".parse().expect("an address"),
        tls: false,
        subject: None,
        trusted: &[],
        force: None,
        forwarded: false,
    };
    receive(&mut request, &arrival);
    let target = request.target();
    assert!(target.starts_with(b"/") || target == b"*", "{}", target.escape_ascii());
    assert!(!target.iter().any(|&byte| byte <= b' ' || byte == 0x7f), "{}", target.escape_ascii());
    assert!(request.fields.all(Name::Host).count() < 2);
}

/// The same request, field for field.
fn agree(strict: &Strict<'_>, request: &RequestHead) {
    assert_eq!(request.method.as_str().as_bytes(), strict.method);
    assert_eq!(request.target(), strict.target);
    assert_eq!(request.version, strict.version);
    assert_eq!(request.fields.iter().collect::<Vec<_>>(), strict.fields, "field for field, in their order");
}
