//! etcd v3: the server that Debian packages.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use multilith::endpoint::Source;

use super::{World, eventually, spec};

const PREFIX: &str = "/services/users/";

pub(crate) struct Etcd {
    child: Child,
    client: u16,
    peer: u16,
    data: PathBuf,
    /// With the API v2, which is another store.
    old: bool,
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl Etcd {
    pub(crate) fn new(name: &str) -> Self {
        Self::make(name, false)
    }

    /// With the API v2 as well.
    pub(crate) fn with_v2(name: &str) -> Self {
        Self::make(name, true)
    }

    fn make(name: &str, old: bool) -> Self {
        let data = std::env::temp_dir().join(format!("multilith-etcd-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&data);
        let (client, peer) = (free_port(), free_port());
        let etcd = Self { child: Self::start(client, peer, &data, old), client, peer, data, old };
        etcd.until_ready();
        etcd
    }

    fn start(client: u16, peer: u16, data: &std::path::Path, old: bool) -> Child {
        let (client, peer) = (format!("http://127.0.0.1:{client}"), format!("http://127.0.0.1:{peer}"));
        Command::new("etcd")
            .args(["--name", "one", "--listen-client-urls", &client, "--advertise-client-urls", &client])
            .args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer])
            .args(["--initial-cluster", &format!("one={peer}"), "--log-level", "error"])
            .args(old.then_some("--enable-v2=true"))
            .arg("--data-dir")
            .arg(data)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("etcd is installed (Debian: etcd-server)")
    }

    fn until_ready(&self) {
        let ready = || self.call("/v3/kv/range", &serde_json::json!({ "key": "YQ==" })).is_some();
        eventually("etcd answers", ready, String::new);
    }

    pub(crate) fn stop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub(crate) fn start_again(&mut self) {
        self.child = Self::start(self.client, self.peer, &self.data, self.old);
        self.until_ready();
    }

    pub(crate) fn forget_everything(&mut self) {
        self.stop();
        std::fs::remove_dir_all(&self.data).unwrap();
        self.start_again();
    }

    fn call(&self, path: &str, body: &serde_json::Value) -> Option<serde_json::Value> {
        use std::io::{Read, Write};
        let mut stream = std::net::TcpStream::connect(("127.0.0.1", self.client)).ok()?;
        let body = body.to_string();
        let head = format!("POST {path} HTTP/1.0\r\nHost: etcd\r\nContent-Length: {}\r\n\r\n", body.len());
        stream.write_all((head + &body).as_bytes()).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        head.split_once(' ')?.1.starts_with("200").then(|| serde_json::from_str(body).unwrap())
    }

    pub(crate) fn must(&self, path: &str, body: &serde_json::Value) -> serde_json::Value {
        self.call(path, body).unwrap_or_else(|| panic!("etcd refused {path} {body}"))
    }

    pub(crate) fn put(&self, key: &str, value: &str) {
        self.must("/v3/kv/put", &serde_json::json!({ "key": b64(&format!("{PREFIX}{key}")), "value": b64(value) }));
    }

    /// With a lease of one second (etcd makes it two) that nobody keeps alive.
    fn put_for_a_moment(&self, key: &str, value: &str) {
        let lease = self.must("/v3/lease/grant", &serde_json::json!({ "TTL": "1" }))["ID"].clone();
        let key = b64(&format!("{PREFIX}{key}"));
        self.must("/v3/kv/put", &serde_json::json!({ "key": key, "value": b64(value), "lease": lease }));
    }

    pub(crate) fn delete(&self, key: &str) {
        self.must("/v3/kv/deleterange", &serde_json::json!({ "key": b64(&format!("{PREFIX}{key}")) }));
    }

    fn revision(&self) -> String {
        let answer = self.must("/v3/kv/range", &serde_json::json!({ "key": "YQ==" }));
        answer["header"]["revision"].as_str().unwrap().to_owned()
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.client)
    }

    /// The values below the prefix.
    pub(crate) fn values(&self) -> Vec<String> {
        use base64::Engine as _;
        let range = serde_json::json!({ "key": b64(PREFIX), "range_end": b64("/services/users0") });
        let answer = self.must("/v3/kv/range", &range);
        let decoded = |kv: &serde_json::Value| {
            let bytes = base64::engine::general_purpose::STANDARD.decode(kv["value"].as_str().unwrap()).unwrap();
            String::from_utf8(bytes).unwrap()
        };
        answer["kvs"].as_array().map(|kvs| kvs.iter().map(decoded).collect()).unwrap_or_default()
    }

    fn source(&self) -> Source {
        let url = self.url();
        // The first member is not there: the second is asked.
        let endpoints = vec![format!("http://127.0.0.1:{}", free_port()).into(), url.into()];
        Source::Etcd { endpoints, prefix: PREFIX.into() }
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.data);
    }
}

pub(crate) fn b64(text: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(text)
}

