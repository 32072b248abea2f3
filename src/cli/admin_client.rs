//! Talks to the admin listener of a running proxy.

use std::io::BufReader;
use std::path::PathBuf;
use std::time::Duration;

use serde::de::DeserializeOwned;

use super::AdminArgs;
use crate::client::OUR_AGENT;
use crate::compile::admin_address;
use crate::reload::{ConfigSource, environment};

/// A running proxy's admin listener.
pub struct AdminClient {
    url: String,
    token: Option<String>,
    agent: ureq::Agent,
}

/// Why it did not answer as it should.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// Nothing says where the proxy is. Another proxy's button must not be pressed by a guess.
    #[error("it is not known where the proxy's admin listener is: {why}")]
    Unknown { why: String },
    #[error("no proxy answers at {url}: {cause}")]
    Unreachable { url: String, cause: ureq::Error },
    #[error("the proxy refused with {status}: {detail}")]
    Refused {
        status: u16,
        detail: String,
        /// All that it said, if it is JSON.
        problem: Box<serde_json::Value>,
    },
    #[error("the answer cannot be read: {0}")]
    Unreadable(String),
}

impl AdminError {
    /// A hint at the remedy; `None`: the proxy's answer is all there is to know.
    pub fn help(&self) -> Option<&'static str> {
        Some(match self {
            Self::Unknown { .. } => {
                "say where it is: `--admin http://127.0.0.1:9900`, the variable MULTILITH_ADMIN, or `-c FILE` with the proxy's file"
            }
            Self::Unreachable { .. } => "start it with `multilith run`, or say where it is with `--admin URL`",
            Self::Refused { status: 401, .. } => "give the token with `--token` or in MULTILITH_TOKEN",
            Self::Refused { status: 403, detail, .. } if detail.contains("role") => {
                "give a token whose role in `[[server.tokens]]` is `operate`"
            }
            Self::Refused { status: 403, .. } => {
                "use the address in [server] `admin`, or add this name to `admin_hosts`"
            }
            Self::Refused { status: 400 | 409 | 412 | 503, .. } => return None,
            Self::Refused { .. } | Self::Unreadable(_) => "is this the admin listener of a multilith of this version?",
        })
    }
}

impl AdminClient {
    /// By `--admin`, `MULTILITH_ADMIN`, or the file, which may have mistakes elsewhere.
    pub fn new(args: &AdminArgs) -> Result<Self, AdminError> {
        let url = match args.admin.clone().filter(|url| !url.trim().is_empty()) {
            Some(url) => url,
            None => address_in(&args.config)?,
        };
        let url = if url.contains("://") { url } else { format!("http://{url}") };
        let agent = ureq::Agent::config_builder()
            .timeout_connect(Some(Duration::from_secs(5)))
            .http_status_as_error(false)
            .proxy(None)
            // By it the journal knows which way an act came.
            .user_agent(OUR_AGENT)
            .build()
            .into();
        Ok(Self { url: url.trim_end_matches('/').to_owned(), token: args.token.clone(), agent })
    }

    /// GET, answered with JSON.
    pub fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, AdminError> {
        let mut request = self.agent.get(format!("{}{path}", self.url));
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let response = request.call().map_err(|cause| self.unreachable(cause))?;
        parse(response, &[200])
    }

    /// GET, answered with a text.
    pub fn text(&self, path: &str) -> Result<String, AdminError> {
        use std::io::Read;
        let mut text = String::new();
        let read = self.stream(path)?.take(64 * 1024 * 1024).read_to_string(&mut text);
        read.map_err(|error| AdminError::Unreadable(error.to_string()))?;
        Ok(text)
    }

    /// POST of JSON, answered with JSON. A reload that is refused answers with 409 and says why.
    pub fn post<T: DeserializeOwned>(&self, path: &str, body: &serde_json::Value) -> Result<T, AdminError> {
        let mut request = self.agent.post(format!("{}{path}", self.url)).header("content-type", "application/json");
        // No page of another site can send it without being asked first.
        request = request.header("x-multilith", "1");
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let response = request.send(body.to_string()).map_err(|cause| self.unreachable(cause))?;
        parse(response, &[200, 409])
    }

