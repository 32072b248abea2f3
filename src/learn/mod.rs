//! Learns the inventory from live requests: their threads copy into rings, one thread of low priority takes what is there.
//!
//! Nothing of a client waits for it: a full ring drops, and is counted. The inventory is kept in the store, once a minute and at the end.

mod figures;
mod known;
mod path_words;
mod progress;
mod recorded;
mod ring;
mod shapes;
mod worker;

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use parking_lot::{Condvar, Mutex};

pub use figures::{EndpointFigures, LONG, now};
pub use known::{ListRefused, MOST_KNOWN};
pub use path_words::PathWords;
pub use recorded::{AskedNames, RECORDED_VERSION, Recorded, RecordedRequest, RecordedUnit, RecordedValue};
pub use ring::Answered;
use ring::ExchangeRing;
pub use shapes::{UnusableRecording, read_recorded};

use crate::compile::{InventorySettings, Snapshot};
use crate::inventory::{InventoryReport, Tree, TreeBounds};
use crate::route::Matching;
use crate::store::Store;
use crate::telemetry::Meters;

/// The row of the store.
const KEPT_AS: &str = "inventory";

/// The inventory of a running proxy.
pub struct Learner {
    /// A thread's ring belongs to one learner.
    number: u64,
    rings: Mutex<Vec<&'static ExchangeRing>>,
    learned: Mutex<Learned>,
    /// Held while a list is taken: of two that come at once each is kept.
    telling: Mutex<()>,
    shapes: shapes::Shapes,
    figures: Mutex<EndpointFigures>,
    /// When they were counted: exchanges learned, and the minute.
    counted: Mutex<(u64, u32)>,
    /// Answers that stand in the store's hours: the monolith's, and those of others.
    answered_kept: Mutex<(u64, u64)>,
    store: Arc<Store>,
    metrics: Arc<Meters>,
    /// Whether the worker is to end; set once.
    stop: Mutex<bool>,
    wake: Condvar,
    worker: Mutex<Option<std::thread::JoinHandle<()>>>,
}

struct Learned {
    tree: Tree,
    settings: InventorySettings,
    matching: Matching,
    /// Templates of the file in force, and whether everything below one's rest is one endpoint.
    given: Vec<(String, bool)>,
    /// Route lists of other programs.
    known: known::KnownLists,
    /// Exchanges that no ring had room for.
    dropped: u64,
    /// Something was learned since it was kept last.
    changed: bool,
}

thread_local! {
    /// The ring of this thread, and whose it is.
    static RING: Cell<Option<(u64, &'static ExchangeRing)>> = const { Cell::new(None) };
}

impl std::fmt::Debug for Learner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Learner").finish_non_exhaustive()
    }
}

impl Learner {
    /// Goes on with what the store has, and starts the worker. Never fails: without a thread nothing is learned, which is said.
    pub fn start(snapshot: &Snapshot, store: &Arc<Store>, metrics: &Arc<Meters>) -> Arc<Self> {
        static NUMBERS: AtomicU64 = AtomicU64::new(1);
        let learned = Learned {
            tree: Tree::default(),
            settings: snapshot.inventory.clone(),
            matching: snapshot.matching,
            given: Vec::new(),
            known: known::KnownLists::new(),
            dropped: 0,
            changed: false,
        };
        let learner = Arc::new(Self {
            number: NUMBERS.fetch_add(1, Relaxed),
            rings: Mutex::default(),
            learned: Mutex::new(learned),
            telling: Mutex::default(),
            shapes: shapes::Shapes::default(),
            figures: Mutex::default(),
            counted: Mutex::default(),
            answered_kept: Mutex::default(),
            store: Arc::clone(store),
            metrics: Arc::clone(metrics),
            stop: Mutex::new(false),
            wake: Condvar::new(),
            worker: Mutex::default(),
        });
        learner.restore();
        learner.restore_shapes();
        learner.restore_known();
        learner.configure(snapshot);
        let again = Arc::downgrade(&learner);
        store.when_changed(move |status| {
            if let Some(learner) = again.upgrade().filter(|_| status.trouble.is_none()) {
                learner.restore();
                learner.restore_known();
                learner.learned.lock().give_anew("");
            }
        });
        match worker::spawn(Arc::clone(&learner)) {
            Ok(worker) => *learner.worker.lock() = Some(worker),
            Err(error) => tracing::error!(%error, "the inventory has no thread: nothing is learned"),
        }
        learner
    }

