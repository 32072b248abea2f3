//! Kills the proxy with SIGKILL at random instants, under clients' traffic and while its dial moves.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serde_json::Value;

use crate::gate::traffic::{edge, patiently, status};
use crate::harness::{Client, Edge, PATIENCE, Reply};

const ROUTE: &str = "[routes.users]\npath = \"/users\"\nservice = \"users\"\nstage = \"canary\"\nweight = \"1%\"\n\
                     sticky = [\"header:x-user-id\"]\n";
/// Kills without `MULTILITH_KILLS`.
const KILLS: usize = 8;
const USERS: usize = 60;
const THREADS: usize = 3;
/// The weight that one move adds or takes, in hundredths of a percent: every few moves carry a user to the other side.
const MOVE: u64 = 100;
const LEAST: u64 = 100;
const MOST: u64 = 8_000;

/// xorshift64: the instants of one seed are the same in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

/// What the users saw.
struct Seen {
    /// Whether weights rise: then no user may go back to the monolith; else none to the service.
    rising: AtomicBool,
    /// Answers to each user.
    answered: Vec<AtomicU64>,
    /// Users that changed sides, as they should.
    moved: AtomicUsize,
    jumps: Mutex<Vec<String>>,
}

/// Users that ask until this is dropped, each always on the same thread, over every kill.
struct Users {
    stop: Arc<AtomicBool>,
    seen: Arc<Seen>,
    threads: Vec<JoinHandle<()>>,
}

impl Users {
    fn begin(address: SocketAddr) -> Self {
        let seen = Arc::new(Seen {
            rising: AtomicBool::new(true),
            answered: (0..USERS).map(|_| AtomicU64::new(0)).collect(),
            moved: AtomicUsize::new(0),
            jumps: Mutex::default(),
        });
        let stop = Arc::new(AtomicBool::new(false));
        let threads = (0..THREADS).map(|first| {
            let (stop, seen) = (Arc::clone(&stop), Arc::clone(&seen));
            thread::spawn(move || ask(address, first, &stop, &seen))
        });
        Self { threads: threads.collect(), stop, seen }
    }

    /// Waits until every user has an answer to a request that began after this call.
    fn are_answered(&self) {
        let counts = || self.seen.answered.iter().map(|count| count.load(Ordering::SeqCst)).collect::<Vec<_>>();
        let before = counts();
        // The first may have begun before.
        patiently("every user answered", || counts().iter().zip(&before).all(|(now, before)| *now >= before + 2));
    }
}

impl Drop for Users {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            assert!(thread.join().is_ok() || thread::panicking(), "a user's thread panicked");
        }
    }
}

fn ask(address: SocketAddr, first: usize, stop: &AtomicBool, seen: &Seen) {
    let mut client = None;
    let mut last = [None; USERS];
    for user in (first..USERS).step_by(THREADS).cycle() {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let request = format!("GET /users HTTP/1.1\r\nHost: shop.test\r\nX-User-Id: {user}\r\n\r\n");
        // While it is dead nothing listens.
        let Some(mut open) = client.take().or_else(|| Client::try_connect(address).ok()) else {
            thread::yield_now();
            continue;
        };
        let rising = seen.rising.load(Ordering::SeqCst);
        let Ok(response) = open.try_send(request).and_then(|()| open.try_response(false)) else { continue };
        client = Some(open);
        // The direction may turn between the request and its response: such a response is not judged.
        if response.status() != 200 || seen.rising.load(Ordering::SeqCst) != rising {
            continue;
        }
        let by_service = response.text() == "service";
        if last[user].is_some_and(|last| last != by_service) {
            if by_service == rising {
                seen.moved.fetch_add(1, Ordering::Relaxed);
            } else {
                let to = if by_service { "service" } else { "monolith" };
                seen.jumps.lock().expect("no panic").push(format!("user {user} went to the {to}, rising: {rising}"));
            }
        }
        last[user] = Some(by_service);
        seen.answered[user].fetch_add(1, Ordering::SeqCst);
    }
}

/// The weight of a journal entry or of the status, in hundredths of a percent.
fn hundredths(weight: &Value) -> u64 {
    let text = weight.as_str().and_then(|text| text.strip_suffix('%')).expect("a weight");
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    whole.parse::<u64>().expect("a number") * 100 + format!("{part:0<2}").parse::<u64>().expect("a number")
}

