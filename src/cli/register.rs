//! `multilith register`: runs a program and keeps it registered in etcd while it answers its health check.
//!
//! The order at the end is the point: first the registry hears that the program goes, then the proxies, then the program.

use std::os::unix::process::ExitStatusExt;
use std::process::{ExitCode, ExitStatus};
use std::time::Duration;

use http::Method;
use rustix::process::{Pid, kill_process};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};

use super::{Exit, RegisterArgs, term};
use crate::client::etcd::{EtcdClient, EtcdLease};
use crate::client::{FetchError, fetch};
use crate::endpoint::{Address, BadNotation};
use crate::endpoint::{BadUrl, Url};

/// Until the program answers for the first time it is asked this often.
const IMPATIENT: Duration = Duration::from_millis(200);
/// A health check that takes longer has failed.
const CHECK: Duration = Duration::from_secs(2);
/// Deregistering may take this long; then the lease ends by itself.
const LEAVING: Duration = Duration::from_secs(3);
/// Between deregistering and stopping the program: proxies hear of it within milliseconds, requests on their way arrive.
const SETTLING: Duration = Duration::from_millis(500);

pub(super) fn register(args: &RegisterArgs) -> ExitCode {
    match prepare(args) {
        Ok((keeper, runtime)) => runtime.block_on(run(keeper, &args.command)),
        Err(error) => {
            term::fail(&error.to_string(), None);
            Exit::Failed.into()
        }
    }
}

/// Why nothing is registered.
#[derive(Debug, thiserror::Error)]
enum NotReady {
    #[error("`{0}` is no address for others: write host:port")]
    Socket(String),
    #[error("`{0}` is no address: {1}")]
    Address(String, BadNotation),
    #[error("a lease lives for at least a second: `--ttl 1s`")]
    Ttl,
    #[error("`{0}` is no name of a service")]
    Service(String),
    #[error(transparent)]
    Url(#[from] BadUrl),
    #[error("cannot start the runtime: {0}")]
    Runtime(std::io::Error),
}

/// Why the program is not known to be healthy.
#[derive(Debug, thiserror::Error)]
enum Unhealthy {
    #[error(transparent)]
    NotConnected(#[from] std::io::Error),
    #[error(transparent)]
    NotAsked(#[from] FetchError),
    #[error("status {0}")]
    Status(u16),
    #[error("no answer within {} s", CHECK.as_secs())]
    Late,
}

fn prepare(args: &RegisterArgs) -> Result<(Keeper, tokio::runtime::Runtime), NotReady> {
    let address = match args.address.parse() {
        Ok(Address::Tcp { host, port }) => Address::Tcp { host, port },
        Ok(Address::Unix(_)) => return Err(NotReady::Socket(args.address.clone())),
        Err(bad) => return Err(NotReady::Address(args.address.clone(), bad)),
    };
    if args.ttl < Duration::from_secs(1) {
        return Err(NotReady::Ttl);
    }
    if args.service.is_empty() || args.service.contains('/') {
        return Err(NotReady::Service(args.service.clone()));
    }
    let health = args.health.as_deref().map(|path| Check::get(&address, path)).transpose();
    let health = health?.unwrap_or_else(|| Check::Answer { address: address.to_string() });
    let etcd = EtcdClient::new(&args.etcd)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(NotReady::Runtime)?;
    term::init_logging();
    let key = format!("/services/{}/{address}", args.service);
    Ok((
        Keeper { etcd, key, address: address.to_string(), ttl: args.ttl, health, lease: None, written: false },
        runtime,
    ))
}

async fn run(keeper: Keeper, command: &[String]) -> ExitCode {
    let (program, arguments) = command.split_first().expect("clap asks for at least one word");
    // A group of its own: Ctrl-C on the terminal must not reach it before the registry knows.
    let child = Command::new(program).args(arguments).process_group(0).kill_on_drop(true).spawn();
    let (mut child, mut signals) = match (child, Signals::new()) {
        (Ok(child), Ok(signals)) => (child, signals),
        (Err(error), _) => {
            term::fail(&format!("cannot run `{program}`: {error}"), None);
            return Exit::Failed.into();
        }
        (_, Err(error)) => {
            term::fail(&format!("cannot listen for signals: {error}"), None);
            return Exit::Failed.into();
        }
    };
    let (stop, stopped) = oneshot::channel();
    let keeping = tokio::spawn(keeper.keep_registered(stopped));
    let first = tokio::select! {
        status = child.wait() => Err(status),
        signal = signals.next() => Ok(signal),
    };
    let _ = stop.send(());
    // A panic in there must not keep the program from being stopped.
    let _ = keeping.await;
    let status = match first {
        Err(status) => status,
        Ok(first) => {
            sleep(SETTLING).await;
            send(&child, first);
            loop {
                tokio::select! {
                    status = child.wait() => break status,
                    again = signals.next() => send(&child, again),
                }
            }
        }
    };
    status.map_or_else(|_| Exit::Failed.into(), passed_on)
}

/// As a shell says it: 128 and the signal for a program that was killed by one.
fn passed_on(status: ExitStatus) -> ExitCode {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(2);
    ExitCode::from(u8::try_from(code).unwrap_or(2))
}

/// The child was not waited for, so its number is still its own.
fn send(child: &Child, signal: SignalKind) {
    let pid = child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
    if let (Some(pid), Some(signal)) = (pid, rustix::process::Signal::from_named_raw(signal.as_raw_value())) {
        // It may have ended by itself.
        let _ = kill_process(pid, signal);
    }
}

/// The signals that tell the program to stop.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) -> SignalKind {
        tokio::select! {
            _ = self.terminate.recv() => SignalKind::terminate(),
            _ = self.interrupt.recv() => SignalKind::interrupt(),
        }
    }
}

/// How to find out that the program can take requests.
enum Check {
    /// Before it is registered, whatever it says to a request; then, that it takes connections.
    Answer {
        address: String,
    },
    Get(Url),
}

/// Many servers take connections long before they can answer, because the program that listens is not yet the one that works.
async fn answers_something(address: &str) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(address).await?;
    let request =
        format!("GET / HTTP/1.1\r\nHost: {address}\r\nUser-Agent: multilith-check\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    // Servers of HTTP/2 and of TLS say something to this, too.
    stream.read_u8().await.map(drop)
}

impl Check {
    fn get(address: &Address, path: &str) -> Result<Self, BadUrl> {
        let url = format!("http://{address}{path}");
        if path.starts_with('/') { url.parse().map(Self::Get) } else { Err(BadUrl(url)) }
    }
}

/// Keeps one key in etcd as long as the program answers.
struct Keeper {
    etcd: EtcdClient,
    key: String,
    address: String,
    ttl: Duration,
    health: Check,
    lease: Option<EtcdLease>,
    /// The key was written with this lease.
    written: bool,
}

impl Keeper {
    async fn keep_registered(mut self, mut stopped: oneshot::Receiver<()>) {
        loop {
            let pause = tokio::select! {
                // A stop was asked for, or the sender is gone.
                _ = &mut stopped => break,
                pause = self.look() => pause,
            };
            if timeout(pause, &mut stopped).await.is_ok() {
                break;
            }
        }
        self.leave().await;
    }

