//! A service of Nameko as an upstream: a request becomes a message on the bus, the reply becomes the response.
//!
//! One connection for each upstream, with one reply queue; calls are told apart by their correlation ids. Every message has
//! `reply_to` (without it the service dies), an expiration (without it a call runs after its client was told 504) and is mandatory
//! on a channel with confirms (which tells "no consumer" from "slow"). The expiration is counted by the broker, from when it takes the
//! message: what was on its way to a broker that stopped reading may still run after its client was told 504. No message is sent twice
//! by us, whatever becomes of it; a broker hands out once more what a service had taken when it died.

mod call;
mod reply;
mod session;

use std::fmt;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use amqprs::connection::OpenConnectionArguments;
use amqprs::tls::TlsAdaptor;
use pingora::tls::TlsConnector;
use rustls::ClientConfig;
use serde_json::{Map, Value};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot, watch};

use super::{Brief, CallContext, ConnectError, Translation};
use crate::client::task;
use crate::endpoint::{BrokerSpec, NamekoSpec};
use crate::route::BadArguments;
pub use call::BusCall;
use session::{Aborted, Ended, Session};

/// Calls that wait for the task that publishes, which never waits itself.
const WAITING: usize = 1024;
/// For a connection, its handshakes and the declarations.
const OPEN: Duration = Duration::from_secs(5);
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// Where the file has no limit for connecting.
const READY: Duration = Duration::from_secs(2);
const HEARTBEAT: u16 = 20;
/// `check` refuses a file without a limit.
const LONGEST: Duration = Duration::from_secs(3600);

/// One service, and the connection to its bus.
pub struct Bus {
    spec: NamekoSpec,
    publishes: mpsc::Sender<Publish>,
    standing: watch::Sender<BusState>,
}

impl fmt::Debug for Bus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bus").field("service", &self.spec.service).finish_non_exhaustive()
    }
}

/// The state of the bus and of the service's queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum BusState {
    /// Nothing yet.
    Unknown,
    Down(String),
    /// Connected; the number of consumers of the service's queue, if that was seen.
    Open(Option<u32>),
    /// The broker takes no messages for now.
    Blocked,
}

/// One call on its way to the bus.
pub(super) struct Publish {
    pub(super) routing_key: String,
    pub(super) body: Vec<u8>,
    pub(super) correlation: String,
    pub(super) context: CallContext,
    /// It must not begin later than this.
    pub(super) until: Instant,
    pub(super) heard: oneshot::Sender<Heard>,
}

/// The outcome of a call. A sender that is dropped: the connection ended, and it is not known whether it ran.
#[derive(Debug)]
pub(super) enum Heard {
    NotSent,
    /// No queue is bound for the service: nothing ran.
    NoQueue,
    /// The broker takes nothing, so it was not sent: nothing ran.
    Refused,
    Reply(Vec<u8>),
}

impl Bus {
    pub(super) fn start(spec: NamekoSpec, tls: Option<BrokerTls>, runtime: &Handle) -> Arc<Self> {
        let (publishes, calls) = mpsc::channel(WAITING);
        let nameko = Arc::new(Self { spec, publishes, standing: watch::Sender::new(BusState::Unknown) });
        if nameko.spec.broker.tls && tls.is_none() {
            // Why was reported. The password does not go out in the clear instead.
            nameko.stands(BusState::Down("its certificates cannot be used".to_owned()));
        } else {
            runtime.spawn(task::boxed(keep(Arc::downgrade(&nameko), calls, tls)));
        }
        nameko
    }

    /// A message may be published.
    pub(super) fn is_open(&self) -> bool {
        matches!(*self.standing.borrow(), BusState::Open(_) | BusState::Blocked)
    }

    /// Waits until one may.
    pub(super) async fn ready(&self, limit: Option<Duration>) -> Result<(), ConnectError> {
        let limit = limit.unwrap_or(READY);
        let mut standing = self.standing.subscribe();
        let open = standing.wait_for(|standing| matches!(standing, BusState::Open(_) | BusState::Blocked));
        // The sender is this one's own.
        tokio::time::timeout(limit, open).await.map(|_| ()).map_err(|_| ConnectError::Timeout(limit))
    }

    /// Waits until it is known whether the service's queue has a consumer.
    pub(super) async fn check(&self) -> Result<(), BusDown> {
        let mut standing = self.standing.subscribe();
        let known = standing.wait_for(|standing| !matches!(standing, BusState::Unknown | BusState::Open(None))).await;
        match known.as_deref() {
            Ok(BusState::Open(Some(0))) => Err(BusDown::NoConsumer(format!("rpc-{}", self.spec.service))),
            Ok(BusState::Down(why)) => Err(BusDown::Broker(why.clone())),
            Ok(BusState::Blocked) => Err(BusDown::Blocked),
            _ => Ok(()),
        }
    }

    fn stands(&self, now: BusState) {
        self.standing.send_if_modified(|standing| {
            let changed = *standing != now;
            *standing = now;
            changed
        });
    }
}

/// Why a call would not be answered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BusDown {
    #[error("nobody consumes `{0}`")]
    NoConsumer(String),
    #[error("{0}")]
    Broker(String),
    #[error("the broker takes no messages")]
    Blocked,
}

/// Why there is no connection to the bus.
#[derive(Debug, thiserror::Error)]
enum NoSession {
    #[error(transparent)]
    Broker(amqprs::error::Error),
    #[error("what answers does not greet as a broker")]
    NoGreeting,
    #[error("no connection within {OPEN:?}")]
    TooSlow,
    #[error("the connection ended")]
    Lost,
}

