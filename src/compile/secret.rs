//! Where a secret of the file is, for the part of the program that needs it.

use crate::config;
use crate::route::{Secret, SecretSource};

pub(super) fn secret(secret: &config::Secret) -> SecretSource {
    match secret {
        config::Secret::Value(value) => SecretSource::Value(Secret(value.as_str().into())),
        config::Secret::File(path) => SecretSource::File(path.clone()),
    }
}
