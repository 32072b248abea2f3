//! The API server: where it is, what it is shown, and the two questions that are asked of it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use http::Method;
use rustls::ClientConfig;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::Value;
use tokio::time::timeout;

use super::super::ANSWER;
use crate::client::JsonLines;
use crate::client::tls::{self, Trust};
use crate::client::{FetchError, Response, fetch};
use crate::endpoint::KubernetesService;
use crate::endpoint::Url;
use crate::message::{Name, RequestHead};

/// The service account's files, which every pod has.
const ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// The server ends a watch after this time.
pub(super) const WATCH: Duration = Duration::from_secs(240);

const LARGEST_LIST: usize = 64 << 20;

/// Why the API server could not be asked, or did not answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum ApiError {
    #[error("{0}")]
    Fetch(#[from] FetchError),
    #[error("status 401: the token is not taken")]
    BadToken,
    #[error("status 403: the service account must be allowed to list and watch endpointslices")]
    Forbidden,
    /// The version to begin with is too old.
    #[error("status 410")]
    TooOld,
    #[error("`{0}` is not set: outside of a cluster, `api` says where it is")]
    NoCluster(&'static str),
    #[error("`{}`: {why}", file.display())]
    File { file: PathBuf, why: String },
    #[error("{0}")]
    Said(String),
}

impl From<crate::endpoint::BadUrl> for ApiError {
    fn from(bad: crate::endpoint::BadUrl) -> Self {
        Self::Fetch(bad.into())
    }
}

/// The slices of one service.
#[derive(Debug, Clone)]
pub(super) struct Api {
    url: Url,
    /// Path and query of the list.
    target: String,
    /// Read for each question: the cluster writes a new one every hour.
    token: Option<PathBuf>,
    ca: Option<PathBuf>,
}

impl Api {
    /// Values that the file leaves out are the pod's own.
    pub(super) async fn of(service: &KubernetesService) -> Result<Self, ApiError> {
        let inside = service.api.is_none();
        let url = match &service.api {
            Some(url) => url.parse()?,
            None => of_this_pod()?.parse()?,
        };
        let account = |name: &str| Path::new(ACCOUNT).join(name);
        let namespace = match &service.namespace {
            Some(namespace) => namespace.to_string(),
            None => read(&account("namespace")).await?.trim().to_owned(),
        };
        let own = |given: &Option<PathBuf>, name: &str| given.clone().or_else(|| inside.then(|| account(name)));
        let target = format!(
            "/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices?labelSelector=kubernetes.io%2Fservice-name%3D{}",
            service.service
        );
        Ok(Self { url, target, token: own(&service.token, "token"), ca: own(&service.ca, "ca.crt") })
    }

    pub(super) async fn list(&self) -> Result<Value, ApiError> {
        let exchange = async {
            let mut response = self.ask("").await?;
            let body = response.body(LARGEST_LIST).await.map_err(FetchError::from)?.ok_or(FetchError::TooLarge)?;
            Ok(serde_json::from_slice(&body).map_err(|error| FetchError::NotUnderstood(error.to_string()))?)
        };
        timeout(ANSWER, exchange).await.map_err(|_| FetchError::TooSlow(ANSWER))?
    }

    /// Events behind this version.
    pub(super) async fn watch(&self, version: &str) -> Result<JsonLines, ApiError> {
        let more =
            format!("&watch=1&allowWatchBookmarks=true&resourceVersion={version}&timeoutSeconds={}", WATCH.as_secs());
        let response = timeout(ANSWER, self.ask(&more)).await.map_err(|_| FetchError::TooSlow(ANSWER))??;
        Ok(JsonLines::new(response))
    }

    /// `more` is added to the query.
    async fn ask(&self, more: &str) -> Result<Response, ApiError> {
        let trust = match &self.ca {
            Some(ca) if self.url.is_tls() => Some(trust(ca).await?),
            _ => None,
        };
        let (mut head, _) = fetch::json_request(&self.url, Method::GET, &format!("{}{more}", self.target), None);
        self.sign(&mut head).await?;
        let response = fetch::fetch_from(&self.url, &head, None, trust).await?;
        match response.head.status.as_u16() {
            200 => Ok(response),
            401 => Err(ApiError::BadToken),
            403 => Err(ApiError::Forbidden),
            410 => Err(ApiError::TooOld),
            status => Err(FetchError::Status(status).into()),
        }
    }

    async fn sign(&self, head: &mut RequestHead) -> Result<(), ApiError> {
        if let Some(token) = &self.token {
            let value = format!("Bearer {}", read(token).await?.trim());
            if !crate::message::is_value(value.as_bytes()) {
                return Err(ApiError::File { file: token.clone(), why: "it holds no token".to_owned() });
            }
            head.fields.set(Name::Authorization, value.as_bytes());
        }
        Ok(())
    }
}

/// The URL of the API server as every pod is told it.
fn of_this_pod() -> Result<String, ApiError> {
    let variable = |name: &'static str| std::env::var(name).map_err(|_| ApiError::NoCluster(name));
    let (host, port) = (variable("KUBERNETES_SERVICE_HOST")?, variable("KUBERNETES_SERVICE_PORT")?);
    Ok(if host.contains(':') { format!("https://[{host}]:{port}") } else { format!("https://{host}:{port}") })
}

async fn trust(ca: &Path) -> Result<Arc<ClientConfig>, ApiError> {
    let text = read(ca).await?;
    let bad = |why: &dyn std::fmt::Display| ApiError::File { file: ca.into(), why: why.to_string() };
    let authorities: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text.as_bytes()).collect();
    let trust = Trust { authorities: Some(authorities.map_err(|error| bad(&error))?), ..Trust::default() };
    Ok(Arc::new(tls::config(trust, None).map_err(|error| bad(&error))?))
}

async fn read(path: &Path) -> Result<String, ApiError> {
    let read = tokio::fs::read_to_string(path).await;
    read.map_err(|error| ApiError::File { file: path.into(), why: error.to_string() })
}