/// A worker's context has the ids of its callers, parents first.
const CALL_ID_STACK: &str = "nameko.call_id_stack";

/// The rest of what a worker's context is made of, under the prefix that Nameko takes off. The instrumentation of Nameko for
/// OpenTelemetry finds the trace under the names that it has in HTTP.
fn texts(context: &CallContext) -> impl Iterator<Item = (&'static str, &str)> {
    let CallContext { call_id: _, user, traceparent, tracestate } = context;
    let texts = [("nameko.user_id", user), ("nameko.traceparent", traceparent), ("nameko.tracestate", tracestate)];
    texts.into_iter().filter_map(|(name, text)| Some((name, text.as_deref()?)))
}

/// How long a call may wait before it begins: one that would begin only when its client is told 504 does not.
fn begins_within(brief: &Brief) -> Duration {
    brief.limit.unwrap_or(LONGEST).mul_f64(0.95)
}

/// The call that a request becomes, for a person.
pub(super) fn translation(spec: &NamekoSpec, brief: Brief) -> Translation {
    let mut told = Translation {
        target: "nameko",
        to: format!("{}.? at {}", spec.service, spec.exchange),
        expires_seconds: Some(begins_within(&brief).as_secs_f64()),
        headers: Map::new(),
        message: Value::Null,
        refused: None,
    };
    let Some(remote) = brief.remote else { return told };
    told.to = format!("{}.{} at {}", spec.service, remote.call.method, spec.exchange);
    let texts = texts(&remote.context).map(|(name, text)| (name.to_owned(), text.into()));
    told.headers.extend(texts);
    told.headers.insert(CALL_ID_STACK.to_owned(), vec![remote.context.call_id].into());
    match remote.arguments {
        Ok(arguments) => told.message = arguments.shown(),
        Err(BadArguments) => {
            told.refused = Some("400 (an argument is not of the kind that `call` asks for)".to_owned());
        }
    }
    told
}

/// How a broker is spoken to with TLS.
#[derive(Debug, Clone)]
pub struct BrokerTls {
    pub config: Arc<ClientConfig>,
    /// The name in its certificate.
    pub server_name: Box<str>,
}

/// Where a broker is and how it is logged in to.
#[must_use]
pub fn arguments(broker: &BrokerSpec, tls: Option<&BrokerTls>, name: &str) -> OpenConnectionArguments {
    // The library puts the port behind it.
    let host = if broker.host.contains(':') { format!("[{}]", broker.host) } else { broker.host.to_string() };
    let mut arguments = OpenConnectionArguments::new(&host, broker.port, &broker.user, &broker.password.0);
    arguments.virtual_host(&broker.virtual_host).connection_name(name).heartbeat(HEARTBEAT);
    if let Some(tls) = tls {
        let mut config = ClientConfig::clone(&tls.config);
        config.alpn_protocols.clear();
        let connector = TlsConnector::from(Arc::new(config));
        arguments.tls_adaptor(TlsAdaptor::new(connector, tls.server_name.to_string()));
    }
    arguments
}

/// Keeps the connection for as long as the target is there. Calls that wait while there is none were not sent.
async fn keep(target: Weak<Bus>, mut calls: mpsc::Receiver<Publish>, tls: Option<BrokerTls>) {
    let mut pause = FIRST_PAUSE;
    loop {
        let Some(spec) = target.upgrade().map(|target| target.spec.clone()) else { return };
        // A task of its own: the library panics at some greetings.
        let opening = tokio::spawn(Session::open(spec.clone(), tls.clone()));
        let _opening = Aborted(opening.abort_handle());
        let opened = match tokio::time::timeout(OPEN, opening).await {
            Ok(Ok(opened)) => opened.map_err(NoSession::Broker),
            Ok(Err(_)) => Err(NoSession::NoGreeting),
            Err(_) => Err(NoSession::TooSlow),
        };
        let why = match opened {
            Ok(session) => {
                tracing::info!(service = &*spec.service, broker = %spec.broker, "connected to a bus");
                pause = FIRST_PAUSE;
                match session.run(&target, &spec, &mut calls).await {
                    Ended::Dropped => return,
                    Ended::Lost => NoSession::Lost,
                }
            }
            Err(why) => why,
        };
        {
            let Some(target) = target.upgrade() else { return };
            tracing::warn!(service = &*spec.service, broker = %spec.broker, %why, "no connection to a bus");
            target.stands(BusState::Down(why.to_string()));
        }
        let rest = tokio::time::sleep(pause);
        tokio::pin!(rest);
        loop {
            tokio::select! {
                () = &mut rest => break,
                call = calls.recv() => match call {
                    // The caller has gone: fine.
                    Some(call) => drop(call.heard.send(Heard::NotSent)),
                    None => return,
                },
            }
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_is_told_the_user_and_the_trace_where_there_are_any() {
        let told =
            |context: &CallContext| texts(context).map(|(name, text)| format!("{name}: {text}")).collect::<Vec<_>>();
        let mut context =
            CallContext { call_id: "multilith.greet.7f".to_owned(), user: None, traceparent: None, tracestate: None };
        assert!(told(&context).is_empty());
        context.traceparent = Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned());
        context.tracestate = Some("shop=1".to_owned());
        context.user = Some("ann".to_owned());
        assert_eq!(
            told(&context),
            [
                "nameko.user_id: ann",
                "nameko.traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
                "nameko.tracestate: shop=1",
            ]
        );
    }
}
