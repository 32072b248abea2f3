//! Brings everything up in order: sockets, what the rooms share, what moves by itself, the admin listener, the clients' listeners.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use pingora::server::{Fds, ListenFds};
use pingora_runtime::Runtime;
use rustls::RootCertStore;
use tokio::runtime::Handle;
use tokio::sync::watch;

use super::acme;
use super::descriptors::{Shares, open_now, raise_limit};
use super::hand_over::Inheritance;
use super::listen::Bound;
use super::observer::UpstreamObserver;
use super::replica;
use super::running::Running;
use super::start_error::StartError;
use crate::admin;
use crate::app::App;
use crate::client::{pipe, task};
use crate::compile::{ServerSettings, Snapshot};
use crate::console::Console;
use crate::diagnostic::{Code, Diagnostic};
use crate::gate::{Gates, Journal};
use crate::learn::Learner;
use crate::listener::tls::{ListenerTls, TlsError};
use crate::listener::{AcceptLoops, Connections, HttpListener, Threads};
use crate::live::{AdminKeys, InForce, Live, is_kept_pressed, private_folder};
use crate::notify::Notifier;
use crate::proxy::{Access, Generation, Steps};
use crate::reload::{ConfigSource, Reloader, Unusable};
use crate::shadow::{self, ShadowTraffic};
use crate::store::Store;
use crate::telemetry::{Meters, Telemetry};
use crate::upstream::Upstreams;

/// The arguments of a start.
pub struct Start {
    pub snapshot: Snapshot,
    pub source: ConfigSource,
    /// Sockets from a predecessor.
    pub inheritance: Inheritance,
}

/// How long the first answers of name servers and registries are waited for before requests are taken.
const FIRST_LOOK: Duration = Duration::from_secs(3);

/// Fine enough for the five minutes over which the progress of the migration is measured.
const LOOK: Duration = Duration::from_secs(5);

/// Starts a server. `control` is the runtime of everything that is not a request: admin, health, discovery, reloads.
pub fn start(start: Start, control: &Handle) -> Result<Running, StartError> {
    let Start { snapshot, source, mut inheritance } = start;
    let server = snapshot.server.clone();
    let keys = AdminKeys::read(&server.tokens).map_err(StartError::Token)?;
    authorities().map_err(StartError::Authorities)?;
    let sockets = Sockets::bind(&server, inheritance.listeners.take().unwrap_or_else(Bound::activated))?;
    let tls = match &*sockets.encrypted {
        [] => None,
        _ => Some(Arc::new(ListenerTls::load(&server.tls).map_err(StartError::Tls)?)),
    };
    let copy_runtime = shadow::runtime(snapshot.copy_cpu).map_err(StartError::Threads)?;
    let app = shared(snapshot, sockets.admin, copy_runtime.handle(), control)?;
    app.admin_keys.put(keys);

    let journal = Arc::new(Journal::of(Arc::clone(&app.store)));
    let reloader = Reloader::new(Arc::clone(&app), source, Arc::clone(&journal));
    replica::begin(&app, &reloader, FIRST_LOOK);
    let gates = Gates::new(Arc::clone(&app), journal);
    let (stop, stopping) = watch::channel(false);
    if let Some(fleet) = app.fleet.clone().filter(|fleet| fleet.is_sealing()) {
        let certificates = tls.as_ref().map(|tls| Arc::clone(tls.certificates()));
        control.spawn(task::boxed(acme::answer(fleet, Arc::clone(&app.live), certificates)));
    }
    if let Some(tls) = &tls {
        keep_certificates(&app, &server, tls, &reloader, &stopping);
    }
    control.spawn(task::boxed(Arc::clone(&reloader).watch_certificates()));

    let threads = match server.threads {
        0 => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        threads => threads,
    };
    let data = Runtime::new_no_steal(threads, "edge");
    let shares = share_descriptors(app.in_force.load().snapshot.limits.connections, threads);
    let ready = Arc::new(AtomicBool::new(false));
    let accept_loops = AcceptLoops { fds: Arc::clone(&sockets.fds), stopping };
    // Before the first discovery, which may take a while: meanwhile /healthz says alive and /readyz not ready.
    let parts = admin::Parts {
        app: Arc::clone(&app),
        reloader: Arc::clone(&reloader),
        gates: Arc::clone(&gates),
        ready: Arc::clone(&ready),
        address: sockets.admin,
        connections: shares.admin,
        guesses: admin::Guesses::default(),
        refused_bearers: admin::Guesses::default(),
        last_of_monolith: admin::LastOfMonolith::default(),
    };
    serve_admin(parts, sockets.metrics, control, &accept_loops);
    control.block_on(app.upstreams.first_look(FIRST_LOOK));

    pipe::allow(usize::try_from(shares.pipes).unwrap_or(usize::MAX));
    let connections = Arc::new(Connections::new(shares.clients));
    let steps = Steps {
        in_force: Arc::clone(&app.in_force),
        live: Arc::clone(&app.live),
        access: Arc::clone(&app.access),
        telemetry: Arc::clone(&app.telemetry),
        shadow: Arc::clone(&app.shadow),
        learner: Arc::clone(&app.learner),
        disk: Arc::default(),
        going_away: connections.going_away().clone(),
        idle: idle_each(shares.idle, threads),
    };
    serve_clients(steps, &connections, (&server, &sockets, tls), (&data, threads), &accept_loops);
    gates.start(replica::moves_by(&reloader));
    control.spawn(task::boxed(Arc::clone(&reloader).watch_file()));
    control.spawn(task::boxed(look_now_and_then(Arc::clone(&app.telemetry))));
    ready.store(true, Ordering::Release);
    inheritance.serves();
    let Sockets { plain: listeners, encrypted: tls_listeners, admin, fds, .. } = sockets;
    Ok(Running {
        listeners,
        tls_listeners,
        admin,
        reloader,
        app,
        gates,
        ready,
        connections,
        stop,
        fds,
        copy_runtime,
        data,
    })
}

