//! A configuration by its hash: a saved plan says by it what it was made of.

use super::Reloader;
use crate::diagnostic::Sources;

/// Of two configurations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fingerprints {
    pub in_force: String,
    /// `None`: the files cannot be read.
    pub file: Option<String>,
}

/// Sixteen hexadecimal digits.
#[must_use]
pub fn fingerprint(sources: &Sources) -> String {
    format!("{:016x}", xxhash_rust::xxh3::xxh3_64(sources.text().as_bytes()))
}

impl Reloader {
    /// Fingerprints of the configuration in force and of the files, for a plan that was made of both.
    pub fn fingerprints(&self) -> Fingerprints {
        let in_force = fingerprint(&self.app.in_force.load().snapshot.sources);
        Fingerprints { in_force, file: self.source.read().ok().map(|read| fingerprint(&read.sources)) }
    }
}
