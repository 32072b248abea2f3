//! Looks into the files of keys for tokens: compiling reads none.

use std::io::ErrorKind;
use std::path::Path;

use crate::compile::Snapshot;
use crate::diagnostic::{Code, Diagnostic};
use crate::guard::jwt::{Keys, KeysError};
use crate::live::read_secret_file;
use crate::route::{JwtKeys, SecretSource};

/// The faults of the files of keys that the routes name, each said once. A file that is not here may come later.
pub fn key_files(snapshot: &Snapshot) -> Vec<Diagnostic> {
    let mut named: Vec<&JwtKeys> = Vec::new();
    for rule in snapshot.routes.iter().filter_map(|route| route.jwt.as_ref()) {
        if !named.contains(&&rule.keys) {
            named.push(&rule.keys);
        }
    }
    let found = |keys: &JwtKeys| {
        let (path, diagnostic) = match keys {
            JwtKeys::File(path) => (path, look_into(path, Keys::from_jwks)?),
            JwtKeys::Key(SecretSource::File(path)) => (path, look_into(path, Keys::from_text)?),
            JwtKeys::Url(_) | JwtKeys::Key(SecretSource::Value(_)) => return None,
        };
        Some(snapshot.sources.placed(diagnostic, &path.to_string_lossy()))
    };
    named.into_iter().filter_map(found).collect()
}

fn look_into(path: &Path, read: fn(&[u8]) -> Result<Keys, KeysError>) -> Option<Diagnostic> {
    let name = path.display();
    let unusable = |why: &dyn std::fmt::Display| {
        Diagnostic::new(Code::UnusableKeys, format!("the keys in `{name}` cannot be used: {why}"))
            .label("no token would pass")
            .help("put a JSON web key set, a public key in PEM or a shared secret of 32 bytes or more there")
    };
    match read_secret_file(path).map(|text| read(text.as_bytes())) {
        Ok(Ok(_)) => None,
        Ok(Err(KeysError::ShortSecret)) => {
            let message =
                format!("the shared secret in `{name}` can be guessed from one token: it is shorter than 32 bytes");
            let help = "make a longer one, for example with `openssl rand -hex 32`, and give it to the issuer as well";
            Some(Diagnostic::new(Code::ShortSecret, message).label("needs 32 bytes or more").help(help))
        }
        Ok(Err(error)) => Some(unusable(&error)),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let help = "put it in place where multilith serves: until it is there, no token passes";
            Some(
                Diagnostic::new(Code::MissingFile, format!("there is no file `{name}`"))
                    .label("no such file")
                    .help(help),
            )
        }
        Err(error) => Some(unusable(&error)),
    }
}
