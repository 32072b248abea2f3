//! Endpoints from etcd v3 by its JSON gateway: a list, then a watch from there on; and the leases that `register` needs.
//!
//! A watch that broke is taken up again from the revision after the last one seen, so that deletions in between are heard
//! as such. Before that a list is asked for: it tells whether the history is still the same one.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::Method;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep_until, timeout};

use super::json_lines::JsonLines;
use super::sink::{Carried, Sink};
use super::{ANSWER, Patience, SECOND_LOOK};
use crate::client::{BadUrl, FetchError, Url, fetch};
use crate::endpoint::{Listing, Look, read_value};

/// A watch without news is checked by a list this often: half-open connections carry no bad news.
const QUIET: Duration = Duration::from_secs(15);

/// A client of one cluster. Members are asked in turn: the one that failed last is asked last.
#[derive(Debug)]
pub(crate) struct Etcd {
    members: Vec<Url>,
    current: std::sync::atomic::AtomicUsize,
}

/// A lease and the seconds it lives without being kept alive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EtcdLease {
    pub(crate) id: String,
    pub(crate) ttl: u64,
}

/// Keys below a prefix at one revision.
#[derive(Debug)]
struct Listed {
    cluster: String,
    revision: i64,
    values: Vec<(String, String)>,
}

impl Etcd {
    pub(crate) fn new<U: AsRef<str>>(endpoints: &[U]) -> Result<Self, BadUrl> {
        let members: Vec<Url> = endpoints.iter().map(|url| url.as_ref().parse()).collect::<Result<_, _>>()?;
        if members.is_empty() {
            return Err(BadUrl(String::new()));
        }
        Ok(Self { members, current: std::sync::atomic::AtomicUsize::new(0) })
    }

    fn member(&self) -> &Url {
        &self.members[self.current.load(std::sync::atomic::Ordering::Relaxed) % self.members.len()]
    }

