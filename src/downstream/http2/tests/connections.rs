//! Limits of a connection, its end, and the library's own client.

use super::*;

#[tokio::test]
async fn frames_that_are_wrong_end_the_connection_as_the_standard_says() {
    let whole = get(b"GET", b"/", &[]);
    for (name, bytes, reason) in [
        ("not HPACK", frame(HEADERS, END_HEADERS, 1, &[0x40, 1]), 1),
        ("an index of nothing", frame(HEADERS, END_HEADERS, 1, &[0xbe]), 1),
        ("a head for no stream", frame(HEADERS, END_HEADERS, 0, &whole), 1),
        ("a stream of the server", frame(HEADERS, END_HEADERS, 2, &whole), 1),
        ("a ping inside a head", [frame(HEADERS, 0, 1, &whole[..9]), frame(PING, 0, 0, &[0; 8])].concat(), 1),
        ("another stream inside", [frame(HEADERS, 0, 1, &[]), frame(CONTINUATION, 4, 3, &[])].concat(), 1),
        ("a head inside a head", [frame(HEADERS, 0, 1, &[]), frame(HEADERS, 5, 3, &whole)].concat(), 1),
        ("a fragment of nothing", frame(CONTINUATION, 4, 1, &[]), 1),
        ("too much padding", frame(HEADERS, 4 | 8, 1, &[200, 0x82]), 1),
        ("no priority", frame(HEADERS, 4 | 0x20, 1, &[0, 0]), 1),
        ("a long frame", frame(HEADERS, 4, 1, &vec![0; 16_385]), 6),
        ("a long fragment", [frame(HEADERS, 0, 1, &[]), frame(CONTINUATION, 4, 1, &vec![0; 16_385])].concat(), 6),
        ("data before a head", frame(DATA, 0, 1, b"x"), 1),
    ] {
        let mut raw = connect().await;
        drop(raw.io.write_all(&bytes).await);
        assert_eq!(raw.until_gone().await, [reason], "{name}");
        assert_eq!(raw.refused("framing"), 1, "{name}");
        assert!(raw.requests.try_recv().is_err(), "{name}");
    }
}

#[tokio::test]
async fn a_client_that_asks_for_too_much_is_sent_away() {
    let bad = get(b"GET", b"/a b", &[]);
    let malformed: Vec<u8> = (0..40).flat_map(|n| frame(HEADERS, 5, 2 * n + 1, &bad)).collect();
    let mut bomb = get(b"GET", b"/", &[]);
    bomb.extend([0x40, 1, b'x', 0x7f, 0xa1, 0x1e]);
    bomb.extend([b'y'; 4000]);
    bomb.extend([0xbe; 9_000]);
    let endless = [frame(HEADERS, 0, 1, &[]), frame(CONTINUATION, 0, 1, &[0; 16_384]).repeat(9)].concat();
    for (name, bytes) in [
        ("pings", frame(PING, 0, 0, b"01234567").repeat(6000)),
        ("malformed heads", malformed),
        ("a bomb", frame(HEADERS, 5, 1, &bomb)),
        ("a head without end", endless),
        ("fragments of nothing", [frame(HEADERS, 0, 1, &[]), frame(CONTINUATION, 0, 1, &[]).repeat(6000)].concat()),
        ("trailers again and again", {
            let mut bytes = frame(HEADERS, END_HEADERS, 1, &get(b"POST", b"/", &[]));
            bytes.extend(frame(HEADERS, END_HEADERS | END_STREAM, 1, &[0xff; 9]));
            bytes
        }),
    ] {
        let mut raw = connect().await;
        drop(raw.io.write_all(&bytes).await);
        let reasons = raw.until_gone().await;
        let expected = if name.starts_with("trailers") { 1 } else { 11 };
        assert_eq!(reasons, [expected], "{name}");
        if expected == 11 {
            assert_eq!(raw.refused("http2_flood"), 1, "{name}");
        }
        if name == "malformed heads" {
            let mut refused = 0;
            while let Ok(mut stream) = raw.requests.try_recv() {
                refused += u32::from(stream.take_head().is_err());
            }
            assert_eq!(refused, 32);
        }
    }
}

