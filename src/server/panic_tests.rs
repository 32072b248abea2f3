//! A panic while a request is served: its client gets an error, and no other client notices.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use super::{Inheritance, Running, Start, start};
use crate::compile::compile;
use crate::proxy::provoked::{Step, next_at};
use crate::reload::ConfigSource;

const PATIENCE: Duration = Duration::from_secs(20);

/// Answers every request of every connection.
fn origin() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || {
                let mut client = Client(stream);
                while let Some(head) = client.head() {
                    if head.starts_with("POST") && client.0.read_exact(&mut [0; 4]).is_err() {
                        return;
                    }
                    client.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
                }
            });
        }
    });
    address
}

struct Client(TcpStream);

impl Client {
    fn connect(edge: &Running) -> Self {
        let stream = TcpStream::connect(edge.listeners[0]).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self(stream)
    }

    fn send(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).unwrap();
    }

    /// Up to the empty line; `None`: the connection ended.
    fn head(&mut self) -> Option<String> {
        let (mut head, mut byte) = (Vec::new(), [0]);
        while !head.ends_with(b"\r\n\r\n") {
            if self.0.read(&mut byte).ok()? == 0 {
                return None;
            }
            head.push(byte[0]);
        }
        Some(String::from_utf8_lossy(&head).into_owned())
    }

    /// The status of a whole answer.
    fn get(&mut self) -> Option<u16> {
        self.send("GET /mine HTTP/1.1\r\nHost: a\r\n\r\n");
        self.status()
    }

    /// The same for a request with a body, which goes through all steps.
    fn post(&mut self) -> Option<u16> {
        self.send("POST /mine HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody");
        self.status()
    }

    fn status(&mut self) -> Option<u16> {
        let head = self.head()?.to_ascii_lowercase();
        let length = head.split_once("content-length: ")?.1.split("\r\n").next()?.parse().ok()?;
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).ok()?;
        head.get(9..12)?.parse().ok()
    }
}

fn metric(edge: &Running, series: &str) -> f64 {
    let page = String::from_utf8(edge.app.telemetry.metrics.encode().0).unwrap();
    let values = page.lines().filter_map(|line| line.strip_prefix(series)?.rsplit(' ').next()?.parse::<f64>().ok());
    values.sum()
}

fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < end, "waited in vain: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

fn state_dir() -> PathBuf {
    std::env::temp_dir().join(format!("multilith-panics-{}", std::process::id()))
}

fn running(control: &tokio::runtime::Runtime) -> Running {
    let text = format!(
        "[server]\nlisten = [\"127.0.0.1:0\"]\nadmin = \"127.0.0.1:0\"\nthreads = 1\nstate_dir = {:?}\n\
         [logs]\nformat = \"off\"\n[monolith]\nurl = \"http://{}\"\n[services.users]\nurl = \"http://{}\"\n\
         [routes.mine]\npath = \"/mine\"\nservice = \"users\"\nstage = \"canary\"\nweight = \"100%\"\n",
        state_dir(),
        origin(),
        origin()
    );
    let snapshot = compile(&text, "routes.toml", &|_| None).snapshot.expect("a good file");
    let source = ConfigSource::CommandLine(text.into());
    let inheritance = Inheritance::default();
    start(Start { snapshot, source, inheritance }, control.handle()).unwrap()
}

/// One request of HTTP/2 on a connection of its own, and another behind it: their statuses, `None` for a stream that broke.
async fn two_of_http2(address: SocketAddr, first: Step) -> (Option<u16>, Option<u16>) {
    let stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let (mut client, connection) = h2::client::handshake(stream).await.unwrap();
    let connection = tokio::spawn(connection);
    let mut statuses = Vec::new();
    next_at(first);
    for _ in 0..2 {
        let request = http::Request::get("http://a/mine").body(()).unwrap();
        let (answer, _) = client.send_request(request, true).unwrap();
        statuses.push(answer.await.ok().map(|answer| answer.status().as_u16()));
        client = client.ready().await.unwrap();
    }
    connection.abort();
    (statuses[0], statuses[1])
}

#[test]
fn a_panic_is_one_requests_and_nobody_elses() {
    let control = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let edge = running(&control);
    let mut bystander = Client::connect(&edge);
    assert_eq!(bystander.get(), Some(200));

    let steps = [
        Step::Begin,
        Step::Admit,
        Step::Choose,
        Step::Connected,
        Step::RequestHead,
        Step::RequestPiece,
        Step::ResponseHead,
    ];
    let mut panics = 0.0;
    for step in steps {
        next_at(step);
        assert_eq!(Client::connect(&edge).post(), Some(500), "{step:?}");
        assert_eq!(bystander.get(), Some(200), "behind {step:?}");
        panics += 1.0;
        if step != Step::RequestPiece {
            next_at(step);
            assert_eq!(Client::connect(&edge).get(), Some(500), "{step:?} of a request without a body");
            assert_eq!(bystander.get(), Some(200), "behind {step:?}");
            panics += 1.0;
        }
    }
    // A client whose connection was used before is told, too.
    let mut kept = Client::connect(&edge);
    assert_eq!(kept.get(), Some(200));
    next_at(Step::Begin);
    assert_eq!(kept.get(), Some(500));
    // An answer that is being counted has arrived already.
    next_at(Step::Finish);
    assert_eq!(Client::connect(&edge).get(), Some(200));
    panics += 2.0;
    let all_counted =
        |panics: f64| eventually("all counted", || (metric(&edge, "multilith_panics_total") - panics).abs() < 0.5);
    // The client has its answer before: the next panic would be provoked in place of this one.
    all_counted(panics);
    for (step, status) in [(Step::Admit, Some(500)), (Step::ResponseHead, Some(500)), (Step::Begin, None)] {
        let got = control.block_on(two_of_http2(edge.listeners[0], step));
        assert_eq!(got, (status, Some(200)), "{step:?}");
    }
    all_counted(panics + 3.0);
    assert!(metric(&edge, "multilith_upstream_errors_total") < 0.5, "a panic of ours is no failure of an upstream");
    assert!(metric(&edge, "multilith_fallbacks_total") < 0.5, "a panic of ours sends nobody to the monolith");
    eventually("nothing in flight", || metric(&edge, "multilith_requests_in_flight").abs() < 0.5);
    assert_eq!(bystander.get(), Some(200));
    eventually("one connection", || edge.connections.open() == 1);
    // Its threads stay until the process ends: pingora remembers a runtime by the number of its thread, the number of a thread
    // that ended goes to the next one, and that would spawn what pingora spawns (a connection of HTTP/2, say) on the dead.
    std::mem::forget(edge);
    drop(std::fs::remove_dir_all(state_dir()));
}