    fn turn_to_next(&self) {
        self.current.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
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

    async fn list(&self, prefix: &str) -> Result<Listed, FetchError> {
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

    async fn watch(&self, prefix: &str, from: i64) -> Result<JsonLines, FetchError> {
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

/// How a watch ended.
enum End {
    Gone,
    /// The revision to begin with was compacted, or is of another history: a new list is needed.
    Compacted,
    Trouble(FetchError),
}

pub(super) async fn follow(sink: Sink, endpoints: &[Box<str>], prefix: &str) {
    let etcd = match Etcd::new(endpoints) {
        Ok(etcd) => etcd,
        Err(error) => {
            let _ = sink.trouble(&error);
            return;
        }
    };
    let mut follower = Follower { sink, etcd, prefix: prefix.to_owned(), cluster: String::new(), revision: 0 };
    let mut patience = Patience::new();
    loop {
        match follower.list_and_watch(&mut patience).await {
            End::Gone => return,
            End::Compacted => {}
            End::Trouble(error) => {
                if follower.sink.trouble(&format!("etcd: {error}")).is_break() {
                    return;
                }
                follower.etcd.turn_to_next();
                patience.pause().await;
            }
        }
    }
}

struct Follower {
    sink: Sink,
    etcd: Etcd,
    prefix: String,
    cluster: String,
    /// Everything up to here is known; 0: nothing yet.
    revision: i64,
}

impl Follower {
    async fn list_and_watch(&mut self, patience: &mut Patience) -> End {
        let mut listed = match self.list().await {
            Ok(listed) => listed,
            Err(end) => return end,
        };
        let mut stream = match self.etcd.watch(&self.prefix, listed.watch_from).await {
            Ok(stream) => stream,
            Err(error) => return End::Trouble(error),
        };
        patience.reset();
        let mut look = Instant::now() + if self.sink.in_doubt() { SECOND_LOOK } else { QUIET };
        loop {
            tokio::select! {
                message = stream.next() => {
                    let carried = match message {
                        Ok(Some(message)) => self.hear(&message, &listed),
                        Ok(None) => return End::Trouble(FetchError::Broken("the watch ended".to_owned())),
                        Err(error) => return End::Trouble(error),
                    };
                    if let Err(end) = carried {
                        return end;
                    }
                }
                () = sleep_until(look) => {
                    match self.list().await {
                        // The watch goes on in a history that is no more.
                        Ok(again) if again.history_lost => return End::Compacted,
                        Ok(again) => listed = again,
                        Err(end) => return end,
                    }
                    look = Instant::now() + if self.sink.in_doubt() { SECOND_LOOK } else { QUIET };
                }
            }
        }
    }

    /// Takes the list over.
    async fn list(&mut self) -> Result<AtRevision, End> {
        let listed = self.etcd.list(&self.prefix).await.map_err(End::Trouble)?;
        let known = self.revision > 0;
        let lost = known && (listed.revision < self.revision || listed.cluster != self.cluster);
        let at = AtRevision {
            revision: listed.revision,
            watch_from: if known && !lost { self.revision + 1 } else { listed.revision + 1 },
            keys: listed.values.iter().map(|(key, _)| key.clone()).collect(),
            history_lost: lost,
        };
        let mut readable = Vec::new();
        for (key, value) in listed.values {
            match read_value(&value) {
                Ok((address, weight)) => readable.push(Listing { key: key.into(), address, weight }),
                // It is there nevertheless: it must not be missing from the list.
                Err(why) => match self.sink.unreadable(&key, &why) {
                    ControlFlow::Continue(known) => readable.extend(known),
                    ControlFlow::Break(()) => return Err(End::Gone),
                },
            }
        }
        carried(self.sink.listed(readable, if lost { Look::HistoryLost } else { Look::Afresh }))?;
        if !known || lost {
            self.revision = listed.revision;
            self.cluster = listed.cluster;
        }
        Ok(at)
    }

    fn hear(&mut self, message: &Value, listed: &AtRevision) -> Result<(), End> {
        let result = &message["result"];
        if result["canceled"].as_bool() == Some(true) {
            if number(&result["compact_revision"]).is_some_and(|revision| revision > 0) {
                // The watch begins anew after the list.
                self.revision = 0;
                return Err(End::Compacted);
            }
            let why = result["cancel_reason"].as_str().unwrap_or("the watch was cancelled").to_owned();
            return Err(End::Trouble(FetchError::Broken(why)));
        }
        if result.is_null() {
            return Err(End::Trouble(not_understood("the watch reported an error")));
        }
        for event in result["events"].as_array().map(Vec::as_slice).unwrap_or_default() {
            let entry = &event["kv"];
            let (Some(key), Some(revision)) = (decoded(&entry["key"]), number(&entry["mod_revision"])) else {
                continue;
            };
            self.revision = self.revision.max(revision);
            let deleted = event["type"].as_str() == Some("DELETE");
            // The list knew better already: this is history.
            if revision <= listed.revision && (!deleted || listed.keys.contains(&key)) {
                continue;
            }
            if deleted {
                carried(self.sink.gone(&key))?;
                continue;
            }
            match read_value(&decoded(&entry["value"]).unwrap_or_default()) {
                Ok((address, weight)) => carried(self.sink.put(Listing { key: key.into(), address, weight }))?,
                Err(why) => {
                    if self.sink.unreadable(&key, &why).is_break() {
                        return Err(End::Gone);
                    }
                }
            }
        }
        Ok(())
    }
}

/// The content of a list.
struct AtRevision {
    revision: i64,
    watch_from: i64,
    history_lost: bool,
    keys: HashSet<String>,
}

fn carried(carried: Carried) -> Result<(), End> {
    if carried.is_break() { Err(End::Gone) } else { Ok(()) }
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

fn decoded(value: &Value) -> Option<String> {
    let bytes = BASE64.decode(value.as_str()?).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// The gateway writes 64-bit numbers as strings.
fn number(value: &Value) -> Option<i64> {
    value.as_str().map_or_else(|| value.as_i64(), |text| text.parse().ok())
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned).or_else(|| value.as_i64().map(|number| number.to_string()))
}

fn not_understood(why: &str) -> FetchError {
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
