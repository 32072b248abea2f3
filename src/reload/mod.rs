//! The file changed, a signal came, or the API asked: read, parse, compile, swap — or keep what is in force and say why.

mod act;
mod asked;
mod faults;
mod fingerprint;
mod fleet;
mod followed;
mod in_force_file;
mod include;
mod outcome;
mod preview;
mod refusal;
mod rule;
mod secrets;
mod source;
mod told;
mod turn;
mod watch_certificates;
mod watch_file;
mod write;

pub use act::{NotAnAct, VERBS, WrittenAct};
pub use asked::{ROLL_BACKS_TOO, RequestedMove};
pub use fingerprint::{Fingerprints, fingerprint};
pub use in_force_file::{FileText, InForceFile};
pub use outcome::{LastError, ReloadOutcome, ReloadResult};
pub use preview::Preview;
pub use rule::{RuleAsked, RuleEdit, RuleMade, RuleNotMade};
pub use secrets::key_files;
pub use source::{ConfigSource, Read, ReadError, environment};
pub use turn::{Author, MoveMade, MoveRequest, NotInFile, NotMoved, Replicas};
pub use write::{NotWritten, to_paste};

use fleet::Proposals;
use watch_certificates::Marks;

use std::collections::HashSet;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

use jiff::Timestamp;
use parking_lot::Mutex;

use crate::app::App;
use crate::client::task;
use crate::compile::{Changes, Compiled, Snapshot, TlsSettings, compile_all};
use crate::diagnostic::{Code, Diagnostic, Diagnostics, Entry, Sources, report_all};
use crate::gate::{Journal, LeftRoutes};
use crate::live::{AdminKeys, BadToken, Held};
use crate::migration::dial::By;
use crate::proxy::Generation;
use crate::route::SecretSource;
use crate::shadow::lower_priority;
use crate::telemetry;

/// Between two looks whether an old generation is still used.
const LOOK_AT_OLD: Duration = Duration::from_secs(1);

/// A new upstream is waited for this long; then it is in force without endpoints.
const FIRST_LOOK: Duration = Duration::from_secs(3);

/// Puts what was read in force.
pub type Put = Box<dyn FnOnce()>;

/// A file of certificates or keys that cannot be used, and why.
pub type Unusable = (PathBuf, Diagnostic);

/// Gets the TLS settings before and after, reads what they name, and says what cannot be used.
type Also = Box<dyn Fn(&TlsSettings, &TlsSettings) -> Result<Put, Vec<Unusable>> + Send + Sync>;

/// Keeps the generation in force true to the file.
pub struct Reloader {
    app: Arc<App>,
    source: ConfigSource,
    journal: Arc<Journal>,
    /// New dials in the file that the fleet has not decided yet.
    proposals: Proposals,
    /// Reads the files of the listeners' TLS again with the file.
    also: OnceLock<Also>,
    /// The marks of the files of certificates and keys at the last read, in force or refused: when they change, they are read again.
    read: Mutex<Marks>,
    /// Apart from the state, which a reload holds for as long as it takes.
    last_error: Mutex<Option<LastError>>,
    /// The warnings of the file in force: each is logged once, not at every reload.
    warned: Mutex<Option<HashSet<Warning>>>,
    /// One reload at a time; what the last one left behind.
    state: Mutex<State>,
}

struct State {
    generation: u64,
    loaded_at: Timestamp,
    /// The files that were looked at last, in force or refused: what is refused is refused once, not at each look.
    seen: Arc<Sources>,
    /// The snapshot of the file in force, with each route in the stage that it names.
    written: Arc<Snapshot>,
}

/// Code and message of a warning. Its place is not part of it: a line more above is no news.
type Warning = (String, String);

/// The moves of one reload that get a log line each; a larger change is known to its author, and lines take time.
const MOST_TOLD: usize = 1000;

