//! Talks to the admin listener of a running proxy.

use std::io::{BufReader, Read};
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use http::Method;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::runtime::Runtime;

use super::AdminArgs;
use crate::client::fetch::{fetch, json_request};
use crate::client::{FetchError, OUR_AGENT, Response};
use crate::compile::admin_address;
use crate::endpoint::{BadUrl, Url};
use crate::message::{Name, is_value};
use crate::reload::{ConfigSource, environment};

/// Bytes of the largest answer: an inventory of a hundred thousand endpoints.
const LARGEST: usize = 256 << 20;

/// A running proxy's admin listener.
pub struct AdminClient {
    address: String,
    url: Url,
    token: Option<String>,
    runtime: Arc<Runtime>,
}

/// Why it did not answer as it should.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// Nothing says where the proxy is. Another proxy's button must not be pressed by a guess.
    #[error("it is not known where the proxy's admin listener is: {why}")]
    Unknown { why: String },
    #[error("no proxy answers at {url}: {cause}")]
    Unreachable { url: String, cause: FetchError },
    #[error("the {0} has a control character in it")]
    NoField(&'static str),
    #[error("the proxy refused with {status}: {detail}")]
    Refused {
        status: u16,
        detail: String,
        /// All that it said, if it is JSON.
        problem: Box<Value>,
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
            Self::NoField(_) => "is there a line end that does not belong to it?",
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
        let address = match args.admin.clone().filter(|url| !url.trim().is_empty()) {
            Some(url) => url,
            None => address_in(&args.config)?,
        };
        let address = if address.contains("://") { address } else { format!("http://{address}") };
        let address = address.trim_end_matches('/').to_owned();
        let unreachable = |cause| AdminError::Unreachable { url: address.clone(), cause };
        let url = address.parse().map_err(|bad: BadUrl| unreachable(bad.into()))?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| unreachable(FetchError::Connect(error.to_string())))?;
        Ok(Self { address, url, token: args.token.clone(), runtime: Arc::new(runtime) })
    }

    /// Where it is, without a slash at the end.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// GET, answered with JSON.
    pub fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, AdminError> {
        self.send(Method::GET, path, None, None)?.json(&[200])
    }

    /// GET, answered with a text.
    pub fn text(&self, path: &str) -> Result<String, AdminError> {
        let mut response = self.send(Method::GET, path, None, None)?;
        if response.status() == 200 { response.text() } else { Err(response.refused()) }
    }

    /// GET of a stream that does not end.
    pub fn stream(&self, path: &str) -> Result<impl std::io::BufRead + use<>, AdminError> {
        let mut response = self.send(Method::GET, path, None, None)?;
        if response.status() == 200 { Ok(BufReader::new(response)) } else { Err(response.refused()) }
    }

    /// POST of JSON, answered with JSON. A reload that is refused answers with 409 and says why.
    pub fn post<T: DeserializeOwned>(&self, path: &str, body: &Value) -> Result<T, AdminError> {
        self.send(Method::POST, path, Some(body), None)?.json(&[200, 409])
    }

    /// POST of a person's act: anything but 200 is an error.
    pub fn act(&self, path: &str, body: &Value, who: &str) -> Result<Value, AdminError> {
        self.send(Method::POST, path, Some(body), Some(who))?.json(&[200])
    }

    /// POST without a body, perhaps under a name.
    pub fn act_as(&self, path: &str, name: Option<&str>) -> Result<Value, AdminError> {
        self.send(Method::POST, path, None, name)?.json(&[200])
    }

    /// DELETE by a person, with a body as acts have it.
    pub fn delete(&self, path: &str, body: &Value, who: &str) -> Result<Value, AdminError> {
        self.send(Method::DELETE, path, Some(body), Some(who))?.json(&[200])
    }

    fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        who: Option<&str>,
    ) -> Result<AdminResponse, AdminError> {
        let (mut head, mut body) = json_request(&self.url, method, path, body);
        // By it the journal knows which way an act came.
        head.fields.append(Name::UserAgent, OUR_AGENT.as_bytes());
        if head.method != Method::GET {
            // A page of another site can send it only after a question to the proxy.
            head.fields.append("X-Multilith", b"1");
            body.get_or_insert_default();
        }
        let token = self.token.as_ref().map(|token| format!("Bearer {token}"));
        let known = [("X-Multilith-User", who, "name"), ("Authorization", token.as_deref(), "token")];
        for (name, value, what) in known {
            let Some(value) = value else { continue };
            if !is_value(value.as_bytes()) {
                return Err(AdminError::NoField(what));
            }
            head.fields.append(name, value.as_bytes());
        }
        let response = self.runtime.block_on(fetch(&self.url, &head, body));
        let response = response.map_err(|cause| AdminError::Unreachable { url: self.address.clone(), cause })?;
        Ok(AdminResponse { response, unread: Bytes::new(), runtime: Arc::clone(&self.runtime) })
    }
}

/// A response of the listener: a head, and a body to be read.
struct AdminResponse {
    response: Response,
    unread: Bytes,
    runtime: Arc<Runtime>,
}

impl AdminResponse {
    fn status(&self) -> u16 {
        self.response.head.status.as_u16()
    }

    fn json<T: DeserializeOwned>(mut self, expected: &[u16]) -> Result<T, AdminError> {
        if !expected.contains(&self.status()) {
            return Err(self.refused());
        }
        serde_json::from_str(&self.text()?).map_err(|error| AdminError::Unreadable(error.to_string()))
    }

    fn text(&mut self) -> Result<String, AdminError> {
        let body = self.runtime.block_on(self.response.body(LARGEST));
        let body = body.map_err(|error| AdminError::Unreadable(error.to_string()))?;
        let body = body.ok_or_else(|| AdminError::Unreadable(FetchError::TooLarge.to_string()))?;
        String::from_utf8(body).map_err(|error| AdminError::Unreadable(error.to_string()))
    }

    fn refused(&mut self) -> AdminError {
        let text = self.text().unwrap_or_default();
        let problem: Box<Value> = serde_json::from_str(&text).unwrap_or_default();
        let detail = problem["detail"].as_str().map_or(text, str::to_owned);
        AdminError::Refused { status: self.status(), detail, problem }
    }
}

impl Read for AdminResponse {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        while self.unread.is_empty() {
            match self.runtime.block_on(self.response.data()) {
                Ok(Some(data)) => self.unread = data,
                Ok(None) => return Ok(0),
                Err(error) => return Err(std::io::Error::other(error)),
            }
        }
        let length = into.len().min(self.unread.len());
        into[..length].copy_from_slice(&self.unread.split_to(length));
        Ok(length)
    }
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
