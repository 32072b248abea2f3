//! One etcd, some replicas before one monolith and one service.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::harness::{Client, Edge, Origin, Reply, Response, eventually, free_address};

pub(crate) const PREFIX: &str = "/multilith/test/";

/// An etcd of one node, as Debian packages it.
pub(crate) struct Etcd {
    child: Child,
    arguments: Vec<String>,
    url: String,
    /// How many members the replicas believe it has.
    names: usize,
    data: PathBuf,
}

impl Etcd {
    pub(crate) fn start(name: &str) -> Self {
        Self::start_with(name, &[])
    }

    pub(crate) fn start_with(name: &str, more: &[&str]) -> Self {
        let data = std::env::temp_dir().join(format!("multilith-fleet-{}-{name}", std::process::id()));
        drop(std::fs::remove_dir_all(&data));
        let scheme = if more.iter().any(|argument| argument.contains("cert-file")) { "https" } else { "http" };
        let (url, peer) = (format!("{scheme}://{}", free_address()), format!("http://{}", free_address()));
        let fixed = [
            "--name=one".to_owned(),
            format!("--listen-client-urls={url}"),
            format!("--advertise-client-urls={url}"),
            format!("--listen-peer-urls={peer}"),
            format!("--initial-advertise-peer-urls={peer}"),
            format!("--initial-cluster=one={peer}"),
            format!("--data-dir={}", data.display()),
            "--log-level=error".to_owned(),
        ];
        let arguments: Vec<String> =
            fixed.into_iter().chain(more.iter().map(|argument| (*argument).to_owned())).collect();
        let etcd = Self { child: spawn(&arguments), arguments, url, names: 1, data };
        if scheme == "http" {
            etcd.until_ready();
        }
        etcd
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// A question that it does not answer takes so many times as long before it fails.
    pub(crate) fn with_names(mut self, names: usize) -> Self {
        self.names = names;
        self
    }

    pub(crate) fn stop(&mut self) {
        self.child.kill().expect("a child can be killed");
        self.child.wait().expect("a child ends");
    }

    pub(crate) fn start_again(&mut self) {
        self.child = spawn(&self.arguments);
        self.until_ready();
    }

    /// Sends a signal to it, by name: `STOP` and `CONT` let it stand still.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status();
        assert!(sent.is_ok_and(|status| status.success()), "kill -s {name}");
    }

    /// The same addresses, and nothing in it.
    pub(crate) fn forget_everything(&mut self) {
        self.stop();
        std::fs::remove_dir_all(&self.data).expect("the folder goes");
        self.start_again();
    }

    fn until_ready(&self) {
        eventually("etcd answers", || self.call("/v3/kv/range", &json!({ "key": "YQ==" })));
    }

    pub(crate) fn call(&self, path: &str, body: &Value) -> Option<Value> {
        let address = self.url.strip_prefix("http://")?.parse().ok()?;
        let mut client = Client::try_connect(address).ok()?;
        let body = body.to_string();
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: etcd\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        client.try_send(head + &body).ok()?;
        let response = client.try_response(false).ok()?;
        // Behind a sign-in every other answer is a refusal, and an answer.
        if response.status() == 200 { serde_json::from_slice(&response.body).ok() } else { Some(Value::Null) }
    }

    /// Writes a whole key, as another program may.
    pub(crate) fn put(&self, key: &str, value: &str) {
        let body = json!({ "key": STANDARD.encode(key), "value": STANDARD.encode(value) });
        assert!(self.call("/v3/kv/put", &body).is_some_and(|answer| answer.is_object()), "{key}");
    }

    /// The values below a key, in the order of their keys.
    pub(crate) fn values(&self, below: &str) -> Vec<Value> {
        let key = format!("{PREFIX}{below}");
        let mut end = key.clone().into_bytes();
        *end.last_mut().expect("a prefix has a last byte") += 1;
        let body = json!({ "key": STANDARD.encode(&key), "range_end": STANDARD.encode(end) });
        let found = self.call("/v3/kv/range", &body).expect("etcd answers");
        let value = |entry: &Value| {
            let bytes = STANDARD.decode(entry["value"].as_str().unwrap_or_default()).expect("base64");
            serde_json::from_slice(&bytes)
                .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&bytes).into_owned()))
        };
        found["kvs"].as_array().map(|entries| entries.iter().map(value).collect()).unwrap_or_default()
    }
}

