//! The head that a request is read as, however it comes.

use super::*;

#[tokio::test]
async fn a_request_keeps_its_bytes_and_its_order() {
    let mut raw = connect().await;
    let fields = [(&b"x-b"[..], &b"1"[..]), (b"x-a", b"\xe9"), (b"x-b", b"2")];
    raw.open(1, END_STREAM, &get(b"GET", b"/a?q={\"a\":1}&<x>\xe9", &fields)).await;
    let (stream, head) = raw.request().await;
    let head = head.expect("a good head");
    assert_eq!(written(&head), "GET /a?q={\\\"a\\\":1}&<x>\\xe9 HTTP/1.1|Host: a|x-b: 1|x-a: \\xe9|x-b: 2||");
    assert!(!stream.has_body());
}

#[tokio::test]
async fn a_malformed_head_is_answered_and_its_neighbours_live() {
    let mut raw = connect().await;
    raw.open(1, END_STREAM, &get(b"GET", b"/one", &[])).await;
    raw.open(3, END_STREAM, &get(b"GET", b"/\x01", &[])).await;
    raw.open(5, 0, &get(b"GET", b"/a#b", &[])).await;
    raw.open(7, END_STREAM, &get(b"GET", b"/", &[(b"X-Upper", b"")])).await;
    raw.open(9, END_STREAM, &get(b"GET", b"/three", &[])).await;
    for (id, expected) in
        [(1, Ok("/one")), (3, Err("target")), (5, Err("target")), (7, Err("framing")), (9, Ok("/three"))]
    {
        let (mut stream, head) = raw.request().await;
        let found = head.as_ref().map(|head| std::str::from_utf8(head.target()).unwrap()).map_err(|bad| bad.reason);
        assert_eq!(found, expected);
        stream.put_head(ResponseHead::new(StatusCode::BAD_REQUEST), Framing::None);
        sent(&mut stream).await.expect("it is answered");
        drop(stream);
        let answer = raw.of_stream().await;
        assert_eq!((answer.kind, answer.flags, answer.stream), (HEADERS, END_STREAM | END_HEADERS, id));
        if id == 5 {
            let reset = raw.of_stream().await;
            assert_eq!((reset.kind, &reset.payload[..]), (RST_STREAM, &[0, 0, 0, 0][..]), "no error");
        }
    }
}

#[tokio::test]
async fn heads_are_the_same_however_their_bytes_are_cut() {
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    bytes.extend(frame(SETTINGS, 0, 0, &[]));
    let first =
        block(&[(b":authority", b"edge.test"), (b":method", b"POST"), (b":scheme", b"https"), (b":path", b"/x")], true);
    // In three fragments, with padding and a priority.
    let padded = [&[3][..], &[0, 0, 0, 0, 16], &first[..5], &[0; 3]].concat();
    bytes.extend(frame(HEADERS, 0x8 | 0x20, 1, &padded));
    bytes.extend(frame(CONTINUATION, 0, 1, &first[5..5]));
    bytes.extend(frame(CONTINUATION, END_HEADERS, 1, &first[5..]));
    bytes.extend(frame(DATA, 0, 1, b"some"));
    bytes.extend(frame(PING, 0, 0, b"01234567"));
    bytes.extend(frame(0x77, 0, 1, b"what nobody knows"));
    // The authority is the newest entry of the table now.
    let second =
        [&[0xbe][..], &block(&[(b":method", b"GET"), (b":scheme", b"https"), (b":path", b"/y")], false)].concat();
    bytes.extend(frame(HEADERS, END_HEADERS | END_STREAM, 3, &second));
    bytes.extend(frame(DATA, 0, 1, b" data"));
    bytes.extend(frame(HEADERS, END_HEADERS | END_STREAM, 1, &block(&[(b"x-sum", b"7")], true)));
    for size in [1, 2, 3, 7, 9, 10, 31, 64, 100, bytes.len()] {
        let mut raw = start(limits(), if size < 10 { size } else { 1 << 16 });
        let mut acknowledged = 0;
        let (mut read, mut write) = tokio::io::split(raw.io);
        let bytes = bytes.clone();
        let writing = tokio::spawn(async move {
            for piece in bytes.chunks(size) {
                write.write_all(piece).await.unwrap();
                tokio::task::yield_now().await;
            }
            write
        });
        let reading = tokio::spawn(async move {
            let mut all = Vec::new();
            drop(read.read_to_end(&mut all).await);
            all
        });
        let mut streams = Vec::new();
        for expected in ["POST /x HTTP/1.1|Host: edge.test||", "GET /y HTTP/1.1|Host: edge.test||"] {
            let mut stream =
                tokio::time::timeout(PATIENCE, raw.requests.recv()).await.expect("in time").expect("a request");
            assert_eq!(written(&stream.take_head().expect("a good head")), expected, "in pieces of {size}");
            streams.push(stream);
        }
        let text = body(&mut streams[0]).await;
        assert_eq!(text.replace('|', ""), "some data{\"x-sum\": \"7\"}", "in pieces of {size}");
        acknowledged += 1;
        drop(writing.await.unwrap());
        reading.abort();
        assert_eq!(acknowledged, 1);
    }
}

