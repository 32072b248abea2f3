//! Credentials of AWS: where they come from, and that they are there before the last ones expire.

use std::path::Path;
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use jiff::Timestamp;
use serde::Deserialize;
use tokio::runtime::Handle;

use super::aws_keys::{AwsKeys, Keyring};
use super::{FetchError, fetch, task};
use crate::endpoint::CredentialsSource;
use crate::endpoint::Url;

/// Why there are no credentials.
#[derive(Debug, thiserror::Error)]
enum CredentialsError {
    #[error("`{0}` is not set")]
    MissingVariable(&'static str),
    #[error("`{file}` cannot be read: {why}")]
    Unreadable { file: String, why: std::io::Error },
    #[error("`{file}` has no profile `{profile}` with `aws_access_key_id` and `aws_secret_access_key`")]
    NoProfile { file: String, profile: String },
    #[error("{0}")]
    Fetch(#[from] FetchError),
    #[error("what came are no credentials")]
    NotUnderstood,
}

/// AWS gives out new ones this long before the old expire.
const BEFORE_EXPIRY: Duration = Duration::from_secs(300);
const SHORTEST: Duration = Duration::from_secs(1);
/// A file may be written anew at any time.
const FILE: Duration = Duration::from_secs(5);
const LONGEST_RETRY: Duration = Duration::from_secs(60);
const LIMIT: Duration = Duration::from_secs(5);
const LARGEST: usize = 64 * 1024;

/// The credentials of a function: read at once where no request is needed, and refreshed while the returned handle lives.
pub(super) fn kept(source: &CredentialsSource, function: &str, runtime: &Handle) -> Arc<Keyring> {
    let at_hand = at_hand(source).and_then(Result::ok);
    let keys = Arc::new(Keyring::from_pointee(at_hand));
    runtime.spawn(task::boxed(keep(source.clone(), function.into(), Arc::downgrade(&keys))));
    keys
}

/// Reads the credentials, and again before they expire. Old ones are used until they do.
async fn keep(source: CredentialsSource, function: Box<str>, ring: Weak<Keyring>) {
    let mut pause = SHORTEST;
    loop {
        let read = read(&source).await;
        let Some(ring) = ring.upgrade() else { return };
        let wait = match read {
            Ok(keys) => {
                pause = SHORTEST;
                let wait = due(&source, &keys, Timestamp::now());
                ring.store(Some(Arc::new(keys)));
                wait
            }
            Err(why) => {
                tracing::error!(function = &*function, %why, "no credentials for a function of Lambda");
                let wait = pause;
                pause = (pause * 2).min(LONGEST_RETRY);
                Some(wait)
            }
        };
        drop(ring);
        let Some(wait) = wait else { return };
        tokio::time::sleep(wait).await;
    }
}

/// When they are read again; `None`: never.
fn due(source: &CredentialsSource, keys: &AwsKeys, now: Timestamp) -> Option<Duration> {
    match (source, keys.until) {
        (CredentialsSource::Environment, _) => None,
        (CredentialsSource::File { .. }, _) => Some(FILE),
        (_, None) => Some(BEFORE_EXPIRY),
        (_, Some(until)) => {
            let left = Duration::try_from(until.duration_since(now)).unwrap_or_default();
            // Credentials that last for less than twice that are read at half of their time.
            Some(left.checked_sub(BEFORE_EXPIRY).filter(|wait| *wait > BEFORE_EXPIRY).unwrap_or(left / 2).max(SHORTEST))
        }
    }
}

/// Credentials from a source that answers at once; the others are asked for over the network.
fn at_hand(source: &CredentialsSource) -> Option<Result<AwsKeys, CredentialsError>> {
    match source {
        CredentialsSource::Environment => Some(of_environment()),
        CredentialsSource::File { path, profile } => Some(of_file(path, profile)),
        CredentialsSource::Container | CredentialsSource::Imds => None,
    }
}

async fn read(source: &CredentialsSource) -> Result<AwsKeys, CredentialsError> {
    match source {
        CredentialsSource::Environment | CredentialsSource::File { .. } => {
            at_hand(source).expect("these need no network")
        }
        CredentialsSource::Container => of_container().await,
        CredentialsSource::Imds => of_instance().await,
    }
}

fn variable(name: &'static str) -> Result<String, CredentialsError> {
    let value = std::env::var(name).ok().filter(|value| !value.is_empty());
    value.ok_or(CredentialsError::MissingVariable(name))
}

fn of_environment() -> Result<AwsKeys, CredentialsError> {
    Ok(AwsKeys {
        id: variable("AWS_ACCESS_KEY_ID")?.into(),
        secret: variable("AWS_SECRET_ACCESS_KEY")?.into(),
        token: variable("AWS_SESSION_TOKEN").ok().map(Into::into),
        until: None,
    })
}

fn of_file(path: &Path, profile: &str) -> Result<AwsKeys, CredentialsError> {
    let file = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|why| CredentialsError::Unreadable { file: file.clone(), why })?;
    of_profile(&text, profile).ok_or_else(|| CredentialsError::NoProfile { file, profile: profile.to_owned() })
}

/// The keys of a profile in the shared file: `[NAME]`, then `key = value` a line.
fn of_profile(text: &str, profile: &str) -> Option<AwsKeys> {
    let (mut here, mut id, mut secret, mut token) = (false, None, None, None);
    for line in text.lines().map(str::trim).filter(|line| !line.starts_with(['#', ';'])) {
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            here = name.trim() == profile;
        } else if let Some((key, value)) = line.split_once('=').filter(|_| here) {
            let value = Box::from(value.trim());
            match key.trim() {
                "aws_access_key_id" => id = Some(value),
                "aws_secret_access_key" => secret = Some(value),
                "aws_session_token" => token = Some(value),
                _ => {}
            }
        }
    }
    Some(AwsKeys { id: id?, secret: secret?, token, until: None })
}

