//! Brings everything up in order, and takes it down again.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use pingora::listeners::{L4BufferSettings, ListenerConfig};
use pingora::server::ListenFds;
use pingora::services::Service as _;
use pingora::services::listening::Service;
use pingora_runtime::Runtime;
use rustls::RootCertStore;
use tokio::runtime::Handle;
use tokio::sync::watch;

use super::acme;
use super::connection::HttpListener;
use super::connections::Connections;
use super::descriptors::{Shares, open_now, raise_limit};
use super::drain::{Drained, drain};
use super::hand_over::{Inheritance, Stays, hand_over};
use super::listen::{Bound, ListenError};
use super::observer::UpstreamObserver;
use super::replica;
use super::tls::{ListenerTls, TlsError};
use crate::admin;
use crate::compile::Snapshot;
use crate::console::Console;
use crate::diagnostic::{Code, Diagnostic};
use crate::fleet::{Fleet, FleetError};
use crate::gate::{Gates, Journal};
use crate::learn::Learner;
use crate::live::{InForce, Live, is_kept_pressed, private_folder};
use crate::notify::Notifier;
use crate::proxy::{Access, Edition, Steps};
use crate::reload::{self, ConfigSource, Reloader, Unusable};
use crate::shadow::{self, Shadow};
use crate::store::Store;
use crate::telemetry::{Metrics, Telemetry};
use crate::upstream::Upstreams;

/// The arguments of a start.
pub struct Start {
    pub snapshot: Snapshot,
    pub source: ConfigSource,
    /// The tokens of the admin listener, already read.
    pub keys: Vec<admin::AdminKey>,
    /// Sockets from a predecessor.
    pub inheritance: Inheritance,
}

/// A running server.
pub struct Running {
    pub listeners: Vec<SocketAddr>,
    pub tls_listeners: Vec<SocketAddr>,
    pub admin: SocketAddr,
    pub reloader: Arc<Reloader>,
    telemetry: Arc<Telemetry>,
    in_force: Arc<InForce<Edition>>,
    #[expect(dead_code, reason = "the gates look as long as somebody holds them")]
    gates: Arc<Gates>,
    shadow: Arc<Shadow>,
    learner: Arc<Learner>,
    store: Arc<Store>,
    fleet: Option<Arc<Fleet>>,
    live: Arc<Live>,
    ready: Arc<AtomicBool>,
    connections: Arc<Connections>,
    stop: watch::Sender<bool>,
    fds: ListenFds,
    copy_runtime: tokio::runtime::Runtime,
    // Dropped last: the tasks of the request path live on it.
    data: Runtime,
}

/// Why a server did not start. Nothing of it is left running.
#[derive(Debug)]
pub enum StartError {
    Listen(ListenError),
    Metrics(prometheus::Error),
    Log(std::io::Error),
    Tls(Vec<TlsError>),
    Authorities(Box<pingora::Error>),
    Threads(std::io::Error),
    Fleet(FleetError),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listen(error) => error.fmt(f),
            Self::Metrics(error) => write!(f, "cannot set up the metrics: {error}"),
            Self::Log(error) => write!(f, "cannot open the access log: {error}"),
            Self::Tls(errors) => {
                let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
                f.write_str(&errors.join("; "))
            }
            Self::Authorities(error) => {
                write!(f, "cannot read the certificate authorities of this machine: {}", error.root_cause())
            }
            Self::Threads(error) => write!(f, "cannot start the threads of copies: {error}"),
            Self::Fleet(error) => write!(f, "cannot join the fleet: {error}"),
        }
    }
}

