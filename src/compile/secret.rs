//! Where a secret of the file is, for the part of the program that needs it.

use crate::config;
use crate::route::{SecretSource, SecretText};

pub(super) fn secret(secret: &config::Secret) -> SecretSource {
    match secret {
        config::Secret::Value(value) => SecretSource::Value(SecretText(value.as_str().into())),
        config::Secret::File(path) => SecretSource::File(path.clone()),
    }
}
