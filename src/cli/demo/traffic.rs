//! A trickle of visitors, each with the cookies that it was given, and a count of the sides that answered.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::task::JoinSet;

/// Gates have to see enough of them within two minutes.
const VISITORS: usize = 400;
/// Visitors that ask at the same time.
const AT_ONCE: usize = 8;
const PAUSE: Duration = Duration::from_millis(10);
const JOURNEY: [(&str, &str); 6] = [
    ("GET", "/"),
    ("GET", "/api/users/{n}"),
    ("GET", "/search?q={n}"),
    ("GET", "/catalog/item-{n}"),
    ("GET", "/reviews/{n}"),
    ("POST", "/orders"),
];

/// The answers to the visitors.
#[derive(Debug, Default)]
struct Seen {
    answers: BTreeMap<(&'static str, String), u64>,
    failed: u64,
    total: u64,
}

/// The visitors.
pub struct DemoTraffic {
    seen: Arc<Mutex<Seen>>,
    tasks: JoinSet<()>,
}

impl DemoTraffic {
    pub fn start(proxy: SocketAddr, runtime: &Handle) -> Self {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let mut tasks = JoinSet::new();
        for part in 0..AT_ONCE {
            tasks.spawn_on(visit(proxy, part, Arc::clone(&seen)), runtime);
        }
        Self { seen, tasks }
    }

    /// The answers of each side so far, by endpoint, in one line.
    pub fn line(&self) -> String {
        let seen = self.seen.lock();
        let mut words = vec![format!("{:>6} requests, {} failed", seen.total, seen.failed)];
        for (_, path) in &JOURNEY {
            let by = |side: &str| seen.answers.get(&(*path, side.to_owned())).copied().unwrap_or(0);
            let (monolith, service) = (by("monolith"), by("service"));
            let name = path.split(['{', '?']).next().unwrap_or(path);
            if service > 0 {
                words.push(format!("{name}… monolith {monolith}, service {service}"));
            } else {
                words.push(format!("{name} monolith {monolith}"));
            }
        }
        format!("{}\n", words.join(" | "))
    }

    /// Ends the traffic and sums up.
    pub fn stop(&mut self) -> String {
        self.tasks.abort_all();
        let seen = self.seen.lock();
        format!("{} requests, {} failed", seen.total, seen.failed)
    }
}

/// One part of the visitors, one after another.
async fn visit(proxy: SocketAddr, part: usize, seen: Arc<Mutex<Seen>>) {
    const EACH: usize = VISITORS / AT_ONCE;
    let mut cookies: Vec<String> = vec![String::new(); EACH];
    let mut connection = None;
    for step in 0_usize.. {
        let visitor = step % EACH;
        // Each visitor is elsewhere on the way.
        let (method, path) = JOURNEY[(step / EACH + visitor) % JOURNEY.len()];
        let target = path.replace("{n}", &(part * EACH + visitor).to_string());
        let identity = identity(part * EACH + visitor, &cookies[visitor]);
        let answer = exchange(&mut connection, proxy, (method, &target), &identity).await;
        {
            let mut seen = seen.lock();
            seen.total += 1;
            match answer {
                Ok(answer) if answer.status < 500 => {
                    *seen.answers.entry((path, answer.side)).or_default() += 1;
                    if let Some(cookie) = answer.cookie {
                        cookies[visitor] = cookie;
                    }
                }
                _ => {
                    connection = None;
                    seen.failed += 1;
                }
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// A visitor's headers: its address (a documentation address), its program, its cookie.
fn identity(visitor: usize, cookie: &str) -> String {
    const PROGRAMS: [&str; 3] = ["shop-app/2.4 (Android)", "shop-app/2.4 (iOS)", "Mozilla/5.0 (X11; Linux x86_64)"];
    let program = PROGRAMS[visitor % PROGRAMS.len()];
    let cookie = if cookie.is_empty() { String::new() } else { format!("Cookie: {cookie}\r\n") };
    format!("X-Forwarded-For: 203.0.113.{}\r\nUser-Agent: {program}\r\n{cookie}", 1 + visitor % 250)
}

struct Answer {
    status: u16,
    side: String,
    cookie: Option<String>,
}

async fn exchange(
    connection: &mut Option<BufReader<TcpStream>>,
    proxy: SocketAddr,
    (method, target): (&str, &str),
    identity: &str,
) -> std::io::Result<Answer> {
    let stream = match connection {
        Some(stream) => stream,
        None => connection.insert(BufReader::new(TcpStream::connect(proxy).await?)),
    };
    let length = if method == "POST" { "Content-Length: 2\r\n" } else { "" };
    let body = if method == "POST" { "{}" } else { "" };
    let request = format!("{method} {target} HTTP/1.1\r\nHost: demo.localhost\r\n{identity}{length}\r\n{body}");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Answer { status: 0, side: "none".to_owned(), cookie: None };
    let mut length = 0_u64;
    let mut line = String::new();
    stream.read_line(&mut line).await?;
    answer.status = line.split_whitespace().nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    loop {
        line.clear();
        if stream.read_line(&mut line).await? <= 2 {
            break;
        }
        let Some((name, value)) = line.split_once(':') else { continue };
        let value = value.trim();
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.parse().unwrap_or(0),
            "x-multilith-side" => value.clone_into(&mut answer.side),
            "set-cookie" => answer.cookie = value.split(';').next().map(str::to_owned),
            _ => {}
        }
    }
    if answer.status == 0 {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    tokio::io::copy(&mut stream.take(length), &mut tokio::io::sink()).await?;
    Ok(answer)
}