impl Reloader {
    pub fn new(app: Arc<App>, source: ConfigSource, journal: Arc<Journal>) -> Arc<Self> {
        let generation = app.in_force.load();
        let loaded_at = Timestamp::now();
        let metrics = app.telemetry.metrics.edge();
        metrics.config_in_force(generation.number, seconds(loaded_at));
        metrics.monolith_only(app.live.monolith_only(generation.snapshot.server.monolith_only));
        let seen = Arc::clone(&generation.snapshot.sources);
        let state = State { generation: generation.number, loaded_at, seen, written: Arc::clone(&generation.snapshot) };
        let reloader = Arc::new(Self {
            app,
            source,
            journal,
            proposals: Proposals::default(),
            also: OnceLock::new(),
            read: Mutex::new(watch_certificates::marks(secret_files(&generation.snapshot))),
            last_error: Mutex::default(),
            warned: Mutex::default(),
            state: Mutex::new(state),
        });
        reloader.notify(&generation.snapshot);
        reloader.begin();
        reloader.app.live.begin();
        reloader.tell_faults(generation.number, None, &generation.snapshot);
        let again = Arc::downgrade(&reloader);
        reloader.journal.when_changed(move |writable| {
            if let Some(reloader) = again.upgrade().filter(|_| writable) {
                reloader.begin();
            }
        });
        reloader
    }

    /// The recipients that this file names are notified from now on.
    fn notify(&self, snapshot: &Snapshot) {
        let server = &snapshot.server;
        self.app
            .notifier
            .tell_these(&snapshot.notify, server.admin_hosts.first().map_or(&*server.admin, |host| &**host));
    }

    /// Puts the dials in force that the journal has, before the first request; and again when the journal was another
    /// process' until now.
    fn begin(&self) {
        let state = self.state.lock();
        let left = self.journal.left().unwrap_or_else(|error| {
            tracing::error!(%error, "where routes were moved to is not known: the file's stages and weights are in force");
            LeftRoutes::new()
        });
        for route in &state.written.routes {
            // A dial that this process knew is forgotten where the journal has a newer one.
            let live = self.app.live.route(&route.name);
            let newer =
                |held: &Held| left.get(&*route.name).is_some_and(|(left, _)| left.standing.seq > held.standing.seq);
            if live.held().as_ref().is_some_and(newer) {
                live.forget();
            }
        }
        self.settle(state.generation, &state.written, &[], &left);
        let moved = |entry: &crate::proxy::RouteInForce| entry.state.dial(entry.dial) != entry.dial;
        if self.app.in_force.load().routes.iter().any(moved) {
            let snapshot = self.in_its_stages(&state.written);
            self.put(&state, snapshot, By::File.as_str());
        }
    }

    /// The journal of moves.
    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    /// Something outside the file that is read again whenever the file is, whether or not the text changed. A part that cannot be used is a
    /// reason to refuse the file.
    pub fn also(
        &self,
        read: impl Fn(&TlsSettings, &TlsSettings) -> Result<Put, Vec<Unusable>> + Send + Sync + 'static,
    ) {
        assert!(self.also.set(Box::new(read)).is_ok(), "set once, when the server starts");
    }

    /// Reads the file again, whatever it looks like, and puts it in force if it is right.
    pub fn reload(&self) -> ReloadOutcome {
        let mut state = self.state.lock();
        let outcome = match self.source.read() {
            Ok(read) => self.take(&mut state, &read.sources),
            Err(error) => self.refuse(&mut state, &error.diagnostic()),
        };
        self.app.live.set_file_refused(outcome.result == ReloadResult::Refused);
        self.report(&outcome);
        outcome
    }

    /// These files were looked at already.
    fn is_known(&self, sources: &Arc<Sources>) -> bool {
        *self.state.lock().seen == **sources
    }

    /// The same for files that were read already; says nothing when they were looked at before.
    fn reload_if_new(&self, sources: &Arc<Sources>) {
        let mut state = self.state.lock();
        if *state.seen == **sources {
            return;
        }
        let outcome = self.take(&mut state, sources);
        self.app.live.set_file_refused(outcome.result == ReloadResult::Refused);
        self.report(&outcome);
    }

    /// Why the newest text is not in force, if it is not.
    pub fn last_error(&self) -> Option<LastError> {
        self.last_error.lock().clone()
    }

