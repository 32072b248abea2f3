//! What each connection and each stream may hold, and for how long.

use std::time::{Duration, Instant};

use super::client::{
    DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, Http2, INITIAL_WINDOW_SIZE, Outcome, RST_STREAM, block, get,
};
use super::{ENHANCE_YOUR_CALM, NO_ERROR, REFUSED_STREAM, counted};
use crate::harness::{Edge, Gate, Origin, PATIENCE, Reply, eventually};

/// Longer than any limit here, much shorter than the defaults.
const SOON: Duration = Duration::from_secs(8);
const MIB: usize = 1024 * 1024;

fn limited(monolith: &Origin, tables: &str) -> Edge {
    Edge::before(monolith).with(tables).start()
}

fn upstream_blamed(edge: &Edge) -> f64 {
    edge.metric("multilith_upstream_errors_total", &[])
}

#[test]
fn a_hundred_requests_run_at_once_and_one_more_is_refused_for_now() {
    let gate = Gate::default();
    let held = gate.clone();
    let monolith = Origin::start(move |request| match request.target() {
        b"/held" => Reply::default().when(&held).then("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"),
        _ => Reply::ok("ok"),
    });
    let edge = Edge::before(&monolith).start();
    let mut client = Http2::connect(edge.address());
    let streams: Vec<u32> = (0..110).map(|number| 2 * number + 1).collect();
    for stream in &streams {
        client.get(*stream, "/held");
    }
    for stream in &streams[100..] {
        assert_eq!(client.outcome(*stream), Outcome::Reset(REFUSED_STREAM));
    }
    counted(&edge, "http2_streams", 10.0);
    gate.open();
    let mut answered = 0;
    while answered < 100 {
        let frame = client.frame().expect("the connection lives").expect("answers come");
        assert!(frame.kind != RST_STREAM && frame.kind != GOAWAY, "{frame:?}");
        answered += u32::from(matches!(frame.kind, DATA | HEADERS) && frame.flags & END_STREAM != 0);
    }
    client.get(221, "/again");
    assert_eq!(client.outcome(221), Outcome::Answered(200));
    assert_eq!(monolith.requests().len(), 101);
}

#[test]
fn the_file_says_how_many_requests_run_at_once() {
    for most in [3, 1000] {
        let gate = Gate::default();
        let held = gate.clone();
        let monolith =
            Origin::start(move |_| Reply::default().when(&held).then("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"));
        let edge = limited(&monolith, &format!("[limits]\nhttp2_streams = {most}\n"));
        let mut client = Http2::connect(edge.address());
        let asked = most.min(150);
        for number in 0..=asked {
            client.get(2 * number + 1, "/held");
        }
        if most == 3 {
            assert_eq!(client.outcome(2 * asked + 1), Outcome::Reset(REFUSED_STREAM));
        } else {
            monolith.await_requests(usize::try_from(asked).expect("few") + 1);
        }
        gate.open();
    }
}

#[test]
fn an_idle_connection_is_told_so_and_closed() {
    let monolith = Origin::saying("ok");
    let edge = limited(&monolith, "[limits]\nidle_timeout = \"300ms\"\n");
    let mut silent = Http2::connect(edge.address());
    let mut used = Http2::connect(edge.address());
    used.get(1, "/");
    assert_eq!(used.outcome(1), Outcome::Answered(200));
    let start = Instant::now();
    for client in [&mut silent, &mut used] {
        let reasons = client.until_gone();
        assert!(!reasons.is_empty() && reasons.iter().all(|reason| *reason == NO_ERROR), "{reasons:?}");
    }
    assert!(start.elapsed() < SOON, "they were kept for {:?}", start.elapsed());
}

#[test]
fn a_client_that_leaves_its_goodbye_unanswered_holds_nobody_up() {
    let monolith = Origin::saying("ok");
    let mut edge = Edge::before(&monolith).server("drain = \"60s\"").start();
    let mut client = Http2::connect(edge.address());
    client.get(1, "/");
    assert_eq!(client.outcome(1), Outcome::Answered(200));
    // It listens, and says nothing.
    let reading = client.reading();
    edge.signal("TERM");
    assert!(edge.wait(PATIENCE).expect("it ends before the drain does").success());
    assert_eq!(reading.join().expect("a reader never panics"), [NO_ERROR, NO_ERROR]);
}

#[test]
fn a_head_that_does_not_end_ends_the_connection() {
    let monolith = Origin::saying("ok");
    let edge = limited(&monolith, "[limits]\nheader_timeout = \"300ms\"\n");
    let mut client = Http2::connect(edge.address());
    client.get(1, "/");
    assert_eq!(client.outcome(1), Outcome::Answered(200));
    let start = Instant::now();
    client.send(HEADERS, END_STREAM, 3, &block(&get("/")));
    assert_eq!(client.until_gone(), [ENHANCE_YOUR_CALM]);
    assert!(start.elapsed() < SOON, "it was kept for {:?}", start.elapsed());
    counted(&edge, "header_timeout", 1.0);
}

