//! Requests at a constant rate, whatever the answers take: compiled and run by `tests/bench/latency`.
//!
//!     open_loop ADDRESS PATH CONNECTIONS REQUESTS_A_SECOND SECONDS
//!
//! A request has a moment at which it is due, and its latency counts from there: one that waits, because every connection
//! waits for an answer, is as late as its client would find it (what wrk2 calls the correction of coordinated omission).
//! The first second is for connections and caches, and not counted. Prints one line of JSON.
//!
//! One thread, which sleeps in `ppoll` until the next request is due or an answer comes. No crate: `rustc -O` is enough.

use std::collections::VecDeque;
use std::ffi::{c_int, c_long, c_short, c_ulong, c_void};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

const WARM: Duration = Duration::from_secs(1);
/// What is not answered by then is lost.
const PATIENCE: Duration = Duration::from_secs(10);

#[repr(C)]
#[derive(Clone, Copy)]
struct PollFd {
    fd: c_int,
    events: c_short,
    revents: c_short,
}

#[repr(C)]
struct TimeSpec {
    seconds: c_long,
    nanoseconds: c_long,
}

const POLLIN: c_short = 1;
const PR_SET_TIMERSLACK: c_int = 29;

unsafe extern "C" {
    fn ppoll(fds: *mut PollFd, count: c_ulong, timeout: *const TimeSpec, mask: *const c_void) -> c_int;
    fn prctl(option: c_int, argument: c_ulong) -> c_int;
}

struct Connection {
    socket: TcpStream,
    /// When the request that it waits for was due.
    due: Option<Instant>,
    held: Vec<u8>,
    /// The server has said that no request may follow.
    closes: bool,
}

enum Answer {
    NotYet,
    Good,
    Bad,
    Ended,
}

impl Connection {
    fn open(address: SocketAddr) -> Self {
        let socket = TcpStream::connect(address).expect("the proxy accepts");
        socket.set_nodelay(true).expect("an option of TCP");
        socket.set_nonblocking(true).expect("an option of the socket");
        Self { socket, due: None, held: Vec::new(), closes: false }
    }

    fn read(&mut self) -> Answer {
        let mut buffer = [0; 65536];
        loop {
            match self.socket.read(&mut buffer) {
                Ok(0) => return Answer::Ended,
                Ok(length) => self.held.extend_from_slice(&buffer[..length]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Answer::NotYet,
                Err(_) => return Answer::Ended,
            }
            let Some(end) = self.held.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
            let head = String::from_utf8_lossy(&self.held[..end]).to_ascii_lowercase();
            let field = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
            let length: usize = field("content-length:").and_then(|text| text.parse().ok()).expect("a length");
            if self.held.len() < end + 4 + length {
                continue;
            }
            self.closes = field("connection:") == Some("close");
            let good = head.starts_with("http/1.1 200 ");
            self.held.clear();
            return if good { Answer::Good } else { Answer::Bad };
        }
    }
}

fn main() {
    let given: Vec<String> = std::env::args().skip(1).collect();
    let [address, path, connections, rate, seconds] = &given[..] else {
        eprintln!("open_loop ADDRESS PATH CONNECTIONS REQUESTS_A_SECOND SECONDS");
        std::process::exit(2);
    };
    let address: SocketAddr = address.parse().expect("an address");
    let count: usize = connections.parse().expect("a number of connections");
    let between = Duration::from_secs_f64(1.0 / rate.parse::<f64>().expect("a rate"));
    let length = WARM + Duration::from_secs_f64(seconds.parse().expect("a time"));
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: shop.example.com\r\nUser-Agent: bench/1\r\nAccept: */*\r\n\r\n");
    // SAFETY: plain numbers. Without it the kernel lets a sleeper lie 50 µs longer.
    unsafe { prctl(PR_SET_TIMERSLACK, 1) };

    let mut all: Vec<Connection> = (0..count).map(|_| Connection::open(address)).collect();
    let mut polled: Vec<PollFd> =
        all.iter().map(|one| PollFd { fd: one.socket.as_raw_fd(), events: POLLIN, revents: 0 }).collect();
    let mut free: VecDeque<usize> = (0..count).collect();
    let mut waiting: VecDeque<Instant> = VecDeque::new();
    let mut took: Vec<Duration> = Vec::new();
    let (mut failed, mut reopened) = (0_u64, 0_u64);
    let began = Instant::now();
    let end = began + length;
    let mut due = began;
    loop {
        let now = Instant::now();
        while due <= now && due < end {
            waiting.push_back(due);
            due += between;
        }
        while let Some(moment) = waiting.front().copied() {
            let Some(place) = free.pop_front() else { break };
            waiting.pop_front();
            let one = &mut all[place];
            if one.socket.write(request.as_bytes()).ok() != Some(request.len()) {
                // Closed while it was idle: the request goes over another.
                *one = Connection::open(address);
                polled[place].fd = one.socket.as_raw_fd();
                reopened += 1;
                one.socket.write_all(request.as_bytes()).expect("a new connection takes a request");
            }
            one.due = Some(moment);
        }
        if now >= end && (all.iter().all(|one| one.due.is_none()) && waiting.is_empty() || now >= end + PATIENCE) {
            break;
        }
        let until = if due < end { due.saturating_duration_since(Instant::now()) } else { Duration::from_millis(10) };
        let timeout = TimeSpec { seconds: until.as_secs() as c_long, nanoseconds: c_long::from(until.subsec_nanos()) };
        // SAFETY: the list and the time are valid for the call.
        let ready = unsafe { ppoll(polled.as_mut_ptr(), polled.len() as c_ulong, &timeout, std::ptr::null()) };
        if ready <= 0 {
            continue;
        }
        for place in 0..polled.len() {
            if polled[place].revents == 0 {
                continue;
            }
            let one = &mut all[place];
            let answer = one.read();
            if matches!(answer, Answer::NotYet) {
                continue;
            }
            let due = one.due.take();
            match (&answer, due) {
                (Answer::Good, Some(due)) if due >= began + WARM => took.push(due.elapsed()),
                // A connection that is closed while it is idle has lost nothing.
                (Answer::Good, _) | (Answer::Ended, None) => {}
                _ => failed += 1,
            }
            if one.closes || matches!(answer, Answer::Ended) {
                *one = Connection::open(address);
                polled[place].fd = one.socket.as_raw_fd();
                reopened += 1;
            }
            if due.is_some() {
                free.push_back(place);
            }
        }
    }
    let lost = all.iter().filter(|one| one.due.is_some()).count() + waiting.len();
    took.sort_unstable();
    let at = |share: f64| {
        let place = ((took.len() as f64 * share) as usize).min(took.len().saturating_sub(1));
        took.get(place).map_or(0.0, |took| took.as_secs_f64() * 1000.0)
    };
    println!(
        "{{\"requests\": {}, \"failed\": {}, \"reopened\": {reopened}, \"p50\": {:.4}, \"p90\": {:.4}, \"p99\": {:.4}, \
         \"p99.9\": {:.4}, \"most\": {:.4}}}",
        took.len(),
        failed + lost as u64,
        at(0.5),
        at(0.9),
        at(0.99),
        at(0.999),
        at(1.0)
    );
}