/// The answer of agents and metadata services.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Given {
    access_key_id: Box<str>,
    secret_access_key: Box<str>,
    token: Option<Box<str>>,
    expiration: Option<String>,
}

fn given(body: &[u8]) -> Result<AwsKeys, CredentialsError> {
    let given: Given = serde_json::from_slice(body).map_err(|_| CredentialsError::NotUnderstood)?;
    let until = given.expiration.map(|text| text.parse()).transpose().map_err(|_| CredentialsError::NotUnderstood)?;
    Ok(AwsKeys { id: given.access_key_id, secret: given.secret_access_key, token: given.token, until })
}

async fn of_container() -> Result<AwsKeys, CredentialsError> {
    const AGENT: &str = "http://169.254.170.2";
    let url = match variable("AWS_CONTAINER_CREDENTIALS_FULL_URI") {
        Ok(url) => url,
        Err(_) => format!("{AGENT}{}", variable("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI")?),
    };
    let token = match variable("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE") {
        Ok(file) => {
            let text = std::fs::read_to_string(&file).map_err(|why| CredentialsError::Unreadable { file, why })?;
            Some(text.trim().to_owned())
        }
        Err(_) => variable("AWS_CONTAINER_AUTHORIZATION_TOKEN").ok(),
    };
    let fields = token.iter().map(|token| ("Authorization", token.as_str())).collect::<Vec<_>>();
    let url: Url = url.parse().map_err(FetchError::BadUrl)?;
    given(&asked(&url, Method::GET, url.target(), &fields).await?)
}

/// Version 2: a token first, which other programs of the machine cannot have for us.
async fn of_instance() -> Result<AwsKeys, CredentialsError> {
    const ROLES: &str = "/latest/meta-data/iam/security-credentials/";
    let base = variable("AWS_EC2_METADATA_SERVICE_ENDPOINT").unwrap_or_else(|_| "http://169.254.169.254".to_owned());
    let url: Url = base.parse().map_err(FetchError::BadUrl)?;
    let seconds = [("X-aws-ec2-metadata-token-ttl-seconds", "300")];
    let token = text(asked(&url, Method::PUT, "/latest/api/token", &seconds).await?)?;
    let fields = [("X-aws-ec2-metadata-token", token.as_str())];
    let roles = text(asked(&url, Method::GET, ROLES, &fields).await?)?;
    let role = roles.lines().next().ok_or(CredentialsError::NotUnderstood)?;
    given(&asked(&url, Method::GET, &format!("{ROLES}{role}"), &fields).await?)
}

fn text(body: Vec<u8>) -> Result<String, CredentialsError> {
    let text = String::from_utf8(body).map_err(|_| CredentialsError::NotUnderstood)?;
    Ok(text.trim().to_owned())
}

async fn asked(url: &Url, method: Method, target: &str, fields: &[(&str, &str)]) -> Result<Vec<u8>, FetchError> {
    let body = (method == Method::PUT).then(Bytes::new);
    let mut head = fetch::request(url, method, target);
    for (name, value) in fields {
        head.fields.append(*name, value.as_bytes());
    }
    Ok(fetch::whole(url, &head, body, LARGEST, LIMIT).await?.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_of_the_shared_file_is_found() {
        let text = "# a\n[default]\naws_access_key_id = A\naws_secret_access_key=B=\n[prod]\naws_access_key_id=C\n\
                    aws_secret_access_key = D\naws_session_token = E\nregion = x\n[half]\naws_access_key_id = F\n";
        let keys = of_profile(text, "default").expect("it is there");
        assert_eq!((&*keys.id, &*keys.secret, keys.token), ("A", "B=", None));
        let keys = of_profile(text, "prod").expect("it is there");
        assert_eq!((&*keys.id, &*keys.secret, keys.token.as_deref()), ("C", "D", Some("E")));
        assert!(of_profile(text, "half").is_none() && of_profile(text, "none").is_none());
    }

    #[test]
    fn credentials_are_asked_for_before_they_expire() {
        let now: Timestamp = "2026-11-28T09:00:00Z".parse().expect("a time");
        let keys = |until: &str| AwsKeys {
            id: "A".into(),
            secret: "B".into(),
            token: None,
            until: Some(until.parse().expect("a time")),
        };
        for (until, seconds) in [
            ("2026-11-28T15:00:00Z", 6 * 3600 - 300),
            ("2026-11-28T09:06:00Z", 180),
            ("2026-11-28T09:00:04Z", 2),
            ("2026-11-28T09:00:00Z", 1),
            ("2026-11-28T08:00:00Z", 1),
        ] {
            let wait = due(&CredentialsSource::Imds, &keys(until), now);
            assert_eq!(wait, Some(Duration::from_secs(seconds)), "{until}");
        }
        assert_eq!(due(&CredentialsSource::Environment, &keys("2026-11-28T15:00:00Z"), now), None);
    }
}
