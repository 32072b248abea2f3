//! Records for a topic of Kafka. A batch counts as delivered once all replicas in sync have it (`acks=all`).

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use rskafka::chrono::{DateTime, Utc};
use rskafka::client::error::{Error, ProtocolError};
use rskafka::client::partition::{Compression, PartitionClient, UnknownTopicHandling};
use rskafka::client::{Client, ClientBuilder};
use rskafka::record::Record;
use rskafka::{BackoffConfig, BackoffError};
use tokio::sync::OnceCell;
use tokio::task::{JoinError, JoinSet};

use super::{PublishError, PublishMessage};

/// The library waits for a new leader this long; the publisher waits longer, since it knows whether it has to end.
const RETRY_WITHIN: Duration = Duration::from_secs(2);
/// An answer about all topics of a large cluster has some megabytes. A peer that is no broker may name any length.
const LONGEST_ANSWER: usize = 16 * 1024 * 1024;

const NO_BROKER: PublishError = PublishError::Protocol("what answers does not speak as a broker of Kafka");

pub struct Kafka(Arc<Topic>);

struct Topic {
    client: Client,
    name: String,
    partitions: Vec<Partition>,
}

struct Partition {
    number: i32,
    /// A connection of its own to its leader, once it gets a record: most topics have more partitions than a file has routes.
    leader: OnceCell<PartitionClient>,
}

impl Kafka {
    pub(super) async fn open(brokers: &[Box<str>], topic: &str) -> Result<Self, PublishError> {
        let brokers = brokers.iter().map(ToString::to_string).collect();
        let mut opening = JoinSet::new();
        opening.spawn(Topic::open(brokers, topic.to_owned()));
        Ok(Self(Arc::new(opening.join_next().await.map_or(Err(NO_BROKER), joined)?)))
    }

    /// How many it has left out, because the topic takes none that long.
    pub(super) async fn publish(&self, messages: Vec<PublishMessage>) -> Result<usize, PublishError> {
        let now = DateTime::from_timestamp_millis(Timestamp::now().as_millisecond()).unwrap_or_default();
        let partitions = &self.0.partitions;
        let mut batches: Vec<Vec<Record>> = partitions.iter().map(|_| Vec::new()).collect();
        for message in messages {
            batches[partition_of(&message.key, partitions.len())].push(record(message, now));
        }
        let mut producing = JoinSet::new();
        for (at, batch) in batches.into_iter().enumerate().filter(|(_, batch)| !batch.is_empty()) {
            let topic = Arc::clone(&self.0);
            producing.spawn(async move { topic.produce(at, batch).await });
        }
        let mut left_out = 0;
        while let Some(produced) = producing.join_next().await {
            left_out += joined(produced)?;
        }
        Ok(left_out)
    }
}

/// Of a task of its own, which ends with the future: the library panics at some answers that no broker gives.
fn joined<T>(done: Result<Result<T, PublishError>, JoinError>) -> Result<T, PublishError> {
    done.unwrap_or(Err(NO_BROKER))
}

impl Topic {
    async fn open(brokers: Vec<String>, name: String) -> Result<Self, PublishError> {
        let backoff = BackoffConfig {
            init_backoff: Duration::from_millis(50),
            max_backoff: Duration::from_millis(500),
            base: 2.,
            deadline: Some(RETRY_WITHIN),
        };
        let builder = ClientBuilder::new(brokers).client_id("multilith").backoff_config(backoff);
        let client = builder.max_message_size(LONGEST_ANSWER).build().await.map_err(|error| refused(&error))?;
        let mut partitions = partitions(&client, &name).await?;
        if partitions.is_empty() {
            // To ask for it by its name makes it, where the cluster is set so.
            let asked = client.partition_client(&name, 0, UnknownTopicHandling::Error).await;
            partitions = self::partitions(&client, &name).await?;
            if partitions.is_empty() {
                let reason = asked.err().map_or_else(String::new, |error| format!(" ({})", why(&error)));
                return Err(PublishError::NoTopic { name, reason });
            }
        }
        Ok(Self { client, name, partitions })
    }

    async fn produce(&self, at: usize, batch: Vec<Record>) -> Result<usize, PublishError> {
        let Partition { number, leader } = &self.partitions[at];
        let open = || self.client.partition_client(&self.name, *number, UnknownTopicHandling::Error);
        let leader = leader.get_or_try_init(open).await.map_err(|error| refused(&error))?;
        produce(leader, batch).await.map_err(|error| refused(&error))
    }
}

