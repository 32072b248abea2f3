//! What copies hold is bounded, whatever comes and however long the target hangs.

use crate::harness::{Gate, Origin, Reply};
use crate::shadow::plan::{PATIENT, shadowing};

/// Bodies that would take four times the bound if they were kept.
const REQUESTS: usize = 2_000;
const BODY: usize = 64 * 1024;

/// Over what the proxy takes before: copies in flight (100 × 64 KiB), and what connections and the allocator keep.
const BOUND: usize = 32 << 20;

/// Of all bodies that are held at once, over all routes.
const HELD: usize = 64 << 20;

#[test]
fn a_hanging_target_does_not_fill_the_memory_with_bodies() {
    let answer = vec![b'a'; BODY];
    let monolith = Origin::start(move |_| Reply::ok(&answer));
    let service = Origin::start(|_| Reply::hang());
    let edge =
        shadowing(&monolith, service.address(), &format!("{PATIENT}compare = {{ noise = {{ replay = \"0%\" }} }}\n"));
    let mut client = edge.client();
    let body = vec![b'b'; BODY];
    let mut send = || {
        client.send(format!("POST / HTTP/1.1\r\nHost: e\r\nContent-Length: {BODY}\r\n\r\n")).send(&body);
        assert_eq!(client.response().body.len(), BODY);
    };
    send();
    let before = edge.peak_memory();
    (1..REQUESTS).for_each(|_| send());
    edge.await_skipped("queue_full", REQUESTS - 100);
    let grown = edge.peak_memory().saturating_sub(before);
    assert!(grown < BOUND, "{} MiB for {} MiB of bodies", grown >> 20, (2 * REQUESTS * BODY) >> 20);
}

/// A body of 1 MiB is no reason to hold more: what no room is left for is not copied, or not compared.
#[test]
fn long_bodies_are_copied_within_the_same_bound() {
    const LONG: usize = 1 << 20;
    const SENT: usize = 300;
    let answer = vec![b'a'; LONG];
    let monolith = Origin::start(move |_| Reply::ok(&answer));
    let service = Origin::start(|_| Reply::hang());
    let lines =
        format!("{PATIENT}body_limit = \"2MiB\"\nin_flight = 1000\ncompare = {{ noise = {{ replay = \"0%\" }} }}\n");
    let edge = shadowing(&monolith, service.address(), &lines);
    let mut client = edge.client();
    let body = vec![b'b'; LONG];
    let mut send = || {
        client.send(format!("POST / HTTP/1.1\r\nHost: e\r\nContent-Length: {LONG}\r\n\r\n")).send(&body);
        assert_eq!(client.response().body.len(), LONG);
    };
    send();
    let before = edge.peak_memory();
    (1..SENT).for_each(|_| send());
    edge.await_skipped("queue_full", 1);
    let grown = edge.peak_memory().saturating_sub(before);
    assert!(grown < HELD + BOUND, "{} MiB for {} MiB of bodies", grown >> 20, (2 * SENT * LONG) >> 20);
}

#[test]
fn an_answer_in_many_pieces_takes_no_more_than_it_is_long() {
    const COPIES: usize = 12;
    const PIECES: usize = 100_000;
    let gate = Gate::new();
    let held = gate.clone();
    let monolith = Origin::start(move |_| Reply::default().when(&held).then("HTTP/1.1 204 No Content\r\n\r\n"));
    let pieces = "1\r\nx\r\n".repeat(PIECES);
    let service = Origin::start(move |_| Reply::chunked(&[]).then(&pieces).last_chunk(&[]));
    let edge =
        shadowing(&monolith, service.address(), &format!("{PATIENT}compare = {{ noise = {{ replay = \"0%\" }} }}\n"));
    let before = edge.peak_memory();
    // The copies' answers are kept until the monolith's are there.
    let mut clients: Vec<_> = (0..COPIES).map(|_| edge.client()).collect();
    for client in &mut clients {
        client.send("GET / HTTP/1.1\r\nHost: e\r\n\r\n");
    }
    edge.await_sent("answered", COPIES);
    let grown = edge.peak_memory().saturating_sub(before);
    gate.open();
    assert!(grown < BOUND, "{} MiB for {COPIES} answers of {PIECES} bytes", grown >> 20);
    assert!(clients.iter_mut().all(|client| client.response().status() == 204));
}
