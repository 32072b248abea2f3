//! `[matching]`: which differences between paths do not count.

/// How paths are compared. Letters outside ASCII are percent-encoded in a normalised path and keep their case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Matching {
    /// `//` is taken as `/`.
    pub merge_slashes: bool,
    /// ASCII letters of paths match in either case; what is sent on keeps the client's.
    pub case_insensitive: bool,
    /// `/a/` and `/a` are one path.
    pub ignore_trailing_slash: bool,
}

impl Default for Matching {
    fn default() -> Self {
        Self { merge_slashes: true, case_insensitive: false, ignore_trailing_slash: false }
    }
}