impl StartError {
    pub fn help(&self) -> Option<String> {
        match self {
            Self::Listen(error) => Some(error.help()),
            Self::Fleet(_) => Some("look at `etcd` in [fleet]: its URLs, and the files of its certificates and password".to_owned()),
            Self::Metrics(_) => Some("the bounds in [metrics] `buckets` must rise".to_owned()),
            Self::Log(_) => Some("`output` in [logs] must be stdout, stderr, or a path that can be written".to_owned()),
            Self::Tls(_) => {
                Some("put the files that [server.tls] names in place, in PEM: `certificates` with the chain and the key of its first, `client_ca` and `acme.ca` with authorities".to_owned())
            }
            Self::Authorities(_) => {
                Some("SSL_CERT_FILE and SSL_CERT_DIR say where they are, if not where the system keeps them; all must be readable".to_owned())
            }
            Self::Threads(_) => Some("the system refuses more threads: raise its limit (`ulimit -u`)".to_owned()),
        }
    }
}

/// How long the first answers of name servers and registries are waited for before requests are taken.
const FIRST_LOOK: Duration = Duration::from_secs(3);

/// Fine enough for the five minutes over which the progress of the migration is measured.
const LOOK: Duration = Duration::from_secs(5);

/// Time to finish a half-sent frame, send Close and receive the peer's.
const GOING_AWAY: Duration = Duration::from_secs(1);