    /// Takes up a text, on a thread of its own that lets requests go first: a hundred thousand routes are a second's work.
    fn take(&self, state: &mut State, sources: &Arc<Sources>) -> ReloadOutcome {
        let mut work = || self.take_now(state, sources);
        thread::scope(|scope| {
            let behind_requests = || {
                lower_priority();
                work()
            };
            match thread::Builder::new().name("reload".to_owned()).spawn_scoped(scope, behind_requests) {
                Ok(thread) => Some(thread.join().unwrap_or_else(|panicked| resume_unwind(panicked))),
                Err(error) => {
                    tracing::warn!(%error, "no thread for the reload: it is done with the priority of requests");
                    None
                }
            }
        })
        .unwrap_or_else(&mut work)
    }

    fn take_now(&self, state: &mut State, sources: &Arc<Sources>) -> ReloadOutcome {
        state.seen = Arc::clone(sources);
        let old = self.app.in_force.load();
        if **sources == *old.snapshot.sources {
            return match self.read_certificates(&old.snapshot, &old.snapshot) {
                Ok(put) => {
                    put();
                    if self.app.upstreams.are_outdated() {
                        self.put(state, self.in_its_stages(&state.written), By::File.as_str());
                    }
                    *self.last_error.lock() = None;
                    self.outcome(ReloadResult::Unchanged, state.generation, Changes::default(), Vec::new())
                }
                Err(said) => self.refuse_all(state, &said, sources),
            };
        }
        let Compiled { snapshot, mut diagnostics, .. } = compile_all(sources, &environment, &|_| None);
        let Some(snapshot) = snapshot else {
            let report = report_all(&diagnostics, sources).diagnostics;
            self.keep_refusal(state.generation, &report, sources);
            tracing::error!(
                "routes.toml was refused, the last good one stays in force:\n{}",
                crate::diagnostic::render_all(&diagnostics, sources, false)
            );
            return self.outcome(ReloadResult::Refused, state.generation, Changes::default(), report);
        };
        let put = match self.read_certificates(&old.snapshot, &snapshot) {
            Ok(put) => put,
            Err(said) => return self.refuse_all(state, &said, sources),
        };
        if !diagnostics.is_empty() {
            self.remember_warnings(&old.snapshot.sources);
        }
        let changes = Changes::between(&state.written, &snapshot);
        for key in old.snapshot.needs_restart(&snapshot) {
            diagnostics.push(outcome::restart_warning(key));
        }
        put();
        self.notify(&snapshot);
        // A route that was away and is back is as new: what its journal has is not looked at.
        self.settle(state.generation + 1, &snapshot, &changes.altered, &LeftRoutes::new());
        let before = Arc::clone(&state.written);
        self.apply(state, snapshot);
        self.propose_soon();
        self.tell_faults(state.generation, Some(&before), &state.written);
        let report = report_all(&diagnostics, sources).diagnostics;
        self.outcome(ReloadResult::Applied, state.generation, changes, report)
    }

    /// Reads the certificates, keys and admin tokens that a file names. The returned [`Put`] puts those of the listeners in force; those of
    /// upstreams come in force whenever pools are made.
    fn read_certificates(&self, before: &Snapshot, after: &Snapshot) -> Result<Put, Diagnostics> {
        // Before they are read: what changes meanwhile is seen as a change.
        let now = watch_certificates::marks(secret_files(after));
        let listeners = match self.also.get() {
            Some(also) => also(&before.server.tls, &after.server.tls),
            None => Ok(Box::new(|| {}) as Put),
        };
        let (put, mut unusable) = listeners.map_or_else(|found| (None, found), |put| (Some(put), Vec::new()));
        unusable.extend(self.app.upstreams.newly_unusable(&after.upstreams).into_iter().map(|(name, problem)| {
            let message = format!("the certificates of `{name}` cannot be used: {problem}");
            let help = "put authorities, a certificate and its own key in place, in PEM, then reload";
            (problem.file().to_owned(), Diagnostic::new(Code::UnusableCertificate, message).help(help))
        }));
        let mut said = Diagnostics::default();
        for (path, diagnostic) in unusable {
            said.push(after.sources.placed(diagnostic, &path.to_string_lossy()));
        }
        let keys = AdminKeys::read(&after.server.tokens)
            .map_err(|error| said.push(after.sources.placed(bad_token(&error), &error.path().to_string_lossy())));
        let put = put.filter(|_| said.is_empty()).zip(keys.ok()).map(|(put, keys)| {
            let app = Arc::clone(&self.app);
            Box::new(move || {
                put();
                app.admin_keys.put(keys);
            }) as Put
        });
        let marks = if put.is_some() { now } else { [watch_certificates::marks(secret_files(before)), now].concat() };
        *self.read.lock() = marks;
        put.ok_or(said)
    }

