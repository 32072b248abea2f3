//! The keys that may have signed a token: from a JWKS (RFC 7517), a PEM file, or a shared secret.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use ring::signature::{self, RsaPublicKeyComponents, UnparsedPublicKey};
use rustls::pki_types::SubjectPublicKeyInfoDer;
use rustls::pki_types::pem::PemObject;
use serde::Deserialize;
use x509_parser::prelude::FromDer;
use x509_parser::public_key::PublicKey;
use x509_parser::x509::SubjectPublicKeyInfo;

use crate::route::{SHORTEST_SECRET, is_shared_secret};

/// Ring refuses smaller moduli when it verifies; said here, it is said when the keys are read.
const SHORTEST_MODULUS: usize = 256;

/// The algorithms that a key can verify.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Algorithm {
    Rs256,
    Es256,
    EdDsa,
    Hs256,
}

impl Algorithm {
    pub(super) fn named(name: &str) -> Option<Self> {
        match name {
            "RS256" => Some(Self::Rs256),
            "ES256" => Some(Self::Es256),
            "EdDSA" | "Ed25519" => Some(Self::EdDsa),
            "HS256" => Some(Self::Hs256),
            _ => None,
        }
    }
}

/// The keys of one issuer.
#[derive(Debug, Default)]
pub struct Keys(Vec<Key>);

/// Why keys cannot be used. The text of the source is never in it: it may be a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeysError {
    /// Not a JWKS, or not a public key in PEM.
    #[error("neither a JSON web key set nor a public key in PEM")]
    Unreadable,
    /// No key in it is of an algorithm that is verified here, and long enough.
    #[error("no key of RS256 (2048 bits or more), ES256, EdDSA or HS256 among them")]
    NoneUsable,
    /// A shared secret of less than 32 bytes.
    #[error("a shared secret needs 32 bytes or more")]
    ShortSecret,
}

pub(super) struct Key {
    id: Option<Box<str>>,
    material: Material,
}

enum Material {
    Rsa { n: Vec<u8>, e: Vec<u8> },
    P256(Vec<u8>),
    Ed25519(Vec<u8>),
    Secret(hmac::Key),
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({:?}, {:?})", self.algorithm(), self.id)
    }
}

impl Keys {
    /// Reads a JWKS. Keys of other kinds, or for other uses, are passed over: sets are shared with other readers.
    pub fn from_jwks(bytes: &[u8]) -> Result<Self, KeysError> {
        let set: Set = serde_json::from_slice(bytes).map_err(|_| KeysError::Unreadable)?;
        let keys =
            set.keys.into_iter().filter_map(|entry| serde_json::from_value::<Entry>(entry).ok()?.key()).collect();
        Self(keys).usable()
    }

    /// Reads a public key in PEM.
    pub fn from_pem(bytes: &[u8]) -> Result<Self, KeysError> {
        let der = SubjectPublicKeyInfoDer::from_pem_slice(bytes).map_err(|_| KeysError::Unreadable)?;
        let (_, info) = SubjectPublicKeyInfo::from_der(&der).map_err(|_| KeysError::Unreadable)?;
        let material = match info.parsed() {
            Ok(PublicKey::RSA(key)) => rsa(key.modulus, key.exponent),
            Ok(PublicKey::EC(point)) => p256(point.data().to_vec()),
            _ if info.algorithm.algorithm.to_id_string() == "1.3.101.112" => {
                ed25519(info.subject_public_key.data.to_vec())
            }
            _ => None,
        };
        Self(material.map(|material| Key { id: None, material }).into_iter().collect()).usable()
    }

    /// A secret shared with the issuer.
    pub fn from_secret(secret: &[u8]) -> Result<Self, KeysError> {
        let material = shared(secret).ok_or(KeysError::ShortSecret)?;
        Ok(Self(vec![Key { id: None, material }]))
    }

    /// Reads a key as people keep it: a public key in PEM, a key set, or else a shared secret, whose white space at the end does
    /// not count. Any other public key is never taken for a secret: it is public.
    pub fn from_text(bytes: &[u8]) -> Result<Self, KeysError> {
        let text = std::str::from_utf8(bytes).map_err(|_| KeysError::Unreadable)?;
        if is_shared_secret(text) {
            Self::from_secret(text.trim_end().as_bytes())
        } else if text.contains("-----BEGIN") {
            Self::from_pem(bytes)
        } else {
            Self::from_jwks(bytes)
        }
    }

