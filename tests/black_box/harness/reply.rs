//! What a scripted origin does with a request: steps, taken in their order.

use super::gate::Gate;

#[derive(Clone)]
pub(super) enum Step {
    Write(Vec<u8>),
    Await(Gate),
    /// Sends back whatever arrives until the peer closes: the far end of a WebSocket.
    Echo,
    /// Holds the connection without a byte until the peer gives up.
    Hang,
    Close,
    Reset,
}

/// An answer, or the lack of one. Without a step that ends the connection it is kept alive.
#[derive(Clone, Default)]
pub(crate) struct Reply(pub(super) Vec<Step>);

impl Reply {
    /// A plain 200 with a length.
    pub(crate) fn ok(body: impl AsRef<[u8]>) -> Self {
        Self::status("200 OK", &[], body)
    }

    /// An answer with a length; `fields` are written as given.
    pub(crate) fn status(status: &str, fields: &[&str], body: impl AsRef<[u8]>) -> Self {
        let body = body.as_ref();
        let length = body.len();
        Self::bytes(format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n{}\r\n", lines(fields))).then(body)
    }

    /// Exactly these bytes.
    pub(crate) fn bytes(bytes: impl AsRef<[u8]>) -> Self {
        Self::default().then(bytes)
    }

    /// The head of a chunked answer; [`Reply::chunk`] and [`Reply::last_chunk`] follow.
    pub(crate) fn chunked(fields: &[&str]) -> Self {
        Self::bytes(format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n{}\r\n", lines(fields)))
    }

    /// Accepts a WebSocket (for the sample key of RFC 6455 section 1.3) and echoes its bytes.
    pub(crate) fn websocket_echo() -> Self {
        Self::bytes(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
        )
        .step(Step::Echo)
    }

    /// The answer to a HEAD: a body would be taken for the beginning of the next answer.
    pub(super) fn without_body(mut self) -> Self {
        for step in &mut self.0 {
            if let Step::Write(bytes) = step
                && let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n")
            {
                bytes.truncate(end + 4);
                let rest = self.0.iter().position(|step| matches!(step, Step::Write(_))).map_or(0, |first| first + 1);
                let ends = self.0.split_off(rest);
                self.0.extend(ends.into_iter().filter(|step| !matches!(step, Step::Write(_))));
                break;
            }
        }
        self
    }

    pub(crate) fn hang() -> Self {
        Self::default().step(Step::Hang)
    }

    /// Nothing but a reset.
    pub(crate) fn no_answer() -> Self {
        Self::default().reset()
    }

    pub(crate) fn then(self, bytes: impl AsRef<[u8]>) -> Self {
        self.step(Step::Write(bytes.as_ref().to_vec()))
    }

    pub(crate) fn chunk(self, data: impl AsRef<[u8]>) -> Self {
        let data = data.as_ref();
        let mut chunk = format!("{:x}\r\n", data.len()).into_bytes();
        chunk.extend_from_slice(data);
        chunk.extend_from_slice(b"\r\n");
        self.then(chunk)
    }

    pub(crate) fn last_chunk(self, trailers: &[&str]) -> Self {
        self.then(format!("0\r\n{}\r\n", lines(trailers)))
    }

    pub(crate) fn when(self, gate: &Gate) -> Self {
        self.step(Step::Await(gate.clone()))
    }

    pub(crate) fn then_hang(self) -> Self {
        self.step(Step::Hang)
    }

    pub(crate) fn close(self) -> Self {
        self.step(Step::Close)
    }

    pub(crate) fn reset(self) -> Self {
        self.step(Step::Reset)
    }

    fn step(mut self, step: Step) -> Self {
        self.0.push(step);
        self
    }
}

fn lines(fields: &[&str]) -> String {
    fields.iter().flat_map(|field| [field, "\r\n"]).collect()
}

/// Bytes whose order shows: no power of two divides the period.
pub(crate) fn pattern(length: usize) -> Vec<u8> {
    (0..=250_u8).cycle().take(length).collect()
}
