//! The demo's applications: a monolith that can do everything, and services that can do one thing each.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// Which application.
#[derive(Debug, Clone, Copy)]
pub enum Origin {
    Monolith,
    Users,
    Catalog,
    /// Fails one request of eight.
    Reviews,
}

/// Starts one on a free port.
pub async fn start(origin: Origin) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                // A client that goes away is no event of the demo.
                let _ = serve(origin, stream).await;
            });
        }
    });
    Ok(address)
}

/// Enough of HTTP/1.1 for a client that is multilith: heads are well-formed, bodies have a length.
async fn serve(origin: Origin, stream: TcpStream) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        let mut words = line.split_whitespace();
        let (method, target) = (words.next().unwrap_or_default().to_owned(), words.next().unwrap_or("/").to_owned());
        let mut length = 0;
        loop {
            let mut header = String::new();
            if stream.read_line(&mut header).await? <= 2 {
                break;
            }
            if let Some((name, value)) = header.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse().unwrap_or(0);
            }
        }
        tokio::io::copy(&mut (&mut stream).take(length), &mut tokio::io::sink()).await?;
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        let (status, body) = origin.answer(&method, path, query);
        tokio::time::sleep(origin.pace()).await;
        let sent = if method == "HEAD" { "" } else { &body };
        let head =
            format!("HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n", body.len());
        stream.write_all(format!("{head}{sent}").as_bytes()).await?;
        stream.flush().await?;
    }
}

impl Origin {
    /// The monolith takes its time, and now and then much of it, each time another; that is one reason why it is being replaced.
    /// What is slower than its p95 is what proves the service fast.
    fn pace(self) -> Duration {
        Duration::from_millis(match self {
            Self::Monolith if fastrand::u8(..) < 32 => fastrand::u64(30..90),
            Self::Monolith => 12,
            Self::Users | Self::Catalog | Self::Reviews => 3,
        })
    }

    /// A search: the time is different in every answer; in one of eight the new catalog has the price wrong.
    fn found(self, query: &str) -> serde_json::Value {
        let number: u64 =
            query.bytes().filter(u8::is_ascii_digit).fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0'));
        let wrong = matches!(self, Self::Catalog) && number % 8 == 3;
        serde_json::json!({
            "query": query,
            "hits": [{ "item": number, "price": if wrong { 991 } else { 990 } }],
            "took_microseconds": fastrand::u32(100..900),
        })
    }

    fn answer(self, method: &str, path: &str, query: &str) -> (&'static str, String) {
        let by = match self {
            Self::Monolith => "monolith",
            Self::Users => "users service",
            Self::Catalog => "catalog service",
            Self::Reviews => "reviews service",
        };
        if matches!(self, Self::Reviews) && fastrand::u8(..) < 32 {
            return ("500 Internal Server Error", "{\"error\": \"a bug\"}\n".to_owned());
        }
        let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
        let value = match (self, method, segments.as_slice()) {
            (Self::Monolith | Self::Users, "GET" | "HEAD", ["api", "users", id]) => {
                serde_json::json!({ "id": id, "name": format!("User {id}"), "answered_by": by })
            }
            (Self::Monolith | Self::Catalog, "GET" | "HEAD", ["catalog", rest @ ..]) => {
                serde_json::json!({ "item": rest.join("/"), "price": 990, "answered_by": by })
            }
            (Self::Monolith | Self::Reviews, "GET" | "HEAD", ["reviews", id]) => {
                serde_json::json!({ "item": id, "stars": 4, "answered_by": by })
            }
            (Self::Monolith | Self::Catalog, "GET" | "HEAD", ["search"]) => self.found(query),
            (Self::Monolith, "POST", ["orders"]) => {
                return ("201 Created", format!("{}\n", serde_json::json!({ "ordered": true, "answered_by": by })));
            }
            (Self::Monolith, _, _) => serde_json::json!({ "page": path, "answered_by": by }),
            _ => {
                return (
                    "404 Not Found",
                    format!("{}\n", serde_json::json!({ "error": "not mine", "answered_by": by })),
                );
            }
        };
        ("200 OK", format!("{value}\n"))
    }
}
