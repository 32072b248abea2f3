//! Active checks: one task for each endpoint, as long as it is listed.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, Version};
use tokio::io::{AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep_until, timeout};

use super::endpoint::Endpoint;
use super::endpoint_health::EndpointKey;
use super::peers::Place;
use super::pool::PoolRef;
use crate::client::ask::ask;
use crate::client::{AskError, BusDown, End, FetchError, Request, task};
use crate::endpoint::{Health, HealthCheck, HealthRequest, HttpVersions};
use crate::message::{Framing, Name, ProxiedAddresses, RequestHead};

/// While the checks contradict the verdict, or requests fail to connect, they follow each other faster than the interval.
const IN_DOUBT: Duration = Duration::from_millis(300);

/// Keeps one task for each member of the pool.
pub(super) async fn keep_checked(pool: PoolRef) {
    let mut tasks = Tasks::default();
    let Some((health, changed, host, versions)) = pool.upgrade().and_then(|pool| {
        let spec = pool.spec();
        Some((spec.health.clone()?, Arc::clone(&pool.members_changed), spec.host.clone(), spec.http))
    }) else {
        return;
    };
    loop {
        let Some(members) = pool.upgrade().map(|pool| pool.with_members(|members| members.listed.clone())) else {
            return;
        };
        tasks.0.retain(|key, task| {
            let stays = members.iter().any(|endpoint| endpoint.key() == *key);
            if !stays {
                task.abort();
            }
            stays
        });
        for endpoint in members {
            tasks.0.entry(endpoint.key()).or_insert_with(|| {
                let check = Check { endpoint, health: health.clone(), host: host.clone(), versions };
                tokio::spawn(task::boxed(check.again_and_again())).abort_handle()
            });
        }
        changed.notified().await;
    }
}

/// The checks end when the pool that started them is dropped.
#[derive(Default)]
struct Tasks(HashMap<EndpointKey, AbortHandle>);

impl Drop for Tasks {
    fn drop(&mut self) {
        for task in self.0.values() {
            task.abort();
        }
    }
}

struct Check {
    endpoint: Arc<Endpoint>,
    health: Health,
    /// The host of its requests; `None`: the endpoint's own name.
    host: Option<Box<str>>,
    versions: HttpVersions,
}

/// Why an endpoint did not pass a check.
#[derive(Debug, thiserror::Error)]
enum CheckFailed {
    #[error(transparent)]
    NotConnected(#[from] std::io::Error),
    #[error(transparent)]
    NotAsked(#[from] FetchError),
    #[error(transparent)]
    Target(#[from] BusDown),
    #[error("status {0}")]
    Status(u16),
    #[error("status {status} to Host `{asked}`; `health.host` names another")]
    Host { status: u16, asked: String },
    #[error("no answer within {} s", .0.as_secs_f64())]
    Late(Duration),
}

impl Check {
    async fn again_and_again(self) {
        loop {
            let began = Instant::now();
            let complaint = match timeout(self.health.timeout, self.once()).await {
                Ok(Ok(())) => None,
                Ok(Err(why)) => Some(why.to_string()),
                Err(_) => Some(CheckFailed::Late(self.health.timeout).to_string()),
            };
            let Some(pool) = self.endpoint.pool.upgrade() else { return };
            let settled = pool.checked(&self.endpoint, complaint);
            drop(pool);
            let soon = began + IN_DOUBT.min(self.health.interval);
            // A tenth more or less, so that the checks of many proxies do not fall together.
            let regular = began + self.health.interval.mul_f64(0.9 + 0.2 * fastrand::f64());
            if !settled {
                sleep_until(soon).await;
                continue;
            }
            tokio::select! {
                () = sleep_until(regular) => {}
                () = self.endpoint.health.doubted.notified() => sleep_until(soon).await,
            }
        }
    }

    async fn once(&self) -> Result<(), CheckFailed> {
        match &self.health.check {
            HealthCheck::Connect => Ok(self.connect().await?),
            HealthCheck::Http(request) => self.ask(request).await,
            HealthCheck::Target => {
                // Without a pool the result has no reader.
                let target = self.endpoint.pool.upgrade().map(|pool| pool.target().clone());
                match target {
                    Some(target) => Ok(target.check().await?),
                    None => Ok(()),
                }
            }
        }
    }

    async fn connect(&self) -> std::io::Result<()> {
        match &self.endpoint.place {
            Place::Inet(address) => self.introduce(TcpStream::connect(address).await?).await,
            Place::Unix(path) => self.introduce(UnixStream::connect(path).await?).await,
        }
    }

    /// An endpoint that waits for a PROXY header is told that the connection is ours.
    async fn introduce(&self, mut socket: impl AsyncWrite + Unpin) -> std::io::Result<()> {
        match self.endpoint.peers.1.proxy_protocol() {
            Some(version) => socket.write_all(&ProxiedAddresses::header(None, version)).await,
            None => Ok(()),
        }
    }

    async fn ask(&self, request: &HealthRequest) -> Result<(), CheckFailed> {
        let (lowest, highest) = request.statuses;
        let status = self.status_of(request).await.map_err(|error| match error {
            AskError::Connect(error) => FetchError::from(error),
            AskError::Broken(fault) => FetchError::from(fault),
        })?;
        match status {
            _ if (lowest..=highest).contains(&status) => Ok(()),
            // Applications that know their names (Django's ALLOWED_HOSTS) answer so to any other.
            400 | 421 if request.host.is_none() => Err(CheckFailed::Host { status, asked: self.own_host().to_owned() }),
            _ => Err(CheckFailed::Status(status)),
        }
    }

    /// The Host of a check for which the file names none.
    fn own_host(&self) -> &str {
        self.host.as_deref().unwrap_or(&self.endpoint.authority)
    }

    /// HTTP/1.1 unless the endpoint may speak nothing else: each check then makes a connection, as a new client would.
    async fn status_of(&self, asked: &HealthRequest) -> Result<u16, AskError> {
        let mut head = RequestHead::new(asked.method.clone(), Version::HTTP_11, asked.path.as_bytes());
        let own = self.own_host().as_bytes();
        head.fields.append(Name::Host, asked.host.as_ref().map_or(own, HeaderValue::as_bytes));
        head.fields.append(Name::UserAgent, b"multilith-check");
        for (name, value) in &asked.headers {
            head.fields.set(name, value.as_bytes());
        }
        head.fields.append(Name::Connection, b"close");
        let request = Request { head: &head, framing: Framing::None, body: &[] };
        let (own, http1) = &*self.endpoint.peers;
        let (peer, versions) = match self.versions {
            HttpVersions::Http2 => (own, HttpVersions::Http2),
            HttpVersions::Http1 | HttpVersions::Auto => (http1, HttpVersions::Http1),
        };
        // The limit of the whole check bounds the connection, too. It is closed behind the response.
        let end = End::connect(&peer.for_client(None), None, (self.endpoint.connection_key, versions), Duration::ZERO)
            .await?;
        let response = ask(end, &request).await?;
        Ok(response.head.status.as_u16())
    }
}