    fn apply(&self, state: &mut State, snapshot: Snapshot) {
        state.generation += 1;
        state.written = Arc::new(snapshot);
        self.app.learner.configure(&state.written);
        self.app.shadow.limit_cpu(state.written.copy_cpu);
        let in_its_stages = self.in_its_stages(&state.written);
        let next = self.put(state, in_its_stages, By::File.as_str());
        state.loaded_at = Timestamp::now();
        *self.last_error.lock() = None;
        let edge = self.app.telemetry.metrics.edge();
        edge.config_in_force(next.number, seconds(state.loaded_at));
        edge.monolith_only(self.app.live.monolith_only(next.snapshot.server.monolith_only));
    }

    /// Puts a snapshot in force with the dials that `live` holds. Routes that differ were moved `by` this.
    fn put(&self, state: &State, snapshot: Arc<Snapshot>, by: &'static str) -> Arc<Generation> {
        let _in_runtime = self.app.control.enter();
        let next = Generation::assemble(
            state.generation,
            snapshot,
            &self.app.upstreams,
            &self.app.live,
            &self.app.telemetry.metrics,
            &self.app.shadow,
            &self.app.access,
        );
        if let Err(error) = self.app.telemetry.configure(&next.snapshot) {
            tracing::error!(%error, "the access log or the collector could not be opened; the old one stays");
        }
        self.app.upstreams.wait_for_new(&next.pools, FIRST_LOOK);
        let next = Arc::new(next);
        self.let_go(self.app.in_force.replace(Arc::clone(&next)));
        self.forget(&next, by);
        for entry in &next.routes {
            entry.meters.dial_seq(entry.state.held().map_or(0, |held| held.standing.seq));
        }
        next
    }

    /// Waits for the last request of an old generation: freeing a hundred thousand routes would keep its thread's other requests
    /// waiting.
    fn let_go(&self, old: Arc<Generation>) {
        self.app.control.spawn(task::boxed(async move {
            while Arc::strong_count(&old) > 1 {
                tokio::time::sleep(LOOK_AT_OLD).await;
            }
            let free = || {
                lower_priority();
                drop(old);
            };
            // Without a thread it is freed here, where it would otherwise be.
            drop(thread::Builder::new().name("reload".to_owned()).spawn(free));
        }));
    }

    /// Forgets routes and upstreams of older generations alone. Their last requests still hold, and count into, what they began with.
    fn forget(&self, next: &Generation, by: &'static str) {
        let names: HashSet<&str> = next.snapshot.routes.iter().map(|route| &*route.name).collect();
        let upstreams: HashSet<&str> = next.snapshot.upstreams.iter().map(|spec| &*spec.name).collect();
        self.app.live.retain(|name| names.contains(name));
        self.app.shadow.retain(|name| names.contains(name));
        self.app.access.retain(&next.snapshot.routes);
        let moves = self.app.telemetry.metrics.retain(|name| names.contains(name), |name| upstreams.contains(name), by);
        for moved in moves.iter().take(MOST_TOLD) {
            self.tell(moved, by);
        }
        if let Some(more) = moves.len().checked_sub(MOST_TOLD).filter(|more| *more > 0) {
            tracing::info!(more, "routes moved");
        }
    }

    /// Says that one route moved.
    fn tell(&self, moved: &telemetry::Moved, by: &'static str) {
        let (from, to) = moved.stage;
        let share = |share: Option<f64>| share.map_or_else(|| "-".to_owned(), |share| format!("{}%", share * 100.0));
        let (before, after) = (share(moved.service.0), share(moved.service.1));
        tracing::info!(route = &*moved.route, %from, %to, before, after, by, "route moved");
        self.app.telemetry.events.publish("move", &moved.route, || {
            let event = serde_json::json!({
                "timestamp": Timestamp::now().to_string(),
                "route": &*moved.route,
                "from": { "stage": from.as_str(), "service": moved.service.0 },
                "to": { "stage": to.as_str(), "service": moved.service.1 },
                "by": by,
            });
            event.to_string()
        });
    }