/// Every address of the file, bound.
struct Sockets {
    plain: Vec<SocketAddr>,
    encrypted: Vec<SocketAddr>,
    admin: SocketAddr,
    metrics: Option<SocketAddr>,
    fds: ListenFds,
}

impl Sockets {
    /// `inherited`: from a predecessor or from systemd; they are taken where the file names their addresses.
    fn bind(server: &ServerSettings, inherited: Fds) -> Result<Self, StartError> {
        let mut bound = Bound::inheriting(inherited);
        let mut listen = |address: &Arc<str>| bound.listen(address).map_err(StartError::Listen);
        let plain = server.listen.iter().map(&mut listen).collect::<Result<_, _>>()?;
        let encrypted = server.tls.listen.iter().map(&mut listen).collect::<Result<_, _>>()?;
        let admin = listen(&server.admin)?;
        let metrics = server.metrics.as_ref().map(listen).transpose()?;
        Ok(Self { plain, encrypted, admin, metrics, fds: bound.into_fds() })
    }
}

/// The state that the rooms share, with the file's first generation in force.
fn shared(snapshot: Snapshot, admin: SocketAddr, copies: &Handle, control: &Handle) -> Result<Arc<App>, StartError> {
    // Pools, registries and recipients work on the control runtime.
    let _in_runtime = control.enter();
    let metrics = Meters::new(&snapshot.buckets).map_err(StartError::Metrics)?;
    let telemetry = Telemetry::start(Arc::clone(&metrics), &snapshot).map_err(StartError::Log)?;
    let live = Arc::new(Live::new(Instant::now()));
    let store = open_store(&snapshot.server, &live);
    let observer = UpstreamObserver::new(Arc::clone(&metrics), Arc::clone(&telemetry.events));
    let upstreams = Upstreams::with_store(Arc::new(observer), Arc::clone(&store));
    let access = Arc::new(Access::new(fastrand::u64(..)));
    let (kept, told) = (Arc::clone(&store), Arc::clone(&telemetry));
    let shadow = ShadowTraffic::start(copies, kept, &snapshot.server.state_dir, told, snapshot.copy_cpu);
    watch_store(&store, &metrics, &shadow);
    let learner = Learner::start(&snapshot, &store, &metrics);
    let first = Generation::assemble(1, Arc::new(snapshot), &upstreams, &live, &metrics, &shadow, &access);
    let fleet =
        replica::join(&first.snapshot, &admin.to_string(), &store, &metrics, control).map_err(StartError::Fleet)?;
    Ok(Arc::new(App {
        in_force: Arc::new(InForce::new(Arc::new(first))),
        live,
        access,
        admin_keys: AdminKeys::default(),
        telemetry,
        upstreams,
        shadow,
        learner,
        store,
        notifier: Notifier::new(control.clone(), metrics),
        fleet,
        control: control.clone(),
    }))
}