#[tokio::test]
async fn a_body_ends_once_however_its_end_comes() {
    let mut raw = connect().await;
    let trailers = block(&[(b"x-sum", b"7"), (b"content-length", b"3")], false);
    let of_nothing = block(&[(b"content-length", b"3")], false);
    let cases: [(&[Vec<u8>], &str); 7] = [
        (&[frame(DATA, END_STREAM, 1, b"abc")], "abc|end"),
        (&[frame(DATA, 0, 1, b"abc"), frame(DATA, END_STREAM, 1, b"")], "abc|end"),
        (&[frame(DATA, 0, 1, b""), frame(DATA, 0, 1, b"abc"), frame(DATA, END_STREAM, 1, b"")], "abc|end"),
        (
            &[frame(DATA, 0, 1, b"abc"), frame(HEADERS, END_STREAM | END_HEADERS, 1, &trailers)],
            "abc|{\"x-sum\": \"7\"}",
        ),
        (&[frame(DATA, 0, 1, b"abc"), frame(HEADERS, END_STREAM | END_HEADERS, 1, &[])], "abc|end"),
        (&[frame(DATA, 0, 1, b"abc"), frame(HEADERS, END_STREAM | END_HEADERS, 1, &of_nothing)], "abc|end"),
        (&[frame(DATA, END_STREAM, 1, b"")], "end"),
    ];
    for (number, (frames, expected)) in cases.iter().enumerate() {
        let id = 2 * u32::try_from(number).unwrap() + 1;
        raw.open(id, 0, &get(b"POST", b"/", &[])).await;
        let (mut stream, head) = raw.request().await;
        assert!(head.is_ok() && stream.has_body());
        for frame in *frames {
            let mut frame = frame.clone();
            frame[5..9].copy_from_slice(&id.to_be_bytes());
            raw.write(&frame).await;
        }
        assert_eq!(body(&mut stream).await, *expected, "{frames:x?}");
        let again = stream.poll_piece(&mut Context::from_waker(Waker::noop()));
        assert!(again.is_pending(), "{frames:x?}");
    }
}

#[tokio::test]
async fn a_body_that_contradicts_its_head_is_malformed() {
    let mut raw = connect().await;
    let cases: [(&str, &[&[u8]], &str); 6] = [
        ("3", &[b"12345"], "content_length"),
        ("3", &[b"123", b"4"], "content_length"),
        ("3", &[b"12", b"34", b"5"], "12|content_length"),
        ("9", &[b"12345"], "12345|content_length"),
        ("5", &[b""], "content_length"),
        ("5", &[b"123", b"45", b""], "123|45|end"),
    ];
    for (number, (length, data, expected)) in cases.iter().enumerate() {
        let id = 2 * u32::try_from(number).unwrap() + 1;
        raw.open(id, 0, &get(b"POST", b"/", &[(b"content-length", length.as_bytes())])).await;
        let (mut stream, head) = raw.request().await;
        assert!(head.is_ok());
        for (place, data) in data.iter().enumerate() {
            raw.write(&frame(DATA, u8::from(place + 1 == cases[number].1.len()), id, data)).await;
        }
        assert_eq!(body(&mut stream).await, *expected, "{length}: {data:?}");
        stream.put_head(ResponseHead::new(StatusCode::BAD_REQUEST), Framing::None);
        sent(&mut stream).await.expect("it is answered");
        assert_eq!(raw.of_stream().await.kind, HEADERS);
    }
    assert_eq!(raw.refused("framing"), 0);
}

/// The client hears that all before this was read.
async fn is_read(raw: &mut Raw) {
    raw.write(&frame(PING, 0, 0, b"01234567")).await;
    while raw.frame().await.expect("the connection lives").kind != PING {}
}

