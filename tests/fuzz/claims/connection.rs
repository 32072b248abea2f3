//! A whole connection: what a client sends goes through a running proxy to an upstream that reads strictly.
//!
//! Whatever the bytes are, the upstream gets only requests that a strict reader finds in them too, in their order and with the
//! same bodies; the client gets whole responses, one for each request and at most one refusal, and then the end.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Mutex, OnceLock, mpsc};
use std::time::Duration;

use multilith::compile::compile;
use multilith::reload::ConfigSource;
use multilith::server::{Inheritance, Start, start};

use super::strict::{End, Strict, chunked};

/// Longer than any deadline of the file below.
const PATIENCE: Duration = Duration::from_secs(20);
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n";
const BODY: &[u8] = b"hi";

/// What the upstream has read: method and path, and the body, of a request, or why it is none.
type Seen = Result<(Vec<u8>, Vec<u8>), String>;

struct World {
    proxy: SocketAddr,
    seen: mpsc::Receiver<Seen>,
    _control: tokio::runtime::Runtime,
}

static WORLD: OnceLock<Mutex<World>> = OnceLock::new();

pub fn hold(input: &[u8]) {
    if input.starts_with(b"PRI ") {
        // HTTP/2 has claims of its own.
        return;
    }
    let world = WORLD.get_or_init(|| Mutex::new(world())).lock().expect("a claim has failed before");
    let response = exchange(world.proxy, input);
    let (statuses, told) = responses(&response, input);
    let seen: Vec<_> = world.seen.try_iter().collect();
    let mut expected = requests(input).into_iter();
    let mut reached = 0;
    for request in seen {
        let (target, body) = request.unwrap_or_else(|why| {
            panic!("the upstream got what is no request ({why}): {}", input.escape_ascii());
        });
        reached += 1;
        // Some requests are answered by the proxy itself; none overtakes another, and none is made up.
        let same = |(wanted, whole): &(Vec<u8>, Option<Vec<u8>>)| *wanted == target && whole.as_ref() == Some(&body);
        assert!(
            expected.any(|one| same(&one)),
            "the upstream got {} with the body {}, which nobody sent: {}",
            target.escape_ascii(),
            body.escape_ascii(),
            input.escape_ascii()
        );
    }
    let ours = statuses.iter().filter(|status| **status == 200).count();
    assert!(ours <= reached, "{ours} responses of {reached} requests: {}", input.escape_ascii());
    let refusals = statuses.iter().filter(|status| **status == 400).count();
    assert!(refusals <= 1 || told, "a refused request is the last: {statuses:?} {}", input.escape_ascii());
}

/// Sends all of it, says that no more comes, and reads to the end.
fn exchange(proxy: SocketAddr, input: &[u8]) -> Vec<u8> {
    let mut client = TcpStream::connect(proxy).expect("the proxy listens");
    client.set_read_timeout(Some(PATIENCE)).expect("a time");
    let mut response = Vec::new();
    // A connection that is ended early takes no more: what was answered counts.
    let sent = client.write_all(input).and_then(|()| client.shutdown(Shutdown::Write));
    match client.read_to_end(&mut response) {
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
        Err(error) => panic!("no end ({error}, sent: {sent:?}): {}", input.escape_ascii()),
    }
    response
}

/// The statuses of the final responses; whether one of them was to HEAD or the like, so that what follows is not read.
fn responses(mut rest: &[u8], input: &[u8]) -> (Vec<u16>, bool) {
    let mut statuses = Vec::new();
    while !rest.is_empty() {
        let mut fields = [httparse::EMPTY_HEADER; 64];
        let mut response = httparse::Response::new(&mut fields);
        let length = match response.parse(rest) {
            Ok(httparse::Status::Complete(length)) => length,
            other => panic!("no response ({other:?}): {} for {}", rest.escape_ascii(), input.escape_ascii()),
        };
        let status = response.code.expect("a status");
        let value = |name: &str| {
            response.headers.iter().find(|field| field.name.eq_ignore_ascii_case(name)).map(|field| field.value)
        };
        let body = match value("content-length") {
            Some(digits) => std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok()).expect("a length"),
            None => 0,
        };
        rest = &rest[length..];
        if status < 200 {
            continue;
        }
        statuses.push(status);
        if rest.len() < body || (body > 0 && rest.starts_with(b"HTTP/1.1 ")) {
            // A response to HEAD has a length and no body.
            let to_head = memchr(input, b"HEAD");
            assert!(to_head, "a response is cut: {} for {}", rest.escape_ascii(), input.escape_ascii());
            return (statuses, true);
        }
        rest = &rest[body..];
    }
    (statuses, false)
}