    /// Whether a token that names this key could be verified.
    #[must_use]
    pub fn contains(&self, id: &str) -> bool {
        self.candidates(Some(id)).next().is_some()
    }

    /// The keys of this id. Keys without an id, and tokens without one, go with any.
    pub(super) fn candidates(&self, id: Option<&str>) -> impl Iterator<Item = &Key> {
        self.0.iter().filter(move |key| match (id, &key.id) {
            (Some(id), Some(own)) => **own == *id,
            _ => true,
        })
    }

    fn usable(self) -> Result<Self, KeysError> {
        if self.0.is_empty() { Err(KeysError::NoneUsable) } else { Ok(self) }
    }
}

impl Key {
    pub(super) fn algorithm(&self) -> Algorithm {
        match self.material {
            Material::Rsa { .. } => Algorithm::Rs256,
            Material::P256(_) => Algorithm::Es256,
            Material::Ed25519(_) => Algorithm::EdDsa,
            Material::Secret(_) => Algorithm::Hs256,
        }
    }

    pub(super) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        let verified = match &self.material {
            Material::Rsa { n, e } => {
                RsaPublicKeyComponents { n, e }.verify(&signature::RSA_PKCS1_2048_8192_SHA256, message, signature)
            }
            Material::P256(point) => {
                UnparsedPublicKey::new(&signature::ECDSA_P256_SHA256_FIXED, point).verify(message, signature)
            }
            Material::Ed25519(point) => UnparsedPublicKey::new(&signature::ED25519, point).verify(message, signature),
            Material::Secret(secret) => hmac::verify(secret, message, signature),
        };
        verified.is_ok()
    }
}

#[derive(Deserialize)]
struct Set {
    keys: Vec<serde_json::Value>,
}

/// One entry of a JWKS, of whatever kind.
#[derive(Deserialize)]
struct Entry {
    kty: Box<str>,
    kid: Option<Box<str>>,
    alg: Option<Box<str>>,
    #[serde(rename = "use")]
    purpose: Option<Box<str>>,
    crv: Option<Box<str>>,
    n: Option<Box<str>>,
    e: Option<Box<str>>,
    x: Option<Box<str>>,
    y: Option<Box<str>>,
    k: Option<Box<str>>,
}

impl Entry {
    fn key(self) -> Option<Key> {
        if self.purpose.as_deref().is_some_and(|purpose| purpose != "sig") {
            return None;
        }
        let material = match (&*self.kty, self.crv.as_deref()) {
            ("RSA", _) => rsa(&octets(self.n)?, &octets(self.e)?),
            ("EC", Some("P-256")) => p256([&[4], &*octets(self.x)?, &*octets(self.y)?].concat()),
            ("OKP", Some("Ed25519")) => ed25519(octets(self.x)?),
            ("oct", _) => shared(&octets(self.k)?),
            _ => None,
        }?;
        let key = Key { id: self.kid, material };
        // A key that says what it is for is for nothing else.
        let fits = self.alg.is_none_or(|name| Algorithm::named(&name) == Some(key.algorithm()));
        fits.then_some(key)
    }
}

fn octets(text: Option<Box<str>>) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text?.as_bytes()).ok()
}

/// Ring wants both numbers without leading zeros.
fn rsa(n: &[u8], e: &[u8]) -> Option<Material> {
    let bare = |number: &[u8]| number.iter().position(|&byte| byte != 0).map(|start| number[start..].to_vec());
    let (n, e) = (bare(n)?, bare(e)?);
    (n.len() >= SHORTEST_MODULUS).then_some(Material::Rsa { n, e })
}

/// An uncompressed point.
fn p256(point: Vec<u8>) -> Option<Material> {
    (point.len() == 65 && point[0] == 4).then_some(Material::P256(point))
}

fn ed25519(point: Vec<u8>) -> Option<Material> {
    (point.len() == 32).then_some(Material::Ed25519(point))
}

fn shared(secret: &[u8]) -> Option<Material> {
    (secret.len() >= SHORTEST_SECRET).then(|| Material::Secret(hmac::Key::new(hmac::HMAC_SHA256, secret)))
}
