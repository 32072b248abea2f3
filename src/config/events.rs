//! `[events]` as written.

use serde_json::json;

use super::list::Item;
use super::reader::{Decode, Reader, Value};
use super::table::table;
use super::{EventKind, Percent, SecretUrl};
use crate::diagnostic::Code;

table! {
    /// Events for other programs, each a `CloudEvent` in JSON: exactly one of `amqp` and `nats`. The `sequence` of an event counts those of
    /// its route from 1: a number that is missing is an event that was dropped. It begins again at 1 after a restart and after a change of
    /// this table.
    pub struct EventsTable {
        /// To an exchange of AMQP (`RabbitMQ`); the routing key is the kind.
        amqp: AmqpEvents,
        /// To NATS.
        nats: NatsEvents,
        /// Not built in: a bridge takes events from NATS or AMQP on to Kafka.
        kafka: Kafka,
        /// What is told; also `verdict` (of a gate) and `fault` (on purpose). Default: `["exchange", "difference", "move", "reload",
        /// "upstream"]`, the last where the state of an endpoint changes.
        kinds: Vec<Item<EventKind>>,
        /// Share of the exchanges that are told. Default: `"100%"`.
        sample: Percent,
    }
}

table! {
    /// An exchange that gets events.
    pub struct AmqpEvents {
        /// `amqp://user:password@host:5672/vhost`, or `amqps`; `{ env = "NAME" }` keeps it out of the file.
        broker: SecretUrl = required,
        /// A topic exchange, made if it is not there. Default: `"multilith"`; a handler of Nameko listens to `"multilith.events"`.
        exchange: String,
    }
}

table! {
    /// Servers of NATS, and the subject of events.
    pub struct NatsEvents {
        /// `nats://user:password@host:4222`, without TLS: the first that answers is used.
        servers: Vec<Item<SecretUrl>> = required,
        /// `{kind}` and `{route}` are filled in; what cannot stand in a subject becomes `_`. Default: `"multilith.{kind}.{route}"`.
        subject: String,
    }
}

/// Never read: a client of Kafka is not built in. A key that is known says so, and what helps.
#[derive(Debug)]
pub enum Kafka {}

impl Decode for Kafka {
    const EXPECTED: &'static str = "absent";
    const EXAMPLE: &'static str = "{ … }";

    fn decode(value: &Value<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        let help = "write `nats = { servers = [\"nats://…\"] }` or `amqp = { broker = \"amqp://…\" }`, and let a bridge from there \
                    to Kafka run, such as Kafka Connect or Redpanda Connect";
        let message = "events to Kafka are not built in".to_owned();
        reader.invalid(Code::NotBuiltIn, value.span(), message, "Kafka is not spoken", help.to_owned());
        None
    }

    /// An editor marks the key.
    fn schema() -> serde_json::Value {
        json!({ "not": {} })
    }
}