    /// POST of a person's act: anything but 200 is an error.
    pub fn act(&self, path: &str, body: &serde_json::Value, who: &str) -> Result<serde_json::Value, AdminError> {
        let mut request = self
            .agent
            .post(format!("{}{path}", self.url))
            .header("content-type", "application/json")
            .header("x-multilith", "1")
            .header("x-multilith-user", who);
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let response = request.send(body.to_string()).map_err(|cause| self.unreachable(cause))?;
        parse(response, &[200])
    }

    /// POST without a body, perhaps under a name.
    pub fn act_as(&self, path: &str, name: Option<&str>) -> Result<serde_json::Value, AdminError> {
        let mut request = self.agent.post(format!("{}{path}", self.url)).header("x-multilith", "1");
        if let Some(name) = name {
            request = request.header("x-multilith-user", name);
        }
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let response = request.send_empty().map_err(|cause| self.unreachable(cause))?;
        parse(response, &[200])
    }

    /// Where it is, without a slash at the end.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// DELETE by a person, with a body as acts have it.
    pub fn delete(&self, path: &str, body: &serde_json::Value, who: &str) -> Result<serde_json::Value, AdminError> {
        let mut request = self
            .agent
            .delete(format!("{}{path}", self.url))
            .header("content-type", "application/json")
            .header("x-multilith", "1")
            .header("x-multilith-user", who);
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let response = request.force_send_body().send(body.to_string()).map_err(|cause| self.unreachable(cause))?;
        parse(response, &[200])
    }

    /// GET of a stream that does not end.
    pub fn stream(&self, path: &str) -> Result<impl std::io::BufRead + use<>, AdminError> {
        let mut request = self.agent.get(format!("{}{path}", self.url));
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let response = request.call().map_err(|cause| self.unreachable(cause))?;
        if response.status() == 200 {
            return Ok(BufReader::new(response.into_body().into_reader()));
        }
        Err(refused(response))
    }

    fn unreachable(&self, cause: ureq::Error) -> AdminError {
        AdminError::Unreachable { url: self.url.clone(), cause }
    }
}

fn parse<T: DeserializeOwned>(mut response: http::Response<ureq::Body>, expected: &[u16]) -> Result<T, AdminError> {
    if !expected.contains(&response.status().as_u16()) {
        return Err(refused(response));
    }
    let text = response
        .body_mut()
        .with_config()
        .limit(256 * 1024 * 1024)
        .read_to_string()
        .map_err(|error| AdminError::Unreadable(error.to_string()))?;
    serde_json::from_str(&text).map_err(|error| AdminError::Unreadable(error.to_string()))
}

fn refused(mut response: http::Response<ureq::Body>) -> AdminError {
    let status = response.status().as_u16();
    let text = response.body_mut().read_to_string().unwrap_or_default();
    let problem: Box<serde_json::Value> = serde_json::from_str(&text).unwrap_or_default();
    let detail = problem["detail"].as_str().map_or(text, str::to_owned);
    AdminError::Refused { status, detail, problem }
}

fn address_in(paths: &[PathBuf]) -> Result<String, AdminError> {
    let source = ConfigSource::Files(paths.to_vec());
    let read = source.read().map_err(|error| AdminError::Unknown { why: error.diagnostic().message })?;
    let admin = admin_address(&read.sources, &environment).ok_or_else(|| AdminError::Unknown {
        why: format!("`admin` in `{}` cannot be read (`multilith check` says why)", source.name()),
    })?;
    Ok(reachable(&admin))
}

/// A listener on all addresses is reached on loopback.
fn reachable(listen: &str) -> String {
    match listen.rsplit_once(':') {
        Some(("0.0.0.0" | "" | "*", port)) => format!("http://127.0.0.1:{port}"),
        Some(("[::]", port)) => format!("http://[::1]:{port}"),
        _ => format!("http://{listen}"),
    }
}