#[test]
fn a_body_that_stalls_is_the_fault_of_its_client() {
    let monolith = Origin::saying("ok");
    let edge = limited(&monolith, "[limits]\nbody_timeout = \"300ms\"\n[timeouts]\nanswer = \"20s\"\n");
    // With a length, nothing is missing but the end of the stream.
    for (length, begun) in [(None, &b""[..]), (None, b"some"), (Some("4"), b"some"), (Some("0"), b"")] {
        let post = [(":method", "POST")].into_iter().chain(get("/upload").split_off(1));
        let post: Vec<_> = post.chain(length.map(|length| ("content-length", length))).collect();
        let mut client = Http2::connect(edge.address());
        client.send(HEADERS, END_HEADERS, 1, &block(&post));
        if !begun.is_empty() {
            client.send(DATA, 0, 1, begun);
        }
        assert_eq!(client.outcome(1), Outcome::Answered(408), "{length:?} {begun:?}");
        // Only this stream was cut.
        client.get(3, "/");
        assert_eq!(client.outcome(3), Outcome::Answered(200), "{length:?} {begun:?}");
    }
    counted(&edge, "body_timeout", 4.0);
    assert!(monolith.requests().iter().all(|request| !request.path_is("/upload") || request.body.is_empty()));
    assert!(upstream_blamed(&edge) < 1.0, "the upstream was blamed");
}

#[test]
fn answers_that_nobody_takes_are_bounded_and_end_with_their_connection() {
    const STREAMS: u32 = 20;
    let body = vec![b'x'; 8 * MIB];
    let monolith = Origin::start(move |_| Reply::ok(&body));
    let edge = limited(&monolith, "[limits]\nwrite_timeout = \"600ms\"\n[timeouts]\nidle = \"200ms\"\n");
    assert_eq!(edge.get("/before").status(), 200);
    let before = edge.peak_memory();
    for window in [0, 1000] {
        let mut client = Http2::connect_with(edge.address(), &[(INITIAL_WINDOW_SIZE, window)]);
        for number in 0..STREAMS {
            client.get(2 * number + 1, "/large");
        }
        assert_eq!(client.until_gone(), [ENHANCE_YOUR_CALM], "with windows of {window}");
    }
    counted(&edge, "write_timeout", 2.0);
    // An eighth of the answers; and what the allocator keeps of the first connection while there is a second.
    let more = edge.peak_memory() - before;
    assert!(more < STREAMS as usize * MIB + 8 * MIB, "{more} bytes for {STREAMS} streams");
    eventually("all settled", || (edge.metric("multilith_requests_in_flight", &[]) < 1.0).then_some(()));
    assert!(upstream_blamed(&edge) < 1.0, "the upstream was blamed");
}

#[test]
fn a_client_that_takes_its_time_keeps_its_answers() {
    let body = vec![b'x'; MIB];
    let monolith = Origin::start(move |_| Reply::ok(&body));
    let edge = limited(
        &monolith,
        "[limits]\nwrite_timeout = \"5s\"\nheader_timeout = \"none\"\n[timeouts]\nidle = \"200ms\"\n",
    );
    let mut client = Http2::connect_with(edge.address(), &[(INITIAL_WINDOW_SIZE, 0)]);
    client.get(1, "/slow");
    client.get(3, "/waits");
    // The one stream moves, a little at a time; the other has to wait for much longer than a pause may be.
    let start = Instant::now();
    let mut taken = [0, 0];
    let mut take = |client: &mut Http2| {
        let frame = client.frame().expect("the connection lives").expect("answers come");
        assert!(frame.kind != RST_STREAM && frame.kind != GOAWAY, "{frame:?} after {:?}", start.elapsed());
        if frame.kind == DATA {
            taken[usize::from(frame.stream == 3)] += frame.payload.len();
        }
        taken
    };
    let (mut opened, mut bystander) = (0, edge.client());
    while start.elapsed() < Duration::from_secs(7) {
        client.open_window(1, 100);
        opened += 100;
        while take(&mut client)[0] < opened {}
        assert!(bystander.stays_quiet(Duration::from_millis(20)));
    }
    let rest = u32::try_from(2 * MIB).expect("a small number");
    for stream in [0, 1, 3] {
        client.open_window(stream, rest);
    }
    while take(&mut client) != [MIB, MIB] {}
    assert!(upstream_blamed(&edge) < 1.0, "the upstream was blamed");
}

#[test]
fn an_answer_that_pauses_is_not_one_that_nobody_takes() {
    let gate = Gate::new();
    let held = gate.clone();
    let monolith = Origin::start(move |_| {
        // Long enough not to be copied on its way.
        Reply::chunked(&["Content-Type: text/event-stream"])
            .chunk([b'x'; 4000])
            .when(&held)
            .chunk("end")
            .last_chunk(&[])
    });
    let edge = limited(&monolith, "[limits]\nwrite_timeout = \"400ms\"\nidle_timeout = \"400ms\"\n");
    let mut client = Http2::connect(edge.address());
    client.get(1, "/events");
    let mut taken = 0;
    let mut take = |client: &mut Http2| {
        let frame = client.frame().expect("the connection lives").expect("the answer is not over");
        assert!(frame.kind != RST_STREAM && frame.kind != GOAWAY, "{frame:?}");
        taken += if frame.kind == DATA { frame.payload.len() } else { 0 };
        taken
    };
    while take(&mut client) < 4000 {}
    let mut bystander = edge.client();
    assert!(bystander.stays_quiet(Duration::from_secs(2)));
    gate.open();
    while take(&mut client) < 4003 {}
}
