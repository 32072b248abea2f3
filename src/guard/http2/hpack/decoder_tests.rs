//! HPACK by the examples of its standard, against the library's encoder, and against bytes that mean nothing.

use proptest::prelude::*;

use super::*;

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

type Lines = Vec<(String, String)>;

fn decode(decoder: &mut Decoder, block: &[u8]) -> Result<Lines, NotHpack> {
    let mut lines = Vec::new();
    let text = |bytes: &[u8]| bytes.escape_ascii().to_string();
    decoder.decode(block, |name, value| lines.push((text(name), text(value))))?;
    Ok(lines)
}

fn table(decoder: &Decoder) -> Lines {
    let text = |bytes: &[u8]| bytes.escape_ascii().to_string();
    let entries = decoder.entries.iter().map(|entry| entry.text.split_at(entry.name));
    entries.map(|(name, value)| (text(name), text(value))).collect()
}

fn lines(of: &[(&str, &str)]) -> Lines {
    of.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn single_fields_of_the_standard_are_read() {
    // RFC 7541, C.2.
    for (block, expected, indexed) in [
        ("400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572", ("custom-key", "custom-header"), true),
        ("040c 2f73 616d 706c 652f 7061 7468", (":path", "/sample/path"), false),
        ("1008 7061 7373 776f 7264 0673 6563 7265 74", ("password", "secret"), false),
        ("82", (":method", "GET"), false),
    ] {
        let mut decoder = Decoder::new();
        assert_eq!(decode(&mut decoder, &hex(block)), Ok(lines(&[expected])));
        assert_eq!(table(&decoder), if indexed { lines(&[expected]) } else { vec![] });
    }
}

#[test]
fn requests_of_the_standard_are_read_with_and_without_huffman() {
    // C.3 and C.4: three requests on one connection.
    let plain = [
        "8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
        "8286 84be 5808 6e6f 2d63 6163 6865",
        "8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65",
    ];
    let coded = [
        "8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff",
        "8286 84be 5886 a8eb 1064 9cbf",
        "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
    ];
    for blocks in [plain, coded] {
        let mut decoder = Decoder::new();
        let begin = [(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "www.example.com")];
        assert_eq!(decode(&mut decoder, &hex(blocks[0])), Ok(lines(&begin)));
        let second = [&begin[..], &[("cache-control", "no-cache")]].concat();
        assert_eq!(decode(&mut decoder, &hex(blocks[1])), Ok(lines(&second)));
        let third = [
            (":method", "GET"),
            (":scheme", "https"),
            (":path", "/index.html"),
            (":authority", "www.example.com"),
            ("custom-key", "custom-value"),
        ];
        assert_eq!(decode(&mut decoder, &hex(blocks[2])), Ok(lines(&third)));
        let left = [("custom-key", "custom-value"), ("cache-control", "no-cache"), (":authority", "www.example.com")];
        assert_eq!((table(&decoder), decoder.size), (lines(&left), 164));
    }
}

#[test]
fn entries_leave_a_table_that_is_full() {
    // C.5 and C.6: three responses, and a table of 256 bytes.
    let plain = [
        "4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3120 \
         474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
        "4803 3330 37c1 c0bf",
        "88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04 677a 6970 7738 \
         666f 6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 5745 4f49 553b 206d 6178 2d61 6765 3d33 \
         3630 303b 2076 6572 7369 6f6e 3d31",
    ];
    let coded = [
        "4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad 1718 \
         63c7 8f0b 97c8 e9ae 82ae 43d3",
        "4883 640e ffc1 c0bf",
        "88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d d7f2 e6c7 \
         b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07",
    ];
    let date = "Mon, 21 Oct 2013 20:13:21 GMT";
    let cookie = "foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1";
    for blocks in [plain, coded] {
        let mut decoder = Decoder::new();
        decoder.most = 256;
        let place = ("location", "https://www.example.com");
        let first = [(":status", "302"), ("cache-control", "private"), ("date", date), place];
        assert_eq!(decode(&mut decoder, &hex(blocks[0])), Ok(lines(&first)));
        assert_eq!(decoder.size, 222);
        let second = [(":status", "307"), ("cache-control", "private"), ("date", date), place];
        assert_eq!(decode(&mut decoder, &hex(blocks[1])), Ok(lines(&second)));
        assert_eq!(decoder.size, 222);
        let later = "Mon, 21 Oct 2013 20:13:22 GMT";
        let third = [
            (":status", "200"),
            ("cache-control", "private"),
            ("date", later),
            place,
            ("content-encoding", "gzip"),
            ("set-cookie", cookie),
        ];
        assert_eq!(decode(&mut decoder, &hex(blocks[2])), Ok(lines(&third)));
        let left = [("set-cookie", cookie), ("content-encoding", "gzip"), ("date", later)];
        assert_eq!((table(&decoder), decoder.size), (lines(&left), 215));
    }
}

#[test]
fn what_is_not_hpack_is_an_error() {
    for (block, expected) in [
        (&[0x80][..], NotHpack::Index),
        (&[0xbe], NotHpack::Index),
        (&[0xff, 0x80, 0x80, 0x80, 0x80, 0x01], NotHpack::Number),
        (&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01], NotHpack::Number),
        (&[0xff], NotHpack::Short),
        (&[0x40], NotHpack::Short),
        (&[0x40, 0x01], NotHpack::Short),
        (&[0x40, 0x01, b'a'], NotHpack::Short),
        (&[0x40, 0x01, b'a', 0x02, b'b'], NotHpack::Short),
        (&[0x40, 0x81, 0x00, 0x00], NotHpack::Huffman),
        (&[0x3f, 0xe2, 0x1f], NotHpack::TableSize),
        (&[0x82, 0x20], NotHpack::TableSize),
        (&[0x7e, 0x00], NotHpack::Index),
    ] {
        assert_eq!(decode(&mut Decoder::new(), block), Err(expected), "{block:x?}");
    }
    // The largest that was announced, and none, before the first field.
    assert!(decode(&mut Decoder::new(), &[0x20, 0x3f, 0xe1, 0x1f, 0x82]).is_ok());
}

