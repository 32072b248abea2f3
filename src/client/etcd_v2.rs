//! Keys of etcd's API v2, which the API v3 does not see: listed, and waited for. For what was written before etcd 3.6, where it is gone.

use std::time::Duration;

use http::Method;
use serde_json::Value;

use super::etcd::{ANSWER, EtcdClient, LARGEST, not_understood, number};
use super::{FetchError, fetch};
use crate::message::percent_encoded_path;

const NOT_FOUND: u16 = 404;
/// The history goes back a thousand changes; this one is older.
const CLEARED: u16 = 400;

/// Keys below a prefix, and the change after which a wait begins: later ones are waited for, so none between the two is missed.
#[derive(Debug)]
pub(crate) struct ListedV2 {
    pub(crate) index: i64,
    pub(crate) cluster: String,
    /// With the index of the change that wrote each.
    pub(crate) keys: Vec<(String, i64)>,
}

impl EtcdClient {
    /// All keys below the prefix, of whatever depth. A prefix that is not there has none.
    pub(crate) async fn list_v2(&self, prefix: &str) -> Result<ListedV2, FetchError> {
        let path = format!("/v2/keys{}?recursive=true&quorum=true", folder(prefix));
        let (head, body) = fetch::json_request(self.member(), Method::GET, &path, None);
        let asked = async {
            let mut response = fetch::fetch(self.member(), &head, body).await?;
            let status = response.head.status.as_u16();
            let index = response.head.fields.text("x-etcd-index").and_then(|index| index.parse().ok());
            let cluster = response.head.fields.text("x-etcd-cluster-id").unwrap_or_default().to_owned();
            let text = response.body(LARGEST).await?.ok_or(FetchError::TooLarge)?;
            Ok::<_, FetchError>((status, index, cluster, text))
        };
        let (status, index, cluster, text) =
            tokio::time::timeout(ANSWER, asked).await.map_err(|_| FetchError::TooSlow(ANSWER))??;
        // A server without this API says 404 as well, and no index.
        let index = index.ok_or(FetchError::Status(status))?;
        if status == NOT_FOUND {
            return Ok(ListedV2 { index, cluster, keys: Vec::new() });
        }
        if status != 200 {
            return Err(FetchError::Status(status));
        }
        let response: Value = serde_json::from_slice(&text).map_err(|error| not_understood(&error.to_string()))?;
        let mut keys = Vec::new();
        collect(&response["node"], prefix, &mut keys);
        Ok(ListedV2 { index, cluster, keys })
    }

    /// Waits for a change below the prefix, later than that of the list; at most `limit`.
    pub(crate) async fn wait_v2(&self, prefix: &str, after: i64, limit: Duration) -> Result<(), FetchError> {
        let path = format!("/v2/keys{}?recursive=true&wait=true&waitIndex={}", folder(prefix), after + 1);
        match fetch::json(self.member(), Method::GET, &path, None, limit).await {
            Ok(_) | Err(FetchError::TooSlow(_) | FetchError::Status(CLEARED)) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// The folder of the prefix, as a part of a URL: keys are listed by folders alone.
fn folder(prefix: &str) -> String {
    let path = prefix.rsplit_once('/').map_or("", |(folder, _)| folder);
    format!("/{}", percent_encoded_path(path.trim_start_matches('/')))
}

fn collect(node: &Value, prefix: &str, keys: &mut Vec<(String, i64)>) {
    for inner in node["nodes"].as_array().map(Vec::as_slice).unwrap_or_default() {
        collect(inner, prefix, keys);
    }
    if node["dir"].as_bool() != Some(true)
        && let Some(key) = node["key"].as_str()
        && key.starts_with(prefix)
    {
        keys.push((key.to_owned(), number(&node["modifiedIndex"]).unwrap_or_default()));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn keys_of_all_depths_below_the_prefix_are_listed_and_folders_are_not() {
        let node = json!({ "key": "/r", "dir": true, "nodes": [
            { "key": "/r/a.b.c", "value": "", "modifiedIndex": 4 },
            { "key": "/r/deep", "dir": true, "nodes": [
                { "key": "/r/deep/d", "value": "", "modifiedIndex": 7 },
            ] },
        ] });
        let mut keys = Vec::new();
        collect(&node, "/r/", &mut keys);
        assert_eq!(keys, [("/r/a.b.c".to_owned(), 4), ("/r/deep/d".to_owned(), 7)]);
        for (prefix, path) in
            [("/revoked-tokens/", "/revoked-tokens"), ("/a/b-", "/a"), ("x", "/"), ("/a b?/", "/a%20b%3F")]
        {
            assert_eq!(folder(prefix), path);
        }
    }
}
