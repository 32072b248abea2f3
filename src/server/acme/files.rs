//! The files of an authority below the state directory: the account, and for each host its certificate with the key. Only their owner may
//! read them.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use instant_acme::AccountCredentials;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use crate::endpoint::Url;
use crate::listener::tls::{Pair, TlsError, read_both};

/// The account, and the address that the authority has of us.
#[derive(Serialize, Deserialize)]
pub(super) struct KeptAccount {
    pub(super) email: Option<Box<str>>,
    pub(super) credentials: AccountCredentials,
}

/// The folder of one authority: certificates of a test authority are not those of the real one.
#[derive(Debug, Clone)]
pub(super) struct Files {
    folder: PathBuf,
    authority: Box<str>,
}

impl Files {
    pub(super) fn of(state_dir: &Path, directory: &str) -> Self {
        let host = directory.parse::<Url>().map(|url| url.host().to_owned()).unwrap_or_default();
        let host = host.replace(|c: char| !c.is_ascii_alphanumeric() && c != '.' && c != '-', "_");
        let authority = format!("{host}-{:016x}", xxh3_64(directory.as_bytes()));
        Self { folder: state_dir.join("acme").join(&authority), authority: authority.into() }
    }

    /// The authority's name, in letters that paths and keys take.
    pub(super) fn authority(&self) -> &str {
        &self.authority
    }

    pub(super) fn account(&self) -> io::Result<Option<KeptAccount>> {
        let text = match fs::read(self.account_path()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            text => text?,
        };
        Ok(Some(serde_json::from_slice(&text)?))
    }

    pub(super) fn keep_account(&self, account: &KeptAccount) -> io::Result<()> {
        self.write(&self.account_path(), &serde_json::to_vec(account)?)
    }

    /// The authority does not know the account any more. It is kept beside: its key may be needed.
    pub(super) fn forget_account(&self) -> io::Result<()> {
        match fs::rename(self.account_path(), self.folder.join("account.unknown.json")) {
            // In a fleet it may lie in etcd alone.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            renamed => renamed,
        }
    }

    /// The certificate of a host, if there is one that can be used.
    pub(super) fn certificate(&self, host: &str) -> Option<Pair> {
        self.read(host, &self.certificate_text(host)?)
    }

    /// Certificate, chain and key, as they lie there.
    pub(super) fn certificate_text(&self, host: &str) -> Option<Vec<u8>> {
        fs::read(self.certificate_path(host)).ok()
    }

    /// A certificate with its chain and key, if it can be used.
    pub(super) fn read(&self, host: &str, text: &[u8]) -> Option<Pair> {
        match read_both(text, &self.certificate_path(host)) {
            Ok(pair) => Some(pair),
            Err(error) => {
                tracing::warn!(host, "{error}: another one is ordered");
                None
            }
        }
    }

    /// Keeps a certificate that was read.
    pub(super) fn keep_text(&self, host: &str, text: &[u8]) -> io::Result<()> {
        self.write(&self.certificate_path(host), text)
    }

    /// Checks and keeps a certificate with its chain and key, both PEM, in one file: they are never those of two orders.
    pub(super) fn keep_certificate(&self, host: &str, key: &str, chain: &str) -> Result<Pair, KeepError> {
        let path = self.certificate_path(host);
        let text = format!("{key}\n{chain}");
        let pair = read_both(text.as_bytes(), &path)?;
        self.write(&path, text.as_bytes())?;
        Ok(pair)
    }

    /// The right to order, which one process has at a time; `None`: another one has it.
    pub(super) fn lock(&self) -> io::Result<Option<File>> {
        self.make()?;
        let file =
            OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(self.folder.join("lock"))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(file)),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    fn account_path(&self) -> PathBuf {
        self.folder.join("account.json")
    }

    fn certificate_path(&self, host: &str) -> PathBuf {
        self.folder.join(format!("{host}.pem"))
    }

    fn make(&self) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)
    }

    /// Written whole or not at all, and never readable for other users.
    fn write(&self, path: &Path, text: &[u8]) -> io::Result<()> {
        self.make()?;
        let beside = path.with_extension("new");
        // The remains of an interrupted write are replaced.
        match fs::remove_file(&beside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new().create_new(true).write(true).mode(0o600).open(&beside)?;
        file.write_all(text)?;
        file.sync_all()?;
        fs::rename(&beside, path)
    }
}

/// Why a certificate was not kept.
#[derive(Debug, thiserror::Error)]
pub enum KeepError {
    #[error("what the authority issued cannot be used: {0}")]
    Unusable(#[from] TlsError),
    #[error("it cannot be kept: {0}")]
    Io(#[from] io::Error),
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn certificates_are_private_and_those_of_one_authority_are_not_anothers() {
        let state = std::env::temp_dir().join(format!("multilith-acme-{}", std::process::id()));
        let (one, other) =
            (Files::of(&state, "https://acme.example/dir"), Files::of(&state, "https://acme.example/test"));
        assert!(one.certificate("shop.example").is_none() && one.account().unwrap().is_none());
        let made = rcgen::generate_simple_self_signed(["shop.example".to_owned()]).unwrap();
        let stranger = rcgen::KeyPair::generate().unwrap().serialize_pem();
        let unfit = one.keep_certificate("shop.example", &stranger, &made.cert.pem());
        assert!(matches!(unfit, Err(KeepError::Unusable(_))) && one.certificate("shop.example").is_none());
        one.keep_certificate("shop.example", &made.signing_key.serialize_pem(), &made.cert.pem()).unwrap();
        assert_eq!(*one.certificate("shop.example").unwrap().names, ["shop.example".into()]);
        assert!(other.certificate("shop.example").is_none());
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&one.certificate_path("shop.example")), mode(&one.folder)), (0o600, 0o700));
        fs::remove_dir_all(&state).unwrap();
    }

    #[test]
    fn one_orders_at_a_time() {
        let state = std::env::temp_dir().join(format!("multilith-acme-lock-{}", std::process::id()));
        let files = Files::of(&state, "https://acme.example/dir");
        let held = files.lock().unwrap();
        assert!(held.is_some() && files.lock().unwrap().is_none());
        drop(held);
        assert!(files.lock().unwrap().is_some());
        fs::remove_dir_all(&state).unwrap();
    }
}