#[test]
fn a_table_of_no_size_keeps_nothing_and_an_entry_that_is_too_long_empties_it() {
    let mut decoder = Decoder::new();
    let field = [0x40, 1, b'a', 1, b'b'];
    decode(&mut decoder, &field).unwrap();
    assert_eq!(table(&decoder).len(), 1);
    let long = [&[0x40, 1, b'a', 0x7f, 0x81, 0x1f][..], &[b'b'; 4096]].concat();
    decode(&mut decoder, &long).unwrap();
    assert_eq!((table(&decoder).len(), decoder.size), (0, 0));
    decode(&mut decoder, &[&[0x20][..], &field].concat()).unwrap();
    assert_eq!((table(&decoder).len(), decoder.size), (0, 0));
}

#[test]
fn the_name_of_an_entry_that_leaves_is_still_its_name() {
    let mut decoder = Decoder::new();
    decode(&mut decoder, &[0x40, 1, b'a', 1, b'b']).unwrap();
    // The value fills the table, so that the entry that gives the name has to go.
    let block = [&[0x7e, 0x7f, 0xe0, 0x1e][..], &[b'c'; 4063]].concat();
    let read = decode(&mut decoder, &block).unwrap();
    assert_eq!((read[0].0.as_str(), read[0].1.len()), ("a", 4063));
    assert_eq!((table(&decoder).len(), decoder.size), (1, 4096));
}

/// The header blocks that the library's client writes for requests with these fields, one after the other.
fn written_by_the_library(requests: &[Vec<(String, String)>]) -> Vec<Vec<u8>> {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (near, mut far) = tokio::io::duplex(1 << 20);
        let (mut client, connection) = h2::client::handshake(near).await.unwrap();
        let connection = tokio::spawn(connection);
        let server = [0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 4, 1, 0, 0, 0, 0];
        far.write_all(&server).await.unwrap();
        let mut answers = Vec::new();
        for fields in requests {
            let mut request = http::Request::builder().uri("http://a/");
            for (name, value) in fields {
                request = request.header(name, value);
            }
            client = client.ready().await.unwrap();
            answers.push(client.send_request(request.body(()).unwrap(), true).unwrap());
        }
        let mut preface = [0; 24];
        far.read_exact(&mut preface).await.unwrap();
        let mut blocks = Vec::new();
        while blocks.len() < requests.len() {
            let mut head = [0; 9];
            far.read_exact(&mut head).await.unwrap();
            let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
            far.read_exact(&mut payload).await.unwrap();
            if head[3] == 1 {
                assert_eq!(head[4] & 0x2c, 4, "a whole block without padding");
                blocks.push(payload);
            }
        }
        connection.abort();
        blocks
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_the_library_writes_is_read(requests in proptest::collection::vec(
        proptest::collection::vec(("(x-[a-z]{1,3}|cookie|accept|authorization)", "[ -~]{0,40}"), 0..12), 1..12,
    )) {
        let requests: Vec<Vec<(String, String)>> = requests
            .into_iter()
            .map(|fields| fields.into_iter().map(|(name, value)| (name, value.trim().to_owned())).collect())
            .collect();
        let mut decoder = Decoder::new();
        for (fields, block) in requests.iter().zip(written_by_the_library(&requests)) {
            let mut read = Vec::new();
            decoder
                .decode(&block, |name, value| {
                    read.push((String::from_utf8(name.into()).unwrap(), String::from_utf8(value.into()).unwrap()));
                })
                .unwrap();
            read.retain(|(name, _)| !name.starts_with(':'));
            // The library puts fields of one name together.
            let mut expected: Vec<(String, String)> = Vec::new();
            for (name, _) in fields {
                if !expected.iter().any(|(other, _)| other == name) {
                    expected.extend(fields.iter().filter(|(other, _)| other == name).cloned());
                }
            }
            prop_assert_eq!(read, expected);
        }
    }

    #[test]
    fn no_bytes_are_too_much(blocks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..300), 1..6)) {
        let mut decoder = Decoder::new();
        for block in &blocks {
            let mut weight = 0;
            let read = decoder.decode(block, |name, value| weight += name.len() + value.len());
            prop_assert!(decoder.size <= TABLE);
            prop_assert_eq!(decoder.size, decoder.entries.iter().map(Entry::size).sum::<usize>());
            if read.is_err() {
                break;
            }
        }
    }
}
