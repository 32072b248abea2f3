//! A sign-in that belongs to a connection cannot be made over HTTP/2, and leaves nothing behind.

use super::client::{Http2, Outcome};
use crate::edge::sign_in::Server;
use crate::harness::{Edge, eventually};

#[test]
fn the_upstreams_connection_is_closed_behind_each_challenge() {
    let server = Server::start("NTLM");
    let edge = Edge::before_address(server.address).start();
    let mut client = Http2::connect(edge.address());
    for stream in [1, 3, 5] {
        client.get(stream, "/");
        assert_eq!(client.outcome(stream), Outcome::Answered(401));
    }
    assert_eq!(server.connections(), 3);
    eventually("no connection is left", || (server.open() == 0).then_some(()));
}
