//! What an upstream's endpoints are: servers of HTTP, or something that a request is translated for.
//!
//! Everything above asks an [`End`] and gets a head and a body, whatever is behind it.

use std::sync::Arc;

use tokio::runtime::Handle;

use super::lambda::{Function, Invocation};
use super::{Brief, End, aws_credentials};
use crate::endpoint::TargetSpec;

/// Lives as long as the pool of its upstream, and over reloads that do not change it.
#[derive(Debug, Clone)]
pub enum Protocol {
    Http,
    Lambda(Arc<Function>),
}

impl Protocol {
    /// What it needs of its own runs on this runtime.
    #[must_use]
    pub fn start(spec: &TargetSpec, runtime: &Handle) -> Self {
        match spec {
            TargetSpec::Http => Self::Http,
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

    /// The end of one exchange over this connection.
    #[must_use]
    pub fn over(&self, connection: End, brief: Brief) -> End {
        match (self, connection) {
            // The file lets it have no other version.
            (Self::Lambda(function), End::Http1(connection)) => {
                End::Lambda(Box::new(Invocation::new(function, connection, brief)))
            }
            (_, connection) => connection,
        }
    }
}
