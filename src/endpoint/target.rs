//! In which protocol an upstream is asked, as the file describes it.

use std::path::PathBuf;

/// What stands at the other end of an upstream's connections.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum TargetSpec {
    #[default]
    Http,
    Lambda(Box<LambdaSpec>),
}

impl TargetSpec {
    /// The word in diagnostics and in the status.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Lambda(_) => "lambda",
        }
    }
}

/// A function of AWS Lambda.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LambdaSpec {
    /// Name, `name:alias` or ARN.
    pub function: Box<str>,
    pub region: Box<str>,
    pub event: EventVersion,
    /// What requests name as their host; it is signed.
    pub authority: Box<str>,
    pub credentials: CredentialsSource,
}

/// The form of the event that a function gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventVersion {
    /// Of a REST API; keeps several values of one name.
    V1,
    /// Of an HTTP API and of function URLs.
    V2,
}

/// Where credentials of AWS come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CredentialsSource {
    /// `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and `AWS_SESSION_TOKEN`.
    Environment,
    /// A file in the form of `~/.aws/credentials`.
    File { path: PathBuf, profile: Box<str> },
    /// The agent of a container: `AWS_CONTAINER_CREDENTIALS_FULL_URI` or `_RELATIVE_URI`.
    Container,
    /// The metadata service of an instance, version 2.
    Imds,
}
