//! The thread that learns: it empties the rings at a bounded rate and keeps what it knows.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::ring::{ExchangeRing, Taken};
use super::{Learner, now};
use crate::inventory::Observation;
use crate::route::{Matching, normalise_bytes};
use crate::shadow::lower_priority;

/// Between two looks while there is traffic, and while there is none.
const LOOK: Duration = Duration::from_millis(50);
const QUIET: Duration = Duration::from_millis(200);
/// Exchanges learned from in a second; of more, each stands for several.
const A_SECOND: f64 = 2_000.0;
/// Requests of each thread that are recorded between two looks; each costs a few microseconds.
const RECORDED_A_LOOK: u64 = 4;
const SAVE: Duration = Duration::from_secs(60);
/// Recorded requests are kept at each of the first 5 saves after the start, so that `plan` has some soon, and then at every fifth: they are
/// more.
const SHAPES_EVERY: u32 = 5;
/// Between two counts of endpoints for the metrics.
const COUNT: Duration = Duration::from_secs(15);

pub(super) fn spawn(learner: Arc<Learner>) -> io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name("inventory".to_owned()).spawn(move || {
        lower_priority();
        Worker::new(learner).run();
    })
}

struct Worker {
    learner: Arc<Learner>,
    taken: Taken,
    /// Exchanges that may be learned from now.
    credit: f64,
    looked: Instant,
    /// Exchanges offered to each ring, and dropped by all, at the last look.
    offered: Vec<u64>,
    dropped: u64,
}

impl Worker {
    fn new(learner: Arc<Learner>) -> Self {
        Self {
            learner,
            taken: Taken::default(),
            credit: A_SECOND,
            looked: Instant::now(),
            offered: Vec::new(),
            dropped: 0,
        }
    }

    fn run(mut self) {
        let (mut saved, mut counted, mut saves) = (Instant::now(), None::<Instant>, 0_u32);
        loop {
            let stopping = *self.learner.stop.lock();
            let found = self.look();
            let now = Instant::now();
            if self.learner.shapes.end_planned(now) {
                self.learner.save_shapes();
            }
            if counted.is_none_or(|at| now.saturating_duration_since(at) >= COUNT) {
                self.learner.count();
                counted = Some(now);
            }
            if now.saturating_duration_since(saved) >= SAVE {
                self.learner.save();
                self.learner.keep_progress();
                saves += 1;
                if saves <= SHAPES_EVERY || saves % SHAPES_EVERY == 0 {
                    self.learner.save_shapes();
                }
                saved = now;
            }
            if stopping {
                return;
            }
            let mut stop = self.learner.stop.lock();
            if !*stop {
                self.learner.wake.wait_for(&mut stop, if found > 0 { LOOK } else { QUIET });
            }
        }
    }

    /// Takes what waits; gives how many there were.
    fn look(&mut self) -> usize {
        let instant = Instant::now();
        let passed = instant.saturating_duration_since(self.looked).as_secs_f64();
        self.looked = instant;
        self.credit = (self.credit + passed * A_SECOND).min(A_SECOND);
        let rings: Vec<&'static ExchangeRing> = self.learner.rings.lock().clone();
        self.thin(&rings, passed);
        let waiting: Vec<usize> = rings.iter().map(|ring| ring.waiting()).collect();
        let all: usize = waiting.iter().sum();
        self.count_dropped(&rings);
        if all == 0 {
            return 0;
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 1 and 2 000")]
        let may = self.credit.max(1.0) as usize;
        let each = all.div_ceil(may);
        #[expect(clippy::cast_precision_loss, reason = "a few thousand")]
        let used = all.div_ceil(each) as f64;
        self.credit -= used;
        let minute = now();
        let mut learned = self.learner.learned.lock();
        let matching = learned.matching;
        for (ring, waiting) in rings.iter().zip(waiting) {
            let mut left = waiting;
            while left > 0 {
                let several = each.min(left);
                ring.skip(several - 1);
                ring.take(&mut self.taken);
                left -= several;
                add(&mut learned.tree, &self.taken, matching, minute);
            }
        }
        learned.changed = true;
        self.learner.shapes.take_in(&learned.tree);
        all
    }

    /// Tells the rings how many of their requests to copy and to record, from what came since the last look.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a rate of requests"
    )]
    fn thin(&mut self, rings: &[&ExchangeRing], passed: f64) {
        self.offered.resize(rings.len(), 0);
        let mut all = 0;
        for (ring, before) in rings.iter().zip(&mut self.offered) {
            let offered = ring.offered();
            let new = offered - std::mem::replace(before, offered);
            ring.record_every(new / RECORDED_A_LOOK);
            all += new;
        }
        let may = (passed * A_SECOND).max(1.0);
        for ring in rings {
            ring.copy_every((all as f64 / may).ceil() as u64);
        }
    }

    fn count_dropped(&mut self, rings: &[&ExchangeRing]) {
        let dropped: u64 = rings.iter().map(|ring| ring.dropped()).sum();
        let new = dropped.saturating_sub(self.dropped);
        if new > 0 {
            self.dropped = dropped;
            self.learner.learned.lock().dropped += new;
            self.learner.metrics.edge().inventory_dropped(new);
        }
    }
}

fn add(tree: &mut crate::inventory::Tree, taken: &Taken, matching: Matching, minute: u32) {
    let Some(method) = taken.method else { return };
    // The proxy refuses what cannot be normalised: an upstream never answers it.
    let Ok(path) = normalise_bytes(&taken.path, &matching) else { return };
    let mut path = path.into_string();
    if matching.case_insensitive {
        path.make_ascii_lowercase();
    }
    if matching.ignore_trailing_slash && path.len() > 1 && path.ends_with('/') {
        path.pop();
    }
    tree.add(&Observation {
        method: method.as_str(),
        path: &path,
        status: taken.status,
        client: taken.client,
        agent: &String::from_utf8_lossy(&taken.agent),
        location: taken.location,
        weight: taken.weight,
        minute,
        micros: Some(taken.micros),
        monolith: taken.monolith,
    });
}
