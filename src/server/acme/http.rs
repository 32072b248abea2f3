//! The authority's API, asked with the client of our own.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use http_body_util::BodyExt as _;
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};
use rustls::ClientConfig;

use crate::client::{FetchError, OUR_AGENT, fetch};
use crate::endpoint::Url;
use crate::message::Name;

/// For one request; an authority signs in seconds.
const PATIENCE: Duration = Duration::from_secs(30);
/// A chain of certificates has some kilobytes.
const LARGEST: usize = 1 << 20;

/// `trust`: the authority that signed the certificate of the ACME server itself; `None`: an authority of this machine.
pub(super) struct Http {
    pub(super) trust: Option<Arc<ClientConfig>>,
}

impl HttpClient for Http {
    fn request(
        &self,
        request: http::Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let trust = self.trust.clone();
        Box::pin(async move {
            let asked = ask(request, trust);
            tokio::time::timeout(PATIENCE, asked).await.unwrap_or_else(|_| Err(other(FetchError::TooSlow(PATIENCE))))
        })
    }
}

async fn ask(
    request: http::Request<BodyWrapper<Bytes>>,
    trust: Option<Arc<ClientConfig>>,
) -> Result<BytesResponse, Error> {
    let (parts, body) = request.into_parts();
    let url: Url = parts.uri.to_string().parse().map_err(|bad| other(FetchError::BadUrl(bad)))?;
    let mut head = fetch::request(&url, parts.method.clone(), url.target());
    for (name, value) in &parts.headers {
        // The library's own name and ours.
        if name == http::header::USER_AGENT {
            head.fields.set(Name::UserAgent, OUR_AGENT.as_bytes());
        } else {
            head.fields.append(name.as_str(), value.as_bytes());
        }
    }
    let Ok(body) = body.collect().await;
    let body = (parts.method == Method::POST).then(|| body.to_bytes());
    let mut response = fetch::fetch_from(&url, &head, body, trust).await.map_err(other)?;
    let text = response.body(LARGEST).await.map_err(|fault| other(fault.into()))?;
    let text = text.ok_or_else(|| other(FetchError::TooLarge))?;
    let mut built = http::Response::builder().status(response.head.status);
    for (name, value) in response.head.fields.iter() {
        built = built.header(name, value);
    }
    let (parts, ()) = built.body(())?.into_parts();
    Ok(BytesResponse { parts, body: Box::new(Bytes::from(text)) })
}

fn other(error: FetchError) -> Error {
    Error::Other(Box::new(error))
}