async fn partitions(client: &Client, topic: &str) -> Result<Vec<Partition>, PublishError> {
    let topics = client.list_topics().await.map_err(|error| refused(&error))?;
    let numbers = topics.into_iter().find(|found| found.name == topic).map(|found| found.partitions);
    let partition = |number| Partition { number, leader: OnceCell::new() };
    Ok(numbers.into_iter().flatten().map(partition).collect())
}

/// The limit of a topic is one for a whole batch: one that is too long goes in halves, in order.
async fn produce(partition: &PartitionClient, batch: Vec<Record>) -> Result<usize, Error> {
    let (mut batches, mut left_out) = (vec![batch], 0);
    while let Some(mut batch) = batches.pop() {
        match partition.produce(batch.clone(), Compression::NoCompression).await {
            Ok(_) => {}
            Err(Error::ServerError {
                protocol_error: ProtocolError::MessageTooLarge | ProtocolError::RecordListTooLarge,
                ..
            }) => match batch.len() {
                // It would be refused again and again.
                1 => left_out += 1,
                length => {
                    let later = batch.split_off(length / 2);
                    batches.extend([later, batch]);
                }
            },
            Err(error) => return Err(error),
        }
    }
    Ok(left_out)
}

fn record(message: PublishMessage, timestamp: DateTime<Utc>) -> Record {
    let key = (!message.key.is_empty()).then(|| message.key.into_bytes());
    Record { key, value: Some(message.body), headers: [].into(), timestamp }
}

/// The partition that Kafka's own producer chooses for this key: records of one key stay in order, and can be joined with those of
/// other programs.
fn partition_of(key: &str, partitions: usize) -> usize {
    (murmur2(key.as_bytes()) & 0x7fff_ffff) as usize % partitions
}

/// As in `org.apache.kafka.common.utils.Utils.murmur2`.
fn murmur2(bytes: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    let length = u32::try_from(bytes.len()).expect("a key is short");
    let mut hash = 0x9747_b28c ^ length;
    let (words, rest) = bytes.as_chunks::<4>();
    for word in words {
        let mut word = u32::from_le_bytes(*word).wrapping_mul(M);
        word ^= word >> 24;
        hash = hash.wrapping_mul(M) ^ word.wrapping_mul(M);
    }
    if !rest.is_empty() {
        let last = rest.iter().rev().fold(0, |last, byte| last << 8 | u32::from(*byte));
        hash = (hash ^ last).wrapping_mul(M);
    }
    hash = (hash ^ hash >> 13).wrapping_mul(M);
    hash ^ hash >> 15
}

fn refused(error: &Error) -> PublishError {
    PublishError::Refused(why(error))
}

/// Few words for the log: the library shows all of the request.
fn why(error: &Error) -> String {
    match error {
        Error::ServerError { protocol_error, .. } => protocol_error.to_string(),
        Error::RetryFailed(BackoffError::DeadlineExceded { source, .. }) => {
            source.downcast_ref().map_or_else(|| source.to_string(), why)
        }
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn what_answers_and_is_no_broker_is_an_error() {
        // The length of an answer, the number of the first request, and what no broker says.
        let malformed = [&[0, 0, 0, 12, 0, 0, 0, 0][..], &[0xff; 8]].concat();
        for answer in [malformed, b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(), Vec::new()] {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
            let at = listener.local_addr().expect("an address").to_string();
            let serving = tokio::spawn(async move {
                while let Ok((mut stream, _)) = listener.accept().await {
                    let mut length = [0; 4];
                    stream.read_exact(&mut length).await.expect("a request");
                    stream.write_all(&answer).await.expect("an answer");
                }
            });
            assert!(Kafka::open(&[at.into()], "t").await.is_err());
            serving.abort();
        }
    }

    /// The vectors of Kafka's own test of its hash.
    #[test]
    fn a_key_has_the_partition_that_the_producer_of_kafka_chooses() {
        for (key, hash) in [
            ("21", -973_932_308),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            ("abc", 479_470_107),
        ] {
            assert_eq!(murmur2(key.as_bytes()).cast_signed(), hash, "{key}");
        }
        // Of the hash without its sign: 1 357 151 166.
        assert_eq!(partition_of("foobar", 4), 2);
    }
}
