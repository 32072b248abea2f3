//! One connection to a bus, from its handshake to its end: publishes calls, hands out replies.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use amqprs::callbacks::{ChannelCallback, ConnectionCallback};
use amqprs::channel::{
    BasicConsumeArguments, BasicPublishArguments, Channel, ConfirmSelectArguments, ConsumerMessage,
    ExchangeDeclareArguments, QueueBindArguments, QueueDeclareArguments,
};
use amqprs::connection::Connection;
use amqprs::{
    Ack, BasicProperties, Cancel, Close, CloseChannel, FieldArray, FieldTable, FieldValue, LongStr, Nack, Return,
};
use async_trait::async_trait;
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;

use super::{BrokerTls, Bus, BusState, CALL_ID_STACK, CallContext, Heard, Publish, arguments, texts};
use crate::client::task;
use crate::endpoint::NamekoSpec;

/// The broker removes the reply queue this long after its connection is gone.
const EXPIRES: i32 = 300_000;
const TICK: Duration = Duration::from_secs(1);
/// A broker that does not answer for this long is not asked on this channel again.
const ANSWER: Duration = Duration::from_secs(2);
/// A broker that confirms nothing for this long gets no more messages for now: it would take them after their clients were told 504.
/// A memory or disk alarm looks like this; the library does not ask for `connection.blocked`.
const SLOW: Duration = Duration::from_secs(2);
/// A broker that confirms nothing for this long is connected to anew.
const STUCK: Duration = Duration::from_secs(60);
/// Messages, and bytes of them, that the broker has not confirmed: no more wait on their way to it. Fewer than the library queues, so
/// that it never makes the session wait.
const MOST_UNCONFIRMED: usize = 2048;
const MOST_BYTES: usize = 32 * 1024 * 1024;
/// The library keeps the number of a channel that the broker has closed (2.1.5): a connection has 2047, and runs out of them.
const MOST_CLOSED: u32 = 1000;

type AmqpResult<T> = Result<T, amqprs::error::Error>;

/// Why a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    Lost,
    /// The target is gone.
    Dropped,
}

pub(super) struct Session {
    connection: Connection,
    channel: Channel,
    replies: mpsc::UnboundedReceiver<ConsumerMessage>,
    told: mpsc::UnboundedReceiver<Told>,
    /// The routing key of the reply queue.
    reply_to: String,
    calls: HashMap<String, oneshot::Sender<Heard>>,
    /// By delivery tag.
    unconfirmed: BTreeMap<u64, Unconfirmed>,
    unconfirmed_bytes: usize,
    last_tag: u64,
    /// The broker has confirmed nothing for a while.
    slow: bool,
}

/// A message that the broker has not confirmed.
struct Unconfirmed {
    correlation: String,
    bytes: usize,
    since: Instant,
}

/// The broker's messages that answer no request.
enum Told {
    Confirmed { tag: u64, multiple: bool, taken: bool },
    Returned(String),
    Closed,
}

impl Session {
    pub(super) async fn open(spec: NamekoSpec, tls: Option<BrokerTls>) -> AmqpResult<Self> {
        let reply_to = uuid();
        let connection = Connection::open(&arguments(&spec.broker, tls.as_ref(), "multilith")).await?;
        let (tells, told) = mpsc::unbounded_channel();
        connection.register_callback(Listener(tells.clone())).await?;
        let channel = connection.open_channel(None).await?;
        channel.register_callback(Listener(tells)).await?;
        channel.confirm_select(ConfirmSelectArguments::default()).await?;
        let exchange = ExchangeDeclareArguments::new(&spec.exchange, "topic").durable(true).finish();
        channel.exchange_declare(exchange).await?;
        let queue = format!("rpc.reply-multilith-{reply_to}");
        let mut lifetime = FieldTable::new();
        if let Ok(key) = "x-expires".try_into() {
            lifetime.insert(key, FieldValue::I(EXPIRES));
        }
        let declare = QueueDeclareArguments::new(&queue).exclusive(true).arguments(lifetime).finish();
        channel.queue_declare(declare).await?;
        channel.queue_bind(QueueBindArguments::new(&queue, &spec.exchange, &reply_to)).await?;
        let consume = BasicConsumeArguments::new(&queue, "multilith").manual_ack(false).exclusive(true).finish();
        let (_, replies) = channel.basic_consume_rx(consume).await?;
        Ok(Self {
            connection,
            channel,
            replies,
            told,
            reply_to,
            calls: HashMap::new(),
            unconfirmed: BTreeMap::new(),
            unconfirmed_bytes: 0,
            last_tag: 0,
            slow: false,
        })
    }

