//! Active checks: one task for each endpoint, as long as it is listed.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use http::Method;
use pingora::http::RequestHeader;
use tokio::net::{TcpStream, UnixStream};
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep_until, timeout};

use super::endpoint::Endpoint;
use super::http_client::HttpClient;
use super::peers::Place;
use super::pool::PoolRef;
use super::vitals::EndpointKey;
use crate::endpoint::{Health, HealthCheck, HttpVersions};

/// While the checks contradict the verdict, or requests fail to connect, they follow each other faster than the interval.
const IN_DOUBT: Duration = Duration::from_millis(300);

/// Keeps one task for each member of the pool.
pub(super) async fn keep_checked(pool: PoolRef, client: Arc<HttpClient>) {
    let mut tasks = Tasks::default();
    let Some((health, changed, versions)) = pool.upgrade().and_then(|pool| {
        let spec = pool.spec();
        Some((spec.health.clone()?, Arc::clone(&pool.members_changed), spec.http))
    }) else {
        return;
    };
    loop {
        let Some(members) = pool.upgrade().map(|pool| pool.with_roll(|roll| roll.members.clone())) else { return };
        tasks.0.retain(|key, task| {
            let stays = members.iter().any(|endpoint| endpoint.key() == *key);
            if !stays {
                task.abort();
            }
            stays
        });
        for endpoint in members {
            tasks.0.entry(endpoint.key()).or_insert_with(|| {
                let check = Check { endpoint, health: health.clone(), client: Arc::clone(&client), versions };
                tokio::spawn(check.again_and_again()).abort_handle()
            });
        }
        changed.notified().await;
    }
}

/// The checks end with whoever started them.
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
    client: Arc<HttpClient>,
    versions: HttpVersions,
}

impl Check {
    async fn again_and_again(self) {
        loop {
            let began = Instant::now();
            let complaint = match timeout(self.health.timeout, self.once()).await {
                Ok(Ok(())) => None,
                Ok(Err(why)) => Some(why),
                Err(_) => Some(format!("no answer within {} s", self.health.timeout.as_secs_f64())),
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
                () = self.endpoint.vitals.doubted.notified() => sleep_until(soon).await,
            }
        }
    }

    async fn once(&self) -> Result<(), String> {
        match &self.health.check {
            HealthCheck::Connect => self.connect().await.map_err(|error| error.to_string()),
            HealthCheck::Http { path, statuses } => self.get(path, *statuses).await,
        }
    }

    async fn connect(&self) -> std::io::Result<()> {
        match &self.endpoint.place {
            Place::Inet(address) => TcpStream::connect(address).await.map(drop),
            Place::Unix(path) => UnixStream::connect(path).await.map(drop),
        }
    }

    async fn get(&self, path: &str, (lowest, highest): (u16, u16)) -> Result<(), String> {
        // HTTP/1.1 unless the endpoint may speak nothing else: each check then makes a connection, as a new client would.
        let (own, http1) = &*self.endpoint.peers;
        let http2 = self.versions == HttpVersions::Http2;
        let mut peer = if http2 { own.clone() } else { http1.clone() };
        peer.options.read_timeout = Some(self.health.timeout);
        let head = if http2 { self.head_http2(path) } else { self.head_http1(path) };
        let head = head.map_err(|error| error.etype().as_str().to_owned())?;
        let answer = self.client.exchange(&peer, head, None).await.map_err(|no| no.to_string())?;
        let status = answer.head.status.as_u16();
        if (lowest..=highest).contains(&status) { Ok(()) } else { Err(format!("status {status}")) }
    }

    fn head_http1(&self, path: &str) -> pingora::Result<RequestHeader> {
        let mut head = RequestHeader::build(Method::GET, path.as_bytes(), None)?;
        head.insert_header("host", &*self.endpoint.authority)?;
        head.insert_header("user-agent", "multilith-check")?;
        head.insert_header("connection", "close")?;
        Ok(head)
    }

    fn head_http2(&self, path: &str) -> pingora::Result<RequestHeader> {
        let mut head = RequestHeader::build(Method::GET, path.as_bytes(), None)?;
        let scheme = if self.endpoint.peers.0.is_tls() { "https" } else { "http" };
        let uri = http::Uri::builder().scheme(scheme).authority(&*self.endpoint.authority).path_and_query(path).build();
        if let Ok(uri) = uri {
            head.set_uri(uri);
        }
        head.set_version(http::Version::HTTP_2);
        head.insert_header("user-agent", "multilith-check")?;
        Ok(head)
    }
}
