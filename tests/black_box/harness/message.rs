//! The head of an HTTP/1 message, kept byte for byte beside what was read from it.

/// Start line and fields. `raw` is what was on the wire, up to and with the empty line.
#[derive(Clone, Debug, Default)]
pub(crate) struct Head {
    pub(crate) raw: Vec<u8>,
    pub(crate) start_line: Vec<u8>,
    pub(crate) fields: Vec<(String, String)>,
}

impl Head {
    pub(crate) fn parse(raw: Vec<u8>) -> Self {
        let mut lines = raw.split(|&byte| byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
        let start_line = lines.next().unwrap_or_default().to_vec();
        let fields = lines.filter(|line| !line.is_empty()).map(field).collect();
        Self { raw, start_line, fields }
    }

    /// The value of the first field of this name, whatever its case.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.all(name).first().copied()
    }

    /// Every value under this name, in their order.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        self.fields.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str()).collect()
    }

    /// Whether the name occurs in exactly this case.
    pub(crate) fn has_spelling(&self, name: &str) -> bool {
        self.fields.iter().any(|(n, _)| n == name)
    }

    /// One of the three words of the start line, counted from 0; the last one takes the rest.
    pub(crate) fn word(&self, index: usize) -> &[u8] {
        self.start_line.splitn(3, |&byte| byte == b' ').nth(index).unwrap_or_default()
    }

    pub(crate) fn is_chunked(&self) -> bool {
        self.all("transfer-encoding").iter().any(|value| value.eq_ignore_ascii_case("chunked"))
    }

    pub(crate) fn content_length(&self) -> Option<usize> {
        self.get("content-length").map(|value| value.parse().expect("Content-Length is a number"))
    }

    /// Whether the sender will take another message on this connection.
    pub(crate) fn keeps_alive(&self) -> bool {
        let asked = |token: &str| {
            self.all("connection").iter().any(|value| value.split(',').any(|t| t.trim().eq_ignore_ascii_case(token)))
        };
        if self.start_line.ends_with(b"HTTP/1.0") || self.start_line.starts_with(b"HTTP/1.0") {
            asked("keep-alive")
        } else {
            !asked("close")
        }
    }
}

/// Name and value of a field line.
pub(crate) fn field(line: &[u8]) -> (String, String) {
    let line = String::from_utf8_lossy(line);
    let (name, value) = line.split_once(':').unwrap_or((&line, ""));
    (name.to_owned(), value.trim().to_owned())
}
