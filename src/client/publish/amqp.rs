//! Messages to an exchange of AMQP, each confirmed.

use std::collections::BTreeSet;

use amqprs::callbacks::ChannelCallback;
use amqprs::channel::{BasicPublishArguments, Channel, ConfirmSelectArguments, ExchangeDeclareArguments};
use amqprs::connection::Connection;
use amqprs::{Ack, BasicProperties, Cancel, CloseChannel, Nack, Return};
use async_trait::async_trait;
use tokio::sync::mpsc;

use super::super::nameko::{BrokerTls, arguments};
use super::{PublishError, PublishMessage};
use crate::endpoint::BrokerSpec;

type AmqpResult<T> = Result<T, amqprs::error::Error>;

pub struct Amqp {
    /// Ends with it.
    _connection: Connection,
    channel: Channel,
    exchange: Box<str>,
    confirmed: mpsc::UnboundedReceiver<Confirmed>,
    last_tag: u64,
}

enum Confirmed {
    /// This one; with `multiple` all up to it.
    Taken {
        tag: u64,
        multiple: bool,
    },
    Refused,
}

impl Amqp {
    pub(super) async fn open(
        broker: BrokerSpec,
        tls: Option<BrokerTls>,
        exchange: Box<str>,
    ) -> Result<Self, PublishError> {
        // A task of its own: the library panics at some greetings.
        let opening = tokio::spawn(async move { Self::greet(&broker, tls.as_ref(), exchange).await });
        match opening.await {
            Ok(opened) => Ok(opened?),
            Err(_) => Err(PublishError::Protocol("what answers does not greet as a broker")),
        }
    }

    async fn greet(broker: &BrokerSpec, tls: Option<&BrokerTls>, exchange: Box<str>) -> AmqpResult<Self> {
        let connection = Connection::open(&arguments(broker, tls, "multilith events")).await?;
        let channel = connection.open_channel(None).await?;
        let (confirms, confirmed) = mpsc::unbounded_channel();
        channel.register_callback(Confirms(confirms)).await?;
        channel.confirm_select(ConfirmSelectArguments::default()).await?;
        channel.exchange_declare(ExchangeDeclareArguments::new(&exchange, "topic").durable(true).finish()).await?;
        Ok(Self { _connection: connection, channel, exchange, confirmed, last_tag: 0 })
    }

    pub(super) async fn publish(&mut self, messages: Vec<PublishMessage>) -> Result<(), PublishError> {
        let mut properties = BasicProperties::default();
        // Not "application/cloudevents+json": handlers such as Nameko's decode what says that it is JSON, and nothing else.
        properties
            .with_content_type("application/json")
            .with_content_encoding("utf-8")
            .with_delivery_mode(amqprs::DELIVERY_MODE_PERSISTENT);
        let mut unconfirmed = BTreeSet::new();
        for message in messages {
            let to = BasicPublishArguments::new(&self.exchange, &message.key);
            self.channel.basic_publish(properties.clone(), message.body, to).await?;
            self.last_tag += 1;
            unconfirmed.insert(self.last_tag);
        }
        while !unconfirmed.is_empty() {
            match self.confirmed.recv().await {
                Some(Confirmed::Taken { tag, multiple: true }) => unconfirmed = unconfirmed.split_off(&(tag + 1)),
                Some(Confirmed::Taken { tag, .. }) => {
                    unconfirmed.remove(&tag);
                }
                Some(Confirmed::Refused) => {
                    return Err(PublishError::Refused("the broker refused a message".to_owned()));
                }
                None => return Err(PublishError::Ended),
            }
        }
        Ok(())
    }
}

/// Passes on what the broker confirms; the channel ends with it.
struct Confirms(mpsc::UnboundedSender<Confirmed>);

impl Confirms {
    fn tell(&self, confirmed: Confirmed) {
        // The publisher is gone.
        let _ = self.0.send(confirmed);
    }
}

#[async_trait]
impl ChannelCallback for Confirms {
    async fn close(&mut self, _: &Channel, _: CloseChannel) -> AmqpResult<()> {
        self.tell(Confirmed::Refused);
        Ok(())
    }

    async fn cancel(&mut self, _: &Channel, _: Cancel) -> AmqpResult<()> {
        Ok(())
    }

    async fn flow(&mut self, _: &Channel, active: bool) -> AmqpResult<bool> {
        Ok(active)
    }

    async fn publish_ack(&mut self, _: &Channel, ack: Ack) {
        self.tell(Confirmed::Taken { tag: ack.delivery_tag(), multiple: ack.mutiple() });
    }

    async fn publish_nack(&mut self, _: &Channel, _: Nack) {
        self.tell(Confirmed::Refused);
    }

    async fn publish_return(&mut self, _: &Channel, _: Return, _: BasicProperties, _: Vec<u8>) {}
}
