//! `multilith run`: serves until it is told to stop.

use std::sync::Arc;

use tokio::runtime::Runtime;

use super::{Exit, RunArgs, term};
use crate::client::task;
use crate::compile::{Compiled, Snapshot, compile_all, without_file};
use crate::diagnostic::{Severity, Sources, render_all};
use crate::migration::Stage;
use crate::reload::{ConfigSource, environment};
use crate::server::{
    Inheritance, NotifyState, Running, Signal, Signals, Start, notify, notify_reloading, start, watchdog,
};

pub fn run(args: RunArgs) -> Exit {
    let upgrade = args.upgrade;
    let (source, sources, compiled) = match compiled(args) {
        Ok(read) => read,
        Err(exit) => return exit,
    };
    if !compiled.diagnostics.is_empty() {
        term::say(&render_all(&compiled.diagnostics, &sources, term::colour_on_stderr()));
    }
    let Some(snapshot) = compiled.snapshot else { return Exit::Findings };
    super::term::init_logging();
    let control = match control_runtime() {
        Ok(control) => control,
        Err(error) => {
            term::fail(&format!("cannot start the runtime: {error}"), None);
            return Exit::Failed;
        }
    };
    // First of all: a SIGHUP without a handler ends the process.
    let signals = { control.block_on(async { Signals::new() }) };
    let mut signals = match signals {
        Ok(signals) => signals,
        Err(error) => {
            term::fail(&format!("cannot listen for signals: {error}"), None);
            return Exit::Failed;
        }
    };
    let inheritance = match inheritance(upgrade, &snapshot) {
        Ok(inheritance) => inheritance,
        Err(exit) => return exit,
    };
    let running = match bring_up(snapshot, source, inheritance, &control) {
        Ok(running) => running,
        Err(exit) => return exit,
    };
    announce(&running);
    // After an upgrade the service manager has to be told the process that it watches now.
    notify(&[NotifyState::Ready, NotifyState::MainPid(std::process::id())]);
    if let Some(pause) = watchdog() {
        control.spawn(task::boxed(alive(pause)));
    }
    control.block_on(serve(&running, &mut signals));
    running.close();
    control.shutdown_background();
    Exit::Fine
}

/// Waits for the predecessor's sockets, if it is to be one's successor.
fn inheritance(upgrade: bool, snapshot: &Snapshot) -> Result<Inheritance, Exit> {
    if !upgrade {
        return Ok(Inheritance::default());
    }
    let state_dir = &snapshot.server.state_dir;
    term::say("waiting for the running multilith to hand over its sockets: send it SIGQUIT");
    Inheritance::wait(state_dir).map_err(|error| {
        let help = "the running one must use the same `state_dir`, and hands over at SIGQUIT; start without --upgrade if none runs";
        term::fail(&format!("no sockets came to `{}`: {error}", state_dir.display()), Some(help));
        Exit::Failed
    })
}

/// Tells the service manager that the runtime of everything but requests still runs.
async fn alive(pause: std::time::Duration) {
    let mut clock = tokio::time::interval(pause);
    loop {
        clock.tick().await;
        notify(&[NotifyState::Watchdog]);
    }
}

/// Reads and compiles what the command line names.
fn compiled(args: RunArgs) -> Result<(ConfigSource, Arc<Sources>, Compiled), Exit> {
    let source = match &args.monolith {
        Some(url) => ConfigSource::CommandLine(without_file(url, &args.listen, &args.admin).into()),
        None => ConfigSource::Files(args.config),
    };
    match source.read() {
        Ok(read) => {
            let compiled = compile_all(&read.sources, &environment, &|_| None);
            Ok((source, read.sources, compiled))
        }
        Err(error) => {
            let diagnostic = error.diagnostic();
            debug_assert_eq!(diagnostic.severity, Severity::Error);
            term::fail(&diagnostic.message, diagnostic.help.as_deref());
            Err(Exit::Failed)
        }
    }
}

/// The runtime of everything that is not a request.
pub fn control_runtime() -> std::io::Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).thread_name("control").enable_all().build()
}

/// Starts the server, or says what stands in the way.
pub fn bring_up(
    snapshot: Snapshot,
    source: ConfigSource,
    inheritance: Inheritance,
    control: &Runtime,
) -> Result<Running, Exit> {
    start(Start { snapshot, source, inheritance }, control.handle()).map_err(|error| {
        term::fail(&error.to_string(), error.help().as_deref());
        Exit::Failed
    })
}

/// The first lines are for a person: what listens where, which file, how many routes.
fn announce(running: &Running) {
    let plain = running.listeners.iter().map(|address| format!("http://{address}"));
    let encrypted = running.tls_listeners.iter().map(|address| format!("https://{address}"));
    let listeners: Vec<String> = plain.chain(encrypted).collect();
    term::say(&format!("multilith listens on {}; metrics and API on http://{}", listeners.join(", "), running.admin));
    term::say(&serving(&running.in_force()));
}

/// `it serves routes.toml: 6 routes (1 shadow, 2 canary, 3 migrated) before the monolith at 127.0.0.1:3000`
fn serving(snapshot: &Snapshot) -> String {
    let count = |stage: &Stage| snapshot.routes.iter().filter(|route| route.policy.dial.stage == *stage).count();
    let stages = Stage::ALL.iter().map(|stage| (count(stage), stage)).filter(|(count, _)| *count > 0);
    let stages: Vec<_> = stages.map(|(count, stage)| format!("{count} {stage}")).collect();
    let routes = match snapshot.routes.len() {
        0 => "no route yet: everything goes to the monolith".to_owned(),
        1 => format!("1 route ({})", stages.join(", ")),
        several => format!("{several} routes ({})", stages.join(", ")),
    };
    let files = snapshot.sources.files();
    let more = if files.len() > 1 { format!(" and {} more", files.len() - 1) } else { String::new() };
    format!("it serves `{}`{more}: {routes}", snapshot.sources.name())
}

async fn serve(running: &Running, signals: &mut Signals) {
    loop {
        match signals.next().await {
            Signal::Reload => {
                let reloader = Arc::clone(&running.reloader);
                // Its outcome is in the log.
                notify_reloading();
                let _ = tokio::task::spawn_blocking(move || reloader.reload()).await;
                notify(&[NotifyState::Ready]);
            }
            Signal::ReopenLogs => running.reopen_logs(),
            Signal::HandOver => match running.hand_over().await {
                Ok(()) => {
                    tracing::info!("a successor serves: finishing what is in flight");
                    break;
                }
                Err(why) => tracing::warn!("staying up: {why}"),
            },
            Signal::Stop => {
                notify(&[NotifyState::Stopping]);
                break;
            }
        }
    }
    tokio::select! {
        _ = running.stop() => {}
        () = second_stop(signals) => tracing::warn!("told to stop twice: ending at once"),
    }
}

async fn second_stop(signals: &mut Signals) {
    while signals.next().await != Signal::Stop {}
}
