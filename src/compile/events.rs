//! `[events]`: which broker gets which events.

use super::address::{host_port, join, with_login, without_scheme};
use super::draft::Draft;
use super::settings::percent;
use super::snapshot::EventsSettings;
use super::upstreams::{compile_broker, is_bus_name};
use crate::config::{self, BrokerUrl, EventKind, Item, KafkaEvents, Secret};
use crate::diagnostic::Code;
use crate::endpoint::{NatsServer, PublishSpec};
use crate::migration::Percent;

const SUBJECT: &str = "multilith.{kind}.{route}";
/// Where the file names no kinds.
const TOLD: [EventKind; 5] =
    [EventKind::Exchange, EventKind::Difference, EventKind::Move, EventKind::Reload, EventKind::Upstream];

pub(super) fn compile(file: &config::File, draft: &mut Draft<'_>) -> Option<EventsSettings> {
    let given = file.events.given()?;
    let events = &given.value;
    let (to, subject) = match (events.amqp.given(), events.kafka.given(), events.nats.given()) {
        (Some(amqp), None, None) => {
            let exchange = amqp.value.exchange.given();
            let fine = exchange.is_none_or(|exchange| is_bus_name(exchange, draft));
            let broker = amqp.value.broker.given()?;
            let broker = compile_broker(&broker.value, &broker.span, draft).filter(|_| fine)?;
            let exchange = exchange.map_or("multilith", |exchange| &exchange.value).into();
            (PublishSpec::Amqp { broker, exchange }, "{kind}")
        }
        (None, Some(kafka), None) => (compile_kafka(&kafka.value, draft)?, ""),
        (None, None, Some(nats)) => {
            let servers = nats.value.servers.given()?;
            let servers: Vec<_> = servers.value.iter().map(|server| nats_server(server, draft)).collect();
            let subject = nats.value.subject.given();
            if let Some(subject) = subject
                && !is_subject(&subject.value)
            {
                let help = "write words between dots, as in `subject = \"multilith.{kind}.{route}\"`";
                let message = format!("`{}` is no subject of NATS", subject.value);
                draft.say(Code::InvalidValue, subject.span.clone(), message, "not a subject", help);
                return None;
            }
            if servers.is_empty() {
                let span = nats.value.servers.span().unwrap_or_default();
                draft.say(
                    Code::InvalidValue,
                    span,
                    "there is no server of NATS",
                    "empty",
                    "name one: `servers = [\"nats://127.0.0.1:4222\"]`",
                );
            }
            let servers = servers.into_iter().collect::<Option<Vec<_>>>()?;
            (PublishSpec::Nats { servers }, subject.map_or(SUBJECT, |subject| &subject.value))
        }
        _ => {
            // Of one that is wrong its own mistake was reported.
            let absent = [events.amqp.is_absent(), events.kafka.is_absent(), events.nats.is_absent()];
            if absent.into_iter().filter(|absent| !absent).count() != 1 {
                let help = "write one of `amqp = { broker = \"amqp://…\" }`, `kafka = { brokers = [\"host:9092\"] }` and \
                            `nats = { servers = [\"nats://…\"] }`";
                draft.say(
                    Code::InvalidValue,
                    given.key.clone(),
                    "`[events]` goes to exactly one broker",
                    "one of the three",
                    help,
                );
            }
            return None;
        }
    };
    let given = events.kinds.get().map(|kinds| kinds.iter().map(|kind| kind.value).collect::<Vec<_>>());
    let kinds = given.as_deref().unwrap_or(&TOLD).iter().map(|kind| kind.word()).collect();
    let sample = events.sample.get().map_or(Percent::EVERYBODY, |share| percent(*share));
    Some(EventsSettings { to, subject: subject.into(), kinds, sample })
}

