//! The kind of an upstream's endpoints: servers of HTTP, or something that a request is translated for.
//!
//! Everything above asks an [`End`] and gets a head and a body, whatever is behind it.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::runtime::Handle;

use super::lambda::{Function, Invocation};
use super::nameko::{Bus, BusCall, BusDown};
use super::translated::refused;
use super::{Brief, BrokerTls, ConnectError, End, Translation, aws_credentials, lambda, nameko};
use crate::endpoint::TargetSpec;
use crate::message::RequestHead;

/// Lives as long as the pool of its upstream, and over reloads that do not change it.
#[derive(Debug, Clone)]
pub enum Protocol {
    Http,
    Lambda(Arc<Function>),
    Nameko(Arc<Bus>),
}

impl Protocol {
    /// The target's own tasks run on this runtime.
    #[must_use]
    pub fn start(spec: &TargetSpec, tls: Option<BrokerTls>, runtime: &Handle) -> Self {
        match spec {
            TargetSpec::Http => Self::Http,
            TargetSpec::Nameko(spec) => Self::Nameko(Bus::start(spec.as_ref().clone(), tls, runtime)),
            TargetSpec::Lambda(spec) => {
                let keys = aws_credentials::kept(&spec.credentials, &spec.function, runtime);
                Self::Lambda(Function::new(spec.as_ref().clone(), keys))
            }
        }
    }

    /// Whether requests go out as they are.
    #[must_use]
    pub const fn is_http(&self) -> bool {
        matches!(self, Self::Http)
    }

    /// An end that needs no connection of its own, where the target keeps one for all and it is there.
    #[must_use]
    pub fn shared(&self) -> Option<End> {
        match self {
            Self::Nameko(bus) if bus.is_open() => Some(End::Nameko(Box::new(BusCall::new(bus)))),
            _ => None,
        }
    }

    /// Waits for that connection; `None`: each exchange has its own.
    pub async fn connected(&self, limit: Option<Duration>) -> Option<Result<End, ConnectError>> {
        let Self::Nameko(bus) = self else { return None };
        let ready = bus.ready(limit).await;
        Some(ready.map(|()| End::Nameko(Box::new(BusCall::new(bus)))))
    }

    /// Whether a call would be answered, where the target knows.
    ///
    /// # Errors
    /// Why it would not.
    pub async fn check(&self) -> Result<(), BusDown> {
        match self {
            Self::Nameko(bus) => bus.check().await,
            Self::Http | Self::Lambda(_) => Ok(()),
        }
    }

    /// The end of one exchange over this connection.
    #[must_use]
    pub fn over(&self, connection: End, brief: Brief) -> End {
        match (self, connection) {
            // The file lets it have no other version.
            (Self::Lambda(function), End::Http1(connection)) => {
                End::Lambda(Box::new(Invocation::new(function, connection, brief)))
            }
            (Self::Nameko(_), End::Nameko(call)) => End::Nameko(call.briefed(brief)),
            (_, connection) => connection,
        }
    }
}

impl Translation {
    /// `None`: the target is a server of HTTP. The head is as it would be written for it, without a body.
    #[must_use]
    pub fn of(spec: &TargetSpec, head: &RequestHead, brief: Brief) -> Option<Self> {
        let mut told = match spec {
            TargetSpec::Http => return None,
            TargetSpec::Lambda(spec) => lambda::translation(spec, head, &brief),
            TargetSpec::Nameko(spec) => nameko::translation(spec, brief),
        };
        if let Some(reason) = refused(head) {
            told.message = Value::Null;
            told.refused = Some(format!("501 ({reason})"));
        }
        Some(told)
    }
}