    pub(super) async fn run(
        mut self,
        target: &Weak<Bus>,
        spec: &NamekoSpec,
        calls: &mut mpsc::Receiver<Publish>,
    ) -> Ended {
        if let Some(target) = target.upgrade() {
            target.stands(BusState::Open(None));
        }
        let mut watch = tokio::spawn(task::boxed(watch_consumers(
            self.connection.clone(),
            spec.service.clone(),
            Weak::clone(target),
        )));
        let _watch = Aborted(watch.abort_handle());
        let connection = self.connection.clone();
        let failure = connection.listen_network_io_failure();
        tokio::pin!(failure);
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                _ = &mut failure => return Ended::Lost,
                _ = &mut watch => return Ended::Lost,
                told = self.told.recv() => match told {
                    Some(Told::Closed) | None => return Ended::Lost,
                    Some(told) => self.hear(told),
                },
                reply = self.replies.recv() => match reply {
                    Some(reply) => self.reply(reply),
                    None => return Ended::Lost,
                },
                _ = tick.tick() => {
                    if !self.look(target) {
                        return Ended::Lost;
                    }
                }
                call = calls.recv() => {
                    let Some(call) = call else {
                        // It ends with us, whatever comes of this.
                        let _ = self.connection.close().await;
                        return Ended::Dropped;
                    };
                    if !self.publish(call, spec).await {
                        return Ended::Lost;
                    }
                }
            }
        }
    }

    /// Checks what the broker does not report. False: the connection cannot be used any more.
    fn look(&mut self, target: &Weak<Bus>) -> bool {
        // Their clients were answered.
        self.calls.retain(|_, heard| !heard.is_closed());
        let waits = self.waits();
        let slow = waits > SLOW;
        if slow != self.slow {
            self.slow = slow;
            let Some(target) = target.upgrade() else { return true };
            target.stands(if slow { BusState::Blocked } else { BusState::Open(None) });
        }
        waits <= STUCK && self.connection.is_open() && self.channel.is_open()
    }

    /// How long the broker has not confirmed the oldest message.
    fn waits(&self) -> Duration {
        self.unconfirmed.first_key_value().map_or(Duration::ZERO, |(_, oldest)| oldest.since.elapsed())
    }

    /// False: the connection takes nothing any more, and this call was not sent.
    async fn publish(&mut self, call: Publish, spec: &NamekoSpec) -> bool {
        // A client that was answered already, or is about to be: the call must not run.
        let left = call.until.saturating_duration_since(Instant::now());
        let bytes = call.body.len();
        let full = self.unconfirmed.len() >= MOST_UNCONFIRMED || self.unconfirmed_bytes + bytes > MOST_BYTES;
        if call.heard.is_closed() || left.as_millis() == 0 || full || self.waits() > SLOW {
            let _ = call.heard.send(Heard::Refused);
            return true;
        }
        let mut properties = BasicProperties::default();
        properties
            .with_content_type("application/json")
            .with_content_encoding("utf-8")
            .with_headers(headers(&call.context))
            .with_delivery_mode(amqprs::DELIVERY_MODE_TRANSIENT)
            .with_correlation_id(&call.correlation)
            .with_reply_to(&self.reply_to)
            .with_expiration(&left.as_millis().to_string());
        let mut to = BasicPublishArguments::new(&spec.exchange, &call.routing_key);
        to.mandatory(true);
        // The broker may confirm the message before `basic_publish` returns.
        self.last_tag += 1;
        let unconfirmed = Unconfirmed { correlation: call.correlation.clone(), bytes, since: Instant::now() };
        self.unconfirmed.insert(self.last_tag, unconfirmed);
        self.unconfirmed_bytes += bytes;
        self.calls.insert(call.correlation.clone(), call.heard);
        let sent = self.channel.basic_publish(properties, call.body, to).await.is_ok();
        if !sent {
            self.tell(&call.correlation, Heard::NotSent);
        }
        sent
    }

    fn hear(&mut self, told: Told) {
        match told {
            Told::Returned(correlation) => self.tell(&correlation, Heard::NoQueue),
            Told::Confirmed { tag, multiple, taken } => {
                let done = if multiple {
                    let rest = self.unconfirmed.split_off(&tag.saturating_add(1));
                    std::mem::replace(&mut self.unconfirmed, rest)
                } else {
                    self.unconfirmed.remove_entry(&tag).into_iter().collect()
                };
                for message in done.into_values() {
                    self.unconfirmed_bytes -= message.bytes;
                    if !taken {
                        // A queue that refuses a message, or one that failed, maybe behind a consumer that has it: it may have run.
                        self.calls.remove(&message.correlation);
                    }
                }
            }
            Told::Closed => {}
        }
    }

    fn reply(&mut self, message: ConsumerMessage) {
        let correlation = message.basic_properties.as_ref().and_then(BasicProperties::correlation_id);
        if let (Some(correlation), Some(content)) = (correlation.cloned(), message.content) {
            self.tell(&correlation, Heard::Reply(content));
        }
    }

    /// A call whose caller has gone is not there, or its receiver is closed.
    fn tell(&mut self, correlation: &str, heard: Heard) {
        if let Some(call) = self.calls.remove(correlation) {
            let _ = call.send(heard);
        }
    }
}

