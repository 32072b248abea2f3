//! One judgement by what Prometheus scraped: a real one, as Debian packages it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use serde_json::json;

use super::judged::Traffic;
use super::world::{Etcd, World, dial};
use crate::gate::traffic::{patiently, route};
use crate::harness::{Edge, Reply, eventually, free_address};

/// Two jobs scrape every replica once a second: what is there twice must not be counted twice.
struct Prometheus {
    child: Child,
    address: SocketAddr,
    folder: PathBuf,
}

impl Prometheus {
    fn start(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("multilith-scraped-{}-{name}", std::process::id()));
        drop(std::fs::remove_dir_all(&folder));
        std::fs::create_dir_all(&folder).expect("the folder can be made");
        let targets = folder.join("targets.json");
        let job = |name: &str| {
            format!(
                "  - job_name: {name}\n    file_sd_configs: [{{ files: [{:?}], refresh_interval: 1s }}]\n",
                targets.display()
            )
        };
        let config = format!("global: {{ scrape_interval: 1s }}\nscrape_configs:\n{}{}", job("edge"), job("again"));
        std::fs::write(folder.join("prometheus.yml"), config).expect("the folder takes a file");
        let address = free_address();
        let prometheus = Self { child: spawn(&folder, address), address, folder };
        prometheus.scrape(&[]);
        prometheus.until_ready();
        prometheus
    }

    /// Keys of `[fleet]`.
    fn keys(&self) -> String {
        format!("evidence = \"prometheus\"\nprometheus = \"http://{}/\"\n", self.address)
    }

    fn scrape(&self, edges: &[&Edge]) {
        let addresses: Vec<String> = edges.iter().map(|edge| edge.admin_address().to_string()).collect();
        let path = self.folder.join("targets.json");
        let new = self.folder.join("new.json");
        std::fs::write(&new, json!([{ "targets": addresses }]).to_string()).expect("the folder takes a file");
        std::fs::rename(new, path).expect("a file can be renamed");
    }

    fn stop(&mut self) {
        self.child.kill().expect("a child can be killed");
        self.child.wait().expect("a child ends");
    }

    fn start_again(&mut self) {
        self.child = spawn(&self.folder, self.address);
        self.until_ready();
    }

    fn until_ready(&self) {
        eventually("Prometheus is ready", || {
            let mut client = crate::harness::Client::try_connect(self.address).ok()?;
            client.try_send("GET /-/ready HTTP/1.1\r\nHost: prometheus\r\nConnection: close\r\n\r\n").ok()?;
            (client.try_response(false).ok()?.status() == 200).then_some(())
        });
    }
}

fn spawn(folder: &std::path::Path, address: SocketAddr) -> Child {
    Command::new("prometheus")
        .arg(format!("--config.file={}", folder.join("prometheus.yml").display()))
        .arg(format!("--storage.tsdb.path={}", folder.join("data").display()))
        .arg(format!("--web.listen-address={address}"))
        .arg("--log.level=error")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("prometheus is installed (Debian: prometheus)")
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
        drop(std::fs::remove_dir_all(&self.folder));
    }
}

fn why(edge: &Edge) -> String {
    edge.admin_json("GET", "/api/v1/routes/users/gate").1["why"].as_str().unwrap_or_default().to_owned()
}

fn page(edge: &Edge) -> String {
    edge.admin("GET", "/metrics").text()
}

#[test]
fn a_bad_service_is_rolled_back_everywhere_by_what_prometheus_has() {
    let (etcd, prometheus) = (Etcd::start("scraped-bad"), Prometheus::start("bad"));
    let route = prometheus.keys() + &route("stage = \"canary\"\nweight = \"40%\"", "", "fallback = false");
    let bad = Reply::status("500 Internal Server Error", &[], "bad");
    let world = World::start_with(&etcd, 3, &route, "", bad);
    prometheus.scrape(&world.edges.iter().collect::<Vec<_>>());
    let _traffic = Traffic::begin(&world);
    patiently("the counts are shown", || page(&world.edges[1]).contains("multilith_fleet_evidence{"));
    let series = page(&world.edges[1]).lines().filter(|line| line.starts_with("multilith_fleet_evidence{")).count();
    patiently("it is rolled back everywhere", || world.edges.iter().all(|edge| dial(edge).1 == "0%"));
    let entries = etcd.values("journal/users/");
    assert_eq!(entries.len(), 1, "{entries:?}");
    assert_eq!((&entries[0]["by"], &entries[0]["action"]), (&json!("gate"), &json!("roll-back")));
    assert!(etcd.values("evidence/").is_empty(), "etcd has no counts");
    patiently("what is not judged has no series", || !page(&world.edges[0]).contains("count=\"asked\""));
    println!("{series} series on edge-2; rolled back by {}: {}", entries[0]["who"], entries[0]["reason"]);
}

#[test]
fn without_prometheus_gates_hold_and_with_it_they_go_on() {
    let (etcd, mut prometheus) = (Etcd::start("scraped-good"), Prometheus::start("good"));
    let tables = prometheus.keys() + &route("stage = \"canary\"\nweight = \"40%\"", "", "");
    let world = World::start_with(&etcd, 2, &tables, "", Reply::ok("service"));
    let leader = world.leader().expect("one leads");
    let traffic = Traffic::begin(&world);
    patiently("nobody is heard yet", || why(&world.edges[leader]).contains("0 of 2 replicas heard"));
    prometheus.scrape(&world.edges.iter().collect::<Vec<_>>());
    patiently("it is promoted everywhere", || world.edges.iter().all(|edge| dial(edge).1 == "60%"));

    prometheus.stop();
    patiently("nobody is heard any more", || why(&world.edges[leader]).contains("0 of 2 replicas heard"));
    assert!(world.edges.iter().all(|edge| edge.get("/users").status() == 200), "requests do not know");
    assert!(world.edges[leader].log().contains("Prometheus of the fleet"), "it is said why");
    prometheus.start_again();
    patiently("they are heard again", || !why(&world.edges[leader]).contains("replicas heard"));
    drop(traffic);

    // A replica whose file still says etcd is not heard: half of the traffic is not known.
    let other = route("stage = \"canary\"\nweight = \"40%\"", "", "");
    let _one = world.another(&etcd, "edge-3", &other, "");
    let _two = world.another(&etcd, "edge-4", &other, "");
    patiently("they are missed", || why(&world.edges[leader]).contains("2 of 4 replicas heard"));
}
