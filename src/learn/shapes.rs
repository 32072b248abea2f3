//! The recorded requests of a running proxy: taken in by the learner's thread, kept in the store, read by `plan`.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use parking_lot::Mutex;

use super::recorded::{AskedNames, RECORDED_VERSION, Recorded, RecordedRequest, Reservoir};
use super::{Learner, PathWords};
use crate::compile::Snapshot;
use crate::inventory::Tree;
use crate::store::{Store, StoreError};

/// The row of the store.
const KEPT_AS: &str = "shapes";
/// Recorded requests that wait for the learner; more are dropped, which only makes the others stand for more.
const WAITING: usize = 4_096;
/// The largest recording there is, unpacked.
const LARGEST: usize = 64 * 1024 * 1024;

/// Sets of names that requests were asked about, and the names in all of them. Beyond, those that no recorded request needs are
/// forgotten; if that does not do, nothing is said of what comes.
const MOST_SETS: usize = 1_024;
const MOST_NAMES: usize = 200_000;

#[derive(Default)]
pub(super) struct Shapes {
    asked: ArcSwap<AskedNames>,
    asking: Mutex<Asking>,
    /// Each with what is kept of its path: the file may change before it is taken in.
    waiting: Mutex<Vec<(RecordedRequest, Arc<PathWords>)>>,
    reservoir: Mutex<Reservoir>,
}

/// The questions to requests, by their source.
#[derive(Default)]
struct Asking {
    /// By the file in force.
    file: AskedNames,
    /// By a file that is planned, and until when.
    planned: Option<(AskedNames, Instant)>,
    /// Each set of names that was asked about, in the order in which they came.
    sets: Vec<Vec<String>>,
}

impl Asking {
    /// Both, with the number of their names. `used`: the numbers that recorded requests have.
    fn all(&mut self, used: impl FnOnce() -> HashSet<usize>) -> AskedNames {
        let mut all = self.file.clone();
        if let Some((planned, _)) = &self.planned {
            all.join(planned);
        }
        let set = all.set();
        let number = match self.sets.iter().position(|known| *known == set) {
            Some(number) => number,
            None => self.keep(set, used),
        };
        all.numbered(number)
    }

    fn keep(&mut self, set: Vec<String>, used: impl FnOnce() -> HashSet<usize>) -> usize {
        let fits = |sets: &[Vec<String>]| sets.iter().map(Vec::len).sum::<usize>() + set.len() <= MOST_NAMES;
        if self.sets.len() < MOST_SETS && fits(&self.sets) {
            self.sets.push(set);
            return self.sets.len() - 1;
        }
        let used = used();
        for (_, unused) in (0..).zip(&mut self.sets).filter(|(number, _)| !used.contains(number)) {
            unused.clear();
        }
        let free = if self.sets.len() < MOST_SETS {
            self.sets.push(Vec::new());
            Some(self.sets.len() - 1)
        } else {
            self.sets.iter().position(Vec::is_empty)
        };
        match free {
            Some(free) if fits(&self.sets) => {
                self.sets[free] = set;
                free
            }
            _ => usize::MAX,
        }
    }
}

/// Says under which endpoint of a settled tree each is shown: when it was recorded, less was known of its path. The path stays as
/// it is, since a new file may name a word in it.
fn show(requests: &mut [RecordedRequest], names: &[Vec<String>], tree: &Tree) {
    let words: Vec<PathWords> = names.iter().map(|names| PathWords::of_names(names)).collect();
    for request in requests {
        let masked =
            tree.masked(&request.path, |segment| words.get(request.names).and_then(|words| words.kept(segment)));
        request.shown = (masked != request.path).then_some(masked);
    }
}

/// A database without a recording that this program can read.
#[derive(Debug, thiserror::Error)]
pub enum UnusableRecording {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("nothing was recorded yet")]
    Nothing,
    #[error("the recording is damaged")]
    Damaged,
    #[error("the recording has version {found}, this program reads 1 to {RECORDED_VERSION}")]
    Version { found: u32 },
}

impl Shapes {
    /// Another file is in force. Requests recorded under the old one stay: they may lack what the new one asks about.
    pub(super) fn ask(&self, snapshot: &Snapshot) {
        let mut asking = self.asking.lock();
        asking.file = AskedNames::of(snapshot);
        self.ask_all(&mut asking);
    }

    fn ask_all(&self, asking: &mut Asking) {
        let all = asking.all(|| self.reservoir.lock().sets());
        self.asked.store(Arc::new(all));
    }

    /// Ends what was asked for a planned file, when its time is over. Whether it was.
    pub(super) fn end_planned(&self, now: Instant) -> bool {
        let mut asking = self.asking.lock();
        let over = asking.planned.as_ref().is_some_and(|(_, until)| *until <= now);
        if over {
            asking.planned = None;
            self.ask_all(&mut asking);
        }
        over
    }

