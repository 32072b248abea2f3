//! The header of the PROXY protocol, versions 1 and 2: what stands in front of all bytes of a connection and says whose it is.
//!
//! After `doc/proxy-protocol.txt` of the `HAProxy` project, of 2020-03-05. Type-length-values behind the addresses are skipped.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The version of a header that is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyVersion {
    V1,
    V2,
}

/// Both ends of a client's connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProxiedAddresses {
    pub source: SocketAddr,
    pub destination: SocketAddr,
}

/// The result of reading the first bytes of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyHeader {
    /// More bytes decide.
    Incomplete,
    /// They begin otherwise than any header.
    Absent,
    /// They begin like a header and are none.
    Malformed,
    /// The header and its length in bytes. Without addresses the connection is the sender's own (`LOCAL`, `UNKNOWN`), or that of a
    /// client which has none.
    Whole { length: usize, addresses: Option<ProxiedAddresses> },
}

const V1: &[u8] = b"PROXY ";
const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// A line of version 1 with its line end.
const LONGEST_V1: usize = 107;
/// In front of the addresses of version 2.
const FIXED_V2: usize = 16;
/// A header of version 2 with all its values; its length could say 64 KiB.
const LONGEST_V2: usize = 8 * 1024;

impl ProxyHeader {
    /// Reads what stands in front. Never says `Whole` of more bytes than there are.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Self {
        if bytes.starts_with(V1) {
            return line(bytes);
        }
        if bytes.starts_with(V2) {
            return binary(bytes);
        }
        if V1.starts_with(bytes) || V2.starts_with(bytes) { Self::Incomplete } else { Self::Absent }
    }
}

impl ProxiedAddresses {
    /// Version 4 within 6 is version 4. Both ends are of one version.
    #[must_use]
    pub fn new(source: SocketAddr, destination: SocketAddr) -> Self {
        let canonical = |end: SocketAddr| SocketAddr::new(end.ip().to_canonical(), end.port());
        let (source, destination) = (canonical(source), canonical(destination));
        if source.is_ipv4() == destination.is_ipv4() {
            return Self { source, destination };
        }
        let mapped = |end: SocketAddr| match end.ip() {
            IpAddr::V4(address) => SocketAddr::new(address.to_ipv6_mapped().into(), end.port()),
            IpAddr::V6(_) => end,
        };
        Self { source: mapped(source), destination: mapped(destination) }
    }

    /// The header that says so; `None`: that the connection is the proxy's own.
    #[must_use]
    pub fn header(addresses: Option<&Self>, version: ProxyVersion) -> Vec<u8> {
        match (version, addresses) {
            (ProxyVersion::V1, None) => b"PROXY UNKNOWN\r\n".to_vec(),
            (ProxyVersion::V1, Some(Self { source, destination })) => {
                let family = if source.is_ipv4() { "TCP4" } else { "TCP6" };
                let (from, to) = (source.ip(), destination.ip());
                format!("PROXY {family} {from} {to} {} {}\r\n", source.port(), destination.port()).into_bytes()
            }
            (ProxyVersion::V2, None) => [V2, &[0x20, 0, 0, 0]].concat(),
            (ProxyVersion::V2, Some(Self { source, destination })) => {
                let mut header = V2.to_vec();
                match (source.ip(), destination.ip()) {
                    (IpAddr::V4(from), IpAddr::V4(to)) => {
                        header.extend_from_slice(&[0x21, 0x11, 0, 12]);
                        header.extend_from_slice(&from.octets());
                        header.extend_from_slice(&to.octets());
                    }
                    (from, to) => {
                        header.extend_from_slice(&[0x21, 0x21, 0, 36]);
                        header.extend_from_slice(&sixteen(from));
                        header.extend_from_slice(&sixteen(to));
                    }
                }
                header.extend_from_slice(&source.port().to_be_bytes());
                header.extend_from_slice(&destination.port().to_be_bytes());
                header
            }
        }
    }
}

fn sixteen(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    }
}

