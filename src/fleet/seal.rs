//! Seals what lies in etcd for the replicas alone: ChaCha20-Poly1305 under a key made of the fleet's secret (HKDF, RFC 5869).
//! Pure: the nonce is an argument.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, Salt};

/// The first byte of what is sealed in this way.
const LAYOUT: u8 = 1;
const SALT: &[u8] = b"multilith fleet";

/// The key of one fleet.
pub struct Seal(LessSafeKey);

impl Seal {
    /// The same secret seals differently below another prefix.
    pub fn new(secret: &str, prefix: &str) -> Self {
        let prefix = [prefix.as_bytes()];
        let key = Salt::new(HKDF_SHA256, SALT).extract(secret.as_bytes());
        let key = key.expand(&prefix, &CHACHA20_POLY1305).expect("32 bytes are less than 255 hashes");
        Self(LessSafeKey::new(UnboundKey::from(key)))
    }

    /// `name`: of the key in etcd; under another name it cannot be opened. Each nonce is used once.
    pub fn close(&self, name: &str, plain: &[u8], nonce: [u8; NONCE_LEN]) -> String {
        let mut sealed = Vec::with_capacity(1 + NONCE_LEN + plain.len() + CHACHA20_POLY1305.tag_len());
        sealed.push(LAYOUT);
        sealed.extend_from_slice(&nonce);
        let mut text = plain.to_vec();
        let of = Aad::from(name.as_bytes());
        self.0.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), of, &mut text).expect("far below 256 GiB");
        sealed.extend_from_slice(&text);
        BASE64.encode(sealed)
    }

    /// `None`: sealed with another secret, for another name, or changed since.
    pub fn open(&self, name: &str, sealed: &str) -> Option<Vec<u8>> {
        let sealed = BASE64.decode(sealed).ok()?;
        let (nonce, text) = sealed.strip_prefix(&[LAYOUT])?.split_at_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut text = text.to_vec();
        let plain = self.0.open_in_place(nonce, Aad::from(name.as_bytes()), &mut text).ok()?;
        Some(plain.to_vec())
    }
}

impl std::fmt::Debug for Seal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seal")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "0123456789abcdef0123456789abcdef";

    #[test]
    fn what_is_sealed_opens_under_its_secret_its_prefix_and_its_name_alone() {
        let seal = Seal::new(SECRET, "/a/");
        let sealed = seal.close("account", b"a key", [7; NONCE_LEN]);
        assert!(!sealed.contains("a key"));
        assert_eq!(seal.open("account", &sealed).as_deref(), Some(&b"a key"[..]));
        assert_eq!(
            Seal::new(SECRET, "/a/").open("account", &sealed).as_deref(),
            Some(&b"a key"[..]),
            "on every replica"
        );
        assert_eq!(seal.open("certificate", &sealed), None);
        assert_eq!(Seal::new(SECRET, "/b/").open("account", &sealed), None);
        assert_eq!(Seal::new(&SECRET.to_uppercase(), "/a/").open("account", &sealed), None);
    }

    #[test]
    fn what_is_cut_or_changed_does_not_open() {
        let seal = Seal::new(SECRET, "/a/");
        let sealed = seal.close("account", b"a key", [7; NONCE_LEN]);
        let bytes = BASE64.decode(&sealed).expect("base64");
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert_eq!(seal.open("account", &BASE64.encode(changed)), None, "byte {at}");
            assert_eq!(seal.open("account", &BASE64.encode(&bytes[..at])), None, "cut at {at}");
        }
        assert_eq!(seal.open("account", "no base64!"), None);
    }
}