    /// Takes in what waits, with values in paths replaced as the tree knows them.
    pub(super) fn take_in(&self, tree: &Tree) {
        let waiting = std::mem::take(&mut *self.waiting.lock());
        let mut reservoir = self.reservoir.lock();
        for (mut request, words) in waiting {
            request.path = tree.masked(&request.path, |segment| words.kept(segment));
            reservoir.add(request, fastrand::u64(..));
        }
    }
}

impl Learner {
    /// The names that the file in force asks about.
    pub fn asked(&self) -> Arc<AskedNames> {
        self.shapes.asked.load_full()
    }

    /// For `time`, requests are also asked what a planned file asks about. Returns what requests are asked about from now on: of paths,
    /// those that the file in force does not name.
    pub fn ask_for_plan(&self, planned: AskedNames, time: Duration) -> Vec<String> {
        let mut asking = self.shapes.asking.lock();
        asking.planned = Some((planned, Instant::now() + time));
        self.shapes.ask_all(&mut asking);
        let (all, file) = (self.asked(), asking.file.set());
        let conditions = all.in_words();
        let new = |name: &String| file.binary_search(name).is_err() && !conditions.contains(name);
        conditions.iter().cloned().chain(all.set().into_iter().filter(new)).collect()
    }

    /// Ends that before its time, and keeps what was recorded.
    pub fn end_asking_for_plan(&self) {
        {
            let mut asking = self.shapes.asking.lock();
            asking.planned = None;
            self.shapes.ask_all(&mut asking);
        }
        self.shapes.take_in(&self.learned.lock().tree);
        self.save_shapes();
    }

    /// Takes a recorded request; never waits. `words`: what its path is asked about.
    pub fn record(&self, request: RecordedRequest, words: Arc<PathWords>) {
        if let Some(mut waiting) = self.shapes.waiting.try_lock()
            && waiting.len() < WAITING
        {
            waiting.push((request, words));
        }
    }

    /// The requests recorded so far. Takes milliseconds, as [`Learner::report`] does.
    pub fn recorded(&self) -> Recorded {
        let names = self.shapes.asking.lock().sets.clone();
        let mut requests = self.shapes.reservoir.lock().all();
        let mut tree = self.learned.lock().tree.clone();
        tree.settle_for_display();
        show(&mut requests, &names, &tree);
        Recorded { version: RECORDED_VERSION, names, requests }
    }

    pub(super) fn restore_shapes(&self) {
        match self.store.learned(KEPT_AS).map_err(UnusableRecording::from).and_then(|kept| unpacked(kept.as_deref())) {
            Ok(recorded) => {
                self.shapes.asking.lock().sets = recorded.names;
                self.shapes.reservoir.lock().take_back(recorded.requests);
            }
            Err(UnusableRecording::Nothing) => {}
            Err(error) => tracing::warn!(%error, "the recorded requests begin anew"),
        }
    }

    pub(super) fn save_shapes(&self) {
        let recorded = self.recorded();
        if recorded.requests.is_empty() {
            return;
        }
        let text = serde_json::to_vec(&recorded).expect("a recording serialises");
        let kept = zstd::bulk::compress(&text, 3).map(|packed| self.store.keep_learned(KEPT_AS, packed));
        if !matches!(kept, Ok(Ok(()))) {
            tracing::debug!("the recorded requests were not kept");
        }
    }
}

/// Reads the recording in a state directory's database, or in a copy of it.
pub fn read_recorded(database: &Path) -> Result<Recorded, UnusableRecording> {
    unpacked(Store::learned_in(database, KEPT_AS)?.as_deref())
}

/// Version 1: every request was asked about the same, or so it said.
#[derive(serde::Deserialize)]
struct RecordedBefore {
    asked: Vec<String>,
    requests: Vec<RecordedRequest>,
}

impl From<RecordedBefore> for Recorded {
    fn from(before: RecordedBefore) -> Self {
        Self { version: RECORDED_VERSION, names: vec![before.asked], requests: before.requests }
    }
}

