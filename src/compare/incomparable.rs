//! Why two answers cannot be compared.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Why nothing can be said about two answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Incomparable {
    /// The monolith itself answered with 5xx.
    ControlFailed,
    /// A 304 to a request without a condition: a cache spoke, not the application.
    NotModified,
    /// An answer ended before its end.
    Truncated,
    /// An answer has no end.
    Streamed,
    /// Over the body limit, and not the same bytes.
    TooLarge,
    /// The content coding is unknown or broken.
    Undecodable,
    /// The request was only accepted, and its outcome did not come in time.
    Unfinished,
}

impl Incomparable {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ControlFailed => "control_failed",
            Self::NotModified => "not_modified",
            Self::Truncated => "truncated",
            Self::Streamed => "streamed",
            Self::TooLarge => "too_large",
            Self::Undecodable => "undecodable",
            Self::Unfinished => "unfinished",
        }
    }
}

impl fmt::Display for Incomparable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
