//! `multilith demo`: a small monolith, two services, traffic and the proxy in one process on loopback.

mod file;
mod origin;
mod traffic;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::runtime::Runtime;

use super::run::{bring_up, control_runtime};
use super::{DemoArgs, Exit, term};
use crate::compile::compile_all;
use crate::diagnostic::render_all;
use crate::reload::{ConfigSource, environment};
use crate::server::{Running, Signal, Signals};

pub fn demo(args: &DemoArgs) -> Exit {
    // The first line is the console's address, whatever there is to warn of.
    let log = term::init_held_logging();
    let control = match control_runtime() {
        Ok(control) => control,
        Err(error) => {
            term::fail(&format!("cannot start the runtime: {error}"), None);
            return Exit::Failed;
        }
    };
    match start(args, &control) {
        Ok(demo) => {
            demo.announce(args);
            drop(log);
            control.block_on(demo.watch(args.for_how_long));
            demo.end(&control);
            control.shutdown_background();
            Exit::Fine
        }
        Err(exit) => exit,
    }
}

struct Demo {
    running: Running,
    file: PathBuf,
    signals: std::sync::Mutex<Option<Signals>>,
    traffic: traffic::DemoTraffic,
}

fn start(args: &DemoArgs, control: &Runtime) -> Result<Demo, Exit> {
    let cannot = |what: &str, error: std::io::Error| {
        term::fail(&format!("cannot {what}: {error}"), None);
        Exit::Failed
    };
    let signals = control.block_on(async { Signals::new() }).map_err(|error| cannot("listen for signals", error))?;
    let begin =
        |origin| control.block_on(origin::start(origin)).map_err(|error| cannot("start the demo's servers", error));
    let places = file::Places {
        listen: args.listen.clone(),
        admin: args.admin.clone(),
        monolith: begin(origin::Origin::Monolith)?,
        users: begin(origin::Origin::Users)?,
        catalog: begin(origin::Origin::Catalog)?,
        reviews: begin(origin::Origin::Reviews)?,
    };
    let folder = std::env::temp_dir().join(format!("multilith-demo-{}", std::process::id()));
    let file = write(&folder, &file::text(&places, &folder)).map_err(|error| cannot("write routes.toml", error))?;
    let source = ConfigSource::file(file.clone());
    let read = source.read().map_err(|error| {
        term::fail(&error.diagnostic().message, None);
        Exit::Failed
    })?;
    let compiled = compile_all(&read.sources, &environment, &|_| None);
    let Some(snapshot) = compiled.snapshot else {
        term::say(&render_all(&compiled.diagnostics, &read.sources, term::colour_on_stderr()));
        return Err(Exit::Failed);
    };
    let running = bring_up(snapshot, source, crate::server::Inheritance::default(), control)?;
    let target = running.listeners.first().copied().ok_or(Exit::Failed)?;
    let traffic = traffic::DemoTraffic::start(target, control.handle());
    Ok(Demo { running, file, signals: std::sync::Mutex::new(Some(signals)), traffic })
}

fn write(folder: &Path, text: &str) -> std::io::Result<PathBuf> {
    std::fs::create_dir_all(folder)?;
    let file = folder.join("routes.toml");
    std::fs::write(&file, text)?;
    Ok(file)
}

impl Demo {
    fn announce(&self, args: &DemoArgs) {
        let proxy = self.address();
        let admin = self.running.admin;
        let file = self.file.display();
        term::out(&format!(
            "the console      http://{admin}/            where to look first\n\
             \n\
             multilith demo: a monolith, two services and the proxy, on loopback\n\
             \n\
             \x20 the proxy      http://{proxy}/            try: curl -i http://{proxy}/api/users/7\n\
             \x20 metrics, API   http://{admin}/            try: multilith status --admin http://{admin}\n\
             \x20                                                and: multilith diff search --admin http://{admin}\n\
             \x20 the routes     {file}\n\
             \n\
             Within two minutes the gate of `catalog` moves it to 100 %, step by step, and that of `reviews`, whose service\n\
             fails, takes it back: `multilith journal --admin http://{admin}` says why.\n\
             Edit that file and save it: the change is in force within a second. For instance,\n\
             move the search to its service by writing `stage = \"migrated\"` in [routes.search].\n\
             {}\n",
            match args.for_how_long {
                Some(time) => format!("Stops by itself after {time:?}; Ctrl-C ends it sooner."),
                None => "Ctrl-C ends it.".to_owned(),
            }
        ));
    }

    fn address(&self) -> SocketAddr {
        *self.running.listeners.first().expect("the demo's file names a listener")
    }

    /// Says every second what the traffic saw, when that has changed, until it is time to end.
    async fn watch(&self, for_how_long: Option<Duration>) {
        let signals = self.signals.lock().expect("nobody panics while holding it").take();
        let mut signals = signals.expect("watched once");
        let end = async {
            match for_how_long {
                Some(time) => tokio::time::sleep(time).await,
                None => std::future::pending().await,
            }
        };
        tokio::pin!(end);
        let mut second = tokio::time::interval(Duration::from_secs(1));
        loop {
            tokio::select! {
                () = &mut end => return,
                signal = signals.next() => match signal {
                    Signal::Stop => return,
                    Signal::Reload => { self.running.reloader.reload(); }
                    Signal::ReopenLogs | Signal::HandOver => {}
                },
                _ = second.tick() => term::out(&self.traffic.line()),
            }
        }
    }

    fn end(mut self, control: &Runtime) {
        let summary = self.traffic.stop();
        control.block_on(self.running.stop());
        term::out(&format!("\n{summary}\n"));
        if let Some(folder) = self.file.parent() {
            let _ = std::fs::remove_dir_all(folder);
        }
        self.running.close();
    }
}
