//! The servers of all routes, with the answers that are kept of them. They outlive reloads.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use super::{AuthServer, Identification, TokenServer};
use crate::compile::Route;
use crate::route::{ForwardAuth, TokenExchange};

/// By what the file says of each: routes that say the same share its answers.
#[derive(Debug, Default)]
pub struct AuthServers {
    forward: Mutex<HashMap<ForwardAuth, Arc<AuthServer>>>,
    exchange: Mutex<HashMap<TokenExchange, Arc<TokenServer>>>,
}

impl AuthServers {
    /// The servers to ask where a service of this route answers; `None`: there are none.
    pub fn of(&self, route: &Route) -> Option<Arc<Identification>> {
        self.both(route.identity.forward.as_deref(), route.identity.exchange.as_deref())
    }

    /// The servers to ask where a service of this route gets a copy.
    pub fn for_copies(&self, route: &Route) -> Option<Arc<Identification>> {
        self.both(route.identity.forward.as_deref(), route.identity.for_copies.as_deref())
    }

    /// Forgets the servers that no route asks any more.
    pub fn retain(&self, routes: &[Arc<Route>]) {
        let forwards = |rule: &ForwardAuth| routes.iter().any(|route| route.identity.forward.as_deref() == Some(rule));
        self.forward.lock().retain(|rule, _| forwards(rule));
        let exchanges = |rule: &TokenExchange| {
            let of = |route: &Route| {
                let both = [&route.identity.exchange, &route.identity.for_copies];
                both.into_iter().any(|own| own.as_deref() == Some(rule))
            };
            routes.iter().any(|route| of(route))
        };
        self.exchange.lock().retain(|rule, _| exchanges(rule));
    }

    fn both(&self, forward: Option<&ForwardAuth>, exchange: Option<&TokenExchange>) -> Option<Arc<Identification>> {
        const READ: &str = "the URL was read when the file was compiled";
        let forward = forward.map(|rule| {
            let mut known = self.forward.lock();
            let server = known.entry(rule.clone()).or_insert_with(|| Arc::new(AuthServer::new(rule).expect(READ)));
            Arc::clone(server)
        });
        let exchange = exchange.map(|rule| {
            let mut known = self.exchange.lock();
            let server = known.entry(rule.clone()).or_insert_with(|| Arc::new(TokenServer::new(rule).expect(READ)));
            Arc::clone(server)
        });
        (forward.is_some() || exchange.is_some()).then(|| Arc::new(Identification { forward, exchange }))
    }
}
