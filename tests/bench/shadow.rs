//! What a shadow costs the primary: its latency without one, and with a target that is healthy, hangs or is dead; and the
//! memory that copies take before a target that hangs. With nginx beside it, if there is one.
//!
//! `cargo bench --bench shadow -- [SECONDS [REQUESTS]]`: seconds for each row of the first table (default 20), requests of
//! 64 KiB for the second (default 200 000). The rows take turns, so that whatever else the machine does hits all alike; the
//! row without a shadow is there twice: ratios are to both together, and by how much the two differ is what the machine adds.
//!
//! Requests come at a steady rate that no row is at its limit with, and one that has to wait for the answer before it is
//! late from the moment when it was due: a proxy that stalls cannot hide the requests that it kept from being sent.
//!
//! A real target has a machine of its own. Here it has the processors of clients, proxy and monolith, so it lets them go
//! first: what it does for a copy would be taken for what the copy costs.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    reason = "a bench prints, counts to a million, and ends where it cannot go on"
)]

#[allow(dead_code, unused_imports, reason = "the tests use the rest of it")]
#[path = "../black_box/harness/mod.rs"]
mod harness;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use harness::{Client, Edge, free_address};

const CLIENTS: usize = 4;
/// Between two requests of one client: 1 000 a second from all of them.
const EVERY: Duration = Duration::from_millis(4);
const SLICE: Duration = Duration::from_secs(1);
/// A turn begins with new connections, and with whatever the row before has left of the machine: not counted.
const SETTLING: usize = 10;
/// How much slower the primary may be at its 99th percentile.
const MOST: f64 = 1.1;
const BODY: usize = 64 * 1024;
/// All bodies that are held (64 MiB, of which 100 copies in flight take 6) and half as much for connections and the allocator.
const BOUND_MIB: usize = 96;

fn main() {
    let mut numbers = std::env::args().skip(1).filter_map(|argument| argument.parse::<u64>().ok());
    let seconds = numbers.next().unwrap_or(20);
    let requests = numbers.next().unwrap_or(200_000);
    latencies(Duration::from_secs(seconds));
    memory(requests);
}

fn latencies(time: Duration) {
    let monolith = serve(false, Place::Here);
    let targets =
        [None, Some(serve(false, Place::Elsewhere)), Some(serve(true, Place::Elsewhere)), Some(free_address()), None];
    let names = ["no shadow", "healthy target", "hanging target", "dead target", "no shadow, again"];
    let edges = targets.map(|target| edge(monolith, target, "in_flight = 100"));
    let nginx = Nginx::start(monolith, targets);
    let mut rows: Vec<(String, SocketAddr, Vec<Vec<u32>>)> = Vec::new();
    for (name, edge) in names.iter().zip(&edges) {
        rows.push((format!("multilith, {name}"), edge.address(), Vec::new()));
    }
    for (name, address) in names.iter().zip(nginx.iter().flat_map(|nginx| &nginx.listeners)) {
        rows.push((format!("nginx, {name}"), *address, Vec::new()));
    }
    // In turns, not in time: a proxy that stands still in one row must not take the others' share.
    let turns = time.as_millis() / SLICE.as_millis();
    for turn in 0..turns.max(1) {
        for (name, address, seen) in &mut rows {
            // Each turn of nginx before a target that hangs takes minutes: one says it.
            if turn == 0 || *name != "nginx, hanging target" {
                seen.push(slice(*address));
            }
        }
    }
    let rate = CLIENTS as f64 / EVERY.as_secs_f64();
    println!("GET with an answer of 1 KiB, {rate:.0} a second on {CLIENTS} connections\n");
    println!(
        "{:<28} {:>9} {:>10} {:>10} {:>10} {:>10}  95 % interval",
        "", "requests", "p50", "p99", "p99.9", "p99 ratio"
    );
    let mut worst = (0.0_f64, 0.0_f64);
    let without = |who: &str| -> Vec<&Vec<u32>> {
        let own = rows.iter().filter(|(name, ..)| name.starts_with(who) && name.contains("no shadow"));
        own.flat_map(|(_, _, turns)| turns).collect()
    };
    for (name, _, turns) in &rows {
        let base = without(name.split(',').next().unwrap_or(""));
        let turns: Vec<_> = turns.iter().collect();
        let all = pooled(&turns);
        let ratio = quantile(&all, 0.99) / quantile(&pooled(&base), 0.99);
        let (low, high) = interval(&turns, &base);
        if name.starts_with("multilith") && name.ends_with("target") && ratio > worst.0 {
            worst = (ratio, low);
        }
        let [p50, p99, p999] = [0.5, 0.99, 0.999].map(|share| format!("{:.2} ms", quantile(&all, share)));
        println!("{name:<28} {:>9} {p50:>10} {p99:>10} {p999:>10} {ratio:>10.2}  {low:.2} to {high:.2}", all.len());
    }
    let verdict = match worst {
        (ratio, _) if ratio <= MOST => "held",
        (_, low) if low <= MOST => "not held, by less than chance alone may do",
        _ => "not held",
    };
    println!(
        "\nwith a shadow, p99 of multilith is at most {MOST} times what it is without: {verdict} ({:.2})",
        worst.0
    );
}

