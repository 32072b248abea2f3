//! `[fleet]` as written.

use std::path::PathBuf;
use std::time::Duration;

use super::Secret;
use super::choices::FleetEvidence;
use super::list::Item;
use super::table::table;

table! {
    /// Several proxies behind one load balancer that share dials, the journal, what gates go by, and the big red button.
    pub struct FleetTable {
        /// The etcd that they share.
        etcd: FleetEtcd = required,
        /// This proxy's name among them: each has its own. Default: the name of the host.
        name: String,
        /// How long a proxy that died is still counted, and leads: 3 s to 5 min. Default: `"10s"`.
        ttl: Duration,
        /// Seals what the replicas alone may read: the account, the certificates and the challenges of
        /// `[server.tls.acme]`. The same for each, at least 32 bytes: `openssl rand -base64 32`. Required with `acme`. Default: none.
        secret: Secret,
        /// By what the counts of all replicas reach the one that judges: `"etcd"`, or `"prometheus"`: each replica shows
        /// them on `/metrics` as `multilith_fleet_evidence`, which has about 1 100 series for each busy route that is judged (2 067 at
        /// most), and the judge asks Prometheus. It hears a replica that is scraped at least every three ticks of the gates; a tick is
        /// half of the shortest `interval`, 1 s to 10 s: every 15 s is often enough for an `interval` of 20 s and more. Without
        /// Prometheus gates hold. The same for all replicas: the judge goes by its own file, and does not hear those that say otherwise.
        /// Default: `"etcd"`.
        evidence: FleetEvidence,
        /// The Prometheus that scrapes all replicas: `"http://prometheus:9090"`, or with a path. One server; of several behind one
        /// address another one may answer each time. Required with `evidence = "prometheus"`. Default: none.
        prometheus: String,
        /// The regions, in the order in which gates advance: a gate takes a step once the region before has left it behind. The
        /// last part of `prefix` names this region: `"/multilith/shop/eu-1/"`. Roll-backs and persons do not wait. Each region's
        /// leader writes its dials and counts of each interval below `"/multilith/shop/sums/"`, and `multilith fleet` shows those of all.
        /// Default: none, there is one region.
        order: Vec<Item<String>>,
    }
}

table! {
    /// etcd, version 3.4 or later. It keeps the history of its keys: run it with `--auto-compaction-retention=1h`.
    pub struct FleetEtcd {
        /// URLs of its members.
        endpoints: Vec<Item<String>> = required,
        /// All keys of this fleet are below it; another fleet has another one. Ends in `/`.
        prefix: String = required,
        /// Its user. Default: etcd is used without signing in.
        user: String,
        /// The user's password. Required with `user`.
        password: Secret,
        /// The authorities that signed its certificates, PEM. Default: the system's authorities.
        ca: PathBuf,
        /// The certificate by which it knows this proxy, PEM. Default: none is shown.
        cert: PathBuf,
        /// The key of `cert`. Required with `cert`.
        key: PathBuf,
    }
}