fn compile_kafka(kafka: &KafkaEvents, draft: &mut Draft<'_>) -> Option<PublishSpec> {
    let mut named = true;
    if let Some(topic) = kafka.topic.given()
        && !is_topic(&topic.value)
    {
        let message = format!("`{}` cannot be a topic of Kafka", topic.value);
        let help = "letters, digits, `_`, `-` and `.`, at most 249";
        draft.say(Code::InvalidValue, topic.span.clone(), message, "not a topic", help);
        named = false;
    }
    let given = kafka.brokers.given()?;
    if given.value.is_empty() {
        let help = "name one: `brokers = [\"127.0.0.1:9092\"]`";
        draft.say(Code::InvalidValue, given.span.clone(), "there is no broker of Kafka", "empty", help);
    }
    let brokers: Vec<_> = given.value.iter().map(|item| kafka_broker(item, draft)).collect();
    let brokers = brokers.into_iter().collect::<Option<Vec<_>>>().filter(|brokers| named && !brokers.is_empty())?;
    Some(PublishSpec::Kafka { brokers, topic: kafka.topic.get().map_or("multilith", String::as_str).into() })
}

fn kafka_broker(item: &Item<String>, draft: &mut Draft<'_>) -> Option<Box<str>> {
    match host_port(&item.value, Some(9092)) {
        Ok(address) if address.port != 0 => return Some(join(address).into()),
        Ok(_) => {
            let help = "write the port that it listens on, as in `127.0.0.1:9092`";
            draft.say(Code::InvalidAddress, item.span.clone(), "no broker listens on port 0", "not a port", help);
        }
        Err(error) => {
            let error = without_scheme(&item.value).unwrap_or(error);
            let at = draft.inside(&item.span, &item.value, error.part);
            draft.say(Code::InvalidAddress, at, error.message, "not the address of a broker", error.help);
        }
    }
    None
}

/// As Kafka checks it.
fn is_topic(topic: &str) -> bool {
    let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    (1..=249).contains(&topic.len()) && !matches!(topic, "." | "..") && topic.chars().all(fine)
}

/// The URL itself is not printed: it may hold a password.
fn nats_server(item: &Item<BrokerUrl>, draft: &mut Draft<'_>) -> Option<NatsServer> {
    let read = match &item.value.0 {
        Secret::Value(url) => read(url),
        Secret::File(_) => None,
    };
    if read.is_none() {
        let help =
            "write `nats://user:password@host:4222`, `tls://` for TLS, or `{ env = \"NAME\" }` with such a value";
        draft.say(Code::InvalidUrl, item.span.clone(), "this is not the URL of a server of NATS", "not a server", help);
    }
    read
}

fn read(url: &str) -> Option<NatsServer> {
    let (scheme, rest) = url.split_once("://")?;
    let tls = match scheme {
        "nats" => false,
        "tls" => true,
        _ => return None,
    };
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    let (user, password, address) = with_login(rest, "", 4222)?;
    Some(NatsServer { host: address.host.into(), port: address.port, tls, user, password })
}

fn is_subject(subject: &str) -> bool {
    let filled = subject.replace("{kind}", "k").replace("{route}", "r");
    filled.len() <= 200
        && filled.split('.').all(|word| {
            !word.is_empty() && word.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | ':' | '/'))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_url_of_a_server_of_nats_is_taken_apart() {
        let server = read("nats://a%40b:s3cret@nats.internal/").expect("a server");
        assert_eq!((&*server.host, server.port, &*server.user), ("nats.internal", 4222, "a@b"));
        assert!(!format!("{server:?}").contains("s3cret"));
        assert_eq!(read("nats://[::1]:4333").expect("a server").port, 4333);
        assert_eq!(
            [read("nats://nats"), read("tls://nats")].map(|server| server.expect("a server").tls),
            [false, true]
        );
        for url in ["ws://nats", "nats:4222", "nats://", "http://nats"] {
            assert!(read(url).is_none(), "{url}");
        }
    }

    #[test]
    fn a_subject_has_words_without_wildcards() {
        for (subject, is) in [
            ("multilith.{kind}.{route}", true),
            ("a", true),
            ("a..b", false),
            ("a.*", false),
            ("a b", false),
            ("", false),
        ] {
            assert_eq!(is_subject(subject), is, "{subject}");
        }
    }
}
