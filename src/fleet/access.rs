//! How etcd is reached: its members, the identity it must prove, and ours.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::seal::Seal;
use crate::client::etcd::{EtcdClient, EtcdLogin};
use crate::client::prometheus::Prometheus;
use crate::client::tls::{self, Trust};
use crate::compile::{FleetSettings, SHORTEST_SECRET, SecretSource};
use crate::endpoint::BadUrl;
use crate::live::read_secret_file;

/// Why etcd could not even be asked. Said once, at the start.
#[derive(Debug, thiserror::Error)]
pub enum FleetError {
    #[error("`{0}` cannot be read: {1}")]
    File(String, String),
    #[error("the certificates for etcd cannot be used: {0}")]
    Tls(#[from] rustls::Error),
    #[error("`{0}` is not the URL of a member of etcd")]
    Url(String),
    #[error("Prometheus of the fleet cannot be asked: {0}")]
    Prometheus(#[from] BadUrl),
    #[error(
        "the fleet's `secret` in `{0}` is shorter than {SHORTEST_SECRET} bytes: make one with `openssl rand -base64 32`"
    )]
    ShortSecret(String),
}

/// A member is waited for no longer than this part of the time to live: two tries fit before a leader has to stop.
const PART: u32 = 3;
const LONGEST: Duration = Duration::from_secs(5);

pub(super) fn open(settings: &FleetSettings) -> Result<EtcdClient, FleetError> {
    let login = match &settings.login {
        None => None,
        Some((user, password)) => Some(EtcdLogin { user: user.clone(), password: (&*read(password)?).into() }),
    };
    let authorities = settings.ca.as_deref().map(certificates).transpose()?;
    let identity = match &settings.identity {
        None => None,
        Some((cert, key)) => {
            let own = PrivateKeyDer::from_pem_file(key).map_err(|error| unreadable(key, &error))?;
            Some((certificates(cert)?, own))
        }
    };
    let trust = (authorities.is_some() || identity.is_some())
        .then(|| tls::config(Trust { authorities, ..Trust::default() }, identity).map(Arc::new))
        .transpose()?;
    let etcd = EtcdClient::new(&settings.endpoints).map_err(|bad| FleetError::Url(bad.to_string()))?;
    Ok(etcd.with(trust, login, (settings.ttl / PART).min(LONGEST)))
}

/// `None`: the counts are told by etcd.
pub(super) fn prometheus(settings: &FleetSettings) -> Result<Option<Prometheus>, FleetError> {
    Ok(settings.prometheus.as_deref().map(Prometheus::new).transpose()?)
}

/// `None`: nothing is sealed. The check of the file has seen the length of a secret that is no file.
pub(super) fn seal(settings: &FleetSettings) -> Result<Option<Seal>, FleetError> {
    let Some(source) = &settings.secret else { return Ok(None) };
    let secret = read(source)?;
    if let SecretSource::File(path) = source
        && secret.len() < SHORTEST_SECRET
    {
        return Err(FleetError::ShortSecret(path.display().to_string()));
    }
    Ok(Some(Seal::new(&secret, &settings.prefix)))
}

fn read(source: &SecretSource) -> Result<Arc<str>, FleetError> {
    match source {
        SecretSource::Value(secret) => Ok(Arc::clone(&secret.0)),
        SecretSource::File(path) => read_secret_file(path).map_err(|error| unreadable(path, &error)),
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, FleetError> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let found = read.map_err(|error| unreadable(path, &error))?;
    if found.is_empty() {
        return Err(FleetError::File(path.display().to_string(), "there is no certificate in it".to_owned()));
    }
    Ok(found)
}

fn unreadable(path: &Path, why: &dyn std::fmt::Display) -> FleetError {
    FleetError::File(path.display().to_string(), why.to_string())
}
