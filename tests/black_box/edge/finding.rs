//! How the verbs find the running proxy: by its file, which may be broken, or as they are told; never by a guess.

use std::fs;

use crate::harness::{Edge, Origin, PATIENCE, Process, eventually};

const ROUTE: &str = "[routes.users]\npath = \"/users\"\nservice = \"users\"\nstage = \"migrated\"";

/// Exit code, stdout, stderr.
fn verb(arguments: &[&str], variables: &[(&'static str, String)]) -> (Option<i32>, String, String) {
    let mut process = Process::spawn_with(arguments, variables.to_vec());
    let status = process.wait(PATIENCE).expect("the verb ends");
    (status.code(), process.stdout(), process.stderr())
}

#[test]
fn the_button_works_in_the_moment_in_which_the_file_is_broken() {
    let (monolith, users) = (Origin::saying("monolith"), Origin::saying("service"));
    let edge = Edge::before(&monolith).service("users", &users).with(ROUTE).start();
    assert_eq!(edge.get("/users").text(), "service");
    let good = edge.text("");
    let file = edge.path().display().to_string();
    for broken in
        [good.replace("\"migrated\"", "\"migratd\""), format!("{good}[routes.half\n"), format!("{good}x = [1,\n")]
    {
        edge.replace_file(&broken);
        edge.await_refusal();
        for (word, answer) in [("on", "monolith"), ("off", "service")] {
            let (code, _, stderr) = verb(&["monolith-only", word, "-c", &file], &[]);
            assert_eq!(code, Some(0), "{stderr}");
            assert_eq!(edge.get("/users").text(), answer);
        }
        let (code, _, stderr) = verb(&["status", "-c", &file], &[]);
        assert_eq!(code, Some(0), "{stderr}");
        let (code, stdout, _) = verb(&["reload", "-c", &file], &[]);
        assert_eq!(code, Some(1), "a refusal is a finding");
        assert!(stdout.starts_with("refused"), "{stdout}");
    }
}

#[test]
fn where_the_proxy_cannot_be_known_the_verb_says_so() {
    let folder = format!("{}/finding-{}", env!("CARGO_TARGET_TMPDIR"), std::process::id());
    fs::create_dir_all(&folder).expect("cargo's folder for tests takes one more");
    let file = |name: &str, text: &str| {
        let path = format!("{folder}/{name}");
        fs::write(&path, text).expect("the folder takes a file");
        path
    };
    let misspelt = file("misspelt.toml", "[server]\nadmn = \"127.0.0.1:1\"\n");
    let lost = file("lost.toml", "[server]\nadmin = \"127.0.0.1:1\n");
    let missing = format!("{folder}/missing.toml");
    for path in [&misspelt, &lost, &missing] {
        for arguments in
            [&["monolith-only", "on"][..], &["status"], &["reload"], &["diff", "users"], &["logs", "--follow"]]
        {
            let arguments = [arguments, &["-c", path]].concat();
            let (code, stdout, stderr) = verb(&arguments, &[]);
            assert_eq!((code, &*stdout), (Some(2), ""), "{arguments:?}: {stderr}");
            assert!(stderr.contains("not known where") && stderr.contains(path.as_str()), "{stderr}");
            assert!(stderr.contains("MULTILITH_ADMIN"), "{stderr}");
        }
    }
    fs::remove_dir_all(&folder).expect("the folder is still there");
}

#[test]
fn a_variable_names_the_proxy_and_the_argument_wins_over_it() {
    let edge = Edge::before(&Origin::saying("ok")).start();
    let address = format!("http://{}", edge.admin_address());
    let admin = |url: &str| [("MULTILITH_ADMIN", url.to_owned())];
    assert_eq!(verb(&["status"], &admin(&address)).0, Some(0));
    assert_eq!(verb(&["status", "--admin", &address], &admin("http://127.0.0.1:1")).0, Some(0));
    let (code, _, stderr) = verb(&["status"], &admin("http://127.0.0.1:1"));
    assert_eq!(code, Some(2));
    assert!(stderr.contains("no proxy answers at http://127.0.0.1:1"), "{stderr}");
    // An empty variable is none.
    let file = edge.path().display().to_string();
    assert_eq!(verb(&["status", "-c", &file], &admin("")).0, Some(0));
}

#[test]
fn what_cannot_be_sent_is_said_and_not_sent() {
    let edge = Edge::before(&Origin::saying("ok")).start();
    let address = format!("http://{}", edge.admin_address());
    for (address, token, word) in
        [(&*address, "secret\nX-Other: 1", "control character"), ("http://", "secret", "no http(s) URL")]
    {
        let (code, stdout, stderr) = verb(&["status", "--admin", address, "--token", token], &[]);
        assert_eq!((code, &*stdout), (Some(2), ""), "{stderr}");
        assert!(stderr.contains(word) && stderr.contains("help: "), "{stderr}");
    }
}

#[test]
fn a_board_that_is_watched_is_shown_again_and_again() {
    let edge = Edge::before(&Origin::saying("ok")).start();
    let file = edge.path().display().to_string();
    let process = Process::spawn(["status", "--watch", "-c", &file]);
    eventually("two boards", || (process.stdout().matches("generation 1").count() >= 2).then_some(()));
}
