//! Clients that ask for work without end: each connection ends with a GOAWAY that says why, and nobody else notices.

use super::client::{
    ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, Http2, INITIAL_WINDOW_SIZE, PING, PRIORITY, RST_STREAM,
    SETTINGS, WINDOW_UPDATE, block, frame, get, pairs,
};
use super::{ENHANCE_YOUR_CALM, FRAME_SIZE_ERROR, PROTOCOL_ERROR, counted};
use crate::harness::{Edge, Origin, Reply};

/// Frames that are sent at once, and how often.
const BURST: u32 = 100;
const BURSTS: u32 = 2000;
const MIB: usize = 1024 * 1024;

/// Writes bursts until the proxy has had enough, and gives the reasons of its GOAWAYs. `burst` is asked for each round.
fn flood(client: &mut Http2, burst: impl Fn(u32) -> Vec<u8>) -> Vec<u32> {
    let reading = client.reading();
    for round in 0..BURSTS {
        if client.write(&burst(round)).is_err() {
            break;
        }
    }
    reading.join().expect("a reader never panics")
}

fn same(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    frame(kind, flags, stream, payload).repeat(BURST as usize)
}

/// For each of the streams that this round opens.
fn streams(round: u32, of_stream: impl Fn(u32) -> Vec<u8>) -> Vec<u8> {
    (0..BURST).flat_map(|number| of_stream(2 * (round * BURST + number) + 1)).collect()
}

fn open(stream: u32, flags: u8) -> Vec<u8> {
    frame(HEADERS, flags, stream, &block(&get("/attack")))
}

/// What a round of an attack sends.
type Burst<'a> = Box<dyn Fn(u32) -> Vec<u8> + 'a>;

#[test]
fn noise_is_not_listened_to_for_long() {
    let monolith = Origin::start(|request| match request.target() {
        b"/large" => Reply::ok(vec![b'x'; MIB]),
        _ => Reply::ok("ok"),
    });
    let edge = Edge::before(&monolith).start();
    assert_eq!(edge.get("/before").status(), 200);
    let before = edge.peak_memory();
    // A field of 4 000 bytes that enters the table, then one byte for each time it is meant again.
    let mut bomb = block(&get("/bomb"));
    bomb.extend([0x40, 1, b'x', 0x7f, 0xa1, 0x1e]);
    bomb.extend([b'y'; 4000]);
    bomb.extend([0xbe; 12_000]);
    let cancel = 8_u32.to_be_bytes();
    let one = 1_u32.to_be_bytes();
    let too_far = (u32::MAX >> 1).to_be_bytes();
    let (quiet, begun, whole) = (&[][..], &open(1, 0)[..], &open(1, END_HEADERS)[..]);

    let attacks: Vec<(&str, &[u8], Burst)> = vec![
        (
            "rapid reset",
            quiet,
            Box::new(|round| {
                streams(round, |stream| {
                    [open(stream, END_HEADERS | END_STREAM), frame(RST_STREAM, 0, stream, &cancel)].concat()
                })
            }),
        ),
        (
            "streams that we have to reset",
            quiet,
            Box::new(|round| {
                streams(round, |stream| {
                    [open(stream, END_HEADERS | END_STREAM), frame(WINDOW_UPDATE, 0, stream, &too_far)].concat()
                })
            }),
        ),
        (
            "a head that goes on and on",
            begun,
            Box::new(|_| same(CONTINUATION, 0, 1, &block(&[("a", "b".repeat(500))]))),
        ),
        ("a head in fragments of nothing", begun, Box::new(|_| same(CONTINUATION, 0, 1, b""))),
        ("a bomb", quiet, Box::new(|round| frame(HEADERS, END_HEADERS | END_STREAM, 2 * round + 1, &bomb))),
        ("data of nothing", whole, Box::new(|_| same(DATA, 0, 1, b""))),
        ("settings", quiet, Box::new(|_| same(SETTINGS, 0, 0, b""))),
        ("long settings", quiet, Box::new(|_| frame(SETTINGS, 0, 0, &pairs(&[(0x99, 7); 2000])))),
        (
            "settings of windows",
            whole,
            Box::new(|_| {
                let settings = |window| frame(SETTINGS, 0, 0, &pairs(&[(INITIAL_WINDOW_SIZE, window)]));
                [settings(1), settings(100)].concat().repeat(BURST as usize)
            }),
        ),
        ("pings", quiet, Box::new(|_| same(PING, 0, 0, b"01234567"))),
        ("answers to pings that were not sent", quiet, Box::new(|_| same(PING, ACK, 0, b"01234567"))),
        ("windows of the connection", quiet, Box::new(|_| same(WINDOW_UPDATE, 0, 0, &one))),
        ("windows of a stream", whole, Box::new(|_| same(WINDOW_UPDATE, 0, 1, &one))),
        ("priorities", quiet, Box::new(|_| same(PRIORITY, 0, 1, b"\0\0\0\x03\x10"))),
        ("frames nobody knows", quiet, Box::new(|_| same(0x77, 0, 0, b"what is this?"))),
        ("long frames nobody knows", quiet, Box::new(|_| frame(0x77, 0, 0, &[0; 16_384]))),
    ];
    let mut ended = 0.0;
    for (name, first, burst) in attacks {
        let mut client = Http2::connect(edge.address());
        client.write(first).expect("the proxy takes the first frame");
        assert_eq!(flood(&mut client, burst), [ENHANCE_YOUR_CALM], "{name}");
        ended += 1.0;
        counted(&edge, "http2_flood", ended);
        assert_eq!(edge.get("/probe").status(), 200, "after {name}");
    }
    let more = edge.peak_memory() - before;
    assert!(more < 32 * MIB, "{more} bytes more");
}

