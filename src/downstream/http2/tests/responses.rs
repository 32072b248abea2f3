//! Responses on the wire, whole or not.

use super::*;

#[tokio::test]
async fn a_response_has_its_interim_heads_its_body_and_its_trailers() {
    let mut raw = connect().await;
    raw.open(1, END_STREAM, &get(b"GET", b"/", &[])).await;
    let (mut stream, _) = raw.request().await;
    let mut hints = ResponseHead::new(StatusCode::EARLY_HINTS);
    hints.fields.append("Link", b"</a.css>");
    stream.put_interim(&hints);
    let head = ok(&[("Date", "today"), ("Connection", "close"), ("X-A", "\u{e9}"), ("Keep-Alive", "5")]);
    stream.put_head(head.clone(), Framing::Open);
    stream.put_interim(&hints);
    stream.put(Piece::Data(Bytes::from_static(b"hello")));
    stream.put(Piece::Trailers(Fields::from_iter([("Grpc-Status", "0"), ("Connection", "x")])));
    sent(&mut stream).await.expect("sent");
    assert_eq!(stream.bytes_sent(), 5);
    let kinds: Vec<_> = [raw.of_stream().await, raw.of_stream().await, raw.of_stream().await, raw.of_stream().await]
        .map(|frame| (frame.kind, frame.flags))
        .into();
    let expected = [(HEADERS, END_HEADERS), (HEADERS, END_HEADERS), (DATA, 0), (HEADERS, END_HEADERS | END_STREAM)];
    assert_eq!(kinds, expected);
    drop(stream);
    raw.open(3, END_STREAM, &get(b"GET", b"/", &[])).await;
    let (mut stream, _) = raw.request().await;
    stream.put_head(ok(&[("content-length", "7")]), Framing::Length(5));
    stream.put(Piece::Data(Bytes::from_static(b"hello")));
    stream.put(Piece::End);
    sent(&mut stream).await.expect("sent");
    let head = raw.of_stream().await;
    assert!(!head.payload.is_empty());
    let data = raw.of_stream().await;
    assert_eq!((data.kind, data.flags, &data.payload[..]), (DATA, END_STREAM, &b"hello"[..]), "one frame");
}

#[tokio::test]
async fn a_response_that_is_not_as_long_as_it_said_never_looks_whole() {
    let mut raw = connect().await;
    for (id, pieces) in [(1, vec!["hell"]), (3, vec!["hello", "!"])] {
        raw.open(id, END_STREAM, &get(b"GET", b"/", &[])).await;
        let (mut stream, _) = raw.request().await;
        stream.put_head(ok(&[]), Framing::Length(5));
        for piece in pieces {
            stream.put(Piece::Data(Bytes::from_static(piece.as_bytes())));
        }
        stream.put(Piece::End);
        assert!(matches!(sent(&mut stream).await, Err(ClientFault::Reset(h2::Reason::INTERNAL_ERROR))));
        loop {
            let frame = raw.of_stream().await;
            assert!(frame.kind == RST_STREAM || frame.flags & END_STREAM == 0, "{frame:?}");
            if frame.kind == RST_STREAM {
                break;
            }
        }
    }
    // One that is dropped half-way, and one that was not answered at all.
    for (id, begun) in [(5, true), (7, false)] {
        raw.open(id, END_STREAM, &get(b"GET", b"/", &[])).await;
        let (mut stream, _) = raw.request().await;
        if begun {
            stream.put_head(ok(&[]), Framing::Open);
            stream.put(Piece::Data(Bytes::from_static(b"some")));
            sent(&mut stream).await.expect("sent");
        }
        drop(stream);
        while raw.of_stream().await.kind != RST_STREAM {}
    }
}

#[tokio::test]
async fn a_response_that_is_dropped_at_any_moment_is_whole_or_never_looks_so() {
    let whole: Vec<u8> = (0..30_000_u32).map(|place| place.to_be_bytes()[3]).collect();
    let (mut ended, mut reset) = (0, 0);
    for framing in [Framing::Length(30_000), Framing::Open] {
        for polls in 0..12 {
            // A window of 5 000, and a piece is put at each poll.
            let mut raw = connect_with(limits(), &[0, 4, 0, 0, 0x13, 0x88]).await;
            raw.open(1, END_STREAM, &get(b"GET", b"/", &[])).await;
            let (mut stream, _) = raw.request().await;
            stream.put_head(ok(&[]), framing);
            let mut pieces = whole.chunks(3000).map(|part| Piece::Data(Bytes::copy_from_slice(part)));
            for _ in 0..polls {
                match pieces.next() {
                    Some(piece) => stream.put(piece),
                    None => stream.put(Piece::End),
                }
                let _ = stream.poll_send(&mut Context::from_waker(Waker::noop()), &mut false);
                raw.write(&frame(WINDOW_UPDATE, 0, 1, &10_000_u32.to_be_bytes())).await;
                // The server's task has its turn.
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            drop(stream);
            let mut come = Vec::new();
            loop {
                let seen = raw.of_stream().await;
                if seen.kind == DATA {
                    come.extend_from_slice(&seen.payload);
                }
                assert!(whole.starts_with(&come), "after {polls} polls");
                if seen.kind == RST_STREAM {
                    reset += 1;
                    break;
                }
                if seen.flags & END_STREAM != 0 {
                    assert!(come == whole, "after {polls} polls");
                    ended += 1;
                    break;
                }
            }
        }
    }
    assert!(ended > 0 && reset > 0, "{ended} whole, {reset} reset");
}

/// Counts how often it is woken.
#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Relaxed);
    }
}

