//! Headers that tell services the client's identity: what a client itself sends under their names never reaches one.

use http::HeaderName;

use crate::message::Fields;

/// Removes the fields of these names, also with `_` for `-`, which CGI programs take for the same.
pub fn remove(fields: &mut Fields, names: &[HeaderName]) {
    if !names.is_empty() {
        fields.retain(|_, name, _| !names.iter().any(|own| is_same(own, name)));
    }
}

/// Whether a program that takes `_` for `-` reads one name for the other.
pub fn is_same(own: &HeaderName, name: &[u8]) -> bool {
    let letter = |byte: u8| if byte == b'_' { b'-' } else { byte.to_ascii_lowercase() };
    let own = own.as_str().as_bytes();
    own.len() == name.len() && own.iter().zip(name).all(|(&a, &b)| letter(a) == letter(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_removed_in_every_spelling_that_some_program_takes_for_it() {
        let sent = [("X-User-Id", "1"), ("x_user_id", "2"), ("X-User_ID", "3"), ("x-user-idx", "4"), ("x-user", "5")];
        let mut fields: Fields = sent.into_iter().collect();
        remove(&mut fields, &[HeaderName::from_static("x-user-id")]);
        let left: Vec<_> = fields.iter().map(|(_, value)| value).collect();
        assert_eq!(left, [b"4", b"5"]);
    }
}
