//! Headers of the PROXY protocol as they come, whole, cut and wrong.

use super::*;

fn addresses(source: &str, destination: &str) -> ProxiedAddresses {
    ProxiedAddresses::new(source.parse().expect("an address"), destination.parse().expect("an address"))
}

fn binary_header(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(body.len()).expect("a short body");
    [V2, &[command, family], &length.to_be_bytes(), body].concat()
}

const BODY_V4: [u8; 12] = [203, 0, 113, 7, 10, 0, 0, 1, 0x12, 0x67, 0x01, 0xbb];

#[test]
fn lines_of_version_1_are_read() {
    for (text, expected) in [
        ("PROXY TCP4 203.0.113.7 10.0.0.1 4711 443\r\n", Some(addresses("203.0.113.7:4711", "10.0.0.1:443"))),
        ("PROXY TCP4 0.0.0.0 255.255.255.255 0 65535\r\n", Some(addresses("0.0.0.0:0", "255.255.255.255:65535"))),
        ("PROXY TCP6 2001:db8::7 ::1 4711 443\r\n", Some(addresses("[2001:db8::7]:4711", "[::1]:443"))),
        ("PROXY TCP6 ::ffff:203.0.113.7 ::ffff:10.0.0.1 1 2\r\n", Some(addresses("203.0.113.7:1", "10.0.0.1:2"))),
        ("PROXY UNKNOWN\r\n", None),
        ("PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n", None),
    ] {
        let expected = ProxyHeader::Whole { length: text.len(), addresses: expected };
        assert_eq!(ProxyHeader::read(text.as_bytes()), expected, "{text:?}");
        assert_eq!(
            ProxyHeader::read(&[text.as_bytes(), b"GET / HTTP/1.1\r\n"].concat()),
            expected,
            "{text:?} and more"
        );
    }
}

#[test]
fn what_begins_like_a_header_and_is_none_is_refused() {
    let long = format!("PROXY UNKNOWN {}\r\n", "x".repeat(200));
    for text in [
        "PROXY TCP4 203.0.113.7 10.0.0.1 4711 443\n",
        "PROXY TCP4 203.0.113.7 10.0.0.1 4711\r\n",
        "PROXY TCP4 203.0.113.7 10.0.0.1 4711 443 \r\n",
        "PROXY TCP4 203.0.113.7  10.0.0.1 4711 443\r\n",
        "PROXY TCP4 203.0.113.7 10.0.0.1 4711 65536\r\n",
        "PROXY TCP4 203.0.113.7 10.0.0.1 04711 443\r\n",
        "PROXY TCP4 203.0.113.7 10.0.0.1 +471 443\r\n",
        "PROXY TCP4 203.0.113.07 10.0.0.1 4711 443\r\n",
        "PROXY TCP4 2001:db8::7 ::1 4711 443\r\n",
        "PROXY TCP6 203.0.113.7 10.0.0.1 4711 443\r\n",
        "PROXY UDP4 203.0.113.7 10.0.0.1 4711 443\r\n",
        "PROXY UNKNOWNS\r\n",
        "PROXY \r\n",
        "PROXY tcp4 203.0.113.7 10.0.0.1 4711 443\r\n",
        &long,
    ] {
        assert_eq!(ProxyHeader::read(text.as_bytes()), ProxyHeader::Malformed, "{text:?}");
    }
    for (command, family, body) in [
        (0x11, 0x11, &BODY_V4[..]),
        (0x22, 0x11, &BODY_V4),
        (0x21, 0x41, &BODY_V4),
        (0x21, 0x13, &BODY_V4),
        (0x21, 0x11, &BODY_V4[..11]),
        (0x21, 0x21, &BODY_V4),
        (0x21, 0x11, &[0; LONGEST_V2]),
    ] {
        let header = binary_header(command, family, body);
        assert_eq!(ProxyHeader::read(&header), ProxyHeader::Malformed, "{command:x} {family:x} {}", body.len());
    }
}