#[tokio::test]
async fn a_head_beyond_the_limits_is_431() {
    let mut raw = connect().await;
    let long = vec![b'x'; 20_000];
    let many = vec![(&b"x"[..], &b"y"[..]); 101];
    for (id, more, reason) in [(1, vec![(&b"x"[..], &long[..])], "request_head"), (3, many, "headers")] {
        let block = get(b"GET", b"/", &more);
        let (first, rest) = block.split_at(block.len().min(16_000));
        raw.write(&frame(HEADERS, END_STREAM, id, first)).await;
        raw.write(&frame(CONTINUATION, END_HEADERS, id, rest)).await;
        let (_, head) = raw.request().await;
        assert_eq!(head.expect_err("too much"), Malformed { status: 431, reason });
    }
}

#[tokio::test]
async fn a_connection_keeps_no_head_of_a_stream_that_is_over() {
    let mut raw = connect().await;
    let block = get(b"GET", b"/", &[]);
    let mut streams = Vec::new();
    for number in 0..150 {
        // Each of them may still send trailers.
        raw.open(2 * number + 1, 0, &block).await;
    }
    for _ in 0..100 {
        streams.push(raw.stream().await);
    }
    let mut refused = 0;
    while refused < 50 {
        let frame = raw.of_stream().await;
        refused += u32::from(frame.kind == RST_STREAM && frame.payload == 7_u32.to_be_bytes());
    }
    assert_eq!(raw.refused("http2_streams"), 50);
    let shared = Arc::clone(&streams[0].shared);
    assert_eq!(shared.heads.lock().len(), 100);
    assert!(shared.is_active());
    drop(streams);
    assert_eq!((shared.heads.lock().len(), shared.is_active()), (0, false));
}

#[tokio::test]
async fn connections_end_when_it_is_time() {
    let soon = Some(Duration::from_millis(100));
    // Idle: told twice, as the standard wants it, and closed.
    let mut idle = connect_with(Limits { idle_timeout: soon, ..limits() }, &[]).await;
    assert!(idle.until_gone().await.iter().all(|reason| *reason == 0));
    // A client that says nothing at all, or half of what HTTP/2 begins with.
    for said in [&b""[..], b"PRI * HTTP/2.0"] {
        let mut silent = start(Limits { header_timeout: soon, ..limits() }, 1 << 16);
        silent.write(said).await;
        assert!(silent.until_gone().await.is_empty());
        assert_eq!(silent.refused("header_timeout"), 1);
    }
    let mut other = start(limits(), 1 << 16);
    other.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    other.until_gone().await;
    // A header block that does not end.
    let mut begun = connect_with(Limits { header_timeout: soon, ..limits() }, &[]).await;
    begun.write(&frame(HEADERS, 0, 1, &get(b"GET", b"/", &[]))).await;
    assert_eq!(begun.until_gone().await, [11]);
    assert_eq!(begun.refused("header_timeout"), 1);
    // A response that the client does not take.
    let mut closed = connect_with(Limits { write_timeout: soon, ..limits() }, &[0, 4, 0, 0, 0, 0]).await;
    closed.open(1, END_STREAM, &get(b"GET", b"/", &[])).await;
    let (mut stream, _) = closed.request().await;
    stream.put_head(ok(&[]), Framing::Open);
    stream.put(Piece::Data(Bytes::from_static(b"x")));
    assert!(stream.poll_send(&mut Context::from_waker(Waker::noop()), &mut false).is_pending());
    assert_eq!(closed.until_gone().await, [11]);
    assert_eq!(closed.refused("write_timeout"), 1);
    // A socket that takes nothing.
    let mut full = start(Limits { write_timeout: soon, ..limits() }, 1000);
    full.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
    full.write(&frame(SETTINGS, 0, 0, &[])).await;
    full.open(1, END_STREAM, &get(b"GET", b"/", &[])).await;
    let (mut stream, _) = full.request().await;
    stream.put_head(ok(&[]), Framing::Open);
    stream.put(Piece::Data(Bytes::from(vec![b'x'; 30_000])));
    sent(&mut stream).await.expect("the library has it");
    tokio::time::timeout(PATIENCE, full.server).await.expect("it is not waited for").unwrap();
    assert_eq!(rendered(&full.metrics).matches("reason=\"write_timeout\"} 1").count(), 1);
}

