//! etcd v3 by its JSON gateway: keys below a prefix, a watch of what changes there, leases, transactions, signing in.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::Method;
use parking_lot::Mutex;
use rustls::ClientConfig;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::{FetchError, JsonLines, Response, fetch};
use crate::endpoint::{BadUrl, Url};

/// The longest that a member may take for an answer it has at hand.
pub(super) const ANSWER: Duration = Duration::from_secs(5);

/// Responses are lists of keys: more than this is a mistake.
pub(super) const LARGEST: usize = 64 << 20;
/// The same of a refusal.
const LONGEST_REASON: usize = 16 << 10;
/// The token is not valid, or no longer: it expires when it was not used for five minutes, and with a restart of etcd.
const UNAUTHENTICATED: FetchError = FetchError::Status(401);

/// A client of one cluster. Members are asked in turn: the one that failed last is asked last.
#[derive(Debug)]
pub struct EtcdClient {
    members: Vec<Url>,
    current: AtomicUsize,
    /// `None`: the authorities of this machine.
    trust: Option<Arc<ClientConfig>>,
    login: Option<EtcdLogin>,
    token: Mutex<Option<Arc<str>>>,
    /// Held by the one task that signs in: a password costs etcd a tenth of a second of its processor.
    signing_in: tokio::sync::Mutex<()>,
    /// The longest that one member is waited for.
    patience: Duration,
}

/// The name and the password of a user of etcd.
#[derive(Clone)]
pub struct EtcdLogin {
    pub user: Box<str>,
    pub password: Box<str>,
}

impl std::fmt::Debug for EtcdLogin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EtcdLogin").field("user", &self.user).finish_non_exhaustive()
    }
}

/// One key as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyValue {
    pub key: String,
    pub value: String,
    /// The revision that made the key.
    pub created: i64,
    /// The revision that changed it last.
    pub modified: i64,
    /// It goes with this lease.
    pub lease: Option<String>,
}

/// Keys of a range, and the place in the cluster's history at which they stood so.
#[derive(Debug, Clone)]
pub struct KeyRange {
    pub cluster: String,
    pub revision: i64,
    pub entries: Vec<KeyValue>,
}

/// The result of a transaction.
#[derive(Debug, Clone)]
pub struct Transacted {
    /// All comparisons held: the operations for that case were done, else those for the other.
    pub succeeded: bool,
    pub revision: i64,
    /// The keys that its ranges found, one list for each.
    pub found: Vec<Vec<KeyValue>>,
}

/// A condition of a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyIs<'a> {
    /// The key was made by this revision; 0: there is no such key.
    Created(&'a str, i64),
    /// This revision changed it last; 0: there is no such key.
    Modified(&'a str, i64),
    Value(&'a str, &'a str),
}

impl KeyIs<'_> {
    fn json(&self) -> Value {
        match self {
            Self::Created(key, revision) => {
                json!({ "key": encoded(key), "target": "CREATE", "create_revision": revision.to_string() })
            }
            Self::Modified(key, revision) => {
                json!({ "key": encoded(key), "target": "MOD", "mod_revision": revision.to_string() })
            }
            Self::Value(key, value) => json!({ "key": encoded(key), "target": "VALUE", "value": encoded(value) }),
        }
    }
}

/// An operation of a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyAction<'a> {
    Put {
        key: &'a str,
        value: &'a str,
        lease: Option<&'a str>,
    },
    Get(&'a str),
    Delete(&'a str),
    /// From the first key up to and without the second.
    DeleteRange(&'a str, &'a str),
}

impl KeyAction<'_> {
    fn json(&self) -> Value {
        match self {
            Self::Put { key, value, lease } => {
                let mut put = json!({ "key": encoded(key), "value": encoded(value) });
                if let Some(lease) = lease {
                    put["lease"] = json!(lease);
                }
                json!({ "request_put": put })
            }
            Self::Get(key) => json!({ "request_range": { "key": encoded(key) } }),
            Self::Delete(key) => json!({ "request_delete_range": { "key": encoded(key) } }),
            Self::DeleteRange(first, end) => {
                json!({ "request_delete_range": { "key": encoded(first), "range_end": encoded(end) } })
            }
        }
    }
}