fn unpacked(packed: Option<&[u8]>) -> Result<Recorded, UnusableRecording> {
    #[derive(serde::Deserialize)]
    struct Head {
        version: u32,
    }
    let packed = packed.ok_or(UnusableRecording::Nothing)?;
    let text = zstd::bulk::decompress(packed, LARGEST).map_err(|_| UnusableRecording::Damaged)?;
    let head: Head = serde_json::from_slice(&text).map_err(|_| UnusableRecording::Damaged)?;
    match head.version {
        1 => serde_json::from_slice::<RecordedBefore>(&text).map(Recorded::from),
        RECORDED_VERSION => serde_json::from_slice(&text),
        found => return Err(UnusableRecording::Version { found }),
    }
    .map_err(|_| UnusableRecording::Damaged)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packed(text: &str) -> Vec<u8> {
        zstd::bulk::compress(text.as_bytes(), 1).expect("it is packed")
    }

    #[test]
    fn a_recording_of_the_version_before_is_read_and_one_of_another_says_so() {
        let old = r#"{"version":1,"asked":["header:x-a"],"requests":[{"minute":1,"method":"GET","host":"h","path":"/","asked":[],"route":"r","unit":null,"moved":true,"weight":2}]}"#;
        let read = unpacked(Some(&packed(old))).expect("it is read");
        assert!(read.was_asked(&read.requests[0], "header:x-a") && !read.was_asked(&read.requests[0], "header:x-b"));
        for (text, expected) in [
            (r#"{"version":9,"anything":1}"#, "the recording has version 9, this program reads 1 to 2"),
            (r#"{"version":2,"requests":1}"#, "the recording is damaged"),
            ("not JSON", "the recording is damaged"),
        ] {
            assert_eq!(unpacked(Some(&packed(text))).expect_err("refused").to_string(), expected);
        }
        assert_eq!(unpacked(Some(b"not packed")).expect_err("refused").to_string(), "the recording is damaged");
        assert_eq!(unpacked(None).expect_err("refused").to_string(), "nothing was recorded yet");
        let bomb = zstd::bulk::compress(&vec![b' '; LARGEST + 1], 1).expect("it is packed");
        assert_eq!(unpacked(Some(&bomb)).expect_err("refused").to_string(), "the recording is damaged");
    }

    #[test]
    fn words_that_became_values_are_shown_as_such_and_stay_what_they_were() {
        let mut tree = Tree::default();
        let request = |path: String| RecordedRequest {
            minute: 1,
            method: "GET".to_owned(),
            host: String::new(),
            path,
            shown: None,
            asked: Vec::new(),
            names: 0,
            unit: None,
            weight: 1,
        };
        let mut requests = Vec::new();
        let letters = |number: u32| char::from_u32(u32::from(b'a') + number % 26).expect("a letter");
        for number in 0..60 {
            let path = format!("/names/{}{}na", letters(number), letters(number / 26));
            for client in [1, 2, 3] {
                let seen = crate::inventory::Observation {
                    method: "GET",
                    path: &path,
                    status: 200,
                    client,
                    weight: 1,
                    minute: 1,
                    ..crate::inventory::Observation::default()
                };
                tree.add(&seen);
            }
            requests.push(request(tree.masked(&path, |_| None)));
        }
        requests.push(request("/other".to_owned()));
        assert_eq!(requests[7].path, "/names/hana");
        tree.settle_for_display();
        show(&mut requests, &[Vec::new()], &tree);
        let shown: HashSet<_> =
            requests.iter().map(|request| request.shown.as_deref().unwrap_or(&request.path)).collect();
        assert_eq!(shown, ["/names/example", "/example"].into(), "each");
        assert_eq!(requests[7].path, "/names/hana");
    }

    #[test]
    fn a_request_is_asked_what_the_file_of_its_time_asks() {
        let asked = |name: &str| {
            let text = format!(
                "[monolith]\nurl = \"http://127.0.0.1:1\"\n[routes.a]\npath = \"/a\"\nstage = \"monolith\"\nheaders = {{ {name} = \"1\" }}\n"
            );
            let compiled = crate::compile::compile(&text, "routes.toml", &|_| None);
            AskedNames::of(&compiled.snapshot.expect("a good file"))
        };
        let none = HashSet::new;
        let mut asking = Asking { file: asked("x-a"), ..Asking::default() };
        assert_eq!(asking.all(none).number(), 0);
        asking.planned = Some((asked("x-b"), Instant::now()));
        let all = asking.all(none);
        assert_eq!((all.number(), all.set()), (1, ["header:x-a", "header:x-b", "path:a"].map(str::to_owned).to_vec()));
        asking.planned = None;
        assert_eq!(asking.all(none).number(), 0, "a set that was asked about before has its number");
        assert_eq!(asking.sets.len(), 2);
    }

    #[test]
    fn sets_that_no_recorded_request_needs_make_room() {
        let mut asking = Asking { sets: vec![vec![String::new(); MOST_NAMES / 2]; 2], ..Asking::default() };
        assert_eq!(asking.keep(vec!["path:a".to_owned()], || [1].into()), 2);
        assert_eq!(asking.sets.iter().map(Vec::len).collect::<Vec<_>>(), [0, MOST_NAMES / 2, 1]);
        let full = asking.keep(vec![String::new(); MOST_NAMES], || [1, 2].into());
        assert!(asking.sets.get(full).is_none(), "of what has no room nothing is said");
        asking.sets = vec![vec![String::new()]; MOST_SETS];
        assert_eq!(asking.keep(vec!["path:b".to_owned()], || (1..MOST_SETS).collect()), 0);
    }
}
