//! Endpoints from Consul: healthy instances of a service, by blocking queries on `/v1/health/service/NAME`.

use std::time::Duration;

use http::Method;
use serde_json::Value;

use super::sink::Sink;
use super::{ANSWER, Patience, SECOND_LOOK};
use crate::client::{FetchError, fetch};
use crate::endpoint::Url;
use crate::endpoint::{Address, Listing, Look};
use crate::message::percent_encoded;

/// How long a blocking query waits for a change. Consul adds up to a sixteenth of it.
const WAIT: Duration = Duration::from_secs(60);

pub(super) async fn follow(mut sink: Sink, url: &str, service: &str, tag: Option<&str>) {
    let base: Url = match url.parse() {
        Ok(base) => base,
        Err(error) => {
            let _ = sink.trouble(&error);
            return;
        }
    };
    let mut patience = Patience::new();
    let mut index = 0_u64;
    // A member that went missing while we did not listen is only missing, not removed.
    let mut gap = true;
    loop {
        let blocking = index > 0 && !sink.in_doubt();
        let path = query(service, tag, if blocking { index } else { 0 });
        let limit = if blocking { WAIT + WAIT / 8 + ANSWER } else { ANSWER };
        match ask(&base, &path, limit).await {
            Ok((list, next)) => {
                patience.reset();
                // An index that runs backwards is of a registry that was restored or emptied.
                let look = match (next < index, gap || !blocking) {
                    (true, _) => Look::HistoryLost,
                    (false, true) => Look::Afresh,
                    (false, false) => Look::Continuous,
                };
                index = next;
                gap = false;
                if sink.listed(list, look).is_break() {
                    return;
                }
                if sink.in_doubt() {
                    tokio::time::sleep(SECOND_LOOK).await;
                } else if index == 0 {
                    patience.pause().await;
                }
            }
            Err(error) => {
                gap = true;
                if sink.trouble(&format!("Consul at `{url}`: {error}")).is_break() {
                    return;
                }
                patience.pause().await;
            }
        }
    }
}

fn query(service: &str, tag: Option<&str>, index: u64) -> String {
    let tag = tag.map(|tag| format!("&tag={}", percent_encoded(tag))).unwrap_or_default();
    let wait = if index > 0 { format!("&index={index}&wait={}s", WAIT.as_secs()) } else { String::new() };
    format!("/v1/health/service/{}?passing=1{tag}{wait}", percent_encoded(service))
}

async fn ask(base: &Url, path: &str, limit: Duration) -> Result<(Vec<Listing>, u64), FetchError> {
    let (head, response) = fetch::json(base, Method::GET, path, None, limit).await?;
    let header = |name: &str| head.fields.text(name);
    if header("x-consul-knownleader") == Some("false") {
        return Err(FetchError::NotUnderstood("the cluster has no leader".to_owned()));
    }
    let index = header("x-consul-index").and_then(|index| index.parse().ok());
    let index = index.ok_or_else(|| FetchError::NotUnderstood("X-Consul-Index is missing".to_owned()))?;
    let instances = response.as_array().ok_or_else(|| FetchError::NotUnderstood("an array was expected".to_owned()))?;
    // One instance that cannot be read makes the answer useless: half a list would take endpoints away.
    let list: Option<Vec<_>> = instances.iter().map(instance).collect();
    Ok((list.ok_or_else(|| FetchError::NotUnderstood("an instance has no address and port".to_owned()))?, index))
}

fn instance(value: &Value) -> Option<Listing> {
    let service = &value["Service"];
    let own = service["Address"].as_str().filter(|address| !address.is_empty());
    let host = own.or_else(|| value["Node"]["Address"].as_str())?;
    let port = u16::try_from(service["Port"].as_u64()?).ok().filter(|port| *port > 0)?;
    let weight = service["Weights"]["Passing"].as_u64().and_then(|weight| u32::try_from(weight).ok()).unwrap_or(1);
    let node = value["Node"]["Node"].as_str().unwrap_or_default();
    let key = format!("{node}/{}", service["ID"].as_str().unwrap_or(host)).into();
    Some(Listing { key, address: Address::Tcp { host: host.into(), port }, weight: weight.min(u32::from(u16::MAX)) })
}
