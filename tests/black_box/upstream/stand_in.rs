//! A small HTTP/1.1 server for the tests: one thread per connection, answers by a function, closes after each answer.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

/// What was asked for.
pub(crate) struct Asked {
    /// The lines of the head, as they came.
    pub(crate) head: String,
    pub(crate) target: String,
    pub(crate) host: String,
}

pub(crate) struct StandIn {
    pub(crate) address: SocketAddr,
    stopped: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl StandIn {
    pub(crate) fn new(answer: impl Fn(&Asked) -> String + Send + Sync + 'static) -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").unwrap(), answer)
    }

    pub(crate) fn on(listener: TcpListener, answer: impl Fn(&Asked) -> String + Send + Sync + 'static) -> Self {
        let address = listener.local_addr().unwrap();
        let stopped = Arc::new(AtomicBool::new(false));
        let (answer, stop) = (Arc::new(answer), Arc::clone(&stopped));
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stop.load(Ordering::SeqCst) {
                    return;
                }
                let answer = Arc::clone(&answer);
                std::thread::spawn(move || serve(stream.unwrap(), &*answer));
            }
        });
        Self { address, stopped, thread: Some(thread) }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for StandIn {
    /// Afterwards connections are refused.
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
        self.thread.take().unwrap().join().unwrap();
    }
}

fn serve(mut stream: TcpStream, answer: &dyn Fn(&Asked) -> String) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let (mut request, mut host, mut length) = (String::new(), String::new(), 0);
    let mut head = String::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return;
        }
        head.push_str(&line);
        let lower = line.to_ascii_lowercase();
        if request.is_empty() {
            request = line;
        } else if let Some(value) = lower.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        } else if let Some(value) = lower.strip_prefix("host:") {
            value.trim().clone_into(&mut host);
        } else if line == "\r\n" {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let target = request.split(' ').nth(1).unwrap().to_owned();
    let _ = stream.write_all(answer(&Asked { head, target, host }).as_bytes());
}

/// A whole answer with these header lines (each ended by CRLF).
pub(crate) fn answer(status: u16, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status} x\r\n{headers}Content-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
}