fn pooled(turns: &[&Vec<u32>]) -> Vec<u32> {
    let mut all: Vec<u32> = turns.iter().flat_map(|turn| turn.iter().copied()).collect();
    all.sort_unstable();
    all
}

/// Where the ratio of the two 99th percentiles lies when the turns are drawn again and again (a bootstrap: what is near in
/// time is alike, and a turn is drawn whole).
fn interval(turns: &[&Vec<u32>], base: &[&Vec<u32>]) -> (f64, f64) {
    const DRAWS: usize = 400;
    let mut random = fastrand::Rng::with_seed(7);
    let mut drawn = |from: &[&Vec<u32>]| {
        let again: Vec<_> = from.iter().map(|_| from[random.usize(..from.len())]).collect();
        quantile(&pooled(&again), 0.99)
    };
    let mut ratios: Vec<f64> = (0..DRAWS).map(|_| drawn(turns) / drawn(base)).collect();
    ratios.sort_by(f64::total_cmp);
    (ratios[DRAWS / 40], ratios[DRAWS - 1 - DRAWS / 40])
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index")]
fn quantile(sorted: &[u32], share: f64) -> f64 {
    let index = ((sorted.len() as f64 * share) as usize).min(sorted.len().saturating_sub(1));
    f64::from(sorted.get(index).copied().unwrap_or(0)) / 1000.0
}

/// Microseconds of each request in one turn.
fn slice(address: SocketAddr) -> Vec<u32> {
    thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(move || one_client(address))).collect();
        clients.into_iter().flat_map(|client| client.join().unwrap()).collect()
    })
}

/// Each request is sent when it is due, or as soon as the one before is answered.
fn one_client(address: SocketAddr) -> Vec<u32> {
    let mut client = Client::connect(address);
    let (began, mut seen) = (Instant::now(), Vec::new());
    for due in (0..).map(|number| EVERY * number).take_while(|due| *due < SLICE) {
        let early = due.checked_sub(began.elapsed());
        // How late a sleeping thread is woken is the machine's doing; how late a waiting one is, the proxy's.
        let from = match early {
            Some(early) => {
                thread::sleep(early);
                began.elapsed()
            }
            None => due,
        };
        client.get("/bench");
        let took = began.elapsed().saturating_sub(from);
        seen.push(u32::try_from(took.as_micros()).unwrap_or(u32::MAX));
    }
    seen.drain(..SETTLING.min(seen.len()));
    seen
}

fn memory(requests: u64) {
    // A second, so that copies end and others take their place while it lasts.
    let edge = edge(
        serve(false, Place::Here),
        Some(serve(true, Place::Elsewhere)),
        "in_flight = 100\ntimeout = \"1s\"\ncompare = {}",
    );
    let body = vec![b'b'; BODY];
    let send = |count: u64| {
        let mut client = edge.client();
        for _ in 0..count {
            client.send(format!("POST / HTTP/1.1\r\nHost: e\r\nContent-Length: {BODY}\r\n\r\n")).send(&body);
            client.response();
        }
    };
    send(1);
    let before = edge.peak_memory();
    thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| send(requests / CLIENTS as u64));
        }
    });
    let grown = (edge.peak_memory() - before) >> 20;
    let counted = |name, label| edge.metric(name, &[("route", "all"), label]);
    let sent = requests / CLIENTS as u64 * CLIENTS as u64 + 1;
    let copied = harness::eventually("every copy that was sent ended", || {
        let copied = counted("multilith_shadow_requests_total", ("outcome", "timeout"));
        let skipped = counted("multilith_shadow_skipped_total", ("reason", "queue_full"));
        (copied + skipped >= sent as f64).then_some(copied)
    });
    println!(
        "\n{sent} requests with 64 KiB before a target that hangs, {copied} of them copied: {grown} MiB more (stated bound: \
         {BOUND_MIB} MiB)"
    );
    assert!(grown <= BOUND_MIB, "over the bound");
}

