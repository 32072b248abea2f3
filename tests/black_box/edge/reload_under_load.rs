//! 200 reloads, good and broken in turn, while clients keep asking: none may fail, and none may see half of two files.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use crate::harness::{Client, Edge, Origin, Reply};

const RELOADS: usize = 200;
const CLIENTS: usize = 8;
/// A line a request would bury what matters when the test fails.
const QUIET: &str = "[logs]\nformat = \"off\"";

/// What a service answers: its colour and the route that led there.
fn coloured(colour: &'static str) -> Origin {
    Origin::start(move |request| Reply::ok(format!("{colour} {}", request.get("x-multilith-route").unwrap_or("-"))))
}

/// File `n`: both paths belong to routes that carry `n` in their names, and to the colour that goes with `n`.
fn routes(n: usize) -> String {
    let colour = ["blue", "green"][n % 2];
    ["a", "b"]
        .map(|path| format!("[routes.{path}-{n}]\npath = \"/{path}\"\nservice = \"{colour}\"\nstage = \"migrated\"\n"))
        .concat()
}

/// A file that is broken, whose routes would show if anything of it came into force.
fn broken_routes(n: usize) -> String {
    let mistake = ["stage = \"migratd\"", "service = \"nobody\"", "[routes.x", "path = 7"][n % 4];
    format!("{}\n[routes.broken]\npath = \"/b\"\n{mistake}\n", routes(900_000 + n))
}

/// The number of the file that answered; panics when the answer mixes two.
fn file_of(answer: &str, path: &str) -> usize {
    let (colour, route) = answer.split_once(' ').unwrap_or_else(|| panic!("no service's answer: {answer}"));
    let (route_path, n) = route.split_once('-').unwrap_or_else(|| panic!("no route of ours: {answer}"));
    let n: usize = n.parse().unwrap_or_else(|_| panic!("no route of ours: {answer}"));
    assert_eq!(route_path, path, "{answer}");
    assert_eq!(colour, ["blue", "green"][n % 2], "route of one file, service of another: {answer}");
    assert!(n <= RELOADS, "a refused file is in force: {answer}");
    n
}

#[test]
fn two_hundred_reloads_lose_no_request_and_mix_no_two_files() {
    let (monolith, blue, green) = (Origin::saying("monolith"), coloured("blue"), coloured("green"));
    let edge = Edge::before(&monolith).service("blue", &blue).service("green", &green).with(QUIET).start();
    edge.reload(&routes(0));
    let stop = Arc::new(AtomicBool::new(false));
    let asked = Arc::new(AtomicUsize::new(0));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|index| {
            let (address, stop, asked) = (edge.address(), Arc::clone(&stop), Arc::clone(&asked));
            thread::spawn(move || ask_until(address, index % 2 == 0, &stop, &asked))
        })
        .collect();

    let (mut applied, mut refused) = (0, 0);
    for n in 1..=RELOADS {
        let good = n % 2 == 1;
        let text = edge.text(&if good { routes(n) } else { broken_routes(n) });
        let seen = asked.load(Ordering::Relaxed);
        edge.replace_file(&text);
        let (status, answer) = edge.post_reload();
        if good {
            assert_eq!(status, 200, "reload {n}: {answer}");
            edge.await_text(&text);
            applied += 1;
        } else {
            assert_eq!((status, answer["result"].as_str()), (409, Some("refused")), "reload {n}: {answer}");
            refused += 1;
        }
        // Every reload has requests before and after it, on a slow machine too.
        crate::harness::eventually("requests between two reloads", || {
            (asked.load(Ordering::Relaxed) >= seen + CLIENTS || clients.iter().any(thread::JoinHandle::is_finished))
                .then_some(())
        });
    }
    stop.store(true, Ordering::Relaxed);
    let requests: usize =
        clients.into_iter().map(|client| client.join().expect("no request failed or saw two files")).sum();
    // Past the capture of passing tests: the figures are worth a line in every run.
    let figures =
        format!("{requests} requests by {CLIENTS} clients over {applied} files applied and {refused} refused");
    drop(writeln!(io::stderr(), "reload under load: {figures}: none failed, none mixed"));
    assert!(monolith.requests().is_empty(), "a request fell through both files");
    assert!(requests >= RELOADS * CLIENTS);
}

/// Asks for `/a` and `/b` in turn until told to stop. One file after another comes into force as a whole, so whoever asks
/// for one path after the other must never go back: an older file behind a newer one is half of two.
fn ask_until(address: std::net::SocketAddr, keeps_alive: bool, stop: &AtomicBool, asked: &AtomicUsize) -> usize {
    let mut client = Client::connect(address);
    let (mut requests, mut newest) = (0, 0);
    while !stop.load(Ordering::Relaxed) {
        for path in ["a", "b"] {
            if !keeps_alive {
                client = Client::connect(address);
            }
            let response = client.get(&format!("/{path}"));
            assert_eq!(response.status(), 200, "{response:?}");
            let n = file_of(&response.text(), path);
            assert!(n >= newest, "file {n} after file {newest}");
            newest = n;
            requests += 1;
            asked.fetch_add(1, Ordering::Relaxed);
        }
    }
    requests
}
