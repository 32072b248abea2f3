//! One process after another on the same sockets: nobody is refused.

use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use crate::harness::{Client, Edge, Origin, PATIENCE, Process, eventually};

#[test]
fn sigquit_without_a_successor_changes_nothing_and_is_said() {
    let monolith = Origin::saying("ok");
    let mut edge = Edge::before(&monolith).start();
    edge.signal("QUIT");
    edge.await_log_line(&["staying up", "no successor"]);
    assert_eq!(edge.get("/").text(), "ok");
    assert!(edge.wait(Duration::ZERO).is_none());
}

/// Asks on one connection for as long as it is kept, then on another; gives answers and failures.
fn ask(address: std::net::SocketAddr, stop: &AtomicBool, answered: &AtomicUsize) -> Vec<String> {
    let mut failures = Vec::new();
    while !stop.load(SeqCst) {
        let Ok(mut client) = Client::try_connect(address) else {
            failures.push("refused".to_owned());
            continue;
        };
        loop {
            let sent = client.try_send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
            match sent.and_then(|()| client.try_response(false)) {
                Ok(response) => {
                    answered.fetch_add(1, SeqCst);
                    if response.status() != 200 {
                        failures.push(format!("status {}", response.status()));
                    }
                    if stop.load(SeqCst) || !response.head.keeps_alive() {
                        break;
                    }
                }
                Err(error) => {
                    failures.push(error.to_string());
                    break;
                }
            }
        }
    }
    failures
}

#[test]
fn a_successor_takes_the_sockets_over_and_no_request_fails() {
    let monolith = Origin::saying("ok");
    let mut edge = Edge::before(&monolith).start();
    let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let (address, stop, answered) = (edge.address(), Arc::clone(&stop), Arc::clone(&answered));
            thread::spawn(move || ask(address, &stop, &answered))
        })
        .collect();
    eventually("the first answers", || (answered.load(SeqCst) > 50).then_some(()));

    let mut successor = Process::spawn(["run".as_ref(), "--upgrade".as_ref(), "-c".as_ref(), edge.path().as_os_str()]);
    let place = edge.path().with_file_name("state").join("upgrade.sock");
    eventually("the successor waiting", || place.exists().then_some(()));
    edge.signal("QUIT");
    assert_eq!(edge.wait(PATIENCE).expect("the predecessor ends").code(), Some(0));

    let before = answered.load(SeqCst);
    eventually("answers of the successor", || (answered.load(SeqCst) > before + 50).then_some(()));
    assert_eq!(edge.admin("GET", "/readyz").status(), 200, "the admin listener went along");
    stop.store(true, SeqCst);
    for client in clients {
        let failures = client.join().expect("a client never panics");
        assert!(failures.is_empty(), "{failures:?}");
    }
    successor.signal("TERM");
    assert_eq!(successor.wait(PATIENCE).expect("the successor ends").code(), Some(0));
}

#[test]
fn the_database_passes_to_the_successor_and_a_second_process_waits_for_it() {
    let monolith = Origin::saying("ok");
    let mut edge = Edge::before(&monolith).start();
    let state = |edge: &Edge| edge.admin_json("GET", "/api/v1/status").1["store"]["state"].clone();
    assert_eq!(state(&edge), "writing");
    // Another process on the same folder serves, and keeps nothing.
    let (listen, admin) = (crate::harness::free_address(), crate::harness::free_address());
    let text = edge.text("").replace(&edge.address().to_string(), &listen.to_string());
    let text = text.replace(&edge.admin_address().to_string(), &admin.to_string());
    let file = edge.path().with_file_name("second.toml");
    std::fs::write(&file, text).expect("the folder takes a file");
    let second = Process::spawn(["run".as_ref(), "-c".as_ref(), file.as_os_str()]);
    eventually("the second listens", || Client::try_connect(listen).ok());
    assert_eq!(Client::connect(listen).get("/").text(), "ok");
    assert!(second.stderr().contains("another process uses the state directory"), "{}", second.stderr());
    second.signal("KILL");

    let mut successor = Process::spawn(["run".as_ref(), "--upgrade".as_ref(), "-c".as_ref(), edge.path().as_os_str()]);
    let place = edge.path().with_file_name("state").join("upgrade.sock");
    eventually("the successor waiting", || place.exists().then_some(()));
    edge.signal("QUIT");
    assert_eq!(edge.wait(PATIENCE).expect("the predecessor ends").code(), Some(0));
    eventually("the successor holds the database", || (state(&edge) == "writing").then_some(()));
    successor.signal("TERM");
    assert_eq!(successor.wait(PATIENCE).expect("the successor ends").code(), Some(0));
}

#[test]
fn the_service_manager_is_told() {
    let monolith = Origin::saying("ok");
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("notify-{}", std::process::id()));
    drop(std::fs::remove_file(&path));
    let manager = UnixDatagram::bind(&path).expect("cargo's folder takes a socket");
    manager.set_read_timeout(Some(PATIENCE)).expect("a socket takes a timeout");
    let arguments = crate::harness::without_file(&monolith.url(), crate::harness::free_address());
    let variables = [("NOTIFY_SOCKET", path.display().to_string()), ("WATCHDOG_USEC", "400000".to_owned())];
    let process = Process::spawn_with(arguments, variables);
    let hear = |what: &str| {
        eventually(what, || {
            let mut bytes = [0; 256];
            let length = manager.recv(&mut bytes).ok()?;
            String::from_utf8_lossy(&bytes[..length]).contains(what).then_some(())
        });
    };
    hear("READY=1");
    hear("WATCHDOG=1");
    process.signal("HUP");
    hear("RELOADING=1");
    hear("READY=1");
    process.signal("TERM");
    hear("STOPPING=1");
    drop(std::fs::remove_file(&path));
}

#[test]
fn what_outlives_the_process_is_nobody_elses_to_read() {
    use std::os::unix::fs::MetadataExt as _;
    let mode = |path: &std::path::Path| std::fs::metadata(path).map(|found| found.mode() & 0o777).ok();
    let edge = Edge::before(&Origin::saying("ok")).start();
    let state = edge.path().with_file_name("state");
    assert_eq!(mode(&state), Some(0o700));
    let file = edge.path().display().to_string();
    let _successor = Process::spawn(["run", "-c", &file, "--upgrade"]);
    let socket = state.join("upgrade.sock");
    eventually("a socket for the owner alone", || (mode(&socket) == Some(0o600)).then_some(()));
}