/// Opens what outlives the process, and presses the button again if it was pressed.
fn open_store(server: &ServerSettings, live: &Live) -> Arc<Store> {
    if let Err(error) = private_folder(&server.state_dir) {
        tracing::warn!(%error, dir = %server.state_dir.display(), "`state_dir` cannot be made: nothing will outlive this process");
    }
    let store = Store::open(&server.state_dir);
    // Pressed if either says so: an older program knows the file alone.
    if is_kept_pressed(&server.state_dir) || store.button_is_pressed() {
        live.set_monolith_only(true);
        tracing::warn!("the big red button is still pressed from before the start: every route goes to the monolith");
    }
    store
}

/// Certificates that a certificate authority issues are ordered and renewed, those of files are read again at a reload.
fn keep_certificates(
    app: &Arc<App>,
    server: &ServerSettings,
    tls: &Arc<ListenerTls>,
    reloader: &Reloader,
    stopping: &watch::Receiver<bool>,
) {
    if let Some(acme) = &server.tls.acme {
        acme::restore(acme, &server.state_dir, tls.certificates());
    }
    let (orders, ordered) = watch::channel(server.tls.acme.clone());
    let kept = (server.state_dir.clone(), Arc::clone(tls.certificates()), Arc::clone(&app.live));
    app.control.spawn(task::boxed(acme::run(ordered, stopping.clone(), kept, app.fleet.clone())));
    let metrics = Arc::clone(&app.telemetry.metrics);
    tls.certificates().when_changed(move |expiries| metrics.edge().certificates(expiries));
    let tls = Arc::clone(tls);
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

/// The API with the console, and the metrics on a listener of their own where the file names one.
fn serve_admin(parts: admin::Parts, metrics: Option<SocketAddr>, control: &Handle, accept_loops: &AcceptLoops) {
    let address = parts.address;
    let admin = admin::Admin::new(parts, Arc::new(Console::default()));
    accept_loops.serve_operator(control, address, admin.full());
    if let Some(address) = metrics {
        accept_loops.serve_operator(control, address, admin.metrics_only());
    }
}

/// From now on requests are taken.
fn serve_clients(
    steps: Steps,
    connections: &Arc<Connections>,
    (server, sockets, tls): (&ServerSettings, &Sockets, Option<Arc<ListenerTls>>),
    (data, count): (&Runtime, usize),
    accept_loops: &AcceptLoops,
) {
    let steps = Arc::new(steps);
    let threads = Threads::of(data, count);
    let plain = server.listen.iter().zip(&sockets.plain).map(|listener| (listener, None));
    let encrypted = server.tls.listen.iter().zip(&sockets.encrypted).map(|listener| (listener, tls.clone()));
    for ((written, address), tls) in plain.chain(encrypted) {
        let listener =
            HttpListener::new(Arc::clone(&steps), Arc::clone(connections), written, tls, Arc::clone(&threads));
        accept_loops.serve_clients(data.get_handle(), *address, listener, count);
    }
}

/// The store says in the metrics how it is; after another process let go of it, what that process kept is read anew.
fn watch_store(store: &Arc<Store>, metrics: &Arc<Meters>, shadow: &Arc<ShadowTraffic>) {
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

#[cfg(test)]
#[path = "panic_tests.rs"]
mod panics;
