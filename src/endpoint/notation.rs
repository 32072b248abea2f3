//! How registries and files write down an endpoint: `host:port`, `unix:/path`, a weight, JSON.

use std::path::PathBuf;

use serde::Deserialize;

use super::Address;

/// Why a text is no endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadNotation {
    #[error("a port is missing: `host:port` is expected")]
    NoPort,
    #[error("the port is not a number from 1 to 65535")]
    BadPort,
    #[error("the host is missing: `host:port` is expected")]
    NoHost,
    #[error("the weight is not a number from 0 to 65535")]
    BadWeight,
    #[error("only `weight=N` may follow the address")]
    Unexpected,
    #[error("the JSON is not `{{\"address\": \"host:port\", \"weight\": N}}`")]
    BadJson,
}

impl std::str::FromStr for Address {
    type Err = BadNotation;

    /// `host:port`, `[v6]:port` or `unix:/path`.
    fn from_str(text: &str) -> Result<Self, BadNotation> {
        if let Some(path) = text.strip_prefix("unix:") {
            return if path.is_empty() { Err(BadNotation::NoHost) } else { Ok(Self::Unix(PathBuf::from(path))) };
        }
        let (host, port) = text.rsplit_once(':').ok_or(BadNotation::NoPort)?;
        let host = match host.strip_prefix('[') {
            Some(host) => host.strip_suffix(']').ok_or(BadNotation::NoHost)?,
            None if host.contains(':') => return Err(BadNotation::NoPort),
            None => host,
        };
        if host.is_empty() || host.contains(|c: char| c.is_whitespace() || "/@[]".contains(c)) {
            return Err(BadNotation::NoHost);
        }
        let port: u16 = port.parse().map_err(|_| BadNotation::BadPort)?;
        if port == 0 {
            return Err(BadNotation::BadPort);
        }
        Ok(Self::Tcp { host: host.into(), port })
    }
}

/// One line of an endpoints file: `host:port [weight=N]`; `None` for an empty line or a comment.
pub fn read_line(line: &str) -> Result<Option<(Address, u32)>, BadNotation> {
    let line = line.split_once('#').map_or(line, |(before, _)| before);
    let mut words = line.split_whitespace();
    let Some(address) = words.next() else { return Ok(None) };
    let weight = match words.next().map(|word| word.strip_prefix("weight=").ok_or(BadNotation::Unexpected)) {
        None => 1,
        Some(weight) => read_weight(weight?)?,
    };
    if words.next().is_some() {
        return Err(BadNotation::Unexpected);
    }
    Ok(Some((address.parse()?, weight)))
}

/// The value of a key in a registry: `host:port`, `host:port weight=N`, `host:port weight N`, or
/// `{"address": "host:port", "weight": N}`.
pub fn read_value(value: &str) -> Result<(Address, u32), BadNotation> {
    #[derive(Deserialize)]
    struct Value {
        address: String,
        weight: Option<u64>,
    }
    let value = value.trim();
    if !value.starts_with('{') {
        return read_words(value);
    }
    let value: Value = serde_json::from_str(value).map_err(|_| BadNotation::BadJson)?;
    Ok((value.address.parse()?, bounded_weight(value.weight.unwrap_or(1))?))
}

fn read_words(value: &str) -> Result<(Address, u32), BadNotation> {
    let mut words = value.split_whitespace();
    let address = words.next().ok_or(BadNotation::NoPort)?.parse()?;
    let weight = match words.next() {
        None => 1,
        Some("weight") => read_weight(words.next().ok_or(BadNotation::BadWeight)?)?,
        Some(word) => read_weight(word.strip_prefix("weight=").ok_or(BadNotation::Unexpected)?)?,
    };
    if words.next().is_some() { Err(BadNotation::Unexpected) } else { Ok((address, weight)) }
}

fn read_weight(text: &str) -> Result<u32, BadNotation> {
    bounded_weight(text.parse().map_err(|_| BadNotation::BadWeight)?)
}

fn bounded_weight(weight: u64) -> Result<u32, BadNotation> {
    u16::try_from(weight).map(u32::from).map_err(|_| BadNotation::BadWeight)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_an_address_and_perhaps_a_weight() {
        for (line, expected) in [
            ("10.0.0.5:7001", Ok(Some(("10.0.0.5:7001", 1)))),
            ("  users.internal:80   weight=5 # the big one", Ok(Some(("users.internal:80", 5)))),
            ("[::1]:80 weight=0", Ok(Some(("[::1]:80", 0)))),
            ("unix:/run/app.sock", Ok(Some(("unix:/run/app.sock", 1)))),
            ("", Ok(None)),
            ("# nothing", Ok(None)),
            ("10.0.0.5", Err(BadNotation::NoPort)),
            ("::1:80", Err(BadNotation::NoPort)),
            ("10.0.0.5:", Err(BadNotation::BadPort)),
            ("10.0.0.5:0", Err(BadNotation::BadPort)),
            ("10.0.0.5:70000", Err(BadNotation::BadPort)),
            (":80", Err(BadNotation::NoHost)),
            ("http://a:80", Err(BadNotation::NoPort)),
            ("a:80 5", Err(BadNotation::Unexpected)),
            ("a:80 weight=x", Err(BadNotation::BadWeight)),
            ("a:80 weight=70000", Err(BadNotation::BadWeight)),
            ("a:80 weight=1 b:80", Err(BadNotation::Unexpected)),
        ] {
            let read = read_line(line).map(|read| read.map(|(address, weight)| (address.to_string(), weight)));
            assert_eq!(read, expected.map(|e| e.map(|(address, weight)| (address.to_owned(), weight))), "`{line}`");
        }
    }

    #[test]
    fn a_value_is_an_address_or_an_object_with_one() {
        for (value, expected) in [
            ("10.0.0.5:7001\n", Ok(("10.0.0.5:7001", 1))),
            (r#"{"address": "10.0.0.5:7001", "weight": 3, "version": "v2"}"#, Ok(("10.0.0.5:7001", 3))),
            (r#"{"address": "10.0.0.5:7001"}"#, Ok(("10.0.0.5:7001", 1))),
            (r#"{"host": "10.0.0.5"}"#, Err(BadNotation::BadJson)),
            (r#"{"address": "10.0.0.5:7001", "weight": -1}"#, Err(BadNotation::BadJson)),
            (r#"{"address": "10.0.0.5:7001", "weight": 100000}"#, Err(BadNotation::BadWeight)),
            ("", Err(BadNotation::NoPort)),
            ("10.0.0.5:7001 weight=5", Ok(("10.0.0.5:7001", 5))),
            ("10.0.0.5:7001 weight 5\n", Ok(("10.0.0.5:7001", 5))),
            ("10.0.0.5:7001 weight 0", Ok(("10.0.0.5:7001", 0))),
            ("10.0.0.5:7001 weight", Err(BadNotation::BadWeight)),
            ("10.0.0.5:7001 weight x", Err(BadNotation::BadWeight)),
            ("10.0.0.5:7001 check", Err(BadNotation::Unexpected)),
            ("10.0.0.5:7001 weight 5 check", Err(BadNotation::Unexpected)),
        ] {
            let read = read_value(value).map(|(address, weight)| (address.to_string(), weight));
            assert_eq!(read, expected.map(|(address, weight)| (address.to_owned(), weight)), "`{value}`");
        }
    }
}