fn spawn(arguments: &[String]) -> Child {
    Command::new("etcd")
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("etcd is installed (Debian: etcd-server)")
}

impl Drop for Etcd {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
        drop(std::fs::remove_dir_all(&self.data));
    }
}

/// Replicas that share everything behind them.
pub(crate) struct World {
    pub(crate) edges: Vec<Edge>,
    monolith: Origin,
    service: Origin,
}

pub(crate) const CANARY: &str = "[routes.users]\npath = \"/users\"\nservice = \"users\"\nstage = \"canary\"\nweight = \"10%\"\n\
     sticky = [\"header:x-user-id\"]\n";

impl World {
    pub(crate) fn start(etcd: &Etcd, replicas: usize, route: &str) -> Self {
        Self::start_with(etcd, replicas, route, "", Reply::ok("service"))
    }

    /// `more`: of the inline table that says where etcd is. `route` may begin with keys of `[fleet]`.
    pub(crate) fn start_with(etcd: &Etcd, replicas: usize, route: &str, more: &str, service: Reply) -> Self {
        let monolith = Origin::saying("monolith");
        let service = Origin::start(move |_| service.clone());
        let replica = |number| Self::replica(etcd, &format!("edge-{number}"), (&monolith, &service), route, more);
        let edges: Vec<Edge> = (1..=replicas).map(replica).collect();
        let world = Self { edges, monolith, service };
        eventually("a leader", || world.leader());
        eventually("all are listed", || (members(&world.edges[0]).len() == replicas).then_some(()));
        world
    }

    /// One more before the same monolith and service.
    pub(crate) fn another(&self, etcd: &Etcd, name: &str, route: &str, more: &str) -> Edge {
        Self::replica(etcd, name, (&self.monolith, &self.service), route, more)
    }

    fn replica(etcd: &Etcd, name: &str, (monolith, service): (&Origin, &Origin), route: &str, more: &str) -> Edge {
        let fleet = format!(
            "[fleet]\nname = \"{name}\"\nttl = \"3s\"\netcd = {{ endpoints = {:?}, prefix = \"{PREFIX}\"{more} }}\n",
            vec![etcd.url(); etcd.names]
        );
        Edge::before(monolith).service("users", service).with(&fleet).with(route).start()
    }

    pub(crate) fn leader(&self) -> Option<usize> {
        let leads = |edge: &Edge| edge.metric("multilith_fleet_leader", &[]) > 0.5;
        let leading: Vec<usize> = (0..self.edges.len()).filter(|index| leads(&self.edges[*index])).collect();
        assert!(leading.len() < 2, "two lead: {leading:?}");
        leading.first().copied()
    }

    /// Waits until every replica has this dial in force.
    pub(crate) fn until_all_have(&self, weight: &str) {
        eventually(&format!("{weight} everywhere"), || {
            self.edges.iter().all(|edge| dial(edge).1 == weight).then_some(())
        });
    }
}

pub(crate) fn members(edge: &Edge) -> Vec<Value> {
    edge.admin_json("GET", "/api/v1/fleet").1.as_array().cloned().unwrap_or_default()
}

/// The last entry, and the weight in force.
pub(crate) fn dial(edge: &Edge) -> (u64, String) {
    let status = edge.admin_json("GET", "/api/v1/routes/users").1;
    (status["dial"]["seq"].as_u64().expect("a number"), status["weight"].as_str().unwrap_or("-").to_owned())
}

pub(crate) fn act(edge: &Edge, act: &str, body: &Value) -> (u16, Value) {
    let response = post(edge, &format!("/api/v1/routes/users/{act}"), body);
    (response.status(), serde_json::from_slice(&response.body).expect("JSON"))
}

pub(crate) fn post(edge: &Edge, path: &str, body: &Value) -> Response {
    let body = body.to_string();
    let mut client = Client::connect(edge.admin_address());
    client.send(format!(
        "POST {path} HTTP/1.1\r\nHost: {}\r\nX-Multilith: 1\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        edge.admin_address(),
        body.len()
    ));
    client.response()
}

/// Who answers each of so many clients.
pub(crate) fn sides(edge: &Edge, clients: usize) -> Vec<String> {
    let mut connection = edge.client();
    (0..clients).map(|client| connection.request("GET", "/users", &[&format!("X-User-Id: u{client}")]).text()).collect()
}