#[test]
fn a_service_is_listed_while_its_key_is_there() {
    let etcd = Etcd::new("listed");
    etcd.put("1", "127.0.0.1:1");
    let world = World::new(spec(etcd.source()));
    world.until_listed(&["127.0.0.1:1"]);
    etcd.put("2", r#"{"address": "127.0.0.1:2", "weight": 5}"#);
    world.until_listed(&["127.0.0.1:1", "127.0.0.1:2"]);
    assert_eq!(world.endpoint("127.0.0.1:2").unwrap().weight, 5);
    etcd.put("2", "no address");
    etcd.delete("1");
    world.until_listed(&["127.0.0.1:2"]);
    etcd.put("2", r#"{"address": "127.0.0.1:2", "weight": 1}"#);
    world.eventually("the weight is 1", || world.endpoint("127.0.0.1:2").is_some_and(|e| e.weight == 1));
}

#[test]
fn a_lease_that_ends_removes_its_endpoint_and_no_other() {
    let etcd = Etcd::new("lease");
    etcd.put("1", "127.0.0.1:1");
    etcd.put_for_a_moment("2", "127.0.0.1:2");
    let world = World::new(spec(etcd.source()));
    world.until_listed(&["127.0.0.1:1", "127.0.0.1:2"]);
    world.until_listed(&["127.0.0.1:1"]);
}

#[test]
fn a_registry_that_is_down_and_comes_back_takes_nothing_away() {
    let mut etcd = Etcd::new("down");
    etcd.put("1", "127.0.0.1:1");
    etcd.put("2", "127.0.0.1:2");
    let world = World::new(spec(etcd.source()));
    world.until_listed(&["127.0.0.1:1", "127.0.0.1:2"]);
    etcd.stop();
    world.eventually("it is stale", || world.status().stale);
    let both = || world.listed() == ["127.0.0.1:1", "127.0.0.1:2"];
    world.for_a_while("both are listed", Duration::from_secs(1), both);
    etcd.start_again();
    world.eventually("it is not stale", || !world.status().stale);
    assert!(both());
    etcd.delete("1");
    world.until_listed(&["127.0.0.1:2"]);
}

#[test]
fn a_registry_that_lost_its_data_takes_nothing_away_until_the_services_are_back() {
    let mut etcd = Etcd::new("lost");
    for _ in 0..5 {
        etcd.put("1", "127.0.0.1:1");
        etcd.put("2", "127.0.0.1:2");
    }
    let world = World::new(spec(etcd.source()));
    world.until_listed(&["127.0.0.1:1", "127.0.0.1:2"]);
    etcd.forget_everything();
    world.eventually("the loss is reported", || {
        world.status().trouble.unwrap_or_default().contains("no longer lists 2")
    });
    // Longer than a second look takes.
    let both = || world.listed() == ["127.0.0.1:1", "127.0.0.1:2"];
    world.for_a_while("both are listed", Duration::from_secs(5), both);
    etcd.put("1", "127.0.0.1:1");
    etcd.put("2", "127.0.0.1:2");
    world.eventually("nothing is missing", || !world.status().stale);
    etcd.delete("2");
    world.until_listed(&["127.0.0.1:1"]);
}

#[test]
fn a_history_that_was_compacted_is_made_up_for_by_two_looks() {
    let mut etcd = Etcd::new("compacted");
    etcd.put("1", "127.0.0.1:1");
    etcd.put("2", "127.0.0.1:2");
    let world = World::new(spec(etcd.source()));
    world.until_listed(&["127.0.0.1:1", "127.0.0.1:2"]);
    // Nobody listens at this port while the registry changes at another, and forgets how.
    etcd.stop();
    world.eventually("it is stale", || world.status().stale);
    let hidden = free_port();
    let shown = std::mem::replace(&mut etcd.client, hidden);
    etcd.start_again();
    etcd.delete("1");
    etcd.put("3", "127.0.0.1:3");
    let revision = etcd.revision();
    etcd.must("/v3/kv/compaction", &serde_json::json!({ "revision": revision, "physical": true }));
    etcd.stop();
    etcd.client = shown;
    etcd.start_again();
    // In between all three are listed, for two seconds at least: the tests of
    // `endpoint`'s membership pin that, without a clock. Here it may be over before this thread runs again.
    world.until_listed(&["127.0.0.1:2", "127.0.0.1:3"]);
}

#[test]
fn what_was_deleted_while_nobody_listened_is_heard_of_as_a_deletion() {
    let mut etcd = Etcd::new("missed");
    etcd.put("1", "127.0.0.1:1");
    let world = World::new(spec(etcd.source()));
    world.until_listed(&["127.0.0.1:1"]);
    etcd.stop();
    world.eventually("it is stale", || world.status().stale);
    let hidden = free_port();
    let shown = std::mem::replace(&mut etcd.client, hidden);
    etcd.start_again();
    etcd.delete("1");
    etcd.stop();
    etcd.client = shown;
    etcd.start_again();
    // An empty list alone would prove nothing.
    world.until_listed(&[]);
}
