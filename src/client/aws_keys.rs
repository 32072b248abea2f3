//! The keys that sign requests to AWS.

use std::fmt;

use arc_swap::ArcSwapOption;
use jiff::Timestamp;

/// The keys that requests are signed with.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct AwsKeys {
    pub(super) id: Box<str>,
    pub(super) secret: Box<str>,
    pub(super) token: Option<Box<str>>,
    /// `None`: they do not expire.
    pub(super) until: Option<Timestamp>,
}

/// The keys in force; new ones are put here before they expire.
pub(super) type Keyring = ArcSwapOption<AwsKeys>;

impl fmt::Debug for AwsKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AwsKeys(…)")
    }
}
