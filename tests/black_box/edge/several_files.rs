//! Several files are one configuration: `include`, folders and several `-c`, watched and put in force as one.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::harness::{Edge, Origin, Process, eventually};

const LIMIT: Duration = Duration::from_secs(20);

fn takes(name: &str) -> String {
    format!("[routes.{name}]\npath = \"/{name}\"\nservice = \"new\"\nstage = \"canary\"\nweight = \"100%\"\n")
}

/// A proxy whose file includes `routes.d/*.toml` and with it a file for the team `a`.
fn edge() -> ([Origin; 2], Edge) {
    let (monolith, new) = (Origin::saying("monolith"), Origin::saying("service"));
    let edge = Edge::before(&monolith).service("new", &new).start();
    fs::create_dir(folder(&edge)).expect("the folder takes another");
    fs::write(team(&edge, "a"), takes("a")).expect("the folder takes a file");
    edge.replace_file(&with_include(&edge));
    eventually("the team's route in force", || (edge.get("/a").text() == "service").then_some(()));
    ([monolith, new], edge)
}

fn with_include(edge: &Edge) -> String {
    format!("include = [\"routes.d/*.toml\"]\n{}", edge.text(""))
}

fn folder(edge: &Edge) -> PathBuf {
    edge.path().with_file_name("routes.d")
}

fn team(edge: &Edge, name: &str) -> PathBuf {
    folder(edge).join(format!("{name}.toml"))
}

fn run(arguments: &[&str]) -> (i32, String, String) {
    let mut process = Process::spawn(arguments);
    let code = process.wait(LIMIT).and_then(|status| status.code()).expect("it ends by itself");
    (code, process.stdout(), process.stderr())
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path of the tests is text")
}

#[test]
fn a_file_that_begins_to_match_is_in_force_and_one_that_is_gone_is_not() {
    let (_origins, edge) = edge();
    let before = edge.generation();
    fs::write(team(&edge, "b"), takes("b")).expect("the folder takes a file");
    eventually("the new file in force", || (edge.get("/b").text() == "service").then_some(()));
    assert_eq!(edge.generation(), before + 1, "one change is one generation");
    fs::write(team(&edge, "b"), takes("c")).expect("the file can be written");
    eventually("the changed file in force", || (edge.get("/c").text() == "service").then_some(()));
    assert_eq!(edge.get("/b").text(), "monolith");
    fs::remove_file(team(&edge, "b")).expect("it was there");
    eventually("the file out of force", || (edge.get("/c").text() == "monolith").then_some(()));
    assert_eq!(edge.get("/a").text(), "service");
}

#[test]
fn a_broken_file_refuses_the_whole_and_is_named_with_its_line() {
    let (_origins, edge) = edge();
    let before = edge.generation();
    fs::write(team(&edge, "b"), format!("\n\n{}", takes("b").replace("canary", "cnary"))).expect("a file");
    // What another team changes meanwhile waits, too.
    fs::write(team(&edge, "a"), takes("z")).expect("a file");
    let refused = edge.await_refusal();
    let (file, line) = (refused[0]["file"].as_str().expect("a file"), refused[0]["line"].as_u64());
    assert_eq!((Path::new(file), line), (&*team(&edge, "b"), Some(6)), "{refused}");
    assert_eq!((edge.get("/a").text(), edge.generation()), ("service".into(), before));
    let (status, answer) = edge.post_reload();
    assert_eq!((status, &answer["result"]), (409, &"refused".into()));
    fs::write(team(&edge, "b"), takes("b")).expect("a file");
    eventually("all of it in force", || (edge.get("/z").text() == "service").then_some(()));
    assert_eq!((edge.get("/b").text(), edge.get("/a").text()), ("service".into(), "monolith".into()));
}

#[test]
fn one_table_in_two_files_names_both_places() {
    let (_origins, edge) = edge();
    fs::write(team(&edge, "b"), format!("# of team b\n{}", takes("a"))).expect("a file");
    let refused = edge.await_refusal();
    let found = &refused[0];
    assert_eq!((&found["code"], &found["line"], &found["column"]), (&"defined-twice".into(), &2.into(), &9.into()));
    assert_eq!(found["file"], text(&team(&edge, "b")));
    let first = &found["related"][0];
    assert_eq!((&first["file"], &first["line"]), (&text(&team(&edge, "a")).into(), &1.into()), "{found}");
    let (code, said, _) = run(&["check", "-c", text(edge.path())]);
    assert_eq!(code, 1);
    let named = said.contains(text(&team(&edge, "b"))) && said.contains(text(&team(&edge, "a")));
    assert!(named && said.contains("here first"), "{said}");
}

