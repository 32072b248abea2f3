//! Header blocks of responses: what stands in them, and that none is left behind.

use super::*;
use crate::guard::http2::hpack::Decoder;

type Lines = Vec<(String, String)>;

/// The next header block on any stream, with the frames that continue it.
async fn lines(raw: &mut Raw, decoder: &mut Decoder) -> (Seen, Lines) {
    let mut seen = raw.of_stream().await;
    assert_eq!(seen.kind, HEADERS, "{seen:?}");
    while seen.flags & END_HEADERS == 0 {
        let more = raw.of_stream().await;
        assert_eq!((more.kind, more.stream), (CONTINUATION, seen.stream));
        seen.payload.extend(more.payload);
        seen.flags |= more.flags;
    }
    let mut lines = Lines::new();
    let text = |bytes: &[u8]| bytes.escape_ascii().to_string();
    decoder.decode(&seen.payload, |name, value| lines.push((text(name), text(value)))).expect("HPACK");
    (seen, lines)
}

fn expected(lines: &[(&str, &str)]) -> Lines {
    lines.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// Answers the next request with this head and no body.
async fn answer(raw: &mut Raw, id: u32, head: &ResponseHead) -> ServerStream {
    raw.open(id, END_STREAM, &get(b"GET", b"/", &[])).await;
    let (mut stream, _) = raw.request().await;
    stream.put_head(head.clone(), Framing::None);
    stream
}

#[tokio::test]
async fn fields_keep_their_order_whatever_the_size_of_the_clients_table() {
    const HEAD: &[(&str, &str)] = &[
        ("X-A", "1"),
        ("Server", "s"),
        ("x-a", "2"),
        ("Connection", "close"),
        ("Set-Cookie", "a=1"),
        ("X-\u{41}", "1"),
        ("Content-Length", "0"),
    ];
    let all = [
        (":status", "299"),
        ("x-a", "1"),
        ("server", "s"),
        ("x-a", "2"),
        ("set-cookie", "a=1"),
        ("x-a", "1"),
        ("content-length", "0"),
    ];
    // The standard's size, none, a small one, and more than is used.
    for settings in [&[][..], &[0, 1, 0, 0, 0, 0], &[0, 1, 0, 0, 0, 80], &[0, 1, 0, 1, 0, 0]] {
        let mut raw = connect_with(limits(), settings).await;
        let mut decoder = Decoder::new();
        let mut sizes = Vec::new();
        for id in [1, 3, 5] {
            let mut head = ok(HEAD);
            head.status = StatusCode::from_u16(299).unwrap();
            let _stream = answer(&mut raw, id, &head).await;
            let (seen, lines) = lines(&mut raw, &mut decoder).await;
            assert_eq!((lines, seen.stream), (expected(&all), id), "{settings:?}");
            sizes.push(seen.payload.len());
        }
        let keeps = settings != [0, 1, 0, 0, 0, 0];
        // The first says the table's size, too.
        assert_eq!(sizes[2] + 4 < sizes[0], keeps, "{settings:?}: {sizes:?}");
        // A client that changes its mind.
        raw.write(&frame(SETTINGS, 0, 0, &[0, 1, 0, 0, 0, 40])).await;
        while raw.frame().await.expect("the connection lives").kind != SETTINGS {}
        let _stream = answer(&mut raw, 7, &ok(&HEAD[..2])).await;
        let (_, lines) = lines(&mut raw, &mut decoder).await;
        assert_eq!(lines, expected(&[(":status", "200"), ("x-a", "1"), ("server", "s")]));
    }
}

#[tokio::test]
async fn a_long_head_is_continued() {
    let long = "v".repeat(20_000);
    let mut raw = connect().await;
    let mut decoder = Decoder::new();
    for (id, count) in [(1, 1), (3, 3), (5, 0)] {
        let fields: Vec<_> = (0..count).map(|_| ("x-long", long.as_str())).collect();
        let _stream = answer(&mut raw, id, &ok(&fields)).await;
        let (seen, lines) = lines(&mut raw, &mut decoder).await;
        assert_eq!(lines, expected(&[&[(":status", "200")][..], &fields].concat()));
        assert_eq!(seen.flags & END_STREAM, END_STREAM);
    }
}

#[tokio::test]
async fn blocks_of_streams_that_were_reset_are_forgotten() {
    let mut raw = connect().await;
    let mut decoder = Decoder::new();
    let mut shared = None;
    for round in 0..20 {
        let id = 4 * round + 1;
        raw.open(id, END_STREAM, &get(b"GET", b"/", &[])).await;
        let (mut stream, _) = raw.request().await;
        shared = Some(Arc::clone(&stream.shared));
        if round % 2 == 0 {
            // Given up from here, before the library could send its head.
            stream.put_head(ok(&[("x-a", "1")]), Framing::Open);
            stream.abort();
        } else {
            // Reset by the client, before or behind it.
            raw.write(&frame(RST_STREAM, 0, id, &[0, 0, 0, 8])).await;
            if round % 4 == 1 {
                let gone = std::future::poll_fn(|cx| stream.poll_gone(cx));
                tokio::time::timeout(PATIENCE, gone).await.expect("told in time");
            }
            stream.put_interim(&ResponseHead::new(StatusCode::EARLY_HINTS));
            stream.put_head(ok(&[("x-a", "1")]), Framing::Open);
            stream.put(Piece::Trailers(Fields::from_iter([("x-b", "2")])));
            let _ = stream.poll_send(&mut Context::from_waker(Waker::noop()), &mut false);
        }
        drop(stream);
        // The connection lives, and its tables have not come apart.
        let _stream = answer(&mut raw, id + 2, &ok(&[("x-c", "3")])).await;
        loop {
            let seen = raw.of_stream().await;
            if seen.kind == HEADERS {
                let mut lines = Lines::new();
                let text = |bytes: &[u8]| bytes.escape_ascii().to_string();
                decoder.decode(&seen.payload, |name, value| lines.push((text(name), text(value)))).expect("HPACK");
                if seen.stream == id + 2 {
                    assert_eq!(lines, expected(&[(":status", "200"), ("x-c", "3")]));
                    break;
                }
            }
        }
    }
    let shared = shared.expect("there were requests");
    assert_eq!(shared.heads.lock().outgoing(), 0);
}
