//! How much of a body is held on its way.

use std::fmt;

/// How much of a request's body is held before its endpoint is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RequestBuffer {
    /// A short body without a length, for a moment: if it ends, it is sent with a length.
    #[default]
    Auto,
    None,
    /// The whole body, up to this many bytes.
    Size(u64),
}

/// `buffer` of one table. `None`: the table does not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Buffering {
    pub request: Option<RequestBuffer>,
    /// Bytes of a response; 0: none.
    pub response: Option<u64>,
}

impl Buffering {
    /// The settings of this table, and `base` where it says nothing.
    #[must_use]
    pub fn over(self, base: Self) -> Self {
        Self { request: self.request.or(base.request), response: self.response.or(base.response) }
    }

    #[must_use]
    pub fn request(self) -> RequestBuffer {
        self.request.unwrap_or_default()
    }

    /// Bytes of a response that are held; 0: none.
    #[must_use]
    pub fn response(self) -> u64 {
        self.response.unwrap_or(0)
    }
}

impl fmt::Display for RequestBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::None => f.write_str("none"),
            Self::Size(bytes) => size(*bytes, f),
        }
    }
}

/// In the largest unit without a fraction.
fn size(bytes: u64, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let units = [(30, "GiB"), (20, "MiB"), (10, "KiB"), (0, "B")];
    let fits = |shift: u32| bytes.trailing_zeros() >= shift && bytes > 0;
    let (shift, unit) = units.into_iter().find(|(shift, _)| fits(*shift)).unwrap_or((0, "B"));
    write!(f, "{}{unit}", bytes >> shift)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_s_own_wins_over_its_upstream_s_key_by_key() {
        let upstream = Buffering { request: Some(RequestBuffer::Size(1 << 20)), response: Some(1536) };
        let route = Buffering { request: Some(RequestBuffer::None), response: None };
        let both = route.over(upstream);
        assert_eq!((both.request(), both.response()), (RequestBuffer::None, 1536));
        assert_eq!(Buffering::default().request(), RequestBuffer::Auto);
        assert_eq!(Buffering::default().over(upstream), upstream);
    }

    #[test]
    fn a_size_is_written_in_its_largest_unit() {
        for (bytes, text) in [(1, "1B"), (1536, "1536B"), (64 << 10, "64KiB"), (1 << 20, "1MiB"), (3 << 30, "3GiB")] {
            assert_eq!(RequestBuffer::Size(bytes).to_string(), text);
        }
    }
}