fn memchr(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

/// The requests that a strict reader finds from the first byte on; a body of `None` goes on beyond the input.
fn requests(mut rest: &[u8]) -> Vec<(Vec<u8>, Option<Vec<u8>>)> {
    let mut found = Vec::new();
    while let Some(end) = rest.windows(4).position(|window| window == b"\r\n\r\n").map(|at| at + 4) {
        let Ok(head) = Strict::head(&rest[..end]) else {
            // Empty lines before a request are passed over.
            match rest.strip_prefix(b"\r\n").or_else(|| rest.strip_prefix(b"\n")) {
                Some(after) => {
                    rest = after;
                    continue;
                }
                None => break,
            }
        };
        let after = &rest[end..];
        let body = head.body(after).ok();
        let Some(used) = used(&head, after) else {
            found.push((asked(&head), None));
            break;
        };
        found.push((asked(&head), body));
        rest = &after[used..];
    }
    found
}

/// Method and path.
fn asked(head: &Strict<'_>) -> Vec<u8> {
    [head.method, b" ", &path(head.target)].concat()
}

/// The part of an absolute target that an upstream is asked for.
fn path(target: &[u8]) -> Vec<u8> {
    let behind =
        |scheme: &[u8]| target.split_at_checked(scheme.len()).filter(|(own, _)| own.eq_ignore_ascii_case(scheme));
    let Some((_, rest)) = behind(b"http://").or_else(|| behind(b"https://")) else { return target.to_vec() };
    match rest.iter().position(|byte| matches!(byte, b'/' | b'?')) {
        Some(at) if rest[at] == b'/' => rest[at..].to_vec(),
        Some(at) => [b"/", &rest[at..]].concat(),
        None => b"/".to_vec(),
    }
}

/// How many bytes the body takes on the wire, with the trailers. `None`: it goes on beyond the input, or is wrong.
fn used(head: &Strict<'_>, rest: &[u8]) -> Option<usize> {
    if head.all("transfer-encoding").next().is_none() {
        return head.body(rest).ok().map(|body| body.len());
    }
    // The shortest beginning that is a whole body with its trailer section.
    (0..=rest.len()).find(|&end| rest[..end].ends_with(b"\r\n") && ends(&rest[..end]))
}

/// A chunked body whose trailer section ends here.
fn ends(body: &[u8]) -> bool {
    let Some(trailers) = last_chunk(body) else { return false };
    trailers == b"\r\n"
        || trailers.windows(4).position(|window| window == b"\r\n\r\n") == Some(trailers.len().wrapping_sub(4))
}

/// What follows the line of the last chunk.
fn last_chunk(body: &[u8]) -> Option<&[u8]> {
    (0..=body.len()).find(|&end| body[..end].ends_with(b"\n") && chunked(&body[..end]).is_ok()).map(|end| &body[end..])
}

fn world() -> World {
    let (tell, seen) = mpsc::channel();
    let upstream = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = upstream.local_addr().expect("a bound listener has an address");
    std::thread::spawn(move || {
        while let Ok((stream, _)) = upstream.accept() {
            let tell = tell.clone();
            std::thread::spawn(move || answer(stream, &tell));
        }
    });
    let text = format!(
        "[server]\nlisten = [\"127.0.0.1:0\"]\nadmin = \"127.0.0.1:0\"\nthreads = 1\n[logs]\nformat = \"off\"\n\
         [limits]\nheader_timeout = \"2s\"\nbody_timeout = \"2s\"\nidle_timeout = \"2s\"\n\
         [monolith]\nurl = \"http://{address}\"\n"
    );
    let control = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("threads");
    let snapshot = compile(&text, "routes.toml", &|_| None).snapshot.expect("the file is right");
    let plan = Start { snapshot, source: ConfigSource::CommandLine(text.into()), inheritance: Inheritance::default() };
    let running = start(plan, control.handle()).expect("ports are free");
    let proxy = running.listeners[0];
    // As long as the process.
    std::mem::forget(running);
    World { proxy, seen, _control: control }
}

/// Reads requests, tells of each before it is answered, and ends with the first that is none. A body that is cut off is told of
/// by nobody: its request did not arrive.
fn answer(mut stream: TcpStream, tell: &mpsc::Sender<Seen>) {
    let mut held = Vec::new();
    loop {
        while let Some((request, used)) = whole(&held) {
            let wrong = request.is_err();
            let body = if held.starts_with(b"HEAD ") { b"" } else { BODY };
            if tell.send(request).is_err() || stream.write_all(&[ANSWER, body].concat()).is_err() || wrong {
                return;
            }
            held.drain(..used);
        }
        let mut piece = [0; 4096];
        match stream.read(&mut piece) {
            Ok(0) | Err(_) => return,
            Ok(length) => held.extend_from_slice(&piece[..length]),
        }
    }
}

/// A request that is all there, and its length on the wire.
fn whole(held: &[u8]) -> Option<(Seen, usize)> {
    let end = held.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let head = match Strict::head(&held[..end]) {
        Ok(head) => head,
        Err(why) => return Some((Err(format!("{why}: {}", held.escape_ascii())), end)),
    };
    let rest = &held[end..];
    if head.all("transfer-encoding").next().is_some() && chunked(rest) == Err(End::Wrong) {
        return Some((Err(format!("chunks: {}", held.escape_ascii())), end));
    }
    let used = used(&head, rest)?;
    Some((Ok((asked(&head), head.body(rest).ok()?)), end + used))
}