/// Moves the dial step by step until the connection breaks; tells the `seq` of each move that was answered.
fn moving(admin: SocketAddr, mut weight: u64, rising: bool) -> (mpsc::Receiver<u64>, JoinHandle<()>) {
    let (sent, answered) = mpsc::channel();
    let thread = thread::spawn(move || {
        loop {
            weight = if rising { weight + MOVE } else { weight - MOVE }.clamp(LEAST, 10_000);
            let act = if rising { "promote" } else { "rollback" };
            let body = format!("{{\"weight\": \"{}.{:02}%\"}}", weight / 100, weight % 100);
            let head = format!(
                "POST /api/v1/routes/users/{act} HTTP/1.1\r\nHost: {admin}\r\nX-Multilith: 1\r\n\
                 Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
                body.len()
            );
            let response = Client::try_connect(admin)
                .and_then(|mut client| client.try_send(head + &body).and_then(|()| client.try_response(false)));
            let Ok(response) = response else { return };
            let seq = serde_json::from_slice::<Value>(&response.body).ok().and_then(|moved| moved["seq"].as_u64());
            // The end of the scale: nothing moves any more, and a kill may come.
            let Some(seq) = seq.filter(|_| response.status() == 200) else { return };
            if sent.send(seq).is_err() {
                return;
            }
        }
    });
    (answered, thread)
}

fn last_entry(edge: &Edge, after: u64) -> Value {
    let mut after = after;
    let mut last = Value::Null;
    loop {
        let page = edge.admin_json("GET", &format!("/api/v1/journal?route=users&limit=1000&after={after}")).1;
        let entries = page["entries"].as_array().cloned().expect("entries");
        last = entries.last().cloned().unwrap_or(last);
        match page["next"].as_u64() {
            Some(next) => after = next,
            None => return last,
        }
    }
}

#[test]
fn killed_at_random_instants_it_starts_with_the_dial_of_the_last_row_and_no_client_jumps_back_and_forth() {
    let kills = std::env::var("MULTILITH_KILLS").map_or(KILLS, |text| text.parse().expect("a number of kills"));
    let (mut edge, _monolith, _service) = edge(Reply::ok("service"), ROUTE);
    let users = Users::begin(edge.address());
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    let (mut weight, mut rising, mut moves, mut ahead) = (LEAST, true, 0_u64, 0_u64);
    for kill in 0..kills {
        let (answered, mover) = moving(edge.admin_address(), weight, rising);
        let mut confirmed = 0;
        for _ in 0..=random.below(6) {
            confirmed = answered.recv_timeout(PATIENCE).expect("moves are answered");
        }
        // Somewhere in the next move: while it is written, between the row and the swap, or before its answer.
        thread::sleep(Duration::from_micros(random.below(60_000)));
        edge.signal("KILL");
        edge.wait(PATIENCE).expect("a killed process ends");
        mover.join().expect("the thread ends with the connection");
        confirmed = answered.try_iter().last().unwrap_or(confirmed);
        edge.restart();
        let (last, shown) = (last_entry(&edge, moves), status(&edge));
        assert_eq!((&shown["dial"]["seq"], &shown["weight"]), (&last["seq"], &last["to"]["weight"]), "{kill}: {last}");
        moves = last["seq"].as_u64().expect("a number");
        assert!(moves >= confirmed, "move {confirmed} was confirmed, and the journal ends with {moves}");
        ahead += u64::from(moves > confirmed);
        weight = hundredths(&last["to"]["weight"]);
        // Nothing moves now: every user has its side by this dial before the direction turns.
        users.are_answered();
        if (rising && weight >= MOST) || (!rising && weight <= LEAST + 10 * MOVE) {
            rising = !rising;
            users.seen.rising.store(rising, Ordering::SeqCst);
        }
    }
    let seen = Arc::clone(&users.seen);
    drop(users);
    let jumps = seen.jumps.lock().expect("no panic").clone();
    assert!(jumps.is_empty(), "{jumps:#?}");
    let answered: u64 = seen.answered.iter().map(|count| count.load(Ordering::Relaxed)).sum();
    let moved = seen.moved.load(Ordering::Relaxed);
    assert!(moved > 0, "the moves carried nobody to the other side");
    println!(
        "{kills} kills, {moves} moves ({ahead} kills between a move's row and its answer), {answered} answers to {USERS} clients, {moved} went over, none back"
    );
}
