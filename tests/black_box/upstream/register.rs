//! `multilith register`: a program that knows nothing of registries.

use super::etcd::Etcd;
use super::eventually;
use super::stand_in::{StandIn, answer};
use crate::harness::{PATIENCE, Process, run_to_exit};

/// `register` for a shell script that runs beside a stand-in which answers the checks.
fn registered(etcd: &Etcd, address: &str, ttl: &str, script: &str) -> Process {
    let url = etcd.url();
    let arguments = ["register", "--etcd", &url, "--service", "users", "--address", address, "--ttl", ttl];
    let arguments = [&arguments[..], &["--health", "/healthz", "--", "sh", "-c", script]].concat();
    Process::spawn(arguments)
}

fn healthy() -> StandIn {
    StandIn::new(|asked| answer(if asked.target == "/healthz" { 200 } else { 404 }, "", ""))
}

const WAITS: &str = "trap 'exit 7' TERM; while kill -0 $PPID; do sleep 0.05; done";

#[test]
fn a_program_is_registered_while_it_is_healthy_and_its_exit_code_is_passed_on() {
    let (etcd, health) = (Etcd::new("register"), healthy());
    let address = health.address.to_string();
    let mut program = registered(&etcd, &address, "5s", WAITS);
    eventually("it is registered", || etcd.values() == [address.clone()], || program.stderr());
    program.signal("TERM");
    let status = program.wait(PATIENCE).unwrap();
    assert_eq!(status.code(), Some(7), "{}", program.stderr());
    assert!(etcd.values().is_empty(), "it is still registered");
    let log = program.stderr();
    assert!(log.contains("was registered") && log.contains("was deregistered"), "{log}");
}

#[test]
fn it_is_deregistered_before_the_program_is_told_to_stop() {
    let (etcd, health) = (Etcd::new("order"), healthy());
    let address = health.address.to_string();
    // Told to stop, the program asks the registry whether it is still in it.
    let script = format!(
        "trap 'curl -s -d \"{{\\\"key\\\":\\\"{}\\\"}}\" {}/v3/kv/range; exit 0' TERM; while kill -0 $PPID; do sleep 0.05; done",
        super::etcd::b64(&format!("/services/users/{address}")),
        etcd.url(),
    );
    let mut program = registered(&etcd, &address, "60s", &script);
    eventually("it is registered", || etcd.values().len() == 1, || program.stderr());
    program.signal("TERM");
    assert_eq!(program.wait(PATIENCE).unwrap().code(), Some(0), "{}", program.stderr());
    let seen = program.stdout();
    assert!(seen.contains("revision") && !seen.contains("kvs"), "when it was told to stop the registry said {seen}");
}

#[test]
fn a_program_that_ends_by_itself_is_deregistered_at_once() {
    let (etcd, health) = (Etcd::new("ended"), healthy());
    let address = health.address.to_string();
    let folder = std::env::temp_dir().join(format!("multilith-register-{}", std::process::id()));
    let script = format!("while [ ! -e {} ]; do sleep 0.05; done; exit 3", folder.display());
    let mut program = registered(&etcd, &address, "60s", &script);
    eventually("it is registered", || etcd.values().len() == 1, || program.stderr());
    std::fs::write(&folder, "").unwrap();
    let status = program.wait(PATIENCE).unwrap();
    std::fs::remove_file(&folder).unwrap();
    assert_eq!(status.code(), Some(3));
    assert!(etcd.values().is_empty(), "the lease of a minute was left behind");
}

#[test]
fn a_program_that_does_not_answer_is_not_registered_and_one_that_stops_answering_loses_its_lease() {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU16, Ordering};
    let etcd = Etcd::new("silent");
    let status = Arc::new(AtomicU16::new(503));
    let now = Arc::clone(&status);
    let asked = Arc::new(AtomicU16::new(0));
    let count = Arc::clone(&asked);
    let health = StandIn::new(move |_| {
        count.fetch_add(1, Ordering::SeqCst);
        answer(now.load(Ordering::SeqCst), "", "")
    });
    let program = registered(&etcd, &health.address.to_string(), "1s", WAITS);
    eventually("it was asked three times", || asked.load(Ordering::SeqCst) >= 3, || program.stderr());
    assert!(etcd.values().is_empty(), "it is registered although it is not healthy");
    status.store(200, Ordering::SeqCst);
    eventually("it is registered", || etcd.values().len() == 1, || program.stderr());
    status.store(503, Ordering::SeqCst);
    eventually("its lease ended", || etcd.values().is_empty(), || program.stderr());
    status.store(200, Ordering::SeqCst);
    eventually("it is registered again", || etcd.values().len() == 1, || program.stderr());
    program.signal("TERM");
}

#[test]
fn without_a_health_check_a_program_is_registered_once_its_port_has_answered_something() {
    let etcd = Etcd::new("port");
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let (url, text) = (etcd.url(), address.to_string());
    let arguments = ["register", "--etcd", &url, "--service", "users", "--address", &text, "--ttl", "1s"];
    let started = std::env::temp_dir().join(format!("multilith-register-port-{}", std::process::id()));
    let script = format!("touch {}; {WAITS}", started.display());
    let program = Process::spawn([&arguments[..], &["--", "sh", "-c", &script]].concat());
    eventually("the program runs", || started.exists(), || program.stderr());
    assert!(etcd.values().is_empty(), "it is registered although nothing listens");
    let listener = std::net::TcpListener::bind(address).expect("the port is still free");
    for _ in 0..3 {
        // It takes connections, and nobody is there who works.
        drop(listener.accept().expect("it is asked"));
    }
    assert!(etcd.values().is_empty(), "it is registered although it answered nothing");
    let _program = StandIn::on(listener, |_| answer(404, "", ""));
    eventually("it is registered", || etcd.values() == [text.clone()], || program.stderr());
    std::fs::remove_file(&started).unwrap();
    program.signal("TERM");
}

#[test]
fn a_mistake_on_the_command_line_is_said_before_anything_runs() {
    let fine = ["--etcd", "http://127.0.0.1:1", "--service", "users", "--address", "127.0.0.1:1"];
    for (change, says) in [
        (["--etcd", "127.0.0.1:1"], "is no http(s) URL"),
        (["--service", "a/b"], "is no name of a service"),
        (["--address", "127.0.0.1"], "a port is missing"),
        (["--ttl", "0.5s"], "at least a second"),
        (["--health", "healthz"], "is no http(s) URL"),
    ] {
        let mut arguments = vec!["register"];
        arguments.extend(fine.chunks(2).filter(|pair| pair[0] != change[0]).flatten());
        arguments.extend(change);
        arguments.extend(["--", "true"]);
        let (code, stderr) = run_to_exit(PATIENCE, &arguments);
        assert_eq!(code, 2, "{change:?}: {stderr}");
        assert!(stderr.contains(says), "{change:?}: {stderr}");
    }
    let missing = [&["register"], &fine[..], &["--", "/no/such/program"]].concat();
    let (code, stderr) = run_to_exit(PATIENCE, &missing);
    assert_eq!(code, 2);
    assert!(stderr.contains("cannot run `/no/such/program`"), "{stderr}");
}
