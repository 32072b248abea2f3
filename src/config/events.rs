//! `[events]` as written.

use super::list::Item;
use super::table::table;
use super::{EventKind, Percent, SecretUrl};

table! {
    /// Events for other programs, each a `CloudEvent` in JSON: exactly one of `amqp` and `nats`.
    pub struct EventsTable {
        /// To an exchange of AMQP (`RabbitMQ`); the routing key is the kind.
        amqp: AmqpEvents,
        /// To NATS.
        nats: NatsEvents,
        /// What is told. Default: `["exchange", "difference", "move", "reload"]`.
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
