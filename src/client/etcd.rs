//! etcd v3 by its JSON gateway: keys below a prefix, a watch of what changes there, leases.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::Method;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::{BadUrl, FetchError, JsonLines, Url, fetch};

/// The longest that a member may take for an answer it has at hand.
const ANSWER: Duration = Duration::from_secs(5);

/// A client of one cluster. Members are asked in turn: the one that failed last is asked last.
#[derive(Debug)]
pub(crate) struct Etcd {
    members: Vec<Url>,
    current: AtomicUsize,
}

/// A lease and the seconds it lives without being kept alive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EtcdLease {
    pub(crate) id: String,
    pub(crate) ttl: u64,
}

/// Keys below a prefix at one revision.
#[derive(Debug)]
pub(crate) struct Listed {
    pub(crate) cluster: String,
    pub(crate) revision: i64,
    pub(crate) values: Vec<(String, String)>,
}

impl Etcd {
    pub(crate) fn new<U: AsRef<str>>(endpoints: &[U]) -> Result<Self, BadUrl> {
        let members: Vec<Url> = endpoints.iter().map(|url| url.as_ref().parse()).collect::<Result<_, _>>()?;
        if members.is_empty() {
            return Err(BadUrl(String::new()));
        }
        Ok(Self { members, current: AtomicUsize::new(0) })
    }

    fn member(&self) -> &Url {
        &self.members[self.current.load(Ordering::Relaxed) % self.members.len()]
    }

    /// Another member is asked next.
    pub(crate) fn turn_to_next(&self) {
        self.current.fetch_add(1, Ordering::Relaxed);
    }

    /// Asks members until one answers.
    pub(crate) async fn call(&self, path: &str, body: &Value) -> Result<Value, FetchError> {
        let mut last = None;
        for _ in &self.members {
            match fetch::json(self.member(), Method::POST, path, Some(body), ANSWER).await {
                Ok((_, answer)) => return Ok(answer),
                Err(error) => {
                    self.turn_to_next();
                    last = Some(error);
                }
            }
        }
        Err(last.expect("there is at least one member"))
    }

    pub(crate) async fn grant(&self, ttl: u64) -> Result<EtcdLease, FetchError> {
        let answer = self.call("/v3/lease/grant", &json!({ "TTL": ttl.to_string() })).await?;
        let id = text(&answer["ID"]).ok_or_else(|| not_understood("the lease has no ID"))?;
        Ok(EtcdLease { id, ttl: number(&answer["TTL"]).and_then(|ttl| u64::try_from(ttl).ok()).unwrap_or(ttl) })
    }

    /// False: the lease is over.
    pub(crate) async fn keep_alive(&self, lease: &EtcdLease) -> Result<bool, FetchError> {
        let answer = self.call("/v3/lease/keepalive", &json!({ "ID": lease.id })).await?;
        Ok(number(&answer["result"]["TTL"]).is_some_and(|ttl| ttl > 0))
    }

    /// Ends the lease, and with it every key that hangs on it.
    pub(crate) async fn revoke(&self, lease: &EtcdLease) -> Result<(), FetchError> {
        self.call("/v3/lease/revoke", &json!({ "ID": lease.id })).await.map(drop)
    }

    pub(crate) async fn put(&self, key: &str, value: &str, lease: &EtcdLease) -> Result<(), FetchError> {
        let body = json!({ "key": encoded(key), "value": encoded(value), "lease": lease.id });
        self.call("/v3/kv/put", &body).await.map(drop)
    }

    /// All keys below the prefix.
    pub(crate) async fn list(&self, prefix: &str) -> Result<Listed, FetchError> {
        let answer = self.call("/v3/kv/range", &below(prefix)).await?;
        let header = &answer["header"];
        let revision = number(&header["revision"]).ok_or_else(|| not_understood("the revision is missing"))?;
        let mut values = Vec::new();
        for entry in answer["kvs"].as_array().map(Vec::as_slice).unwrap_or_default() {
            let key = decoded(&entry["key"]).ok_or_else(|| not_understood("a key is missing"))?;
            values.push((key, decoded(&entry["value"]).unwrap_or_default()));
        }
        Ok(Listed { cluster: text(&header["cluster_id"]).unwrap_or_default(), revision, values })
    }

    /// What changes below the prefix, from this revision on.
    pub(crate) async fn watch(&self, prefix: &str, from: i64) -> Result<JsonLines, FetchError> {
        let mut create = below(prefix);
        create["start_revision"] = json!(from.to_string());
        let body = json!({ "create_request": create });
        let url = self.member();
        let (head, body) = fetch::json_request(url, Method::POST, "/v3/watch", Some(&body));
        let asked = fetch::fetch(url, &head, body);
        let response = timeout(ANSWER, asked).await.map_err(|_| FetchError::TooSlow(ANSWER))??;
        if response.head.status != 200 {
            return Err(FetchError::Status(response.head.status.as_u16()));
        }
        Ok(JsonLines::new(response))
    }
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
pub(crate) fn decoded(value: &Value) -> Option<String> {
    let bytes = BASE64.decode(value.as_str()?).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// The gateway writes 64-bit numbers as strings.
pub(crate) fn number(value: &Value) -> Option<i64> {
    value.as_str().map_or_else(|| value.as_i64(), |text| text.parse().ok())
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned).or_else(|| value.as_i64().map(|number| number.to_string()))
}

pub(crate) fn not_understood(why: &str) -> FetchError {
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
