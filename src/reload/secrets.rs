//! Looks into the files of shared secrets: compiling reads none.

use crate::compile::Snapshot;
use crate::diagnostic::{Code, Diagnostic};
use crate::guard::jwt::{Keys, KeysError};
use crate::live::read_secret_file;
use crate::route::{JwtKeys, SecretSource};

/// Secrets in files that are too short to sign tokens. One that cannot be read may come later. `text`: of the file that names them.
pub fn short_secrets(snapshot: &Snapshot, text: &str) -> Vec<Diagnostic> {
    let mut short = Vec::new();
    for rule in snapshot.routes.iter().filter_map(|route| route.jwt.as_ref()) {
        let JwtKeys::Key(SecretSource::File(path)) = &rule.keys else { continue };
        let Ok(secret) = read_secret_file(path) else { continue };
        if short.contains(&path) || !matches!(Keys::from_text(secret.as_bytes()), Err(KeysError::ShortSecret)) {
            continue;
        }
        short.push(path);
    }
    let told = short.into_iter().map(|path| {
        let name = path.display().to_string();
        let message =
            format!("the shared secret in `{name}` can be guessed from one token: it is shorter than 32 bytes");
        let mut diagnostic = Diagnostic::new(Code::ShortSecret, message)
            .label("needs 32 bytes or more")
            .help("make a longer one, for example with `openssl rand -hex 32`, and give it to the issuer as well");
        if let Some(start) = text.find(&name) {
            diagnostic = diagnostic.at(start..start + name.len());
        }
        diagnostic
    });
    told.collect()
}
