//! Sends what waits at one target, one after another.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use super::Message;
use crate::client::FetchError;
use crate::client::fetch::{fetch, json_request};
use crate::compile::NotifyTarget;
use crate::endpoint::Url;
use crate::live::read_secret;
use crate::message::Name;
use crate::telemetry::Meters;

/// For one try.
const PATIENCE: Duration = Duration::from_secs(10);
/// Before each further try: three tries within a minute.
const PAUSES: [Duration; 2] = [Duration::from_secs(5), Duration::from_secs(20)];

/// Until every sender of this target is dropped.
pub(super) async fn deliver(target: NotifyTarget, mut waiting: mpsc::Receiver<Arc<Message>>, metrics: Arc<Meters>) {
    while let Some(message) = waiting.recv().await {
        let result = match send(&target, &message).await {
            Ok(()) => "sent",
            Err(why) => {
                tracing::warn!(notify = &*target.name, route = &*message.route, %why, "a notification was not delivered");
                "failed"
            }
        };
        metrics.edge().notified(&target.name, result);
    }
}

/// Why one was not delivered. It never has the URL, which may be a secret.
#[derive(Debug, thiserror::Error)]
enum NotDelivered {
    #[error("its `url` cannot be read: {0}")]
    NoUrl(std::io::Error),
    #[error("its `url` is no URL")]
    BadUrl,
    #[error("its `token` cannot be read: {0}")]
    NoToken(std::io::Error),
    #[error("{0}")]
    NotTaken(FetchError),
}

async fn send(target: &NotifyTarget, message: &Message) -> Result<(), NotDelivered> {
    let Some((path, body)) = message.written(target) else { return Ok(()) };
    let url = read_secret(&target.url).map_err(NotDelivered::NoUrl)?;
    let url: Url = url.parse().map_err(|_| NotDelivered::BadUrl)?;
    let token = target.token.as_ref().map(read_secret).transpose().map_err(NotDelivered::NoToken)?;
    let mut pauses = PAUSES.into_iter();
    loop {
        let (mut head, body) = json_request(&url, Method::POST, path, Some(&body));
        if path.is_empty() {
            head.set_target(url.target().as_bytes());
        }
        if let Some(authorization) = token.as_ref().map(|token| format!("Bearer {token}")).or_else(|| basic(&url)) {
            head.fields.set(Name::Authorization, authorization.as_bytes());
        }
        let error = match timeout(PATIENCE, post(&url, &head, body)).await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) => error,
            Err(_) => FetchError::TooSlow(PATIENCE),
        };
        let again = !matches!(error, FetchError::Status(status) if (400..500).contains(&status) && status != 429 && status != 408);
        match pauses.next().filter(|_| again) {
            Some(pause) => sleep(pause).await,
            None => return Err(NotDelivered::NotTaken(error)),
        }
    }
}

/// User and password of the URL.
fn basic(url: &Url) -> Option<String> {
    use base64::Engine as _;
    let userinfo = percent_encoding::percent_decode_str(url.userinfo()?).collect::<Vec<u8>>();
    Some(format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(userinfo)))
}

async fn post(url: &Url, head: &crate::message::RequestHead, body: Option<Bytes>) -> Result<(), FetchError> {
    let response = fetch(url, head, body).await?;
    if response.head.status.is_success() { Ok(()) } else { Err(FetchError::Status(response.head.status.as_u16())) }
}