/// Polls until it is ready; between two polls the waker has to be woken, or a wake-up is lost.
async fn woken<T>(woken: &Arc<Woken>, mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>) -> T {
    let waker = Waker::from(Arc::clone(woken));
    loop {
        let before = woken.0.load(Relaxed);
        if let Poll::Ready(ready) = poll(&mut Context::from_waker(&waker)) {
            return ready;
        }
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while woken.0.load(Relaxed) == before {
            assert!(tokio::time::Instant::now() < deadline, "a wake-up was lost");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

#[tokio::test]
async fn a_closed_window_holds_a_bounded_part_and_each_opening_wakes() {
    // An initial window of 0.
    let mut raw = connect_with(limits(), &[0, 4, 0, 0, 0, 0]).await;
    raw.open(1, END_STREAM, &get(b"GET", b"/", &[])).await;
    let (mut stream, _) = raw.request().await;
    stream.put_head(ok(&[]), Framing::Open);
    let mut put = 0;
    while stream.room() > 0 {
        stream.put(Piece::Data(Bytes::from(vec![b'x'; 1000])));
        put += 1000;
        assert!(put <= 64 * 1024, "without bound");
    }
    stream.put(Piece::End);
    let counter = Arc::new(Woken::default());
    let waker = Waker::from(Arc::clone(&counter));
    let mut cx = Context::from_waker(&waker);
    assert!(stream.poll_send(&mut cx, &mut false).is_pending() && stream.poll_gone(&mut cx).is_pending());
    assert!(stream.is_stuck() && stream.shared.unread.load(Relaxed) == 1);
    assert_eq!(raw.of_stream().await.kind, HEADERS);
    // Byte by byte at first: with what the library gave before, an increase would never be told of.
    let mut taken = 0;
    for grant in [1, 1, 5, 10, 1, 1000, 17, 40_000] {
        raw.write(&frame(WINDOW_UPDATE, 0, 1, &u32::try_from(grant).unwrap().to_be_bytes())).await;
        let whole = taken + grant >= put;
        let mut moved = false;
        woken(&counter, |cx| match stream.poll_send(cx, &mut moved) {
            Poll::Pending if moved && !whole => Poll::Ready(()),
            Poll::Ready(done) => {
                done.expect("sent");
                Poll::Ready(())
            }
            Poll::Pending => Poll::Pending,
        })
        .await;
        while taken < put.min(taken + grant) {
            let data = raw.of_stream().await;
            assert_eq!(data.kind, DATA);
            taken += data.payload.len();
            if data.flags & END_STREAM != 0 {
                break;
            }
            if taken == put || stream.is_stuck() {
                break;
            }
        }
    }
    assert_eq!((taken, stream.is_stuck()), (put, false));
    assert_eq!(stream.shared.unread.load(Relaxed), 0);
}

#[tokio::test]
async fn a_client_that_gives_up_is_noticed_whatever_is_waited_for() {
    let mut raw = connect_with(limits(), &[0, 4, 0, 0, 0, 0]).await;
    for (id, stage) in [(1, "head"), (3, "window"), (5, "body")] {
        raw.open(id, u8::from(stage != "body"), &get(b"POST", b"/", &[])).await;
        let (mut stream, _) = raw.request().await;
        if stage == "window" {
            stream.put_head(ok(&[]), Framing::Open);
            stream.put(Piece::Data(Bytes::from_static(b"x")));
            assert!(stream.poll_send(&mut Context::from_waker(Waker::noop()), &mut false).is_pending());
        }
        let counter = Arc::new(Woken::default());
        assert!(stream.poll_gone(&mut Context::from_waker(&Waker::from(Arc::clone(&counter)))).is_pending());
        raw.write(&frame(RST_STREAM, 0, id, &8_u32.to_be_bytes())).await;
        let gone = woken(&counter, |cx| stream.poll_gone(cx)).await;
        assert!(matches!(gone, ClientFault::Reset(h2::Reason::CANCEL)), "{stage}: {gone}");
        if stage == "window" {
            assert!(sent(&mut stream).await.is_err());
        }
    }
    raw.open(7, 0, &get(b"POST", b"/", &[])).await;
    let (mut stream, _) = raw.request().await;
    drop(raw.io);
    let gone = std::future::poll_fn(|cx| stream.poll_gone(cx)).await;
    assert!(matches!(gone, ClientFault::Gone(_)), "{gone}");
    assert!(matches!(piece(&mut stream).await, Err(ClientFault::Gone(_))));
}
