//! All that is asked about the client of one request, and what comes of it.

use std::sync::Arc;

use http::HeaderName;

use super::forward::{AuthServer, Denial, Said};
use super::token_exchange::{Exchanged, TokenServer};
use crate::compile::Route;
use crate::guard::forged;
use crate::guard::headers::ForwardedHeaders;
use crate::message::{Fields, RequestHead};

/// The servers that one route asks.
#[derive(Debug, Clone)]
pub struct Identification {
    pub forward: Option<Arc<AuthServer>>,
    pub exchange: Option<Arc<TokenServer>>,
}

/// Why a service is not asked.
#[derive(Debug)]
pub enum Unidentified {
    /// The client gets this answer.
    Denied(Arc<Denial>),
    /// The server that exchanges credentials does not take the client's.
    Refused,
    /// A server that must be asked gave no answer.
    NoAnswer,
}

/// The headers that tell a service the client's identity.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClientIdentity {
    /// Every name that one of the servers could have filled.
    names: Vec<HeaderName>,
    values: Vec<(HeaderName, Box<[u8]>)>,
}

/// The servers that a copy asks before it is sent.
#[derive(Debug)]
pub struct Inquiry {
    pub asks: Arc<Identification>,
    /// As for the request that it was made of.
    pub forwarded: Option<ForwardedHeaders>,
}

impl Identification {
    /// Asks all servers about a client. `head`: the client's, cleaned.
    ///
    /// # Errors
    /// The service must not be asked.
    pub async fn identify(
        &self,
        head: &RequestHead,
        forwarded: Option<&ForwardedHeaders>,
    ) -> Result<ClientIdentity, Unidentified> {
        let mut identity = ClientIdentity::default();
        if let Some(server) = &self.forward {
            let headers = match server.ask(head, forwarded).await {
                Said::Passes(headers) => headers,
                Said::Denied(denial) => return Err(Unidentified::Denied(denial)),
                Said::NoAnswer => return Err(Unidentified::NoAnswer),
            };
            identity.names.extend_from_slice(server.headers());
            identity.values.extend_from_slice(&headers);
        }
        if let Some(server) = &self.exchange {
            identity.names.extend(server.headers().cloned());
            match server.exchange(head).await {
                Exchanged::Nothing => {}
                Exchanged::For(headers) => identity.values.extend_from_slice(&headers),
                Exchanged::Refused => return Err(Unidentified::Refused),
                Exchanged::NoAnswer => return Err(Unidentified::NoAnswer),
            }
        }
        Ok(identity)
    }
}

impl Inquiry {
    /// As [`Identification::identify`].
    ///
    /// # Errors
    /// The copy must not be sent.
    pub async fn identify(&self, head: &RequestHead) -> Result<ClientIdentity, Unidentified> {
        self.asks.identify(head, self.forwarded.as_ref()).await
    }
}

impl ClientIdentity {
    /// Writes what is known of the client in place of what it says itself.
    pub fn write(&self, fields: &mut Fields) {
        forged::remove(fields, &self.names);
        for (name, value) in &self.values {
            fields.append_named(name, value);
        }
    }

    /// Names the headers that the servers of a route would fill, for `explain`. `None`: it
    /// asks no server.
    #[must_use]
    pub fn announced(route: &Route) -> Option<Self> {
        let forward = route.identity.forward.as_deref();
        let exchange = route.identity.exchange.as_deref();
        let forwarded = forward.into_iter().flat_map(|rule| &rule.headers).map(|name| (name, "(from auth.forward)"));
        let exchanged = exchange.into_iter().flat_map(|rule| &rule.set).map(|(name, _)| (name, "(from auth.exchange)"));
        let values: Vec<_> =
            forwarded.chain(exchanged).map(|(name, text)| (name.clone(), Box::from(text.as_bytes()))).collect();
        let names = values.iter().map(|(name, _)| name.clone()).collect();
        (forward.is_some() || exchange.is_some()).then_some(Self { names, values })
    }
}
