//! What cannot start says why, on stderr, with a remedy and an exit code; it never panics and never half starts.

use std::fs;
use std::net::TcpListener;
use std::process::Command;
use std::time::Duration;

use crate::harness::{
    Client, Edge, Origin, PORT_TAKEN, Process, binary, eventually, free_address, run_to_exit, without_file,
};

const SOON: Duration = Duration::from_secs(10);

/// Exit code 1 or 2, every one of the words on stderr, and no trace of a panic.
fn assert_refuses(arguments: &[&str], words: &[&str]) -> (i32, String) {
    let (code, stderr) = run_to_exit(SOON, arguments);
    assert!(matches!(code, 1 | 2), "exit code {code} for {arguments:?}:\n{stderr}");
    for word in words {
        assert!(stderr.contains(word), "{word:?} is missing for {arguments:?}:\n{stderr}");
    }
    for word in ["panicked", "RUST_BACKTRACE", "unwrap()"] {
        assert!(!stderr.contains(word), "{arguments:?}:\n{stderr}");
    }
    (code, stderr)
}

#[test]
fn a_missing_file_is_named() {
    assert_refuses(&["run", "-c", "/nowhere/routes.toml"], &["/nowhere/routes.toml"]);
}

#[test]
fn a_folder_in_place_of_the_file_is_named() {
    assert_refuses(&["run", "-c", env!("CARGO_TARGET_TMPDIR")], &[env!("CARGO_TARGET_TMPDIR")]);
}

#[test]
fn a_wrong_file_is_reported_whole_with_exit_code_1() {
    let path = format!("{}/wrong-{}.toml", env!("CARGO_TARGET_TMPDIR"), std::process::id());
    let text = "[server]\nlisten = [\"127.0.0.1:0\"]\nlisen = 1\n[monolith]\nurl = \"http://127.0.0.1:1\"\n\
                [routes.a]\npath = \"/a\"\nservice = \"nobody\"\nstage = \"migratd\"\n";
    fs::write(&path, text).expect("cargo's folder for tests takes a file");
    let (code, _) = assert_refuses(&["run", "-c", &path], &[&path, "lisen", "nobody", "migratd", "migrated"]);
    assert_eq!(code, 1);
    fs::remove_file(&path).expect("the file is still there");
}

#[test]
fn a_mistyped_url_of_the_monolith_is_named() {
    for (url, named) in [
        ("htp://127.0.0.1:3000", "`htp`"),
        ("http//127.0.0.1:3000", "`http//127.0.0.1:3000`"),
        ("http://", "no host"),
        ("http://127.0.0.1:99999", "`99999`"),
        ("127.0.0.1 3000", "`127.0.0.1 3000`"),
    ] {
        let arguments = without_file(url, free_address());
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        let (code, _) = assert_refuses(&arguments, &["invalid-url", named, "help"]);
        assert_eq!(code, 1, "{url}");
    }
}

#[test]
fn a_port_in_use_is_named() {
    let monolith = Origin::saying("ok");
    let taken = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    let address = taken.local_addr().expect("a bound listener has an address").to_string();
    let arguments = without_file(&monolith.url(), taken.local_addr().expect("a bound listener has an address"));
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    assert_refuses(&arguments, &[&address, PORT_TAKEN]);
    assert_eq!(monolith.connections(), 0);
}

#[test]
fn an_admin_port_in_use_is_named() {
    let monolith = Origin::saying("ok");
    let edge = Edge::before(&monolith).start();
    let path = edge.path().with_file_name("second.toml");
    let listen = edge.address().to_string();
    fs::write(&path, edge.text("").replace(&listen, &free_address().to_string())).expect("the folder takes a file");
    let admin = edge.admin_address().to_string();
    assert_refuses(&["run", "-c", path.to_str().expect("a path in UTF-8")], &[&admin, PORT_TAKEN]);
    assert_eq!(edge.get("/").text(), "ok");
}

