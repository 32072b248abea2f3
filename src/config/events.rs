//! `[events]` as written.

use super::list::Item;
use super::table::table;
use super::{BrokerUrl, EventKind, Percent};

table! {
    /// Events for other programs, each a `CloudEvent` in JSON: exactly one of `amqp`, `kafka` and `nats`. The `sequence` of an event
    /// counts those of its route from 1: a number that is missing is an event that was dropped. It begins again at 1 after a restart and
    /// after a change of this table.
    pub struct EventsTable {
        /// To an exchange of AMQP (`RabbitMQ`); the routing key is the kind. Default: none.
        amqp: AmqpEvents,
        /// To a topic of Kafka. Default: none.
        kafka: KafkaEvents,
        /// To NATS. Default: none.
        nats: NatsEvents,
        /// The kinds of events; also `verdict` (of a gate) and `fault` (on purpose). Default: `["exchange", "difference", "move", "reload",
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
        broker: BrokerUrl = required,
        /// A topic exchange, made if it is not there. Default: `"multilith"`; a handler of Nameko listens to `"multilith.events"`.
        exchange: String,
    }
}

table! {
    /// Servers of NATS, and the subject of events.
    pub struct NatsEvents {
        /// `nats://user:password@host:4222`, with TLS where the server asks for it; `tls://` always. The first that answers is used.
        servers: Vec<Item<BrokerUrl>> = required,
        /// `{kind}` and `{route}` are filled in; what cannot stand in a subject becomes `_`. Default: `"multilith.{kind}.{route}"`.
        subject: String,
    }
}

table! {
    /// A topic of Kafka. The key of a record is the route, so that those of one route stay in order; acknowledged by all replicas in sync.
    pub struct KafkaEvents {
        /// `host:port` of one broker or several, without TLS and login; the port may be left out. They tell where the others are.
        brokers: Vec<Item<String>> = required,
        /// The topic's name. Where the cluster has none it is made, if the cluster makes topics by itself; else events wait, and the log
        /// says so. Default: `"multilith"`.
        topic: String,
    }
}
