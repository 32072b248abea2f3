//! In which protocol an upstream is asked, as the file describes it.

use std::fmt;
use std::path::PathBuf;

/// The kind of server at the other end of an upstream's connections.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum TargetSpec {
    #[default]
    Http,
    Lambda(Box<LambdaSpec>),
    Nameko(Box<NamekoSpec>),
}

impl TargetSpec {
    /// The word in diagnostics and in the status.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Lambda(_) => "lambda",
            Self::Nameko(_) => "nameko",
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
    /// The host of requests; it is signed.
    pub authority: Box<str>,
    pub credentials: CredentialsSource,
}

/// A service of Nameko, asked over AMQP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamekoSpec {
    pub broker: BrokerSpec,
    pub exchange: Box<str>,
    pub service: Box<str>,
}

/// A broker of AMQP, and how it is logged in to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerSpec {
    pub host: Box<str>,
    pub port: u16,
    pub tls: bool,
    pub user: Box<str>,
    pub password: Password,
    pub virtual_host: Box<str>,
}

/// A server of NATS; without a user there is no login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NatsServer {
    pub host: Box<str>,
    pub port: u16,
    /// Always; without it where the server asks for it.
    pub tls: bool,
    pub user: Box<str>,
    pub password: Password,
}

/// Where messages are published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PublishSpec {
    Amqp {
        broker: BrokerSpec,
        exchange: Box<str>,
    },
    /// `host:port` of some brokers, which know the others.
    Kafka {
        brokers: Vec<Box<str>>,
        topic: Box<str>,
    },
    /// One of these: they are of one cluster.
    Nats {
        servers: Vec<NatsServer>,
    },
}

/// Never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(pub Box<str>);

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

impl fmt::Display for BrokerSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}{}", self.host, self.port, if &*self.virtual_host == "/" { "" } else { &self.virtual_host })
    }
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
