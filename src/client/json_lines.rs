//! A response that goes on and on: one JSON value a line.

use serde_json::Value;

use super::{FetchError, Response};

/// Bytes of a line; a longer one is a mistake.
const LONGEST: usize = 16 << 20;

/// The messages of a watch.
pub struct JsonLines {
    response: Response,
    read: Vec<u8>,
    /// Behind these bytes nothing was looked for yet.
    looked_at: usize,
}

impl JsonLines {
    pub const fn new(response: Response) -> Self {
        Self { response, read: Vec::new(), looked_at: 0 }
    }

    /// The next message; `None` at the end. May be dropped while it waits.
    pub async fn next(&mut self) -> Result<Option<Value>, FetchError> {
        loop {
            if let Some(end) = self.read[self.looked_at..].iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.read.drain(..=self.looked_at + end).collect();
                self.looked_at = 0;
                if line.iter().all(u8::is_ascii_whitespace) {
                    continue;
                }
                let read = serde_json::from_slice(&line);
                return read.map(Some).map_err(|error| FetchError::NotUnderstood(error.to_string()));
            }
            self.looked_at = self.read.len();
            if self.looked_at > LONGEST {
                return Err(FetchError::TooLarge);
            }
            match self.response.data().await? {
                Some(chunk) => self.read.extend_from_slice(&chunk),
                None => return Ok(None),
            }
        }
    }
}