#[test]
fn what_begins_otherwise_is_no_header() {
    for bytes in [
        &b"GET / HTTP/1.1\r\n"[..],
        b"POST / HTTP/1.1\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"PROPFIND / HTTP/1.1\r\n",
        b"\r\n\r\nGET / HTTP/1.1\r\n",
        b"\x16\x03\x01\x02\x00\x01",
        b"proxy TCP4 ",
    ] {
        assert_eq!(ProxyHeader::read(bytes), ProxyHeader::Absent, "{bytes:?}");
    }
}

#[test]
fn headers_of_version_2_are_read() {
    let with_values = [&BODY_V4[..], &[0x03, 0, 4, 1, 2, 3, 4, 0x04, 0, 1, 0]].concat();
    for (command, family, body, expected) in [
        (0x21, 0x11, &BODY_V4[..], Some(addresses("203.0.113.7:4711", "10.0.0.1:443"))),
        (0x21, 0x11, &with_values, Some(addresses("203.0.113.7:4711", "10.0.0.1:443"))),
        (0x20, 0x11, &BODY_V4, None),
        (0x20, 0x00, &[], None),
        (0x21, 0x00, &[], None),
        (0x21, 0x12, &BODY_V4, None),
        (0x21, 0x31, &[b'/'; 216], None),
    ] {
        let header = binary_header(command, family, body);
        let expected = ProxyHeader::Whole { length: header.len(), addresses: expected };
        assert_eq!(ProxyHeader::read(&header), expected, "{command:x} {family:x}");
        assert_eq!(ProxyHeader::read(&[&header[..], b"\x16\x03\x01"].concat()), expected);
    }
}

/// Every beginning of a header waits for the rest, wherever it is cut; what is written is read.
#[test]
fn what_is_written_is_read_however_it_is_cut() {
    let pairs = [
        ("203.0.113.7:4711", "10.0.0.1:443"),
        ("[2001:db8::7]:4711", "[::1]:443"),
        ("203.0.113.7:0", "[::1]:443"),
        ("[2001:db8::7]:65535", "10.0.0.1:1"),
    ];
    let told = pairs.iter().map(|(from, to)| Some(addresses(from, to))).chain([None]);
    for (addresses, version) in told.flat_map(|told| [(told, ProxyVersion::V1), (told, ProxyVersion::V2)]) {
        let header = ProxiedAddresses::header(addresses.as_ref(), version);
        for cut in 0..header.len() {
            assert_eq!(ProxyHeader::read(&header[..cut]), ProxyHeader::Incomplete, "{cut} bytes of {header:?}");
        }
        let whole = ProxyHeader::Whole { length: header.len(), addresses };
        // Mapped addresses are read as what they stand for, where both are.
        assert_eq!(ProxyHeader::read(&header), whole, "{version:?} {addresses:?}");
    }
}

/// No bytes make the reader panic, wait without bound, or claim bytes that are not there.
#[test]
fn whatever_is_sent_is_read_within_bounds() {
    let mut random = fastrand::Rng::with_seed(16);
    let seeds = [
        b"PROXY TCP4 203.0.113.7 10.0.0.1 4711 443\r\n".to_vec(),
        b"PROXY TCP6 2001:db8::7 ::1 4711 443\r\n".to_vec(),
        binary_header(0x21, 0x11, &BODY_V4),
        binary_header(0x21, 0x21, &[7; 36]),
        Vec::new(),
    ];
    for turn in 0..100_000 {
        let mut bytes = seeds[turn % seeds.len()].clone();
        for _ in 0..random.usize(..6) {
            match random.u8(..3) {
                0 if !bytes.is_empty() => {
                    let place = random.usize(..bytes.len());
                    bytes[place] = random.u8(..);
                }
                1 => bytes.insert(random.usize(..=bytes.len()), random.u8(..)),
                _ => bytes.truncate(random.usize(..=bytes.len())),
            }
        }
        if let ProxyHeader::Whole { length, .. } = ProxyHeader::read(&bytes) {
            assert!(length <= bytes.len(), "{bytes:?}");
            assert_eq!(ProxyHeader::read(&bytes[..length - 1]), ProxyHeader::Incomplete, "{bytes:?}");
        }
        bytes.resize(LONGEST_V2, b'x');
        assert_ne!(ProxyHeader::read(&bytes), ProxyHeader::Incomplete, "{bytes:?}");
    }
}
