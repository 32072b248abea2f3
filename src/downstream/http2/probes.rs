//! Tests of the library itself, where this room relies on it or goes round it: an update that changes one is seen here.

use h2::Reason;
use h2::server::Builder;

use super::*;

/// A server of the library alone, without the gate: what it accepts, and what it writes.
async fn alone(bytes: Vec<u8>, options: Builder) -> (Vec<String>, Vec<Seen>) {
    let (io, far) = tokio::io::duplex(1 << 20);
    let server = tokio::spawn(async move {
        let mut connection = options.handshake::<_, Bytes>(far).await.unwrap();
        let mut accepted = Vec::new();
        while let Some(Ok((request, mut respond))) = connection.accept().await {
            accepted.push(request.uri().path_and_query().map_or("-", |path| path.as_str()).to_owned());
            respond.send_response(http::Response::new(()), true).unwrap();
        }
        // The first error was the last word: it would come again for ever.
        let again = futures(&mut connection).await;
        (accepted, again)
    });
    let (_, requests) = tokio::sync::mpsc::unbounded_channel();
    let metrics = Meters::new(&[1.0]).unwrap();
    let mut raw = Raw { io, requests, metrics, stop: watch::channel(false).0, server: tokio::spawn(async {}) };
    raw.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
    raw.write(&frame(SETTINGS, 0, 0, &[])).await;
    raw.write(&bytes).await;
    raw.write(&frame(PING, 0, 0, b"the last")).await;
    let mut seen = Vec::new();
    while let Some(frame) = raw.frame().await {
        if frame.kind == PING {
            raw.io.shutdown().await.unwrap();
        }
        seen.push(frame);
    }
    drop(raw.io);
    let (accepted, again) = server.await.unwrap();
    assert!(again, "a connection that has ended says so again and again");
    (accepted, seen)
}

/// Whether `accept` is ready at once, ten times.
async fn futures(connection: &mut h2::server::Connection<DuplexStream, Bytes>) -> bool {
    std::future::poll_fn(|cx| Poll::Ready((0..10).all(|_| connection.poll_accept(cx).is_ready()))).await
}

fn kinds(seen: &[Seen], kind: u8) -> Vec<Vec<u8>> {
    seen.iter().filter(|frame| frame.kind == kind).map(|frame| frame.payload.clone()).collect()
}

#[tokio::test]
async fn targets_that_the_library_does_not_hand_out() {
    for path in [&b"/a b"[..], b"/a?q={\"a\":1}", b"/a<b>", b"/\x01", b"a", b""] {
        let (accepted, seen) = alone(frame(HEADERS, 5, 1, &get(b"GET", path, &[])), Builder::new()).await;
        assert!(accepted.is_empty(), "{}", path.escape_ascii());
        assert_eq!(kinds(&seen, RST_STREAM), [[0, 0, 0, 1]], "{}", path.escape_ascii());
    }
    // The text behind `#` is cut off without an error.
    let (accepted, _) = alone(frame(HEADERS, 5, 1, &get(b"GET", b"/a#frag", &[])), Builder::new()).await;
    assert_eq!(accepted, ["/a"]);
}

#[tokio::test]
async fn a_target_that_is_no_text_ends_the_librarys_connection() {
    let good = |id, path| frame(HEADERS, 5, id, &get(b"GET", path, &[]));
    let bytes = [good(1, b"/one"), good(3, b"/\xe9"), good(5, b"/three")].concat();
    let (_, seen) = alone(bytes, Builder::new()).await;
    assert_eq!(kinds(&seen, GOAWAY).iter().map(|payload| payload[7]).collect::<Vec<_>>(), [1]);
    assert!(kinds(&seen, HEADERS).is_empty(), "not even the first is answered");
}

#[tokio::test]
async fn a_list_that_is_too_long_is_answered_by_the_library_itself() {
    let mut options = Builder::new();
    options.max_header_list_size(1000);
    let long = get(b"GET", b"/", &[(b"x", &[b'y'; 2000])]);
    let (accepted, seen) = alone(frame(HEADERS, 5, 1, &long), options).await;
    assert!(accepted.is_empty());
    // `:status 431`, and nothing else.
    assert_eq!(kinds(&seen, HEADERS).len(), 1);
}

#[tokio::test]
async fn the_library_takes_the_stand_ins() {
    let head = frame(HEADERS, END_HEADERS, 1, super::super::gate::STAND_IN);
    let (accepted, seen) = alone(
        [head, frame(DATA, 0, 1, b"x"), frame(HEADERS, END_HEADERS | END_STREAM, 1, &[])].concat(),
        Builder::new(),
    )
    .await;
    assert_eq!(accepted, ["/"]);
    assert!(kinds(&seen, GOAWAY).is_empty() && kinds(&seen, RST_STREAM).iter().all(|reason| reason[3] == 0));
}

#[tokio::test]
async fn capacity_that_is_there_is_not_told_again() {
    let (io, far) = tokio::io::duplex(1 << 20);
    let (client, connection) = h2::client::handshake(io).await.unwrap();
    tokio::spawn(connection);
    let mut server = h2::server::handshake(far).await.unwrap();
    let asking = tokio::spawn(async move {
        let mut client = client.ready().await.unwrap();
        let (answer, _) = client.send_request(http::Request::get("http://a/").body(()).unwrap(), true).unwrap();
        (client, answer.await.unwrap())
    });
    let (_, mut respond) = server.accept().await.unwrap().unwrap();
    let mut stream = respond.send_response(http::Response::new(()), false).unwrap();
    let mut cx = Context::from_waker(Waker::noop());
    stream.reserve_capacity(10);
    assert!(matches!(stream.poll_capacity(&mut cx), Poll::Ready(Some(Ok(10)))));
    stream.send_data(Bytes::from_static(b"12345"), false).unwrap();
    stream.reserve_capacity(5);
    assert_eq!(stream.capacity(), 5);
    assert!(stream.poll_capacity(&mut cx).is_pending(), "it waits for an increase");
    // A head before the final one is taken behind it, too: this end has to know better.
    let late = http::Response::builder().status(103).body(()).unwrap();
    assert!(respond.send_informational(late).is_ok());
    stream.send_reset(Reason::CANCEL);
    assert!(matches!(stream.poll_capacity(&mut cx), Poll::Ready(None)));
    drop(server);
    drop(asking.await);
}