    /// One look at the program and at the registry; says when the next is due. A program that does not answer is not
    /// deregistered: its lease is no longer prolonged, so it is gone from the registry when it stays silent.
    async fn look(&mut self) -> Duration {
        let period = self.ttl / 3;
        if let Err(why) = self.answers().await {
            if self.lease.is_some() {
                tracing::warn!(%why, "the program did not answer its health check; the lease was not prolonged");
            }
            return if self.lease.is_some() { period } else { period.min(IMPATIENT) };
        }
        match self.prolong().await {
            Ok(()) => period,
            Err(error) => {
                tracing::warn!(%error, "etcd did not answer; asking again");
                period.min(Duration::from_secs(1))
            }
        }
    }

    async fn answers(&self) -> Result<(), Unhealthy> {
        let asked = async {
            match &self.health {
                Check::Answer { address } if self.written => Ok(TcpStream::connect(address).await.map(drop)?),
                Check::Answer { address } => Ok(answers_something(address).await?),
                Check::Get(url) => {
                    let head = fetch::request(url, Method::GET, url.target());
                    let response = fetch::fetch(url, &head, None).await?;
                    let status = response.head.status;
                    if status.is_success() { Ok(()) } else { Err(Unhealthy::Status(status.as_u16())) }
                }
            }
        };
        timeout(CHECK, asked).await.unwrap_or(Err(Unhealthy::Late))
    }

    async fn prolong(&mut self) -> Result<(), FetchError> {
        if let Some(lease) = self.lease.as_ref().filter(|_| self.written) {
            if self.etcd.keep_alive(lease).await? {
                return Ok(());
            }
            tracing::warn!("the lease had ended");
        }
        // A lease is kept before its key is written: whatever happens from here on, leaving ends it.
        if self.written || self.lease.is_none() {
            self.written = false;
            self.lease = Some(self.etcd.grant(self.ttl.as_secs().max(1)).await?);
        }
        let lease = self.lease.as_ref().expect("it was granted");
        if let Err(error) = self.etcd.put(&self.key, &self.address, lease).await {
            // Perhaps the lease is what is wrong: the next attempt takes a new one.
            self.written = matches!(error, FetchError::Status(_));
            return Err(error);
        }
        self.written = true;
        tracing::info!(key = self.key, ttl_seconds = lease.ttl, "the program was registered");
        Ok(())
    }

    async fn leave(&mut self) {
        let Some(lease) = self.lease.take() else { return };
        let leaving = async {
            while let Err(error) = self.etcd.revoke(&lease).await {
                // A lease that ended by itself cannot be revoked, and need not.
                if error == FetchError::Status(404) {
                    break;
                }
                sleep(IMPATIENT).await;
            }
        };
        if timeout(LEAVING, leaving).await.is_ok() {
            tracing::info!(key = self.key, "the program was deregistered");
        } else {
            tracing::warn!(key = self.key, "etcd did not answer; the registration ends with its lease");
        }
    }
}
