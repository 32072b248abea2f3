//! Every way in which the file can change, and what the proxy makes of it.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use crate::harness::{Edge, Gate, Origin, Process, Reply, eventually, free_address, without_file};

fn takes(path: &str) -> String {
    format!("[routes.moved]\npath = \"{path}\"\nservice = \"new\"\nstage = \"migrated\"")
}

fn edge() -> (Origin, Origin, Edge) {
    let (monolith, new) = (Origin::saying("monolith"), Origin::saying("service"));
    let edge = Edge::before(&monolith).service("new", &new).start();
    (monolith, new, edge)
}

#[test]
fn a_file_renamed_over_the_old_one_is_loaded() {
    let (_monolith, _new, edge) = edge();
    let before = edge.generation();
    assert_eq!(edge.get("/a").text(), "monolith");
    edge.reload(&takes("/a"));
    assert_eq!(edge.get("/a").text(), "service");
    assert!(edge.generation() > before);
    edge.reload(&takes("/b"));
    assert_eq!((edge.get("/a").text(), edge.get("/b").text()), ("monolith".into(), "service".into()));
}

#[test]
fn a_file_truncated_and_written_in_place_is_loaded() {
    let (_monolith, _new, edge) = edge();
    for path in ["/a", "/b", "/c"] {
        let text = edge.text(&takes(path));
        fs::write(edge.path(), &text).expect("the file can be written");
        edge.await_text(&text);
        assert_eq!(edge.get(path).text(), "service");
    }
}

#[test]
fn a_symlink_swapped_as_kubernetes_does_is_followed() {
    let (_monolith, _new, edge) = edge();
    let folder = edge.path().parent().expect("a file lies in a folder");
    // routes.toml -> ..data/routes.toml, ..data -> ..1: only `..data` is swapped.
    let publish = |version: &str, text: &str| {
        let data = folder.join(version);
        fs::create_dir(&data).expect("a new version has a new folder");
        fs::write(data.join("routes.toml"), text).expect("the folder takes a file");
        symlink(version, folder.join("..data_tmp")).expect("the folder takes a link");
        fs::rename(folder.join("..data_tmp"), folder.join("..data")).expect("a link can be renamed over another");
    };
    let first = edge.text(&takes("/a"));
    publish("..1", &first);
    symlink(Path::new("..data").join("routes.toml"), folder.join("link")).expect("the folder takes a link");
    fs::rename(folder.join("link"), edge.path()).expect("a link can be renamed over a file");
    edge.await_text(&first);
    for (version, path) in [("..2", "/b"), ("..3", "/c")] {
        let text = edge.text(&takes(path));
        publish(version, &text);
        edge.await_text(&text);
        assert_eq!(edge.get(path).text(), "service");
    }
}

#[test]
fn a_deleted_file_keeps_the_last_good_one_until_it_comes_back() {
    let (_monolith, _new, mut edge) = edge();
    edge.reload(&takes("/a"));
    let generation = edge.generation();
    fs::remove_file(edge.path()).expect("the file was there");
    edge.signal("HUP");
    edge.await_refusal();
    assert_eq!(edge.get("/a").text(), "service");
    assert_eq!(edge.generation(), generation);
    edge.reload(&takes("/b"));
    assert_eq!(edge.get("/b").text(), "service");
    assert!(edge.wait(std::time::Duration::ZERO).is_none());
}

#[test]
fn a_broken_file_changes_nothing_and_says_why() {
    let (_monolith, _new, edge) = edge();
    edge.reload(&takes("/a"));
    let good = edge.config();
    let broken = edge.text("[routes.moved]\npath = \"/b\"\nservice = \"nobody\"\nstage = \"migratd\"");
    edge.replace_file(&broken);
    let diagnostics = edge.await_refusal();
    let diagnostics = diagnostics.as_array().expect("a list");
    assert!(!diagnostics.is_empty());
    for diagnostic in diagnostics {
        for key in ["code", "message", "line", "column"] {
            assert!(!diagnostic[key].is_null(), "{key} in {diagnostic}");
        }
    }
    assert_eq!((&edge.config()["text"], &edge.config()["generation"]), (&good["text"], &good["generation"]));
    assert_eq!((edge.get("/a").text(), edge.get("/b").text()), ("service".into(), "monolith".into()));
    assert!(edge.metric("multilith_config_reloads_total", &[("result", "refused")]) >= 1.0);
    edge.await_log_line(&["routes.toml"]);
}

