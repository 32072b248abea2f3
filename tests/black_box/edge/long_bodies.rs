//! Long responses of a known length pass within the kernel: the same bytes, the same ends, and the same connections behind them.

use std::fs::{self, File};
use std::path::PathBuf;

use crate::harness::{Client, Edge, Origin, Reply, eventually, pattern};

const MIB: usize = 1024 * 1024;

/// The ends of pipes that the process has open.
fn pipes(edge: &Edge) -> Vec<PathBuf> {
    let descriptors = fs::read_dir(format!("/proc/{}/fd", edge.process_id())).expect("the proxy runs");
    let paths = descriptors.filter_map(|entry| Some(entry.ok()?.path()));
    let is_pipe =
        |path: &PathBuf| fs::read_link(path).is_ok_and(|target| target.to_string_lossy().starts_with("pipe:"));
    paths.filter(is_pipe).collect()
}

fn holds_bytes(pipe: &PathBuf) -> bool {
    File::open(pipe).is_ok_and(|end| rustix::io::ioctl_fionread(end).is_ok_and(|length| length > 0))
}

#[test]
fn a_long_body_passes_whole_whatever_its_length_and_both_connections_are_used_again() {
    let monolith = Origin::start(|request| {
        let length = String::from_utf8_lossy(&request.target()[1..]).parse().expect("a length");
        Reply::ok(pattern(length))
    });
    let edge = Edge::before(&monolith).start();
    let mut client = edge.client();
    let lengths = [0, 1, 65_535, 65_536, 65_537, 131_071, 131_072, 200_000, MIB - 1, MIB, 3 * MIB + 7, 17];
    for length in lengths {
        let response = client.get(&format!("/{length}"));
        assert!(response.status() == 200 && response.body == pattern(length), "{length}");
    }
    assert_eq!(monolith.connections(), 1, "nothing was left behind on the connection");
}

#[test]
fn bytes_of_a_long_body_wait_in_a_pipe_and_the_pipe_goes_with_its_exchange() {
    let monolith = Origin::start(|_| Reply::ok(pattern(64 * MIB)));
    let edge = Edge::before(&monolith).start();
    let before = pipes(&edge);
    let answered = || edge.metric("multilith_requests_total", &[("route", "unmatched")]);
    // A pipe that is empty in the moment of the reset is kept for the next one.
    eventually("a pipe closed with what is in it", || {
        let mut slow = edge.client();
        slow.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(slow.head().content_length(), Some(64 * MIB));
        let holds = |pipe: &PathBuf| !before.contains(pipe) && holds_bytes(pipe);
        eventually("bytes in a pipe", || pipes(&edge).iter().any(holds).then_some(()));
        let counted = answered();
        slow.reset();
        eventually("the exchange is over", || (answered() > counted).then_some(()));
        (pipes(&edge).len() == before.len()).then_some(())
    });
}

#[test]
fn a_long_body_that_breaks_off_is_no_whole_one_for_the_client() {
    let monolith = Origin::start(|_| {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", 4 * MIB);
        Reply::bytes(head).then(pattern(MIB)).then(pattern(MIB)).close()
    });
    let edge = Edge::before(&monolith).start();
    let mut client = edge.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    client.head();
    let came = client.until_closed();
    assert!(came.map_or(true, |bytes| bytes.len() <= 2 * MIB), "more came than was sent");
    eventually("the monolith is blamed", || {
        let failed = edge.metric("multilith_upstream_errors_total", &[("side", "monolith"), ("kind", "reset")]);
        (failed >= 1.0).then_some(())
    });
}

#[test]
fn a_long_body_that_is_compared_is_read() {
    let monolith = Origin::start(|_| Reply::ok(pattern(MIB / 2)));
    let service = Origin::start(|_| {
        let mut body = pattern(MIB / 2);
        body[300_000] ^= 1;
        Reply::ok(body)
    });
    let route = "[routes.r]\npath = \"/r\"\nservice = \"new\"\nstage = \"shadow\"\nshadow = { compare = { noise = { replay = \"0%\" } } }\n";
    let edge = Edge::before(&monolith).service("new", &service).with(route).start();
    assert!(Client::connect(edge.address()).get("/r").body == pattern(MIB / 2));
    eventually("the difference is seen", || {
        let differences = edge.metric("multilith_comparisons_total", &[("route", "r"), ("verdict", "mismatch")]);
        (differences >= 1.0).then_some(())
    });
}
