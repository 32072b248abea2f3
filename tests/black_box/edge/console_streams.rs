//! The streams of the console's pages: how many windows of one browser hold one.

use super::console::ask;
use crate::harness::{Client, Edge, Origin};

const FIREFOX: &str = "User-Agent: Mozilla/5.0 Firefox/140.0";

/// A window's stream, open.
fn window(edge: &Edge, target: &str, fields: &[&str]) -> Client {
    let mut window = Client::connect(edge.admin_address());
    let fields: String = fields.iter().flat_map(|field| [*field, "\r\n"]).collect();
    window.send(format!("GET {target} HTTP/1.1\r\nHost: {}\r\n{fields}\r\n", edge.admin_address()));
    assert!(window.head().is_chunked(), "{target}");
    assert_eq!(window.chunk(), b": watching\n\n", "{target}");
    window
}

/// What the stream says before it ends.
fn last_words(window: &mut Client) -> String {
    let mut last = Vec::new();
    loop {
        match window.chunk() {
            chunk if chunk.is_empty() => return String::from_utf8(last).expect("events are text"),
            chunk => last = chunk,
        }
    }
}

/// Something moves, and all of these are told.
fn are_told<'w>(edge: &Edge, pressed: bool, windows: impl IntoIterator<Item = &'w mut Client>) {
    let fields = ["X-Multilith: 1", "Content-Type: application/json"];
    let body = format!("{{\"on\": {pressed}}}");
    assert_eq!(ask(edge, "POST", "/api/v1/monolith-only", &fields, &body).0, 200);
    for window in windows {
        let text = String::from_utf8(window.chunk()).expect("events are text");
        assert!(text.contains("event: look"), "{text}");
    }
}

#[test]
fn of_one_browser_four_windows_hold_a_stream_and_the_oldest_comes_back_later() {
    let edge = Edge::before(&Origin::saying("ok")).start();
    let cookie = |letter: &str| format!("Cookie: multilith_console={}A", letter.repeat(21));
    let (own, other) = (cookie("A"), cookie("B"));
    let known = [&["/console/stream"; 1][..], &["/console/live"; 3]].concat();
    for who in [&[&*own][..], &[FIREFOX]] {
        let mut stranger = window(&edge, "/console/live", &[&*other]);
        let mut windows: Vec<_> = known.iter().map(|target| window(&edge, target, who)).collect();
        are_told(&edge, true, windows.iter_mut().chain([&mut stranger]));
        let mut newest = window(&edge, "/console/live", who);
        let mut oldest = windows.remove(0);
        let last = last_words(&mut oldest);
        assert!(last.contains("retry: 15000\n") && last.contains("event: rest\n"), "{who:?}: {last}");
        are_told(&edge, false, windows.iter_mut().chain([&mut newest, &mut stranger]));
        // What is left answers at once.
        assert_eq!(ask(&edge, "GET", "/", who, "").0, 200);
        let _again = window(&edge, "/console/live", who);
        assert!(last_words(&mut windows[0]).contains("event: rest\n"), "{who:?}");
    }
}

#[test]
fn a_window_that_is_closed_makes_room() {
    let edge = Edge::before(&Origin::saying("ok")).start();
    let mut windows: Vec<_> = (0..4).map(|_| window(&edge, "/console/live", &[FIREFOX])).collect();
    let mut closed = windows.remove(1);
    closed.finish_writing();
    assert!(!last_words(&mut closed).contains("event: rest\n"));
    windows.push(window(&edge, "/console/live", &[FIREFOX]));
    are_told(&edge, true, &mut windows);
    are_told(&edge, false, &mut windows);
}