#[test]
fn an_empty_or_half_written_file_is_refused() {
    let (_monolith, _new, edge) = edge();
    let good = edge.text(&takes("/a"));
    edge.reload(&takes("/a"));
    let cut_in_the_last_string = &good[..good.trim_end().len() - 3];
    for text in ["", cut_in_the_last_string, "[server\n", "\0\0\0"] {
        edge.replace_file(text);
        let (status, answer) = edge.post_reload();
        assert_eq!((status, answer["result"].as_str()), (409, Some("refused")), "{text:?}");
        assert_eq!(edge.get("/a").text(), "service", "{text:?}");
    }
}

#[test]
fn sighup_loads_the_file_and_never_kills() {
    let (_monolith, _new, mut edge) = edge();
    for path in ["/a", "/b", "/c"] {
        let text = edge.text(&takes(path));
        edge.replace_file(&text);
        edge.signal("HUP");
        edge.await_text(&text);
        assert_eq!(edge.get(path).text(), "service");
    }
    for _ in 0..20 {
        edge.signal("HUP");
    }
    assert_eq!(edge.get("/c").text(), "service");
    assert!(edge.wait(std::time::Duration::ZERO).is_none());
}

#[test]
fn sighup_does_not_kill_a_proxy_without_a_file() {
    let monolith = Origin::saying("ok");
    let listen = free_address();
    let mut process = Process::spawn(without_file(&monolith.url(), listen));
    let ask = || crate::harness::Client::try_connect(listen).ok().map(|mut client| client.get("/").text());
    assert_eq!(eventually("an answer", ask), "ok");
    process.signal("HUP");
    process.signal("HUP");
    assert_eq!(eventually("an answer after SIGHUP", ask), "ok");
    assert!(process.exit_status().is_none());
}

#[test]
fn the_reload_request_says_what_changed() {
    let (_monolith, _new, edge) = edge();
    edge.reload(&takes("/a"));
    let (status, answer) = edge.post_reload();
    assert_eq!((status, answer["result"].as_str()), (200, Some("unchanged")));
    let generation = answer["generation"].as_u64().expect("a number");
    assert_eq!(generation, edge.generation());
    edge.replace_file(&edge.text("[routes.other]\npath = \"/o\"\nservice = \"new\"\nstage = \"migrated\""));
    let (status, answer) = edge.post_reload();
    assert_eq!(status, 200);
    // Whoever was first, the watcher or this request, said `applied`.
    if answer["result"] == "applied" {
        assert_eq!(answer["changes"]["added"], serde_json::json!(["other"]));
        assert_eq!(answer["changes"]["removed"], serde_json::json!(["moved"]));
        assert_eq!(answer["changes"]["altered"], serde_json::json!([]));
    } else {
        assert_eq!(answer["result"], "unchanged");
    }
    assert_eq!(edge.get("/o").text(), "service");
}

#[test]
fn a_request_in_flight_ends_as_it_began() {
    let gate = Gate::new();
    let reply = Reply::chunked(&[]).chunk("before").when(&gate).chunk(" and after").last_chunk(&[]);
    let (monolith, new) = (Origin::start(move |_| reply.clone()), Origin::saying("service"));
    let edge = Edge::before(&monolith).service("new", &new).start();
    let mut client = edge.client();
    client.send("GET /a HTTP/1.1\r\nHost: a\r\n\r\n");
    client.head();
    assert_eq!(client.chunked_bytes(6), b"before");
    edge.reload(&takes("/a"));
    assert_eq!(edge.get("/a").text(), "service");
    gate.open();
    assert_eq!(client.chunked_bytes(10), b" and after");
    assert!(client.chunk().is_empty());
    assert_eq!(client.get("/a").text(), "service");
}

#[test]
fn what_a_reload_cannot_apply_without_a_restart_is_in_the_log() {
    let (_monolith, _new, edge) = edge();
    let text = edge.text("").replace("threads = 2", "threads = 3");
    edge.replace_file(&text);
    edge.await_text(&text);
    edge.await_log_line(&["WARN", "needs-restart", "`threads`"]);
}

#[test]
fn a_warning_is_said_once_and_not_at_each_reload() {
    let (_monolith, _new, edge) = edge();
    let unused = "[services.idle]\nurl = \"http://127.0.0.1:1\"\n";
    for n in 0..3 {
        edge.reload(&format!("{unused}{}# {n}\n", takes("/a")));
    }
    edge.await_log_line(&["WARN", "unused-service", "`idle`"]);
    edge.reload(&format!("{unused}[services.other]\nurl = \"http://127.0.0.1:1\"\n{}", takes("/a")));
    edge.await_log_line(&["WARN", "unused-service", "`other`"]);
    assert_eq!(edge.log().matches("no route uses the service `idle`").count(), 1, "{}", edge.log());
}