/// The longest that writing the evidence may hold up the end.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// Starts a server. `control` is the runtime of everything that is not a request: admin, health, discovery, reloads.
pub fn start(start: Start, control: &Handle) -> Result<Running, StartError> {
    let Start { snapshot, source, keys, mut inheritance } = start;
    let server = snapshot.server.clone();
    authorities().map_err(StartError::Authorities)?;
    let mut bound = Bound::inheriting(inheritance.listeners.take().unwrap_or_else(Bound::activated));
    let mut listeners = Vec::new();
    for address in &server.listen {
        listeners.push(bound.listen(address).map_err(StartError::Listen)?);
    }
    let mut tls_listeners = Vec::new();
    for address in &server.tls.listen {
        tls_listeners.push(bound.listen(address).map_err(StartError::Listen)?);
    }
    let tls = if tls_listeners.is_empty() {
        None
    } else {
        Some(Arc::new(ListenerTls::load(&server.tls).map_err(StartError::Tls)?))
    };
    let admin = bound.listen(&server.admin).map_err(StartError::Listen)?;
    let metrics_alone = server.metrics.as_ref().map(|address| bound.listen(address)).transpose();
    let metrics_alone = metrics_alone.map_err(StartError::Listen)?;
    let fds = bound.into_fds();

    let metrics = Metrics::new(&snapshot.buckets).map_err(StartError::Metrics)?;
    let telemetry = Telemetry::start(Arc::clone(&metrics), &snapshot).map_err(StartError::Log)?;
    let live = Arc::new(Live::new(Instant::now()));
    if let Err(error) = private_folder(&server.state_dir) {
        tracing::warn!(%error, dir = %server.state_dir.display(), "`state_dir` cannot be made: nothing will outlive this process");
    }
    let store = Store::open(&server.state_dir);
    // Pressed if either says so: an older program knows the file alone.
    if is_kept_pressed(&server.state_dir) || store.button_is_pressed() {
        live.set_monolith_only(true);
        tracing::warn!("the big red button is still pressed from before the start: every route goes to the monolith");
    }
    let upstreams = {
        let _in_runtime = control.enter();
        let observer = UpstreamObserver::new(Arc::clone(&metrics), Arc::clone(&telemetry.events));
        Upstreams::with_store(Arc::new(observer), Arc::clone(&store))
    };
    let access = Arc::new(Access::new(fastrand::u64(..)));
    let copy_runtime = shadow::runtime(snapshot.copy_cpu).map_err(StartError::Threads)?;
    let (kept, told) = (Arc::clone(&store), Arc::clone(&telemetry));
    let shadow = Shadow::start(copy_runtime.handle(), kept, &server.state_dir, told, snapshot.copy_cpu);
    watch_store(&store, &metrics, &shadow);
    let learner = Learner::start(&snapshot, &store, &metrics);
    let edition = {
        let _in_runtime = control.enter();
        Edition::assemble(1, Arc::new(snapshot), &upstreams, &live, &metrics, &shadow, &access)
    };
    let in_force = Arc::new(InForce::new(Arc::new(edition)));
    let journal = Arc::new(Journal::of(Arc::clone(&store)));
    let notifier = Notifier::new(control.clone(), Arc::clone(&metrics));
    let fleet = replica::join(&in_force.load().snapshot, &admin.to_string(), &store, &metrics, control)
        .map_err(StartError::Fleet)?;
    let reloader = Reloader::new(reload::ReloaderParts {
        source,
        in_force: Arc::clone(&in_force),
        live: Arc::clone(&live),
        telemetry: Arc::clone(&telemetry),
        upstreams: Arc::clone(&upstreams),
        shadow: Arc::clone(&shadow),
        learner: Arc::clone(&learner),
        access: Arc::clone(&access),
        journal: Arc::clone(&journal),
        notifier: Arc::clone(&notifier),
        fleet: fleet.clone(),
        control: control.clone(),
    });
    replica::begin(fleet.as_ref(), &reloader, &access, control, FIRST_LOOK);
    let (known, watched) = (Arc::clone(&in_force), Arc::clone(&live));
    let gates = Gates::new(known, watched, Arc::clone(&telemetry), journal, notifier, fleet.clone());
    let (stop, stopping) = watch::channel(false);
    if let Some(tls) = tls.clone() {
        let shown = Arc::clone(&metrics);
        if let Some(acme) = &server.tls.acme {
            acme::restore(acme, &server.state_dir, tls.certificates());
        }
        let (orders, ordered) = watch::channel(server.tls.acme.clone());
        let kept = (server.state_dir.clone(), Arc::clone(tls.certificates()), Arc::clone(&live));
        control.spawn(acme::run(ordered, stopping.clone(), kept));
        tls.certificates().when_changed(move |expiries| shown.edge().certificates(expiries));
        reloader.also(move |before, settings| {
            let prepared = tls.prepare(before, settings).map_err(|errors| certificates(&errors))?;
            let (tls, orders, acme) = (Arc::clone(&tls), orders.clone(), settings.acme.clone());
            Ok(Box::new(move || {
                tls.put(prepared);
                orders.send_if_modified(|known| {
                    let differs = *known != acme;
                    *known = acme;
                    differs
                });
            }))
        });
    }
    control.spawn(Arc::clone(&reloader).watch_certificates());
    let threads = match server.threads {
        0 => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        threads => threads,
    };
    let data = Runtime::new_no_steal(threads, "edge");
    let shares = share_descriptors(in_force.load().snapshot.limits.connections, threads);
    let ready = Arc::new(AtomicBool::new(false));
    // Before the first discovery, which may take a while: meanwhile /healthz says alive and /readyz not ready.
    let parts = admin::Parts {
        in_force: Arc::clone(&in_force),
        live: Arc::clone(&live),
        telemetry: Arc::clone(&telemetry),
        upstreams: Arc::clone(&upstreams),
        reloader: Arc::clone(&reloader),
        shadow: Arc::clone(&shadow),
        learner: Arc::clone(&learner),
        store: Arc::clone(&store),
        gates: Arc::clone(&gates),
        fleet: fleet.clone(),
        ready: Arc::clone(&ready),
        keys,
        address: admin,
        connections: shares.admin,
    };
    let console = admin::Admin::new(parts, Arc::new(Console::default()));
    serve(control, admin, console.full(), Arc::clone(&fds), stopping.clone(), (1, GATHERING));
    if let Some(address) = metrics_alone {
        serve(control, address, console.metrics_only(), Arc::clone(&fds), stopping.clone(), (1, GATHERING));
    }
    control.block_on(upstreams.first_look(FIRST_LOOK));

    let connections = Arc::new(Connections::new(shares.clients));
    let steps = Arc::new(Steps {
        in_force: Arc::clone(&in_force),
        live: Arc::clone(&live),
        access,
        telemetry: Arc::clone(&telemetry),
        learner: Arc::clone(&learner),
        shadow: Arc::clone(&shadow),
        disk: Arc::default(),
        going_away: connections.going_away().clone(),
        idle: idle_each(shares.idle, threads),
    });
    let plain = server.listen.iter().zip(&listeners).map(|listener| (listener, None));
    let encrypted = server.tls.listen.iter().zip(&tls_listeners).map(|listener| (listener, tls.clone()));
    for ((written, address), tls) in plain.chain(encrypted) {
        let listener = HttpListener::new(Arc::clone(&steps), Arc::clone(&connections), written, tls, threads);
        serve(data.get_handle(), *address, listener, Arc::clone(&fds), stopping.clone(), (threads, UNBUFFERED));
    }
    gates.start(replica::moves_by(&reloader));
    control.spawn(Arc::clone(&reloader).watch_file());
    control.spawn(look_now_and_then(Arc::clone(&telemetry)));
    ready.store(true, Ordering::Release);
    inheritance.serves();
    Ok(Running {
        listeners,
        tls_listeners,
        admin,
        reloader,
        telemetry,
        in_force,
        gates,
        shadow,
        learner,
        store,
        fleet,
        live,
        ready,
        connections,
        stop,
        fds,
        copy_runtime,
        data,
    })
}