/// A lease and the seconds it lives without being kept alive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EtcdLease {
    pub id: String,
    pub ttl: u64,
}

impl EtcdClient {
    pub fn new<U: AsRef<str>>(endpoints: &[U]) -> Result<Self, BadUrl> {
        let members: Vec<Url> = endpoints.iter().map(|url| url.as_ref().parse()).collect::<Result<_, _>>()?;
        if members.is_empty() {
            return Err(BadUrl(String::new()));
        }
        let current = AtomicUsize::new(0);
        Ok(Self {
            members,
            current,
            trust: None,
            login: None,
            token: Mutex::default(),
            signing_in: tokio::sync::Mutex::default(),
            patience: ANSWER,
        })
    }

    /// The same, trusted in another way than by the authorities of this machine, as this user, and with this patience.
    #[must_use]
    pub fn with(mut self, trust: Option<Arc<ClientConfig>>, login: Option<EtcdLogin>, patience: Duration) -> Self {
        self.trust = trust;
        self.login = login;
        self.patience = patience;
        self
    }

    pub(super) fn member(&self) -> &Url {
        &self.members[self.current.load(Ordering::Relaxed) % self.members.len()]
    }

    /// Another member is asked next.
    pub fn turn_to_next(&self) {
        self.current.fetch_add(1, Ordering::Relaxed);
    }

    /// Asks members until one answers. A request whose answer was lost may be done twice: those that must not are transactions.
    pub async fn call(&self, path: &str, body: &Value) -> Result<Value, FetchError> {
        let mut last = None;
        for _ in &self.members {
            match self.signed_in(path, body).await {
                Ok(response) => return Ok(response),
                Err(error) => {
                    self.turn_to_next();
                    last = Some(error);
                }
            }
        }
        Err(last.expect("there is at least one member"))
    }

    /// Asks one member; a token that is not valid any more is renewed once.
    async fn signed_in(&self, path: &str, body: &Value) -> Result<Value, FetchError> {
        let token = self.token().await?;
        match self.ask(path, body, token.as_deref()).await {
            Err(UNAUTHENTICATED) if self.login.is_some() => {
                self.forget(token.as_ref());
                let token = self.token().await?;
                self.ask(path, body, token.as_deref()).await
            }
            response => response,
        }
    }

    /// The token of this user; `None`: etcd is used without a login.
    async fn token(&self) -> Result<Option<Arc<str>>, FetchError> {
        let Some(login) = &self.login else { return Ok(None) };
        if let Some(token) = self.token.lock().clone() {
            return Ok(Some(token));
        }
        let _alone = self.signing_in.lock().await;
        if let Some(token) = self.token.lock().clone() {
            return Ok(Some(token));
        }
        let body = json!({ "name": login.user, "password": login.password });
        let response = self.ask("/v3/auth/authenticate", &body, None).await?;
        let token: Arc<str> = response["token"].as_str().ok_or_else(|| not_understood("no token came"))?.into();
        *self.token.lock() = Some(Arc::clone(&token));
        Ok(Some(token))
    }

    /// Forgets a token that was refused, unless another task has replaced it already.
    fn forget(&self, refused: Option<&Arc<str>>) {
        let mut token = self.token.lock();
        if token.as_ref() == refused {
            *token = None;
        }
    }

    async fn ask(&self, path: &str, body: &Value, token: Option<&str>) -> Result<Value, FetchError> {
        let exchange = async {
            let mut response = self.send(path, body, token).await?;
            let text = response.body(LARGEST).await?.ok_or(FetchError::TooLarge)?;
            serde_json::from_slice(&text).map_err(|error| FetchError::NotUnderstood(error.to_string()))
        };
        timeout(self.patience, exchange).await.map_err(|_| FetchError::TooSlow(self.patience))?
    }

    async fn send(&self, path: &str, body: &Value, token: Option<&str>) -> Result<Response, FetchError> {
        let url = self.member();
        let (mut head, body) = fetch::json_request(url, Method::POST, path, Some(body));
        if let Some(token) = token {
            head.fields.append("Authorization", token.as_bytes());
        }
        let response = fetch::fetch_from(url, &head, body, self.trust.clone()).await?;
        if response.head.status == 200 { Ok(response) } else { Err(refusal(response).await) }
    }

