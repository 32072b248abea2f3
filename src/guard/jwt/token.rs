//! Reads a signed token (RFC 7515, compact form) and verifies its signature.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::Rejected;
use super::keys::{Algorithm, Keys};

/// A token that fits no header need not be looked at.
const LONGEST: usize = 16 * 1024;

/// The claims, if a key of ours has signed them.
pub(super) fn verified(token: &str, keys: &Keys) -> Result<Map<String, Value>, Rejected> {
    if token.len() > LONGEST {
        return Err(Rejected::Malformed);
    }
    let (signed, signature) = token.rsplit_once('.').ok_or(Rejected::Malformed)?;
    let (head, claims) = signed.split_once('.').ok_or(Rejected::Malformed)?;
    if claims.contains('.') {
        return Err(Rejected::Malformed);
    }
    let head = object(head)?;
    // An extension that we do not understand must not be ignored (RFC 7515, 4.1.11); we understand none.
    if head.contains_key("crit") || head.contains_key("b64") {
        return Err(Rejected::Malformed);
    }
    let algorithm = head.get("alg").and_then(Value::as_str).and_then(Algorithm::named).ok_or(Rejected::Algorithm)?;
    let id = head.get("kid").map(|id| id.as_str().ok_or(Rejected::Malformed)).transpose()?;
    let signature = decode(signature)?;

    let (mut found, mut known) = (false, false);
    for key in keys.candidates(id) {
        known = true;
        if key.algorithm() == algorithm {
            found = true;
            if key.verifies(signed.as_bytes(), &signature) {
                return object(claims);
            }
        }
    }
    Err(match (known, found) {
        (_, true) => Rejected::Signature,
        (true, false) => Rejected::Algorithm,
        (false, false) => Rejected::UnknownKey,
    })
}

/// The part in front of the signature, if this is a token.
pub(super) fn signed_part(text: &str) -> Option<&str> {
    let (signed, _) = text.rsplit_once('.')?;
    let (head, claims) = signed.split_once('.')?;
    (!claims.contains('.') && object(head).is_ok()).then_some(signed)
}

fn object(part: &str) -> Result<Map<String, Value>, Rejected> {
    serde_json::from_slice(&decode(part)?).map_err(|_| Rejected::Malformed)
}

fn decode(part: &str) -> Result<Vec<u8>, Rejected> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| Rejected::Malformed)
}
