//! An unsafe request that may have reached the service is never sent again: 40 000 of them with ids, through every way to die.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use crate::harness::{Client, Edge, free_address};
use crate::stages::mortal::{Mortal, POINTS};

const OF_EACH_METHOD: usize = 10_000;
const CLIENTS: usize = 48;
/// Larger than what arrives with the head in one read, smaller than what is held.
const BODY: usize = 20_000;

/// A route for each way to die, with two endpoints, so that there is somebody else to ask. Without a breaker that would
/// spare the service.
fn tables(dying: [&Mortal; 2], absent: [&Mortal; 2]) -> String {
    let mut text = "[logs]\nformat = \"off\"\n".to_owned();
    for point in POINTS {
        let endpoints = match point {
            "refuses" => [free_address(), free_address()],
            "at-the-accept" => absent.map(|upstream| upstream.address),
            _ => dying.map(|upstream| upstream.address),
        };
        // A slow machine must not make a timeout of anything else.
        let answer = if point == "hangs" { "100ms" } else { "60s" };
        write!(
            text,
            "[services.{point}]\nendpoints = [\"{}\", \"{}\"]\n[services.{point}.timeouts]\nanswer = \"{answer}\"\n\
             [routes.{point}]\npath = \"/{point}\"\nservice = \"{point}\"\nstage = \"migrated\"\nfallback = true\n\
             breaker = {{ failures = 1000000 }}\n",
            endpoints[0], endpoints[1]
        )
        .expect("a string takes everything");
    }
    text
}

struct World {
    edge: Edge,
    monolith: Mortal,
    services: [Mortal; 2],
    _absent: [Mortal; 2],
}

impl World {
    fn start() -> Self {
        let (monolith, services) = (Mortal::living(), [Mortal::dying(), Mortal::dying()]);
        let absent = [Mortal::absent(), Mortal::absent()];
        let text = tables(services.each_ref(), absent.each_ref());
        let edge = Edge::before_address(monolith.address).with(&text).start();
        Self { edge, monolith, services, _absent: absent }
    }

    /// Sends so many requests from many clients; gives the answers by point and status, 0 where none was complete.
    fn send(&self, method: &str, count: usize) -> HashMap<(&'static str, u16), usize> {
        let next = AtomicUsize::new(0);
        let body = "x".repeat(BODY);
        let worker = || {
            let mut seen: HashMap<(&'static str, u16), usize> = HashMap::new();
            let mut client: Option<Client> = None;
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= count {
                    return seen;
                }
                let point = POINTS[number % POINTS.len()];
                let head = format!(
                    "{method} /{point} HTTP/1.1\r\nHost: a\r\nX-Id: {method}-{number}\r\nContent-Length: {BODY}\r\n\r\n{body}"
                );
                let used = client.get_or_insert_with(|| self.edge.client());
                // A write may fail because the answer is there already.
                drop(used.try_send(head));
                let answer = used.try_response(false);
                let ends = answer.as_ref().map_or(true, |answer| !answer.head.keeps_alive() || answer.status() >= 500);
                if let Some(answer) =
                    answer.as_ref().ok().filter(|answer| point == "answers-half" && answer.status() == 200)
                {
                    // The break was seen before the head had left: the monolith answered instead.
                    assert_eq!(answer.text(), "mono", "half an answer was made whole");
                }
                *seen.entry((point, answer.map_or(0, |answer| answer.status()))).or_default() += 1;
                if ends {
                    client = None;
                }
            }
        };
        let mut all = HashMap::new();
        thread::scope(|scope| {
            let workers: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(worker)).collect();
            for (key, count) in workers.into_iter().flat_map(|worker| worker.join().expect("no client panics")) {
                *all.entry(key).or_default() += count;
            }
        });
        all
    }
}

#[test]
fn none_of_40000_unsafe_requests_arrives_twice() {
    let world = World::start();
    let begun = Instant::now();
    let mut sent = 0;
    for method in ["POST", "PUT", "PATCH", "DELETE"] {
        let answers = world.send(method, OF_EACH_METHOD);
        sent += answers.values().sum::<usize>();
        let mut answers: Vec<_> = answers.into_iter().collect();
        answers.sort_unstable();
        println!("{method}: {answers:?}");
    }
    let mut arrivals: HashMap<String, u32> = HashMap::new();
    for upstream in world.services.iter().chain([&world.monolith]) {
        for (id, count) in upstream.ledger.counts() {
            *arrivals.entry(id).or_default() += count;
        }
    }
    let twice: Vec<_> = arrivals.iter().filter(|(_, count)| **count > 1).collect();
    println!(
        "unsafe requests: {sent} sent in {:.1} s, {} read by an upstream, {} of them more than once",
        begun.elapsed().as_secs_f64(),
        arrivals.len(),
        twice.len()
    );
    assert_eq!(sent, 4 * OF_EACH_METHOD);
    assert!(twice.is_empty(), "sent twice: {twice:?}");
    // What the service did not read it may still have received: the monolith has only what was refused.
    let fallen = world.monolith.ledger.counts();
    for id in fallen.keys() {
        let number: usize = id.rsplit('-').next().and_then(|number| number.parse().ok()).expect("an id");
        let point = POINTS[number % POINTS.len()];
        assert!(
            matches!(point, "refuses" | "at-the-accept"),
            "{id} was sent to the service that {point}, then to the monolith"
        );
    }
    assert!(
        fallen.len() >= 4 * (OF_EACH_METHOD / POINTS.len()),
        "a refused connection falls back, whatever the method"
    );
    let read = arrivals.len() - fallen.len();
    assert!(
        read > 4 * OF_EACH_METHOD * 8 / POINTS.len(),
        "only {read} were read by the service: too few to show anything"
    );
}

#[test]
fn every_get_gets_an_answer_unless_half_of_one_has_left() {
    let world = World::start();
    let answers = world.send("GET", 1_100);
    let (mut whole, mut broken) = (0, 0);
    for ((point, status), count) in answers {
        assert!(status == 200 || (point, status) == ("answers-half", 0), "{point}: {count} of {status}");
        if status == 200 {
            whole += count;
        } else {
            broken += count;
        }
    }
    println!("GETs: {whole} answered, {broken} broken off by a service whose answer had begun, none without");
    assert_eq!(whole + broken, 1_100);
}