    /// Does the one or the other, as all comparisons hold or not, in one revision.
    pub async fn transaction(
        &self,
        comparisons: &[KeyIs<'_>],
        success: &[KeyAction<'_>],
        failure: &[KeyAction<'_>],
    ) -> Result<Transacted, FetchError> {
        let body = json!({
            "compare": comparisons.iter().map(KeyIs::json).collect::<Vec<_>>(),
            "success": success.iter().map(KeyAction::json).collect::<Vec<_>>(),
            "failure": failure.iter().map(KeyAction::json).collect::<Vec<_>>(),
        });
        let response = self.call("/v3/kv/txn", &body).await?;
        let responses = response["responses"].as_array().map(Vec::as_slice).unwrap_or_default();
        let ranges = responses.iter().filter(|response| response["response_range"].is_object());
        Ok(Transacted {
            succeeded: response["succeeded"].as_bool() == Some(true),
            revision: number(&response["header"]["revision"])
                .ok_or_else(|| not_understood("the revision is missing"))?,
            found: ranges.map(|response| entries(&response["response_range"])).collect::<Result<_, _>>()?,
        })
    }

    /// The keys from `first` up to and without `end` that a revision above `after` changed.
    pub async fn range(&self, first: &str, end: &str, after: i64) -> Result<KeyRange, FetchError> {
        let least = (after + 1).to_string();
        self.range_of(&json!({ "key": encoded(first), "range_end": encoded(end), "min_mod_revision": least })).await
    }

    /// One key; `None`: it is not there.
    pub async fn get(&self, key: &str) -> Result<Option<KeyValue>, FetchError> {
        Ok(self.range_of(&json!({ "key": encoded(key) })).await?.entries.into_iter().next())
    }

    async fn range_of(&self, range: &Value) -> Result<KeyRange, FetchError> {
        let response = self.call("/v3/kv/range", range).await?;
        let header = &response["header"];
        Ok(KeyRange {
            cluster: text(&header["cluster_id"]).unwrap_or_default(),
            revision: number(&header["revision"]).ok_or_else(|| not_understood("the revision is missing"))?,
            entries: entries(&response)?,
        })
    }

    /// The changes from `first` up to and without `end`, from this revision on.
    pub async fn watch_range(&self, first: &str, end: &str, from: i64) -> Result<JsonLines, FetchError> {
        self.watch_from(json!({ "key": encoded(first), "range_end": encoded(end) }), from).await
    }

    async fn watch_from(&self, mut range: Value, from: i64) -> Result<JsonLines, FetchError> {
        range["start_revision"] = json!(from.to_string());
        self.watch_as(json!({ "create_request": range })).await
    }

    async fn watch_as(&self, body: Value) -> Result<JsonLines, FetchError> {
        let token = self.token().await?;
        let asked = self.send("/v3/watch", &body, token.as_deref());
        let response = timeout(self.patience, asked).await.map_err(|_| FetchError::TooSlow(self.patience))?;
        if response.as_ref().is_err_and(|error| *error == UNAUTHENTICATED) {
            self.forget(token.as_ref());
        }
        Ok(JsonLines::new(response?))
    }

    /// Bytes of the member's database, as it lies on its disk.
    pub async fn database_bytes(&self) -> Result<u64, FetchError> {
        let response = self.call("/v3/maintenance/status", &json!({})).await?;
        let bytes = number(&response["dbSize"]).and_then(|bytes| u64::try_from(bytes).ok());
        bytes.ok_or_else(|| not_understood("the size is missing"))
    }

    pub async fn grant(&self, ttl: u64) -> Result<EtcdLease, FetchError> {
        let response = self.call("/v3/lease/grant", &json!({ "TTL": ttl.to_string() })).await?;
        let id = text(&response["ID"]).ok_or_else(|| not_understood("the lease has no ID"))?;
        Ok(EtcdLease { id, ttl: number(&response["TTL"]).and_then(|ttl| u64::try_from(ttl).ok()).unwrap_or(ttl) })
    }

    /// False: the lease is over.
    pub async fn keep_alive(&self, lease: &EtcdLease) -> Result<bool, FetchError> {
        let response = self.call("/v3/lease/keepalive", &json!({ "ID": lease.id })).await?;
        Ok(number(&response["result"]["TTL"]).is_some_and(|ttl| ttl > 0))
    }

    /// Ends the lease, and with it every key that hangs on it.
    pub async fn revoke(&self, lease: &EtcdLease) -> Result<(), FetchError> {
        self.call("/v3/lease/revoke", &json!({ "ID": lease.id })).await.map(drop)
    }

    pub async fn put(&self, key: &str, value: &str, lease: &EtcdLease) -> Result<(), FetchError> {
        let body = json!({ "key": encoded(key), "value": encoded(value), "lease": lease.id });
        self.call("/v3/kv/put", &body).await.map(drop)
    }

    /// All keys below the prefix.
    pub async fn list(&self, prefix: &str) -> Result<KeyRange, FetchError> {
        self.range_of(&below(prefix)).await
    }

    /// The changes below the prefix, from this revision on.
    pub async fn watch(&self, prefix: &str, from: i64) -> Result<JsonLines, FetchError> {
        self.watch_from(below(prefix), from).await
    }
}

/// Why a member refuses. That its database is full, or that no leader is elected, is in its own words: the status alone says little.
async fn refusal(mut response: Response) -> FetchError {
    let status = response.head.status.as_u16();
    if status < 429 {
        return FetchError::Status(status);
    }
    let body = response.body(LONGEST_REASON).await.ok().flatten().unwrap_or_default();
    let why = serde_json::from_slice::<Value>(&body).ok().and_then(|said| text(&said["message"]));
    why.map_or(FetchError::Status(status), |why| FetchError::Refused(status, why))
}

/// The keys that a range found.
fn entries(range: &Value) -> Result<Vec<KeyValue>, FetchError> {
    let found = range["kvs"].as_array().map(Vec::as_slice).unwrap_or_default();
    found.iter().map(|entry| key_value(entry).ok_or_else(|| not_understood("a key is missing"))).collect()
}

/// One key, as lists and events have it.
pub fn key_value(entry: &Value) -> Option<KeyValue> {
    Some(KeyValue {
        key: decoded(&entry["key"])?,
        value: decoded(&entry["value"]).unwrap_or_default(),
        created: number(&entry["create_revision"]).unwrap_or_default(),
        modified: number(&entry["mod_revision"])?,
        lease: text(&entry["lease"]).filter(|lease| lease != "0"),
    })
}

/// Every key that begins with the prefix.
fn below(prefix: &str) -> Value {
    let mut end = prefix.as_bytes().to_vec();
    while let Some(last) = end.pop() {
        if last < 0xff {
            end.push(last + 1);
            break;
        }
    }
    // etcd's way to say: to the last key.
    if end.is_empty() {
        end.push(0);
    }
    let key = if prefix.is_empty() { &b"\0"[..] } else { prefix.as_bytes() };
    json!({ "key": BASE64.encode(key), "range_end": BASE64.encode(end) })
}

fn encoded(text: &str) -> String {
    BASE64.encode(text)
}

/// A key or a value, as text.
pub fn decoded(value: &Value) -> Option<String> {
    let bytes = BASE64.decode(value.as_str()?).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// The gateway writes 64-bit numbers as strings.
pub fn number(value: &Value) -> Option<i64> {
    value.as_str().map_or_else(|| value.as_i64(), |text| text.parse().ok())
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned).or_else(|| value.as_i64().map(|number| number.to_string()))
}

pub fn not_understood(why: &str) -> FetchError {
    FetchError::NotUnderstood(why.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_takes_every_key_below_the_prefix() {
        for (prefix, key, end) in [("/a/", "/a/", "/a0"), ("", "\0", "\0"), ("a", "a", "b")] {
            assert_eq!(below(prefix), json!({ "key": encoded(key), "range_end": encoded(end) }), "{prefix}");
        }
    }
}
