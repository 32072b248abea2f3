//! Undoes content codings, never past a limit: a small body may decode to gigabytes.

use std::borrow::Cow;
use std::io::Read;

use http::HeaderMap;
use http::header::CONTENT_ENCODING;

/// No server applies more codings on purpose.
const MAX_CODINGS: usize = 3;

/// 8 MiB, what RFC 8878 asks every decoder for; bounds the memory of one decoder.
const ZSTD_WINDOW_LOG: u32 = 23;

const BROTLI_BUFFER: usize = 4096;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CodingError {
    /// Larger than the limit once decoded.
    TooLarge,
    /// An unknown coding, or bytes that are not what the coding says.
    Undecodable,
}

/// The codings of an answer in the order they were applied; `identity` is none.
pub(super) fn codings(headers: &HeaderMap) -> Vec<String> {
    headers
        .get_all(CONTENT_ENCODING)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|coding| coding.trim().to_ascii_lowercase())
        .filter(|coding| !coding.is_empty() && coding != "identity")
        .collect()
}

/// The body without its content codings, at most `limit` bytes of it.
pub(super) fn decode<'a>(body: &'a [u8], headers: &HeaderMap, limit: u64) -> Result<Cow<'a, [u8]>, CodingError> {
    let codings = codings(headers);
    if codings.len() > MAX_CODINGS {
        return Err(CodingError::Undecodable);
    }
    let mut decoded = Cow::Borrowed(body);
    // An answer without a body (HEAD, 304) may still name its coding.
    if !body.is_empty() {
        for coding in codings.iter().rev() {
            decoded = Cow::Owned(undo(coding, &decoded, limit)?);
        }
    }
    if decoded.len() as u64 > limit { Err(CodingError::TooLarge) } else { Ok(decoded) }
}

fn undo(coding: &str, body: &[u8], limit: u64) -> Result<Vec<u8>, CodingError> {
    match coding {
        "gzip" | "x-gzip" => bounded(flate2::read::MultiGzDecoder::new(body), limit),
        // RFC 9110 means zlib's format; some servers send the bare stream.
        "deflate" => match bounded(flate2::read::ZlibDecoder::new(body), limit) {
            Err(CodingError::Undecodable) => bounded(flate2::read::DeflateDecoder::new(body), limit),
            other => other,
        },
        "br" => bounded(brotli::Decompressor::new(body, BROTLI_BUFFER), limit),
        "zstd" => {
            let mut decoder = zstd::stream::read::Decoder::new(body).map_err(|_| CodingError::Undecodable)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG).map_err(|_| CodingError::Undecodable)?;
            bounded(decoder, limit)
        }
        _ => Err(CodingError::Undecodable),
    }
}

fn bounded(decoder: impl Read, limit: u64) -> Result<Vec<u8>, CodingError> {
    let mut out = Vec::new();
    decoder.take(limit.saturating_add(1)).read_to_end(&mut out).map_err(|_| CodingError::Undecodable)?;
    if out.len() as u64 > limit { Err(CodingError::TooLarge) } else { Ok(out) }
}

#[cfg(test)]
pub(super) mod tests {
    use std::io::Write;

    use super::*;

    pub(in crate::compare) fn encode(coding: &str, body: &[u8]) -> Vec<u8> {
        let level = flate2::Compression::default();
        match coding {
            "gzip" => {
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), level);
                encoder.write_all(body).and_then(|()| encoder.finish()).expect("memory")
            }
            "deflate" => {
                let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), level);
                encoder.write_all(body).and_then(|()| encoder.finish()).expect("memory")
            }
            "bare deflate" => {
                let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), level);
                encoder.write_all(body).and_then(|()| encoder.finish()).expect("memory")
            }
            "br" => {
                let mut out = Vec::new();
                let mut encoder = brotli::CompressorWriter::new(&mut out, 4096, 5, 20);
                encoder.write_all(body).expect("memory");
                drop(encoder);
                out
            }
            "zstd" => zstd::encode_all(body, 3).expect("memory"),
            _ => body.to_vec(),
        }
    }

    fn headers(coding: &str) -> HeaderMap {
        HeaderMap::from_iter([(CONTENT_ENCODING, coding.parse().expect("a header"))])
    }

    #[test]
    fn every_coding_is_undone() {
        let body = b"hello hello hello hello".repeat(50);
        for (name, made) in [
            ("gzip", "gzip"),
            ("X-GZIP", "gzip"),
            ("deflate", "deflate"),
            ("deflate", "bare deflate"),
            ("br", "br"),
            ("zstd", "zstd"),
            ("identity", ""),
        ] {
            assert_eq!(decode(&encode(made, &body), &headers(name), 4096).as_deref(), Ok(&*body), "{name} {made}");
        }
        let twice = encode("br", &encode("gzip", &body));
        assert_eq!(decode(&twice, &headers("gzip, br"), 4096).as_deref(), Ok(&*body));
        assert_eq!(decode(b"", &headers("gzip"), 4096).as_deref(), Ok(&b""[..]));
    }

    #[test]
    fn a_bomb_stops_at_the_limit_and_garbage_is_undecodable() {
        let zeros = vec![0; 8 << 20];
        for coding in ["gzip", "deflate", "br", "zstd"] {
            assert_eq!(
                decode(&encode(coding, &zeros), &headers(coding), 1 << 20),
                Err(CodingError::TooLarge),
                "{coding}"
            );
            assert_eq!(decode(b"\xffgarbage", &headers(coding), 1 << 20), Err(CodingError::Undecodable), "{coding}");
            let cut = encode(coding, &b"some text that is long enough".repeat(20));
            assert_eq!(
                decode(&cut[..cut.len() / 2], &headers(coding), 1 << 20),
                Err(CodingError::Undecodable),
                "{coding}"
            );
        }
        assert_eq!(decode(b"x", &headers("compress"), 1 << 20), Err(CodingError::Undecodable));
        assert_eq!(decode(b"x", &headers("gzip, gzip, gzip, gzip"), 1 << 20), Err(CodingError::Undecodable));
    }
}