    fn refuse(&self, state: &mut State, diagnostic: &Diagnostic) -> ReloadOutcome {
        let mut diagnostics = Diagnostics::default();
        diagnostics.push(diagnostic.clone());
        self.refuse_all(state, &diagnostics, &Sources::one(&self.source.name(), ""))
    }

    fn refuse_all(&self, state: &mut State, diagnostics: &Diagnostics, sources: &Sources) -> ReloadOutcome {
        let report = report_all(diagnostics, sources).diagnostics;
        self.keep_refusal(state.generation, &report, sources);
        for diagnostic in diagnostics {
            tracing::error!("{}: the last good file stays in force", diagnostic.message);
        }
        self.outcome(ReloadResult::Refused, state.generation, Changes::default(), report)
    }

    #[expect(clippy::unused_self, reason = "reads as a sentence at its callers")]
    fn outcome(
        &self,
        result: ReloadResult,
        generation: u64,
        changes: Changes,
        diagnostics: Vec<Entry>,
    ) -> ReloadOutcome {
        ReloadOutcome { result, generation, changes, diagnostics }
    }

    /// Remembers the warnings of the first file when the program started.
    fn remember_warnings(&self, sources: &Arc<Sources>) {
        self.warned.lock().get_or_insert_with(|| {
            let Compiled { diagnostics, .. } = compile_all(sources, &environment, &|_| None);
            report_all(&diagnostics, sources).diagnostics.iter().map(Self::warning).collect()
        });
    }

    fn warning(entry: &Entry) -> Warning {
        (entry.code.to_string(), entry.message.clone())
    }

    fn report(&self, outcome: &ReloadOutcome) {
        self.app.telemetry.metrics.edge().config_reload(outcome.result.as_str());
        self.app
            .telemetry
            .events
            .publish("reload", "", || serde_json::to_string(outcome).expect("an outcome serialises"));
        if outcome.result == ReloadResult::Applied {
            tracing::info!(generation = outcome.generation, "routes.toml reloaded: {}", outcome.changes);
            let warnings: HashSet<_> = outcome.diagnostics.iter().map(Self::warning).collect();
            let before = self.warned.lock().replace(warnings).unwrap_or_default();
            for warning in outcome.diagnostics.iter().filter(|entry| !before.contains(&Self::warning(entry))) {
                let help = warning.help.as_deref().unwrap_or_default();
                tracing::warn!(code = %warning.code, file = warning.file, line = warning.line, help, "{}", warning.message);
            }
        }
    }
}

/// The certificates, keys and authorities that TLS reads beside the file, at both ends.
fn secret_files(snapshot: &Snapshot) -> Vec<PathBuf> {
    let tls = &snapshot.server.tls;
    let pairs = tls.certificates.iter().flat_map(|pair| [pair.cert.clone(), pair.key.clone()]);
    let authorities = tls.client_ca.iter().chain(tls.acme.iter().filter_map(|acme| acme.ca.as_ref()));
    let upstreams = snapshot.upstreams.iter().filter_map(|spec| spec.tls.as_ref());
    let of_upstreams = upstreams.flat_map(|tls| tls.files().map(Path::to_path_buf));
    let tokens = snapshot.server.tokens.iter().filter_map(|token| match &token.token {
        SecretSource::File(path) => Some(path.clone()),
        SecretSource::Value(_) => None,
    });
    pairs.chain(authorities.cloned()).chain(of_upstreams).chain(tokens).collect()
}

fn bad_token(error: &BadToken) -> Diagnostic {
    Diagnostic::new(Code::UnreadableFile, error.to_string())
        .help("put the token there, readable for the proxy; until then the tokens from before are good")
}

fn seconds(at: Timestamp) -> f64 {
    at.as_duration().as_secs_f64()
}
