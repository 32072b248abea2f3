//! The id by which one request can be found in every log.

use std::fmt;

use xxhash_rust::xxh3::xxh3_64;

use super::write_hex;

/// Longer ones are no ids. UUIDs have 36 characters, the ids of cloud load balancers up to about 70.
const LONGEST: usize = 128;

/// A request id: up to 128 characters that need no escaping anywhere. Kept in place, without an allocation.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct RequestId {
    bytes: [u8; LONGEST],
    length: u8,
}

impl RequestId {
    /// Before the head has been read. Never sent.
    #[must_use]
    pub const fn none() -> Self {
        Self { bytes: [0; LONGEST], length: 0 }
    }

    /// The client's own id if it is a sane one; otherwise a new one. The caller hands over only ids of trusted peers.
    #[must_use]
    pub fn continue_or_make(given: Option<&[u8]>, fresh: u128) -> Self {
        given.and_then(Self::sane).unwrap_or_else(|| Self::made(fresh))
    }

    fn sane(given: &[u8]) -> Option<Self> {
        let fits = (1..=LONGEST).contains(&given.len());
        let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:/+=@~".contains(byte);
        if !fits || !given.iter().all(plain) {
            return None;
        }
        let mut id = Self::none();
        id.bytes.get_mut(..given.len())?.copy_from_slice(given);
        id.length = u8::try_from(given.len()).ok()?;
        Some(id)
    }

    /// 32 hexadecimal digits.
    pub fn made(fresh: u128) -> Self {
        let mut id = Self::none();
        write_hex(&fresh.to_be_bytes(), &mut id.bytes[..32]);
        id.length = 32;
        id
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).expect("only ASCII was let in")
    }

    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.length)).unwrap_or_default()
    }

    /// Decides whether the request is in a sample: the same on every replica and for everything that samples.
    #[must_use]
    pub fn hash(&self) -> u64 {
        xxh3_64(self.as_bytes())
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RequestId({})", self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sane_id_is_kept_and_anything_else_replaced() {
        let long = "a".repeat(128);
        let too_long = "a".repeat(129);
        for (given, kept) in [
            ("7b1d2e0e-8f5a-4f3e-9d0c-0a1b2c3d4e5f", true),
            ("Root=1-67891233-abcdef012345678912345678", true),
            ("a/b:c.d~e+f@g_h", true),
            (long.as_str(), true),
            (too_long.as_str(), false),
            ("", false),
            ("two words", false),
            ("quote\"", false),
            ("back\\slash", false),
            ("<script>", false),
            ("a,b", false),
        ] {
            let id = RequestId::continue_or_make(Some(given.as_bytes()), 1);
            let wanted = if kept { given } else { "00000000000000000000000000000001" };
            assert_eq!(id.as_str(), wanted, "{given:?}");
            assert_eq!(id.as_bytes(), wanted.as_bytes());
        }
        assert_eq!(RequestId::continue_or_make(Some(b"\xff\xfe"), 2).as_str(), "00000000000000000000000000000002");
        assert_eq!(RequestId::continue_or_make(None, u128::MAX).as_str(), "f".repeat(32));
    }
}
