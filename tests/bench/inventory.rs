//! F1 of the inventory's endpoints against real route tables: `cargo bench --bench inventory [-- API…]`.
//!
//! `tests/bench/inventory/gen.py` and `sites.py` make the traffic: the tables of eight interfaces, three and six by hand,
//! endpoints and values drawn by Zipf, 2 % 404, 1 % 401, 5 % scanner. Columns: precision, recall, F1, the share of requests whose endpoint is exact.
#![expect(clippy::print_stdout, clippy::cast_precision_loss, reason = "a table of small numbers is printed")]

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use multilith::inventory::{LEAST, Observation, Tree, redirect_target};

const APIS: [&str; 11] = [
    "github",
    "discourse",
    "stripe",
    "kubernetes",
    "digitalocean",
    "gitlab",
    "mastodon",
    "oscar",
    // By hand: an interface of payments, a site of WordPress with a shop, a Spring shop in seven languages.
    "payments",
    "wordpress",
    "springshop",
];
/// By hand, with what those lack; no rule was made for one of them alone.
const SITES: [&str; 6] = ["bank", "wiki", "cloud", "tickets", "news", "library"];
const REQUESTS: usize = 100_000;

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let is_wanted = |api: &str| wanted.is_empty() || wanted.iter().any(|one| one == api);
    println!(
        "{:14} {:24} {:>6} {:>6} {:>6} {:>6} {:>6} {:>6} {:>7}",
        "API", "TRAFFIC", "P", "R", "F1", "VOLUME", "NODES", "KIB", "NS"
    );
    for api in APIS.into_iter().filter(|api| is_wanted(api)) {
        for seed in ["1", "7", "11"] {
            measure(api, &format!("seed {seed}"), &[seed, "100000"]);
        }
    }
    for site in SITES.into_iter().filter(|site| is_wanted(site)) {
        for seed in ["1", "7", "11"] {
            measure(site, &format!("seed {seed}"), &[seed, "100000"]);
        }
        measure(site, "20000, rare endpoints", &["1", "20000", "rare"]);
        measure(site, "login for all others", &["1", "100000", "0.3", "login"]);
        measure(site, "a third scanned, 200", &["1", "100000", "0.3", "soft404"]);
    }
    for api in ["stripe", "kubernetes", "oscar", "github"].into_iter().filter(|api| is_wanted(api)) {
        for requests in ["3000", "10000", "30000"] {
            measure(api, &format!("{requests} requests"), &["1", requests]);
        }
    }
    for api in ["stripe", "oscar", "mastodon"].into_iter().filter(|api| is_wanted(api)) {
        measure(api, "half is scanned, 404", &["1", "100000", "0.5"]);
        measure(api, "200 to everything", &["1", "100000", "0.05", "soft404"]);
        measure(api, "half is scanned, 200", &["1", "100000", "0.5", "soft404"]);
    }
}

fn measure(api: &str, what: &str, arguments: &[&str]) {
    let script = if SITES.contains(&api) { "sites.py" } else { "gen.py" };
    let generator = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bench/inventory").join(script);
    let output =
        Command::new("python3").arg(generator).arg(api).args(arguments).output().expect("python3 is on the PATH");
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("the traffic is text");
    let mut rows: Vec<Vec<&str>> = Vec::with_capacity(REQUESTS);
    rows.extend(text.lines().map(|line| line.split('\t').collect()));
    let mut tree = Tree::default();
    let began = Instant::now();
    for row in &rows {
        tree.add(&Observation {
            method: row[0],
            path: row[1],
            status: row[2].parse().expect("a status"),
            location: row.get(5).map_or(0, |to| redirect_target(row[1].as_bytes(), to.as_bytes())),
            client: row[3].parse().expect("a client"),
            weight: 1,
            minute: 1,
            monolith: true,
            ..Observation::default()
        });
    }
    let ns = began.elapsed().as_nanos() / rows.len() as u128;
    let mut truth: HashMap<(String, String), u32> = HashMap::new();
    for row in rows.iter().filter(|row| !row[4].is_empty()) {
        *truth.entry((row[0].to_owned(), row[4].to_owned())).or_default() += 1;
    }
    let (nodes, kib) = (tree.peak, tree.bytes() / 1024);
    tree.settle_for_display();
    let found: HashSet<(String, String)> =
        tree.endpoints(LEAST).into_iter().map(|one| (one.count.method.as_str().to_owned(), one.path)).collect();
    let right = found.iter().filter(|key| truth.contains_key(*key)).count() as f64;
    let often = truth.iter().filter(|(_, count)| **count >= LEAST);
    let (wanted, hit) =
        often.fold((0.0, 0.0), |(all, hit), (key, _)| (all + 1.0, hit + f64::from(u8::from(found.contains(key)))));
    let (precision, recall) = (right / found.len() as f64, hit / wanted);
    let total: u32 = truth.values().sum();
    let exact: u32 = truth.iter().filter(|(key, _)| found.contains(*key)).map(|(_, count)| count).sum();
    println!(
        "{api:14} {what:24} {precision:6.3} {recall:6.3} {:6.3} {:6.3} {nodes:6} {kib:6} {ns:7}",
        2.0 * precision * recall / (precision + recall),
        f64::from(exact) / f64::from(total),
    );
}