#[test]
fn an_answer_cannot_be_drawn_out_byte_by_byte() {
    let monolith = Origin::start(|_| Reply::ok(vec![b'x'; MIB]));
    let edge = Edge::before(&monolith).start();
    let mut client = Http2::connect_with(edge.address(), &[(INITIAL_WINDOW_SIZE, 0)]);
    client.get(1, "/");
    // One byte at a time, and the next only when it was read: a client that never has more than one frame on its way.
    let mut taken = 0;
    let reasons = loop {
        // The goodbye may be on its way already.
        drop(client.write(&frame(WINDOW_UPDATE, 0, 1, &1_u32.to_be_bytes())));
        match client.frame() {
            Ok(Some(frame)) if frame.kind == DATA => taken += frame.payload.len(),
            Ok(Some(frame)) if frame.kind == super::client::GOAWAY => break frame.payload[4..8].to_vec(),
            Ok(Some(_)) => {}
            other => panic!("no GOAWAY but {other:?} after {taken} bytes"),
        }
        assert!(taken < MIB, "the whole answer passed byte by byte");
    };
    assert_eq!(reasons, ENHANCE_YOUR_CALM.to_be_bytes());
}

#[test]
fn a_client_that_confirms_all_it_reads_may_go_on_for_ever() {
    const LENGTH: usize = 48 * MIB;
    let body = vec![b'x'; LENGTH];
    let monolith = Origin::start(move |_| Reply::ok(&body));
    let edge = Edge::before(&monolith).start();
    let mut client = Http2::connect_with(edge.address(), &[(INITIAL_WINDOW_SIZE, 2048)]);
    client.get(1, "/");
    let mut taken = 0;
    while taken < LENGTH {
        let frame = client.frame().expect("the connection lives").expect("the answer is not over");
        assert!([DATA, HEADERS, SETTINGS, PING, WINDOW_UPDATE].contains(&frame.kind), "{frame:?}");
        if frame.kind == DATA {
            taken += frame.payload.len();
            let length = u32::try_from(frame.payload.len()).expect("a frame is short");
            if length > 0 {
                client.open_window(0, length);
                client.open_window(1, length);
            }
            client.send(PING, 0, 0, b"how long");
        }
    }
    assert_eq!(taken, LENGTH);
}

#[test]
fn what_is_no_frame_ends_the_connection_with_the_reason_of_the_standard() {
    let monolith = Origin::saying("ok");
    let edge = Edge::before(&monolith).start();
    let zero = [0; 4];
    for (name, bytes, reason) in [
        ("a head for no stream", open(0, END_HEADERS), PROTOCOL_ERROR),
        ("a stream of the server", open(2, END_HEADERS), PROTOCOL_ERROR),
        ("data for a stream that is not open", frame(DATA, 0, 5, b"x"), PROTOCOL_ERROR),
        ("data for no stream", frame(DATA, 0, 0, b"x"), PROTOCOL_ERROR),
        ("padding longer than its frame", [open(1, END_HEADERS), frame(DATA, 8, 1, b"\xff")].concat(), PROTOCOL_ERROR),
        ("a promise of a client", frame(5, END_HEADERS, 1, b"\0\0\0\x02"), PROTOCOL_ERROR),
        ("a fragment of nothing before it", frame(CONTINUATION, END_HEADERS, 1, b""), PROTOCOL_ERROR),
        ("a ping inside a head", [open(1, 0), frame(PING, 0, 0, &[0; 8])].concat(), PROTOCOL_ERROR),
        ("a window that grows by nothing", frame(WINDOW_UPDATE, 0, 0, &zero), PROTOCOL_ERROR),
        ("a reset of an idle stream", frame(RST_STREAM, 0, 9, &zero), PROTOCOL_ERROR),
        ("a short ping", frame(PING, 0, 0, b"short"), PROTOCOL_ERROR),
        ("settings cut short", frame(SETTINGS, 0, 0, &[0; 5]), PROTOCOL_ERROR),
        ("a frame longer than was allowed", frame(DATA, 0, 1, &vec![0; 16_385]), FRAME_SIZE_ERROR),
    ] {
        let mut client = Http2::connect(edge.address());
        // It may be gone before the last byte was written.
        drop(client.write(&bytes));
        assert_eq!(client.until_gone(), [reason], "{name}");
        assert_eq!(edge.get("/probe").status(), 200, "after {name}");
    }
    counted(&edge, "framing", 13.0);
}
