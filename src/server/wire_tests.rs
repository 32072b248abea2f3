//! The last word on a WebSocket stands between two frames, whatever was half sent when it became due.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt, DuplexStream, duplex};

use super::*;

const HEAD: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\n\r\n";

/// A WebSocket whose head has been sent, and its client.
async fn open() -> (Wire, DuplexStream, Arc<Watch>) {
    let (near, far) = duplex(1024);
    let watch = Watch::new(Instant::now());
    watch.tunnel.opens_websocket();
    let mut wire = Wire::new(Box::new(near), Arc::clone(&watch));
    wire.write_all(HEAD).await.unwrap();
    (wire, far, watch)
}

async fn heard(mut client: DuplexStream) -> Vec<u8> {
    let mut heard = Vec::new();
    client.read_to_end(&mut heard).await.unwrap();
    heard.split_off(HEAD.len())
}

#[tokio::test]
async fn behind_a_frame_that_was_half_sent() {
    let (mut wire, client, watch) = open().await;
    wire.write_all(b"\x82\x0ahalf").await.unwrap();
    watch.tunnel.take_leave();
    wire.write_all(b" and ").await.unwrap();
    wire.write_all(b"h\x81\x05never").await.unwrap();
    wire.write_all(b"\x81\x05never").await.unwrap();
    drop(wire);
    assert_eq!(heard(client).await, [b"\x82\x0ahalf and h", &GOING_AWAY[..]].concat());
}

#[tokio::test]
async fn at_once_where_nothing_is_half_sent_and_before_anything_else() {
    let (mut wire, client, watch) = open().await;
    wire.write_all(b"\x81\x02hi").await.unwrap();
    watch.tunnel.take_leave();
    wire.write_all(b"\x81\x05never").await.unwrap();
    drop(wire);
    assert_eq!(heard(client).await, [b"\x81\x02hi", &GOING_AWAY[..]].concat());
}

#[tokio::test]
async fn at_once_where_the_server_is_silent_and_what_the_client_answers_passes() {
    let (mut wire, mut client, watch) = open().await;
    watch.tunnel.take_leave();
    client.write_all(b"\x88\x82\0\0\0\0\x03\xe9").await.unwrap();
    let mut answer = [0; 8];
    wire.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"\x88\x82\0\0\0\0\x03\xe9");
    drop(wire);
    assert_eq!(heard(client).await, GOING_AWAY);
}

#[tokio::test]
async fn at_the_end_of_the_connection_where_nothing_else_passed() {
    let (mut wire, mut client, watch) = open().await;
    watch.tunnel.take_leave();
    AsyncWriteExt::shutdown(&mut client).await.unwrap();
    Shutdown::shutdown(&mut wire).await;
    drop(wire);
    assert_eq!(heard(client).await, GOING_AWAY);
}

#[tokio::test]
async fn nowhere_where_a_frame_never_ends() {
    let (mut wire, mut client, watch) = open().await;
    wire.write_all(b"\x82\x0ahalf").await.unwrap();
    watch.tunnel.take_leave();
    AsyncWriteExt::shutdown(&mut client).await.unwrap();
    Shutdown::shutdown(&mut wire).await;
    drop(wire);
    assert_eq!(heard(client).await, b"\x82\x0ahalf");
}

#[tokio::test]
async fn nowhere_where_the_server_has_said_its_own() {
    let (mut wire, mut client, watch) = open().await;
    wire.write_all(b"\x88\x02\x03\xe8").await.unwrap();
    watch.tunnel.take_leave();
    AsyncWriteExt::shutdown(&mut client).await.unwrap();
    Shutdown::shutdown(&mut wire).await;
    drop(wire);
    assert_eq!(heard(client).await, b"\x88\x02\x03\xe8");
}

#[tokio::test]
async fn nowhere_while_nobody_goes() {
    let (mut wire, client, _) = open().await;
    wire.write_all(b"\x81\x02hi\x81\x02ho").await.unwrap();
    drop(wire);
    assert_eq!(heard(client).await, b"\x81\x02hi\x81\x02ho");
}