#[test]
fn authorities_of_the_machine_that_cannot_be_read_are_named() {
    const NOWHERE: [(&str, &str); 2] = [("SSL_CERT_FILE", "/nowhere/authorities.pem"), ("SSL_CERT_DIR", "/nowhere")];
    let arguments = without_file("http://127.0.0.1:1", free_address());
    let mut process = Process::spawn_with(arguments, NOWHERE.map(|(name, path)| (name, path.to_owned())));
    let status = process.wait(SOON).expect("it does not start");
    let stderr = process.stderr();
    assert_eq!(status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("/nowhere/authorities.pem") && stderr.contains("help: "), "{stderr}");
    assert!(!stderr.contains("panicked"), "{stderr}");
}

#[test]
fn a_name_that_does_not_resolve_yet_is_no_reason_not_to_start() {
    let listen = free_address();
    let process = Process::spawn(without_file("http://monolith.invalid:3000", listen));
    let ask = || Client::try_connect(listen).ok().map(|mut client| client.get("/"));
    let response = eventually("an answer", ask);
    assert_eq!(response.status(), 503);
    assert!(response.get("retry-after").is_some(), "{response:?}");
    eventually("a warning with the name", || process.stderr().contains("monolith.invalid").then_some(()));
}

#[test]
fn one_line_is_enough_to_stand_in_front_of_a_monolith() {
    let monolith = Origin::saying("monolith");
    let listen = free_address();
    let mut process = Process::spawn(without_file(&monolith.url(), listen));
    let answer = eventually("an answer", || Client::try_connect(listen).ok().map(|mut client| client.get("/").text()));
    assert_eq!(answer, "monolith");
    process.signal("TERM");
    assert_eq!(process.wait(SOON).and_then(|status| status.code()), Some(0));
}

#[test]
fn listeners_whose_ports_the_system_chooses_do_not_take_each_other_s_place() {
    let mut process = Process::spawn(["demo"]);
    let served = |process: &Process| process.stdout().lines().any(|line| line.contains("service 1"));
    eventually("answers for the demo's visitors", || served(&process).then_some(()));
    process.signal("TERM");
    assert_eq!(process.wait(SOON).and_then(|status| status.code()), Some(0));
    assert!(process.stdout().contains(" 0 failed"), "{}", process.stdout());
}

#[test]
fn the_demo_begins_with_the_address_of_its_console_whatever_it_warns_of() {
    // Fewer descriptors than its file wants are warned of.
    let line = "ulimit -n 1000 && exec \"$0\" demo --for 1s 2>&1";
    let all = Command::new("sh").args(["-c", line]).arg(binary()).output().expect("there is a shell").stdout;
    let all = String::from_utf8(all).expect("the demo prints text");
    assert!(all.starts_with("the console      http://127.0.0.1:"), "{all}");
    assert!(all.contains("only ") && all.contains("clients are let in at once"), "{all}");
}

#[test]
fn a_bare_port_as_address_is_told_how_it_is_written() {
    let arguments = ["run", "--monolith", "http://127.0.0.1:3000", "--listen", "8080"];
    assert_refuses(&arguments, &["`8080` has no port", "`127.0.0.1:8080`"]);
}

#[test]
fn check_of_a_file_that_is_not_there_did_not_do_its_work() {
    let (code, _) = run_to_exit(SOON, &["check", "/nowhere/routes.toml"]);
    assert_eq!(code, 2);
}

#[test]
fn until_the_first_discovery_is_done_the_proxy_says_that_it_is_not_ready() {
    let (listen, admin) = (free_address(), free_address());
    let folder = env!("CARGO_TARGET_TMPDIR");
    let path = format!("{folder}/unready-{}.toml", std::process::id());
    let text = format!(
        "[server]\nlisten = [\"{listen}\"]\nadmin = \"{admin}\"\n[monolith]\n\
         discover.file = {{ path = \"{folder}/nobody-writes-this.endpoints\" }}\n"
    );
    fs::write(&path, text).expect("cargo's folder for tests takes a file");
    let _process = Process::spawn(["run", "-c", &path]);
    let asked = |target: &str| Client::try_connect(admin).ok().map(|mut client| client.get(target).status());
    assert_eq!(eventually("an answer of /readyz", || asked("/readyz")), 503);
    assert_eq!(asked("/healthz"), Some(200));
    eventually("it is ready", || asked("/readyz").filter(|status| *status == 200));
    fs::remove_file(&path).expect("the file is still there");
}