#[tokio::test]
async fn the_end_of_the_server_lets_what_is_in_flight_finish() {
    let mut raw = connect().await;
    raw.open(1, END_STREAM, &get(b"GET", b"/", &[])).await;
    let (mut stream, _) = raw.request().await;
    raw.stop.send_replace(true);
    loop {
        let frame = raw.frame().await.expect("the connection lives");
        if frame.kind == GOAWAY {
            assert_eq!(frame.payload[4..8], [0; 4]);
            break;
        }
    }
    stream.put_head(ok(&[]), Framing::Open);
    stream.put(Piece::Data(Bytes::from_static(b"whole")));
    stream.put(Piece::End);
    sent(&mut stream).await.expect("sent");
    drop(stream);
    let mut whole = false;
    let mut reasons = Vec::new();
    while let Some(frame) = raw.frame().await {
        whole |= frame.kind == DATA && frame.flags & END_STREAM != 0;
        if frame.kind == PING && frame.flags == 0 {
            raw.write(&super::tests::frame(PING, 1, 0, &frame.payload)).await;
        }
        if frame.kind == GOAWAY {
            reasons.push(frame.payload[7]);
        }
    }
    assert!(whole && reasons.iter().all(|reason| *reason == 0), "{reasons:?}");
}

/// Sends back what comes: the loop that a driver has, in a few lines.
async fn echo(mut stream: ServerStream) {
    let Ok(_) = stream.take_head() else { return };
    stream.put_head(ok(&[]), Framing::Open);
    let mut over = false;
    std::future::poll_fn(|cx| {
        loop {
            let mut moved = false;
            while !over && stream.room() > 0 {
                match stream.poll_piece(cx) {
                    Poll::Ready(Ok(piece)) => {
                        moved = true;
                        over = piece.is_last();
                        let length = piece.len();
                        stream.put(piece);
                        stream.passed(length);
                    }
                    Poll::Ready(Err(_)) => return Poll::Ready(()),
                    Poll::Pending => break,
                }
            }
            match stream.poll_send(cx, &mut moved) {
                Poll::Ready(Ok(())) if over => return Poll::Ready(()),
                Poll::Ready(Err(_)) => return Poll::Ready(()),
                _ => {}
            }
            if stream.poll_gone(cx).is_ready() {
                return Poll::Ready(());
            }
            if !moved {
                return Poll::Pending;
            }
        }
    })
    .await;
}

#[tokio::test]
async fn the_librarys_own_client_gets_back_what_it_sends() {
    for (pipe, window, lengths) in [
        (1 << 16, 65_535, vec![0, 1, 100_000, 1 << 20]),
        (777, 100, vec![3000; 8]),
        (1 << 20, 1 << 20, vec![300_000; 30]),
    ] {
        let Raw { io, mut requests, stop: _stop, .. } = start(limits(), pipe);
        tokio::spawn(async move {
            while let Some(stream) = requests.recv().await {
                tokio::spawn(echo(stream));
            }
        });
        let (client, connection) =
            h2::client::Builder::new().initial_window_size(window).handshake::<_, Bytes>(io).await.unwrap();
        tokio::spawn(connection);
        let mut asked = Vec::new();
        for length in lengths {
            let mut client = client.clone().ready().await.unwrap();
            asked.push(tokio::spawn(async move {
                let request = http::Request::post("http://a/x").header("x-long", "y".repeat(200)).body(()).unwrap();
                let (answer, mut send) = client.send_request(request, false).unwrap();
                let sending = tokio::spawn(async move {
                    let mut left = length;
                    while left > 0 {
                        send.reserve_capacity(left);
                        let may = std::future::poll_fn(|cx| send.poll_capacity(cx)).await.unwrap().unwrap().min(left);
                        send.send_data(Bytes::from(vec![b'x'; may]), false).unwrap();
                        left -= may;
                    }
                    send.send_data(Bytes::new(), true).unwrap();
                });
                let mut answer = answer.await.unwrap().into_body();
                let mut come = 0;
                while let Some(data) = answer.data().await {
                    let data = data.unwrap();
                    come += data.len();
                    answer.flow_control().release_capacity(data.len()).unwrap();
                }
                sending.await.unwrap();
                assert_eq!(come, length);
            }));
        }
        for asked in asked {
            tokio::time::timeout(PATIENCE, asked).await.expect("in time").unwrap();
        }
    }
}