    /// Another file is in force: its routes and what it says of literals and parameters are known, not guessed, as are the
    /// route lists that were told.
    pub fn configure(&self, snapshot: &Snapshot) {
        let mut learned = self.learned.lock();
        learned.settings = snapshot.inventory.clone();
        learned.matching = snapshot.matching;
        self.shapes.ask(snapshot);
        learned.given = templates(snapshot);
        learned.give_anew("");
    }

    /// An upstream has answered. Costs a copy into the thread's ring at most; nothing waits. Now and then a request is to be
    /// recorded as well, in place of this number of requests.
    #[inline]
    pub fn observe<'a>(&self, answered: impl Fn() -> Answered<'a>) -> Option<u32> {
        // Nothing but the look-up is in its closure, or it becomes a call that takes what it needs from memory.
        let (owner, ring) = RING.get().unwrap_or_else(|| self.new_ring());
        // A thread that served another proxy of this process before: only tests have one.
        if owner == self.number { ring.offer(answered) } else { None }
    }

    /// A thread's ring lasts as long as the process: the learner keeps those of threads that ended, too.
    #[cold]
    fn new_ring(&self) -> (u64, &'static ExchangeRing) {
        let ring: &'static ExchangeRing = Box::leak(Box::default());
        self.rings.lock().push(ring);
        RING.set(Some((self.number, ring)));
        (self.number, ring)
    }

    /// The inventory of now. Takes milliseconds: not for the threads of requests.
    pub fn report(&self) -> InventoryReport {
        let (mut tree, dropped) = {
            let learned = self.learned.lock();
            (learned.tree.clone(), learned.dropped)
        };
        tree.settle_for_display();
        let mut report = InventoryReport::of(&tree);
        report.dropped += dropped;
        report
    }

    /// Whether the file wants requests to be learned from.
    pub fn learns(&self) -> bool {
        self.learned.lock().settings.learn
    }

    /// Takes what is kept, where it is more than what is known: after a start, or after another process let go of the store.
    fn restore(&self) {
        let kept = match self.store.learned(KEPT_AS) {
            Ok(Some(kept)) => kept,
            Ok(None) => return,
            Err(error) => {
                tracing::warn!(%error, "what was learned of endpoints before is not known");
                return;
            }
        };
        match Tree::from_bytes(&kept, TreeBounds::default()) {
            Ok(tree) => {
                let mut learned = self.learned.lock();
                if tree.totals.learned > learned.tree.totals.learned {
                    learned.tree = tree;
                }
            }
            Err(error) => tracing::warn!(%error, "the inventory begins anew"),
        }
    }

    /// Writes what is known to the store, if it is news.
    pub fn save(&self) {
        let bytes = {
            let mut learned = self.learned.lock();
            if !std::mem::take(&mut learned.changed) {
                return;
            }
            learned.tree.to_bytes()
        };
        if let Err(error) = self.store.keep_learned(KEPT_AS, bytes) {
            tracing::debug!(%error, "the inventory was not kept");
            self.learned.lock().changed = true;
        }
    }

    /// Takes what is in the rings, keeps it, and ends the worker.
    pub fn stop(&self) {
        *self.stop.lock() = true;
        self.wake.notify_all();
        if let Some(worker) = self.worker.lock().take()
            && worker.join().is_err()
        {
            tracing::error!("the inventory's thread ended in a panic");
        }
        self.save();
        self.save_shapes();
        self.keep_progress();
    }
}

/// Paths that the file names: its routes, and its literals and parameters. Of a file with more the tree takes no more.
fn templates(snapshot: &Snapshot) -> Vec<(String, bool)> {
    let settings = &snapshot.inventory;
    let literal = settings.literal.iter().map(|literal| (literal.to_string(), false));
    let parameter = settings.parameter.iter().map(|parameter| (parameter.to_string(), true));
    let routes = snapshot.routes.iter().flat_map(|route| &route.rule.paths);
    let routes = routes.map(|template| (template.normal().to_owned(), false));
    literal.chain(parameter).chain(routes).take(MOST_KNOWN).collect()
}
