//! The evidence of all routes: in memory as far as there is room, the rest on disk.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;

use super::evidence::{RouteEvidence, Subject};
use super::now;
use super::rows::Rows;
use crate::compare::Rules;
use crate::store::Store;

/// Bytes of evidence in memory, over all routes. The evidence used least lately is left on disk, and read when it is asked for.
const LIMIT: usize = 64 * 1024 * 1024;

pub(super) struct Archive {
    rows: Arc<Rows>,
    limit: usize,
    routes: Mutex<HashMap<Arc<str>, Arc<RouteEvidence>>>,
}

impl Archive {
    /// The files of an older program lie below `state_dir`.
    pub(super) fn open(store: Arc<Store>, state_dir: PathBuf) -> Arc<Self> {
        Arc::new(Self::with_limit(store, state_dir, LIMIT))
    }

    fn with_limit(store: Arc<Store>, state_dir: PathBuf, limit: usize) -> Self {
        Self { rows: Arc::new(Rows::new(store, state_dir)), limit, routes: Mutex::default() }
    }

    /// Another process wrote until now: what did not change here is read again when it is asked for.
    pub(super) fn read_anew(&self) {
        self.rows.import();
        let all: Vec<_> = self.routes.lock().values().cloned().collect();
        for evidence in all {
            evidence.put_away();
        }
    }

    /// The evidence of a route about this subject: in memory, or on disk, or new.
    pub(super) fn evidence(&self, route: &Arc<str>, rules: Rules, subject: Subject) -> Arc<RouteEvidence> {
        let before = self.find(route);
        if let Some(known) = before.clone().filter(|known| *known.subject() == subject) {
            return known;
        }
        let why = before.as_ref().map(|before| {
            if before.rules().fingerprint() != rules.fingerprint() {
                "what is compared has changed"
            } else if before.subject().version != subject.version {
                "the gate's `version` has changed"
            } else {
                "who answers, or what is copied, has changed"
            }
        });
        let evidence = RouteEvidence::open(route, rules, subject, &self.rows);
        if let Some(why) = why {
            evidence.begin(now(), why);
        }
        self.routes.lock().insert(Arc::clone(route), Arc::clone(&evidence));
        evidence
    }

    pub(super) fn find(&self, route: &str) -> Option<Arc<RouteEvidence>> {
        self.routes.lock().get(route).cloned()
    }

    pub(super) fn retain(&self, keep: impl Fn(&str) -> bool) {
        let gone: Vec<_> = {
            let mut routes = self.routes.lock();
            let names: Vec<_> = routes.keys().filter(|name| !keep(name)).cloned().collect();
            names.iter().filter_map(|name| routes.remove(name)).collect()
        };
        // A route that comes back goes on where it was.
        for evidence in gone {
            evidence.save();
        }
    }

    /// Writes what has changed, then makes room.
    pub(super) fn save(&self) {
        let all: Vec<_> = self.routes.lock().values().cloned().collect();
        for evidence in &all {
            evidence.save();
        }
        let mut lying: Vec<_> = all.iter().filter_map(|evidence| Some((evidence.weight()?, evidence))).collect();
        let mut bytes: usize = lying.iter().map(|((_, size), _)| size).sum();
        lying.sort_by_key(|((used, _), _)| *used);
        for ((_, size), evidence) in lying {
            if bytes <= self.limit {
                return;
            }
            evidence.put_away();
            bytes -= size;
        }
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, Method, StatusCode};

    use super::*;
    use crate::compare::{Body, ComparedRequest, ComparedResponse, Took, compare};

    #[test]
    fn what_does_not_fit_into_memory_lies_on_disk_and_comes_back() {
        let folder = std::env::temp_dir().join(format!("multilith-archive-{}", std::process::id()));
        let archive = Archive::with_limit(Store::open(&folder), folder.clone(), 3000);
        let headers = HeaderMap::new();
        let request = ComparedRequest { method: &Method::GET, target: "/", headers: &headers, body: b"" };
        let response = |text: &'static str| ComparedResponse {
            status: StatusCode::OK,
            headers: HeaderMap::new(),
            body: Body::Whole(text.into()),
        };
        let (a, b) = (response("{\"a\":1}"), response("{\"a\":2}"));
        let took = Took { control: std::time::Duration::ZERO, candidate: std::time::Duration::ZERO };
        let names: Vec<Arc<str>> = (0..20).map(|number| format!("route-{number}").into()).collect();
        for (now, name) in (1..).zip(&names) {
            let evidence = archive.evidence(name, Rules::default(), Subject { hash: 7, version: "".into() });
            let outcome = compare(&request, &a, &b, evidence.rules());
            for _ in 0..now {
                evidence.record(&request, &a, &outcome, took, false, now);
            }
        }
        let lying = || names.iter().filter_map(|name| archive.find(name)?.weight()).count();
        assert_eq!(lying(), 20);
        archive.save();
        assert!((1..10).contains(&lying()), "{} lie in memory", lying());
        for (count, name) in (1..).zip(&names) {
            let evidence = archive.find(name).expect("known");
            assert_eq!((evidence.rates().0, evidence.compared()), (Some(1.0), count));
            assert_eq!(evidence.report(None, 0).compared, count, "{name}");
        }
        drop(std::fs::remove_dir_all(folder));
    }
}
