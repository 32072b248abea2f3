//! The comparison settings as a person writes them, and what can be wrong with them.

use super::path::PathError;
use crate::migration::{CompareSettings, Examples, Follow, Percent};

/// Decoded bodies beyond this are not compared field by field.
pub const DEFAULT_BODY_LIMIT: u64 = 1024 * 1024;

/// How often the monolith is asked twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoiseBudget {
    /// The share of compared safe requests.
    pub replay: Percent,
    pub per_second: u64,
}

impl Default for NoiseBudget {
    fn default() -> Self {
        Self { replay: Percent::from_hundredths(100).unwrap_or_default(), per_second: 5 }
    }
}

/// The settings as written.
#[derive(Debug, Clone, PartialEq)]
pub struct WrittenRules {
    /// `None`: presence of all, values of those that clients rely on.
    pub headers: Option<Vec<String>>,
    /// Values of all headers, but of those that must differ.
    pub all_headers: bool,
    pub ignore: Vec<String>,
    pub unordered: Vec<String>,
    pub tolerance: Vec<(String, f64)>,
    /// `1.0` and `1` differ.
    pub numbers_as_written: bool,
    /// A field and what of its text does not count, as a regular expression.
    pub mask: Vec<(String, String)>,
    /// A list and the member by which its elements are told apart.
    pub align: Vec<(String, String)>,
    /// Links to the client's host and to the sides' own hosts are the same.
    pub hosts: bool,
    /// Links that have the same query in another order are the same.
    pub urls: bool,
    /// A status of the monolith and those of the service that are as good.
    pub status: Vec<(String, Vec<String>)>,
    /// `None`: what is only accepted is compared as it is.
    pub follow: Option<Follow>,
    pub redact: Vec<String>,
    pub examples: Examples,
    pub noise: NoiseBudget,
    /// Bytes of a decoded body.
    pub body_limit: u64,
}

impl Default for WrittenRules {
    fn default() -> Self {
        Self {
            headers: None,
            all_headers: false,
            ignore: Vec::new(),
            unordered: Vec::new(),
            tolerance: Vec::new(),
            numbers_as_written: false,
            mask: Vec::new(),
            align: Vec::new(),
            hosts: true,
            urls: true,
            status: Vec::new(),
            follow: None,
            redact: Vec::new(),
            examples: Examples::default(),
            noise: NoiseBudget::default(),
            body_limit: DEFAULT_BODY_LIMIT,
        }
    }
}

impl From<&CompareSettings> for WrittenRules {
    /// The settings of a compiled route, whose paths are still texts.
    fn from(settings: &CompareSettings) -> Self {
        let texts = |list: &[Box<str>]| list.iter().map(ToString::to_string).collect();
        let pairs = |list: &[(Box<str>, Box<str>)]| list.iter().map(|(a, b)| (a.to_string(), b.to_string())).collect();
        Self {
            headers: settings.headers.as_ref().map(|names| names.iter().map(ToString::to_string).collect()),
            all_headers: settings.all_headers,
            ignore: texts(&settings.ignore),
            unordered: texts(&settings.unordered),
            tolerance: settings.tolerance.iter().map(|(path, value)| (path.to_string(), *value)).collect(),
            numbers_as_written: settings.numbers_as_written,
            mask: pairs(&settings.mask),
            align: pairs(&settings.align),
            hosts: settings.hosts,
            urls: settings.urls,
            status: settings.status.iter().map(|(from, to)| (from.to_string(), texts(to))).collect(),
            follow: settings.follow,
            redact: texts(&settings.redact),
            examples: settings.examples,
            noise: NoiseBudget { replay: settings.replay, per_second: settings.replays_per_second },
            body_limit: settings.body_limit,
        }
    }
}

/// Which list of the settings an error is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RuleList {
    Headers,
    Ignore,
    Unordered,
    Tolerance,
    Mask,
    Align,
    Status,
    Redact,
}

impl RuleList {
    /// The key in routes.toml.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Headers => "headers",
            Self::Ignore => "ignore",
            Self::Unordered => "unordered",
            Self::Tolerance => "tolerance",
            Self::Mask => "mask",
            Self::Align => "align",
            Self::Status => "status",
            Self::Redact => "redact",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RuleFault {
    #[error("{0}")]
    Path(PathError),
    /// A list of JSON fields names something else.
    #[error("this list takes JSON fields alone")]
    NotJson,
    /// A negative tolerance, or none at all.
    #[error("a tolerance is a number above or equal to 0")]
    Tolerance,
    #[error("this is not the name of a header")]
    HeaderName,
    /// No regular expression, or one that is too large.
    #[error("this is not a regular expression")]
    Regex,
    /// No status that an answer can have.
    #[error("this is not a status of an answer")]
    Status,
    /// A path to redact must end in a name.
    #[error("this names no field")]
    NoName,
}

/// One setting that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{written}` in `{}`: {fault}", .list.as_str())]
pub struct RuleError {
    pub list: RuleList,
    /// The place in the list.
    pub index: usize,
    pub written: String,
    pub fault: RuleFault,
}

impl RuleError {
    /// The bytes of `written` to underline.
    #[must_use]
    pub fn at(&self) -> std::ops::Range<usize> {
        match &self.fault {
            RuleFault::Path(error) => error.at.clone(),
            _ => 0..self.written.len(),
        }
    }

    /// The remedy.
    #[must_use]
    pub const fn help(&self) -> &'static str {
        match &self.fault {
            RuleFault::Path(error) => error.help(),
            RuleFault::NotJson => "name a JSON field, as in `$.items[*].price`",
            RuleFault::Tolerance => "give the largest difference that still counts as equal, as in `0.01`",
            RuleFault::HeaderName => "write the header's name alone, as in `cache-control`",
            RuleFault::Regex => "write a regular expression in quotes, as in `'comment-\\d+'`",
            RuleFault::Status => "write statuses of answers, as in `\"202\" = [\"200\", \"201\"]`",
            RuleFault::NoName => "write the field's name, as in `password`: it is removed wherever it stands",
        }
    }
}