/// `PROXY TCP4 203.0.113.7 10.0.0.1 4711 443\r\n`.
fn line(bytes: &[u8]) -> ProxyHeader {
    let within = &bytes[..bytes.len().min(LONGEST_V1)];
    let Some(end) = within.iter().position(|byte| *byte == b'\n') else {
        return if bytes.len() < LONGEST_V1 { ProxyHeader::Incomplete } else { ProxyHeader::Malformed };
    };
    let text = within[V1.len()..end].strip_suffix(b"\r").and_then(|text| std::str::from_utf8(text).ok());
    let Some(text) = text else { return ProxyHeader::Malformed };
    let length = end + 1;
    if text == "UNKNOWN" || text.starts_with("UNKNOWN ") {
        return ProxyHeader::Whole { length, addresses: None };
    }
    let words: Vec<_> = text.split(' ').collect();
    let addresses = match words[..] {
        ["TCP4", from, to, from_port, to_port] => ends::<Ipv4Addr>((from, from_port), (to, to_port)),
        ["TCP6", from, to, from_port, to_port] => ends::<Ipv6Addr>((from, from_port), (to, to_port)),
        _ => None,
    };
    let told = |addresses| ProxyHeader::Whole { length, addresses: Some(addresses) };
    addresses.map_or(ProxyHeader::Malformed, told)
}

fn ends<A: std::str::FromStr + Into<IpAddr>>(
    source: (&str, &str),
    destination: (&str, &str),
) -> Option<ProxiedAddresses> {
    let end = |(address, digits): (&str, &str)| {
        let address: A = address.parse().ok()?;
        let plain = digits == "0" || digits.bytes().all(|byte| byte.is_ascii_digit()) && !digits.starts_with('0');
        let port = digits.parse().ok().filter(|_| plain)?;
        Some(SocketAddr::new(address.into(), port))
    };
    Some(ProxiedAddresses::new(end(source)?, end(destination)?))
}

fn binary(bytes: &[u8]) -> ProxyHeader {
    // A header that is known to be wrong is not waited for.
    let command = bytes.get(V2.len()).copied();
    if command.is_some_and(|command| !matches!(command, 0x20 | 0x21)) {
        return ProxyHeader::Malformed;
    }
    let (Some(command), Some(&[family, high, low])) = (command, bytes.get(V2.len() + 1..FIXED_V2)) else {
        return ProxyHeader::Incomplete;
    };
    let length = FIXED_V2 + usize::from(u16::from_be_bytes([high, low]));
    if length > LONGEST_V2 || family >> 4 > 3 || family & 0xf > 2 {
        return ProxyHeader::Malformed;
    }
    let Some(body) = bytes.get(FIXED_V2..length) else { return ProxyHeader::Incomplete };
    // A command LOCAL may name addresses, which say nothing. Addresses of Unix sockets and datagrams are no client's.
    let addresses = match (command, family) {
        (0x21, 0x11) => two::<4>(body),
        (0x21, 0x21) => two::<16>(body),
        _ => return ProxyHeader::Whole { length, addresses: None },
    };
    addresses.map_or(ProxyHeader::Malformed, |addresses| ProxyHeader::Whole { length, addresses: Some(addresses) })
}

/// Two addresses of this number of bytes, and two ports.
fn two<const N: usize>(body: &[u8]) -> Option<ProxiedAddresses>
where
    IpAddr: From<[u8; N]>,
{
    let (from, rest) = body.split_first_chunk::<N>()?;
    let (to, rest) = rest.split_first_chunk::<N>()?;
    let (from_port, rest) = rest.split_first_chunk::<2>()?;
    let (to_port, _) = rest.split_first_chunk::<2>()?;
    let end = |address: [u8; N], port: [u8; 2]| SocketAddr::new(address.into(), u16::from_be_bytes(port));
    Some(ProxiedAddresses::new(end(*from, *from_port), end(*to, *to_port)))
}

#[cfg(test)]
#[path = "proxy_header_tests.rs"]
mod tests;