/// The store says in the metrics how it is; after another process let go of it, what that process kept is read anew.
fn watch_store(store: &Arc<Store>, metrics: &Arc<Metrics>, shadow: &Arc<Shadow>) {
    let (shown, shadow) = (Arc::clone(metrics), Arc::downgrade(shadow));
    store.when_changed(move |status| {
        shown.edge().set_journal_broken(status.is_broken());
        if let Some(shadow) = shadow.upgrade().filter(|_| status.trouble.is_none()) {
            shadow.read_anew();
        }
    });
    metrics.edge().set_journal_broken(store.status().is_broken());
}

/// TLS files that cannot be used at a reload, for the answer to that reload: it is refused.
fn certificates(errors: &[TlsError]) -> Vec<Unusable> {
    let unusable = |error: &TlsError| {
        let diagnostic = Diagnostic::new(Code::UnusableCertificate, error.to_string()).help(
            "put certificates, keys and authorities in place, in PEM, each key behind its own certificate, then reload",
        );
        (error.path.clone(), diagnostic)
    };
    errors.iter().map(unusable).collect()
}

/// The progress of the migration is computed when it is read: metrics and status.
async fn look_now_and_then(telemetry: Arc<Telemetry>) {
    let mut clock = tokio::time::interval(LOOK);
    loop {
        telemetry.tick(clock.tick().await.into_std());
    }
}

/// Upstreams are believed by these. Pingora reads them whenever it makes a connector, and panics if it cannot.
fn authorities() -> pingora::Result<()> {
    pingora::tls::load_platform_certs_incl_env_into_store(&mut RootCertStore::empty())
}

/// Connections to upstreams that wait for the next request, for each thread.
const IDLE: usize = 512;

/// Divides the descriptors, and says so where the file wants more than there are.
fn share_descriptors(wanted: Option<u64>, threads: usize) -> Shares {
    let idle = u64::try_from(IDLE * threads).unwrap_or(u64::MAX);
    let limit = raise_limit();
    let open = open_now();
    let shares = Shares::of(limit, open, idle);
    if let Some(wanted) = wanted.filter(|wanted| *wanted > shares.clients) {
        let (room, needed) = (shares.clients, Shares::needed(wanted, open, idle));
        tracing::warn!(
            "{limit} open descriptors are allowed: only {room} clients are let in at once, not the {wanted} of \
             `connections` in [limits]; raise the limit to {needed} (`LimitNOFILE=`, `ulimit -n`)"
        );
    }
    shares
}

/// How many connections to upstreams wait for requests on each thread.
fn idle_each(idle: u64, threads: usize) -> usize {
    let each = usize::try_from(idle).unwrap_or(usize::MAX) / threads;
    each.clamp(2, IDLE)
}

