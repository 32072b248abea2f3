//! Messages to NATS. Its protocol is lines of text, of which a publisher needs five: the crate async-nats would bring some forty others.

use std::io;

use pingora::tls::{ServerName, TlsConnector};
use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

use super::super::tls;
use super::{PublishError, PublishMessage};
use crate::endpoint::NatsServer;

/// A line of the server: INFO is its longest.
const LONGEST_LINE: u64 = 64 * 1024;
const NO_NATS: PublishError = PublishError::Protocol("what answers does not greet as NATS");

/// Plain or with TLS.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

pub struct Nats {
    stream: BufReader<Box<dyn Stream>>,
    /// The largest message that the server takes, in bytes.
    largest: u64,
}

impl Nats {
    /// The first server that lets us in.
    pub(super) async fn open(servers: &[NatsServer]) -> Result<Self, PublishError> {
        let mut why = PublishError::Protocol("there is no server");
        for server in servers {
            match Self::greet(server).await {
                Ok(nats) => return Ok(nats),
                Err(error) => why = error,
            }
        }
        Err(why)
    }

    async fn greet(server: &NatsServer) -> Result<Self, PublishError> {
        let stream = TcpStream::connect((&*server.host, server.port)).await?;
        stream.set_nodelay(true)?;
        let mut nats = Self { stream: BufReader::new(Box::new(stream)), largest: 0 };
        let greeting = nats.line().await?;
        let info = greeting.strip_prefix("INFO ").ok_or(NO_NATS)?;
        let info: serde_json::Value = serde_json::from_str(info).map_err(|_| NO_NATS)?;
        let tls = server.tls || info["tls_required"] == true;
        if tls {
            if info["tls_required"] != true && info["tls_available"] != true {
                // The password does not go out in the clear instead.
                return Err(PublishError::Protocol("the server offers no TLS"));
            }
            nats = nats.encrypted(&server.host).await?;
        }
        nats.largest = info["max_payload"].as_u64().unwrap_or(u64::MAX);
        let mut login = json!({
            "verbose": false, "pedantic": false, "tls_required": tls, "lang": "rust", "name": "multilith",
            "version": env!("CARGO_PKG_VERSION"), "protocol": 1,
        });
        if !server.user.is_empty() {
            login["user"] = json!(server.user);
            login["pass"] = json!(server.password.0);
        }
        nats.write(format!("CONNECT {login}\r\nPING\r\n").as_bytes()).await?;
        nats.answered().await?;
        Ok(nats)
    }

    async fn encrypted(self, host: &str) -> Result<Self, PublishError> {
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        if !self.stream.buffer().is_empty() {
            // It would count as said with TLS.
            return Err(PublishError::Protocol("the server says more than its greeting before TLS"));
        }
        let handshake = TlsConnector::from(tls::usual()).connect(name, self.stream.into_inner());
        let stream = handshake.await?;
        Ok(Self { stream: BufReader::new(Box::new(stream)), largest: self.largest })
    }

    /// How many it has left out, because the server takes none that long.
    pub(super) async fn publish(&mut self, messages: &[PublishMessage]) -> Result<usize, PublishError> {
        let (mut bytes, mut left_out) = (Vec::new(), 0);
        for message in messages {
            if message.body.len() as u64 > self.largest {
                // It would end the connection again and again.
                left_out += 1;
                continue;
            }
            bytes.extend_from_slice(format!("PUB {} {}\r\n", message.key, message.body.len()).as_bytes());
            bytes.extend_from_slice(&message.body);
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(b"PING\r\n");
        self.write(&bytes).await?;
        self.answered().await?;
        Ok(left_out)
    }

    /// The server answers in order: with this answer it has everything before.
    async fn answered(&mut self) -> Result<(), PublishError> {
        loop {
            let line = self.line().await?;
            match line.split(' ').next().unwrap_or_default() {
                "PONG" => return Ok(()),
                "PING" => self.write(b"PONG\r\n").await?,
                "-ERR" => return Err(PublishError::Refused(line)),
                // +OK, and INFO about other servers.
                _ => {}
            }
        }
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), PublishError> {
        let stream = self.stream.get_mut();
        stream.write_all(bytes).await?;
        // TLS keeps what the socket did not take.
        Ok(stream.flush().await?)
    }

    async fn line(&mut self) -> Result<String, PublishError> {
        let mut line = Vec::new();
        (&mut self.stream).take(LONGEST_LINE).read_until(b'\n', &mut line).await?;
        if line.pop() != Some(b'\n') {
            return Err(PublishError::Ended);
        }
        Ok(String::from_utf8_lossy(&line).trim_end().to_owned())
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;
    use crate::endpoint::Password;

    /// A server that takes messages of at most 64 bytes; gives the lengths of those that it got.
    async fn server(listener: TcpListener) -> Vec<usize> {
        let (stream, _) = listener.accept().await.expect("a publisher");
        let mut server = Nats { stream: BufReader::new(Box::new(stream)), largest: 0 };
        server.write(b"INFO {\"max_payload\":64}\r\n").await.expect("a greeting");
        let mut lengths = Vec::new();
        while let Ok(line) = server.line().await {
            if line == "PING" {
                server.write(b"PONG\r\n").await.expect("an answer");
            } else if let Some(message) = line.strip_prefix("PUB ") {
                lengths.push(message.rsplit(' ').next().and_then(|length| length.parse().ok()).expect("a length"));
            }
        }
        lengths
    }

    #[tokio::test]
    async fn a_login_never_goes_to_a_server_that_offers_no_tls() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let served = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.expect("a publisher");
            stream.write_all(b"INFO {\"max_payload\":64}\r\n").await.expect("a greeting");
            let mut heard = Vec::new();
            stream.read_to_end(&mut heard).await.map(|_| heard)
        });
        let at =
            NatsServer { host: "127.0.0.1".into(), port, tls: true, user: "a".into(), password: Password("b".into()) };
        let refused = Nats::open(&[at]).await.err().map(|error| error.to_string());
        assert_eq!(refused.as_deref(), Some("the server offers no TLS"));
        assert_eq!(served.await.expect("no panic").expect("an end"), b"");
    }

    #[tokio::test]
    async fn a_message_that_the_server_would_not_take_is_left_out_and_told() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let served = tokio::spawn(server(listener));
        let at =
            NatsServer { host: "127.0.0.1".into(), port, tls: false, user: "".into(), password: Password("".into()) };
        let mut nats = Nats::open(&[at]).await.expect("a connection");
        let message = |length| PublishMessage { key: "k".to_owned(), body: vec![b'x'; length] };
        for (lengths, left_out) in [(&[64, 65, 1][..], 1), (&[65], 1), (&[2], 0)] {
            let messages: Vec<_> = lengths.iter().copied().map(message).collect();
            assert_eq!(nats.publish(&messages).await.expect("a server that works"), left_out);
        }
        drop(nats);
        assert_eq!(served.await.expect("no panic"), [64, 1, 2]);
    }
}