#[test]
fn the_files_in_force_are_shown_without_their_secrets() {
    let (_origins, edge) = edge();
    let more = "[routes.x]\npath = \"/x\"\nservice = \"new\"\nstage = \"migrated\"\nrewrite.set = { x-api-key = \"hunter2\" }\n";
    fs::write(team(&edge, "b"), more).expect("a file");
    let config = eventually("three files", || {
        Some(edge.config()).filter(|config| config["files"].as_array().is_some_and(|files| files.len() == 3))
    });
    assert_eq!(config["text"], with_include(&edge));
    let paths: Vec<_> = config["files"].as_array().expect("a list").iter().map(|file| file["path"].clone()).collect();
    assert_eq!(paths, [text(edge.path()), text(&team(&edge, "a")), text(&team(&edge, "b"))]);
    let shown = config["files"][2]["text"].as_str().expect("a text");
    assert!(shown.contains("REDACTED") && !config.to_string().contains("hunter2"), "{shown}");
}

#[test]
fn a_move_is_written_into_the_file_in_which_the_route_stands() {
    let (_origins, edge) = edge();
    let admin = edge.admin_address().to_string();
    let (code, _, said) = run(&["rollback", "a", "--weight", "25%", "--write", "--admin", &admin]);
    assert_eq!(code, 0, "{said}");
    let written = fs::read_to_string(team(&edge, "a")).expect("the file is there");
    assert_eq!(written, takes("a").replace("100%", "25%"));
    assert_eq!(fs::read_to_string(edge.path()).expect("the file is there"), with_include(&edge));
    eventually("the file agrees", || {
        let files = edge.config()["files"].clone();
        (files[1]["text"] == written.as_str()).then_some(())
    });
}

#[test]
fn several_files_and_folders_on_the_command_line_are_one_configuration() {
    let (_origins, edge) = edge();
    let (root, folder) = (text(edge.path()).to_owned(), text(&folder(&edge)).to_owned());
    let alone = edge.path().with_file_name("alone.toml");
    fs::write(&alone, edge.text("")).expect("the folder takes a file");
    for files in [vec!["-c", &root], vec!["-c", text(&alone), "-c", &folder]] {
        let (code, said, errors) = run(&[&["explain", "--json"], &files[..], &["GET", "http://x/a"]].concat());
        let said: serde_json::Value = serde_json::from_str(&said).expect("JSON");
        assert_eq!((code, &said["route"]), (0, &"a".into()), "{errors}");
        let keys = said["keys"].as_array().expect("a list");
        let place = keys.iter().find(|key| key["key"] == "routes.a").and_then(|key| key["effect"].as_str());
        assert!(place.is_some_and(|place| place.starts_with("stands in ") && place.ends_with("a.toml")), "{keys:?}");
        assert_eq!(run(&[&["check"], &files[..]].concat()).0, 0);
        // The admin listener is found in whichever file has it, broken or not.
        assert_eq!(run(&[&["status"], &files[..]].concat()).0, 0);
    }
    // Each by itself: the team's file has no monolith.
    let (code, said, _) = run(&["check", "--json", &root, &folder]);
    let said: serde_json::Value = serde_json::from_str(&said).expect("JSON");
    let codes: Vec<_> =
        said[1]["diagnostics"].as_array().expect("a list").iter().map(|one| one["code"].clone()).collect();
    assert_eq!((code, said[0]["diagnostics"].as_array().map(Vec::len)), (1, Some(0)));
    assert!(codes.contains(&"missing-monolith".into()) && codes.contains(&"unknown-service".into()), "{codes:?}");
    fs::write(team(&edge, "b"), "[routes.b\n").expect("a file");
    assert_eq!(run(&["status", "-c", &root]).0, 0, "the admin listener is known though a file is broken");
}

#[test]
fn a_pattern_without_a_file_is_a_warning_and_a_file_that_cannot_be_read_an_error() {
    let (_origins, edge) = edge();
    let text_with = |include: &str| format!("include = [{include}]\n{}", edge.text(""));
    let check = |include: &str| {
        let path = edge.path().with_file_name("tried.toml");
        fs::write(&path, text_with(include)).expect("the folder takes a file");
        let (code, said, _) = run(&["check", "--json", text(&path)]);
        let said: serde_json::Value = serde_json::from_str(&said).expect("JSON");
        let found = said["diagnostics"][0].clone();
        assert!(found["line"] == 1 && !found["help"].is_null(), "{found}");
        (code, found["code"].as_str().expect("a code").to_owned())
    };
    assert_eq!(check("\"nothing/*.toml\""), (0, "include-matches-nothing".to_owned()));
    assert_eq!(check("\"missing.toml\""), (1, "unreadable-file".to_owned()));
    fs::write(team(&edge, "c"), [b'[', 0xFF]).expect("a file");
    assert_eq!(check("\"routes.d/*.toml\""), (1, "unreadable-file".to_owned()));
    fs::write(team(&edge, "c"), "include = [\"d.toml\"]\n").expect("a file");
    let (code, said, _) = run(&["check", "--json", text(edge.path())]);
    assert_eq!(code, 1);
    assert!(said.contains("nested-include"), "{said}");
}