/// The headers that a worker's context is made of.
fn headers(context: &CallContext) -> FieldTable {
    let mut headers = FieldTable::new();
    let text = |text: &str| LongStr::try_from(text).map(FieldValue::S).ok();
    let stack = text(&context.call_id).and_then(|id| FieldArray::try_from(vec![id]).ok()).map(FieldValue::A);
    let texts = texts(context).map(|(name, value)| (name, text(value)));
    for (name, value) in texts.chain([(CALL_ID_STACK, stack)]) {
        if let (Ok(name), Some(value)) = (name.try_into(), value) {
            headers.insert(name, value);
        }
    }
    headers
}

pub(super) fn uuid() -> String {
    let id = fastrand::u128(..);
    let hex = format!("{id:032x}");
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

/// Aborts a task when it is dropped.
pub(super) struct Aborted(pub(super) AbortHandle);

impl Drop for Aborted {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Counts the consumers of the service's queue at intervals, on a channel of its own: one that asks for a queue that is not
/// there is closed. Ends when the connection has to be made anew.
async fn watch_consumers(connection: Connection, service: Box<str>, target: Weak<Bus>) {
    let queue = format!("rpc-{service}");
    let mut closed = 0;
    let mut channel: Option<(Channel, Arc<AtomicBool>)> = None;
    loop {
        if channel.is_none() {
            let missing = Arc::new(AtomicBool::new(false));
            let Ok(opened) = connection.open_channel(None).await else { return };
            if opened.register_callback(Missing(Arc::clone(&missing))).await.is_err() {
                return;
            }
            channel = Some((opened, missing));
        }
        let Some((own, missing)) = &channel else { return };
        let declare = QueueDeclareArguments::new(&queue).passive(true).finish();
        let declared = tokio::time::timeout(ANSWER, own.queue_declare(declare)).await;
        let consumers = match declared {
            Ok(Ok(Some((_, _, consumers)))) => Some(consumers),
            _ if missing.load(Ordering::SeqCst) => Some(0),
            _ => None,
        };
        let Some(known) = target.upgrade() else { return };
        if let Some(consumers) = consumers {
            known.standing.send_if_modified(|standing| {
                let changed = matches!(standing, BusState::Open(before) if *before != Some(consumers));
                if changed {
                    *standing = BusState::Open(Some(consumers));
                }
                changed
            });
        }
        drop(known);
        if !matches!(declared, Ok(Ok(Some(_)))) {
            channel = None;
            closed += 1;
            if closed > MOST_CLOSED {
                return;
            }
        }
        tokio::time::sleep(TICK).await;
    }
}

/// Passes on what the broker says unasked.
struct Listener(mpsc::UnboundedSender<Told>);

impl Listener {
    fn tell(&self, told: Told) {
        // The session has ended.
        let _ = self.0.send(told);
    }
}

#[async_trait]
impl ConnectionCallback for Listener {
    async fn close(&mut self, _: &Connection, _: Close) -> AmqpResult<()> {
        self.tell(Told::Closed);
        Ok(())
    }

    async fn blocked(&mut self, _: &Connection, _: String) {}

    async fn unblocked(&mut self, _: &Connection) {}

    async fn secret_updated(&mut self, _: &Connection) {}
}

#[async_trait]
impl ChannelCallback for Listener {
    async fn close(&mut self, _: &Channel, _: CloseChannel) -> AmqpResult<()> {
        self.tell(Told::Closed);
        Ok(())
    }

    async fn cancel(&mut self, _: &Channel, _: Cancel) -> AmqpResult<()> {
        self.tell(Told::Closed);
        Ok(())
    }

    async fn flow(&mut self, _: &Channel, active: bool) -> AmqpResult<bool> {
        Ok(active)
    }

    async fn publish_ack(&mut self, _: &Channel, ack: Ack) {
        self.tell(Told::Confirmed { tag: ack.delivery_tag(), multiple: ack.mutiple(), taken: true });
    }

    async fn publish_nack(&mut self, _: &Channel, nack: Nack) {
        self.tell(Told::Confirmed { tag: nack.delivery_tag(), multiple: nack.multiple(), taken: false });
    }

    async fn publish_return(&mut self, _: &Channel, _: Return, properties: BasicProperties, _: Vec<u8>) {
        if let Some(correlation) = properties.correlation_id() {
            self.tell(Told::Returned(correlation.clone()));
        }
    }
}

/// Notes that the channel was closed: the queue is not there.
struct Missing(Arc<AtomicBool>);

#[async_trait]
impl ChannelCallback for Missing {
    async fn close(&mut self, _: &Channel, _: CloseChannel) -> AmqpResult<()> {
        self.0.store(true, Ordering::SeqCst);
        Ok(())
    }

    async fn cancel(&mut self, _: &Channel, _: Cancel) -> AmqpResult<()> {
        Ok(())
    }

    async fn flow(&mut self, _: &Channel, active: bool) -> AmqpResult<bool> {
        Ok(active)
    }

    async fn publish_ack(&mut self, _: &Channel, _: Ack) {}

    async fn publish_nack(&mut self, _: &Channel, _: Nack) {}

    async fn publish_return(&mut self, _: &Channel, _: Return, _: BasicProperties, _: Vec<u8>) {}
}
