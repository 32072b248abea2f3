//! What copies hold is bounded, whatever comes and however long the target hangs.

use crate::harness::{Origin, Reply};
use crate::plan::{PATIENT, shadowing};

/// Bodies that would take four times the bound if they were kept.
const REQUESTS: usize = 2_000;
const BODY: usize = 64 * 1024;

/// Over what the proxy takes before: copies in flight (100 × 64 KiB), and what connections and the allocator keep.
const BOUND: usize = 32 << 20;

#[test]
fn a_hanging_target_does_not_fill_the_memory_with_bodies() {
    let answer = vec![b'a'; BODY];
    let monolith = Origin::start(move |_| Reply::ok(&answer));
    let service = Origin::start(|_| Reply::hang());
    let edge = shadowing(&monolith, service.address(), &format!("{PATIENT}compare = {{}}\n"));
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