fn edge(monolith: SocketAddr, target: Option<SocketAddr>, shadow: &str) -> Edge {
    let plan = Edge::before_address(monolith).with("[logs]\nformat = \"off\"");
    let Some(target) = target else { return plan.start() };
    plan.with(&format!(
        "[services.new]\nurl = \"http://{target}\"\nsandbox = true\n[routes.all]\npath = \"/{{*rest}}\"\nservice = \"new\"\n\
         stage = \"shadow\"\n[routes.all.shadow]\nmethods = [\"GET\", \"POST\"]\nwrites = \"sandbox\"\n{shadow}\n"
    ))
    .start()
}

/// Whose processors a server is to have.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Here,
    Elsewhere,
}

/// Answers every request with 1 KiB, or reads and never answers.
fn serve(hangs: bool, place: Place) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        if place == Place::Elsewhere {
            // And with it those that it starts.
            step_back();
        }
        for stream in listener.incoming().flatten() {
            thread::spawn(move || drop(conversation(stream, hangs)));
        }
    });
    address
}

/// Linux has priorities of single threads, others do not.
fn step_back() {
    #[cfg(target_os = "linux")]
    {
        #[expect(unsafe_code, reason = "std has no priorities")]
        // SAFETY: the structure outlives the call; 0 means the calling thread.
        let refused =
            unsafe { libc::sched_setscheduler(0, libc::SCHED_IDLE, &libc::sched_param { sched_priority: 0 }) } != 0;
        assert!(!refused, "whoever may run may run later");
    }
}

fn conversation(mut stream: TcpStream, hangs: bool) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let answer =
        format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 1024\r\n\r\n{}", "a".repeat(1024));
    let (mut ahead, mut buffer) = (Vec::new(), vec![0; BODY]);
    loop {
        let end = ahead.windows(4).position(|four| four == b"\r\n\r\n");
        let whole = end.map(|end| {
            let head = String::from_utf8_lossy(&ahead[..end]).to_ascii_lowercase();
            let length = head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next()?.parse().ok());
            end + 4 + length.unwrap_or(0)
        });
        match whole {
            Some(whole) if ahead.len() >= whole => {
                ahead.drain(..whole);
                if !hangs {
                    stream.write_all(answer.as_bytes())?;
                }
            }
            _ => match stream.read(&mut buffer)? {
                0 => return Ok(()),
                read => ahead.extend_from_slice(&buffer[..read]),
            },
        }
    }
}

/// `mirror` in nginx, with the same targets; its copies give up after a second, or nothing would ever come of a hanging one.
struct Nginx {
    process: Child,
    listeners: Vec<SocketAddr>,
}

impl Nginx {
    fn start(monolith: SocketAddr, targets: [Option<SocketAddr>; 5]) -> Option<Self> {
        let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("nginx-bench");
        std::fs::create_dir_all(folder.join("logs")).unwrap();
        let listeners: Vec<_> = targets.iter().map(|_| free_address()).collect();
        let server = |(listen, target): (&SocketAddr, &Option<SocketAddr>)| {
            let common = "proxy_http_version 1.1; proxy_set_header Connection ''; proxy_set_header Host $host;";
            let mirror = target.map_or_else(String::new, |target| {
                format!(
                    "location = /mirror {{ internal; {common} proxy_connect_timeout 1s; proxy_read_timeout 1s; \
                     proxy_pass http://{target}$request_uri; }}"
                )
            });
            let uses = if target.is_some() { "mirror /mirror;" } else { "" };
            format!(
                "server {{ listen {listen}; location / {{ {uses} {common} proxy_pass http://monolith; }} {mirror} }}\n"
            )
        };
        let servers: String = listeners.iter().zip(&targets).map(server).collect();
        let text = format!(
            "daemon off; worker_processes 2; pid nginx.pid; error_log /dev/null;\nevents {{ worker_connections 4096; }}\n\
             http {{ access_log off; keepalive_requests 1000000; upstream monolith {{ server {monolith}; keepalive 64; }}\n{servers} }}\n"
        );
        let file = folder.join("nginx.conf");
        std::fs::write(&file, text).unwrap();
        // Where Debian puts it, for those whose PATH has no room for it.
        let debians = std::path::Path::new("/usr/sbin/nginx");
        let mut command = Command::new(if debians.exists() { debians } else { "nginx".as_ref() });
        command.arg("-p").arg(&folder).arg("-c").arg(&file).stdout(Stdio::null()).stderr(Stdio::null());
        let Ok(process) = command.spawn() else {
            println!("no nginx here: its rows are left out");
            return None;
        };
        let nginx = Self { process, listeners };
        harness::eventually("nginx listening", || {
            nginx.listeners.iter().all(|address| TcpStream::connect(address).is_ok()).then_some(())
        });
        Some(nginx)
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // Its master ends the workers when it is asked to end, not when it is killed.
        drop(Command::new("kill").arg(self.process.id().to_string()).status());
        drop(self.process.wait());
    }
}
