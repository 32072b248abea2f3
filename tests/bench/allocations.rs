//! Counts the allocations of one request.
//!
//! They are counted over many requests on one connection, after the first ones have filled the
//! pools; the client and the origin of the test allocate nothing meanwhile. The inventory is off: its thread would be counted,
//! too, and now and then a request is recorded for `plan`, so many a second and not more with more requests.

use std::alloc::{GlobalAlloc, Layout, System};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use multilith::compile::compile;
use multilith::reload::ConfigSource;
use multilith::server::{Inheritance, Start, start};

/// The most that a request may take in all. Pingora's proxy alone takes 73 for a pass.
const MOST: [(&str, u64); 3] = [("pass", 8), ("route", 9), ("split", 10)];
const WARM: usize = 64;
const COUNTED: usize = 512;

static COUNT: AtomicU64 = AtomicU64::new(0);

struct Counting;

#[expect(unsafe_code, reason = "an allocator is unsafe by its nature")]
// SAFETY: everything is handed to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.fetch_add(1, Relaxed);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        COUNT.fetch_add(1, Relaxed);
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const REQUEST: &[u8] =
    b"GET /api/area7/items/42 HTTP/1.1\r\nHost: shop.example.com\r\nUser-Agent: test\r\nAccept: */*\r\n\
    Cookie: multilith_id=00112233445566778899aabbccddeeff\r\n\r\n";
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nServer: origin\r\nDate: Sat, 21 Nov 2026 04:00:00 GMT\r\n\
    Content-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello";

/// Reads up to the end of what `is_whole` knows, without an allocation.
fn read_until(stream: &mut TcpStream, buffer: &mut [u8], is_whole: fn(&[u8]) -> bool) -> Option<usize> {
    let mut length = 0;
    while !is_whole(&buffer[..length]) {
        match stream.read(&mut buffer[length..]) {
            Ok(0) | Err(_) => return None,
            Ok(more) => length += more,
        }
    }
    Some(length)
}

fn origin() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("a bound listener has an address");
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            std::thread::spawn(move || {
                let mut buffer = [0; 4096];
                while read_until(&mut stream, &mut buffer, |head| head.ends_with(b"\r\n\r\n")).is_some() {
                    if stream.write_all(ANSWER).is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

/// Allocations of one request, as far as they come with each.
fn allocations(proxy: SocketAddr) -> u64 {
    let mut stream = TcpStream::connect(proxy).expect("the proxy listens");
    let mut buffer = [0; 4096];
    let mut send = |count: usize| {
        for _ in 0..count {
            stream.write_all(REQUEST).expect("the proxy reads");
            let length = read_until(&mut stream, &mut buffer, |answer| answer.ends_with(b"hello"));
            let length = length.unwrap_or_else(|| panic!("no answer but {}", buffer.escape_ascii()));
            assert!(buffer[..length].starts_with(b"HTTP/1.1 200"), "{}", buffer[..length].escape_ascii());
        }
    };
    send(WARM);
    let before = COUNT.load(Relaxed);
    send(COUNTED);
    (COUNT.load(Relaxed) - before) / COUNTED as u64
}

fn ours(origin: SocketAddr, routes: &str, control: &tokio::runtime::Runtime) -> u64 {
    let text = format!(
        "[server]\nlisten = [\"127.0.0.1:0\"]\nadmin = \"127.0.0.1:0\"\nthreads = 1\n[logs]\nformat = \"off\"\n\
         [inventory]\nlearn = false\n[monolith]\nurl = \"http://{origin}\"\n[services.new]\nurl = \"http://{origin}\"\n{routes}"
    );
    let compiled = compile(&text, "routes.toml", &|_| None);
    let snapshot = compiled.snapshot.expect("the file is right");
    let source = ConfigSource::CommandLine(text.into());
    let running = start(Start { snapshot, source, inheritance: Inheritance::default() }, control.handle())
        .expect("ports are free");
    let count = allocations(running.listeners[0]);
    // Left as it is until the process ends: a socket that is closed here may have its number taken by the next proxy's.
    std::mem::forget(running);
    count
}

#[test]
fn a_request_costs_a_handful_of_allocations() {
    let origin = origin();
    let control = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("threads");
    let mut too_many = Vec::new();
    for (name, most) in MOST {
        let routes = match name {
            "route" => "[routes.all]\npath = \"/api/{*rest}\"\nstage = \"migrated\"\nservice = \"new\"\n",
            "split" => {
                "[routes.all]\npath = \"/api/{*rest}\"\nstage = \"canary\"\nweight = \"50%\"\nservice = \"new\"\n"
            }
            _ => "",
        };
        let all = ours(origin, routes, &control);
        println!("{name}: {all} allocations a request");
        if all > most {
            too_many.push(format!("{name}: {all}, at most {most}"));
        }
    }
    assert!(too_many.is_empty(), "{too_many:?}");
}
