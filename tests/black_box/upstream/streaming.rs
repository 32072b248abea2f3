//! A small HTTP/1.1 server whose answers may go on: one thread per connection, over TCP or a Unix socket.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Arc;

/// What was asked for.
pub(crate) struct Question {
    pub(crate) target: String,
    pub(crate) authorization: Option<String>,
}

/// Writes a whole answer, head included; the connection ends behind it.
pub(crate) type Answer = Arc<dyn Fn(&Question, &mut dyn Write) -> io::Result<()> + Send + Sync>;

pub(crate) fn on_tcp(answer: Answer) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let answer = Arc::clone(&answer);
            std::thread::spawn(move || serve(stream.try_clone().unwrap(), stream, &answer));
        }
    });
    address
}

pub(crate) fn on_socket(path: &Path, answer: Answer) {
    let listener = UnixListener::bind(path).unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let answer = Arc::clone(&answer);
            std::thread::spawn(move || serve(stream.try_clone().unwrap(), stream, &answer));
        }
    });
}

fn serve(reads: impl Read, mut writes: impl Write, answer: &Answer) {
    let mut lines = BufReader::new(reads).lines();
    let Some(Ok(first)) = lines.next() else { return };
    let mut question = Question { target: first.split(' ').nth(1).unwrap_or_default().to_owned(), authorization: None };
    while let Some(Ok(line)) = lines.next() {
        if line.is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("authorization")
        {
            question.authorization = Some(value.trim().to_owned());
        }
    }
    // Whoever asked may have left.
    drop(answer(&question, &mut writes));
}

/// A whole answer.
pub(crate) fn whole(out: &mut dyn Write, status: u16, body: &str) -> io::Result<()> {
    write!(out, "HTTP/1.1 {status} x\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
}

/// The head of an answer that ends with its connection.
pub(crate) fn open(out: &mut dyn Write) -> io::Result<()> {
    out.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")?;
    out.flush()
}