#[tokio::test]
async fn the_last_of_an_announced_body_is_handed_on_with_the_end_of_its_stream() {
    let mut raw = connect().await;
    let (good, pseudo) = (block(&[(b"x-sum", b"7")], false), block(&[(b":path", b"/other")], false));
    for (number, (kind, flags, payload, expected)) in [
        (DATA, END_STREAM, &b""[..], "bc|end"),
        (HEADERS, END_STREAM | END_HEADERS, &good, "bc|{\"x-sum\": \"7\"}"),
        (HEADERS, END_STREAM | END_HEADERS, &[], "bc|end"),
        (HEADERS, END_STREAM | END_HEADERS, &pseudo, "framing"),
        (DATA, END_STREAM, b"d", "content_length"),
        (DATA, 0, b"d", "content_length"),
    ]
    .into_iter()
    .enumerate()
    {
        let id = 2 * u32::try_from(number).unwrap() + 1;
        raw.open(id, 0, &get(b"POST", b"/", &[(b"content-length", b"3")])).await;
        let (mut stream, head) = raw.request().await;
        assert!(head.is_ok());
        settled(&mut stream).await.expect("at once");
        raw.write(&frame(DATA, 0, id, b"a")).await;
        let Ok(Piece::Data(first)) = piece(&mut stream).await else { panic!("data") };
        assert_eq!(&first[..], b"a");
        raw.write(&[frame(DATA, 0, id, b"bc"), frame(DATA, 0, id, b"")].concat()).await;
        is_read(&mut raw).await;
        assert!(stream.poll_piece(&mut Context::from_waker(Waker::noop())).is_pending(), "stream {id}");
        assert!(stream.has_body());
        raw.write(&frame(kind, flags, id, payload)).await;
        assert_eq!(body(&mut stream).await, expected, "stream {id}");
        assert!(!stream.has_body());
    }
    raw.open(101, 0, &get(b"POST", b"/", &[(b"content-length", b"3")])).await;
    let (mut stream, _) = raw.request().await;
    raw.write(&frame(DATA, 0, 101, b"abc")).await;
    is_read(&mut raw).await;
    settled(&mut stream).await.expect("there is a body");
    raw.write(&frame(RST_STREAM, 0, 101, &8_u32.to_be_bytes())).await;
    assert!(matches!(piece(&mut stream).await, Err(ClientFault::Reset(_))), "a client that gives up");
}

#[tokio::test]
async fn what_contradicts_a_head_is_seen_before_it_is_sent_on() {
    let mut raw = connect().await;
    let pseudo = block(&[(b":path", b"/other")], false);
    for (id, method, more, data, trailers, expected) in [
        (1, "POST", Some("0"), &b"GET /smuggled HTTP/1.1\r\n\r\n"[..], false, Err("content_length")),
        (3, "POST", None, b"abc", true, Err("framing")),
        (5, "GET", None, b"", false, Ok(false)),
        (7, "GET", None, b"abc", false, Ok(true)),
        (9, "POST", Some("0"), b"", false, Ok(false)),
        (11, "POST", None, b"", false, Ok(false)),
        (13, "POST", Some("3"), b"abc", true, Err("framing")),
        (15, "POST", Some("3"), b"abcd", false, Err("content_length")),
        (17, "POST", Some("0"), b"", true, Err("framing")),
    ] {
        let more: Vec<_> = more.iter().map(|length| (&b"content-length"[..], length.as_bytes())).collect();
        let mut bytes = frame(HEADERS, END_HEADERS, id, &get(method.as_bytes(), b"/", &more));
        bytes.extend(frame(DATA, u8::from(!trailers), id, data));
        if trailers {
            bytes.extend(frame(HEADERS, END_STREAM | END_HEADERS, id, &pseudo));
        }
        raw.write(&bytes).await;
        let (mut stream, head) = raw.request().await;
        assert!(head.is_ok());
        let found = match settled(&mut stream).await {
            Ok(()) => Ok(stream.has_body()),
            Err(ClientFault::Malformed(malformed)) => Err(malformed.reason),
            Err(other) => panic!("{other}"),
        };
        assert_eq!(found, expected, "stream {id}");
        if found == Ok(true) {
            assert_eq!(body(&mut stream).await, "abc|end");
        }
    }
}

#[tokio::test]
async fn a_get_whose_end_has_not_come_is_waited_for_and_a_post_is_not() {
    let mut raw = connect().await;
    raw.open(1, 0, &get(b"POST", b"/", &[])).await;
    raw.open(3, 0, &get(b"GET", b"/", &[])).await;
    let (mut post, _) = raw.request().await;
    settled(&mut post).await.expect("at once");
    assert!(post.has_body());
    let (mut plain, _) = raw.request().await;
    assert!(plain.poll_settled(&mut Context::from_waker(Waker::noop())).is_pending());
    raw.write(&frame(DATA, END_STREAM, 3, b"")).await;
    settled(&mut plain).await.expect("settled");
    assert!(!plain.has_body());
}

#[tokio::test]
async fn an_upload_waits_until_what_came_was_passed_on() {
    let mut raw = connect().await;
    raw.open(1, 0, &get(b"POST", b"/", &[])).await;
    let (mut stream, _) = raw.request().await;
    for _ in 0..3 {
        raw.write(&frame(DATA, 0, 1, &[b'x'; 16_384])).await;
    }
    let mut read = 0;
    while read < 3 * 16_384 {
        let Ok(Piece::Data(data)) = piece(&mut stream).await else { panic!("data") };
        read += data.len();
    }
    // Nothing was passed on: the window stays closed.
    raw.write(&frame(PING, 0, 0, b"01234567")).await;
    loop {
        let frame = raw.frame().await.expect("the connection lives");
        assert!(frame.kind != WINDOW_UPDATE || frame.stream == 0, "{frame:?}");
        if frame.kind == PING {
            break;
        }
    }
    stream.passed(read);
    loop {
        let frame = raw.frame().await.expect("the connection lives");
        if frame.kind == WINDOW_UPDATE && frame.stream == 1 {
            break;
        }
    }
}