/// A buffer of pingora's is held as long as its connection. The ends of [`downstream`](crate::downstream) gather what is written
/// to clients, and hold nothing while they are idle.
const UNBUFFERED: usize = 0;
/// The admin listener has no such end.
const GATHERING: usize = 16 * 1024;

fn serve<A>(
    runtime: &Handle,
    address: SocketAddr,
    app: A,
    fds: ListenFds,
    stopping: watch::Receiver<bool>,
    (tasks, write_buffer): (usize, usize),
) where
    A: pingora::apps::ServerApp + Send + Sync + 'static,
{
    let address = address.to_string();
    let mut service = Service::new(address.clone(), app);
    service.add_listener(ListenerConfig::tcp(&address).l4_buffer(L4BufferSettings::new(0, write_buffer)));
    runtime.spawn(async move { service.start_service(Some(fds), stopping, tasks).await });
}

impl Running {
    /// The file in force.
    pub fn in_force(&self) -> Arc<Snapshot> {
        Arc::clone(&self.in_force.load().snapshot)
    }

    /// Opens the access log anew.
    pub fn reopen_logs(&self) {
        self.telemetry.access_log.reopen();
    }

    /// Gives the listeners to a successor, if one waits. Afterwards it serves, and this process has only to finish.
    pub async fn hand_over(&self) -> Result<(), Stays> {
        let state_dir = self.in_force.load().snapshot.server.state_dir.clone();
        hand_over(&state_dir, &self.fds).await?;
        let (store, shadow, learner) = (Arc::clone(&self.store), Arc::clone(&self.shadow), Arc::clone(&self.learner));
        // The successor keeps what is learnt from now on.
        let let_go = move || {
            shadow.save();
            learner.save();
            store.let_go();
        };
        replica::leave(self.fleet.as_ref()).await;
        if tokio::task::spawn_blocking(let_go).await.is_err() {
            tracing::error!("the store was not let go of: its thread ended in a panic");
        }
        // A client may be about to use a kept connection: it is closed behind a response, not before a request.
        self.connections.successor_serves();
        Ok(())
    }

    /// Finishes what is in flight and ends. Everything idle is closed at once.
    pub async fn stop(&self) -> bool {
        self.ready.store(false, Ordering::Release);
        let server = &self.in_force.load().snapshot.server;
        if !server.lame_duck.is_zero() && !self.connections.has_successor() {
            tracing::info!("not ready any more; listening for another {:?}", server.lame_duck);
            tokio::time::sleep(server.lame_duck).await;
        }
        // Another replica may lead at once.
        replica::leave(self.fleet.as_ref()).await;
        self.shadow.begin_to_stop();
        self.live.begin_to_stop();
        self.stop.send_replace(true);
        let mut drained = drain(&self.connections, server.drain).await;
        if drained != Drained::All && self.connections.say_going_away() > 0 {
            // Open WebSockets get a Close frame, and time for the peer to answer it.
            drained = drain(&self.connections, GOING_AWAY).await;
        }
        match drained {
            Drained::All => tracing::info!("stopped: everything in flight was finished"),
            Drained::Left(connections) => {
                tracing::warn!(connections, "stopped: the time to drain was over");
            }
        }
        let shadow = Arc::clone(&self.shadow);
        let (store, learner) = (Arc::clone(&self.store), Arc::clone(&self.learner));
        let last_words = move || {
            shadow.stop(LAST_WORDS);
            learner.stop();
            store.let_go();
        };
        if tokio::task::spawn_blocking(last_words).await.is_err() {
            tracing::error!("the evidence was not written: its thread ended in a panic");
        }
        self.telemetry.close(Duration::from_secs(2));
        drained == Drained::All
    }

    /// Waits for the runtime's threads, at most a moment.
    pub fn close(self) {
        self.data.shutdown_timeout(Duration::from_millis(200));
        self.copy_runtime.shutdown_timeout(Duration::from_millis(200));
    }
}

#[cfg(test)]
#[path = "panic_tests.rs"]
mod panics;
