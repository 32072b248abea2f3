//! Publishing messages to a broker, many at once; done when the broker has said that it has all of them.

mod amqp;
mod kafka;
mod nats;

use std::io;
use std::time::Duration;

use super::nameko::BrokerTls;
use super::tls;
use crate::endpoint::PublishSpec;
use amqp::Amqp;
use kafka::Kafka;
use nats::Nats;

/// For a connection, and for a batch.
const PATIENCE: Duration = Duration::from_secs(10);

/// One message: the subject, the routing key or the key of a record (empty: none), and the body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishMessage {
    pub key: String,
    pub body: Vec<u8>,
}

/// Why a broker has no connection, or not all messages. The texts stand in the log.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    #[error("no answer within {} s", PATIENCE.as_secs())]
    TooLate,
    #[error("the connection ended")]
    Ended,
    /// The peer, a broker or not, breaks the protocol.
    #[error("{0}")]
    Protocol(&'static str),
    /// In the broker's words.
    #[error("{0}")]
    Refused(String),
    #[error("there is no topic `{name}`{reason}")]
    NoTopic { name: String, reason: String },
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("{0}")]
    Amqp(#[from] amqprs::error::Error),
}

/// A connection to a broker.
pub enum Publisher {
    Amqp(Amqp),
    Kafka(Kafka),
    Nats(Nats),
}

impl Publisher {
    /// # Errors
    /// Why there is no connection.
    pub async fn connect(spec: &PublishSpec) -> Result<Self, PublishError> {
        let connecting = async {
            match spec {
                PublishSpec::Amqp { broker, exchange } => {
                    let config = || BrokerTls { config: tls::usual(), server_name: broker.host.clone() };
                    let opened = Amqp::open(broker.clone(), broker.tls.then(config), exchange.clone()).await;
                    opened.map(Self::Amqp)
                }
                PublishSpec::Kafka { brokers, topic } => Kafka::open(brokers, topic).await.map(Self::Kafka),
                PublishSpec::Nats { servers } => Nats::open(servers).await.map(Self::Nats),
            }
        };
        tokio::time::timeout(PATIENCE, connecting).await.unwrap_or(Err(PublishError::TooLate))
    }

    /// Returns when the broker has all of them but those that are longer than it takes: how many these are. After an error it is not
    /// known which it has, and the connection is of no use.
    ///
    /// # Errors
    /// Why it does not.
    pub async fn publish(&mut self, messages: Vec<PublishMessage>) -> Result<usize, PublishError> {
        let publishing = async {
            match self {
                Self::Amqp(amqp) => amqp.publish(messages).await.map(|()| 0),
                Self::Kafka(kafka) => kafka.publish(messages).await,
                Self::Nats(nats) => nats.publish(&messages).await,
            }
        };
        tokio::time::timeout(PATIENCE, publishing).await.unwrap_or(Err(PublishError::TooLate))
    }
}
