//! Says whether a service answers as the monolith does: field by field, less what the monolith disagrees with itself in.
//!
//! One comparison goes through these files in this order: `verdict` (status, then `headers`, then `body`, which undoes
//! the `coding`, asks `media` for the way and lets `walk` go through `json`), and yields an [`Outcome`]. [`Evidence`]
//! collects outcomes, counts fields, knows noise, and is read as a [`Report`].
//!
//! - Numbers are compared as exact decimals: `1.0` is `1`, and no digit of a 64-bit id is lost.
//! - The order of keys does not count, the order of lists does unless they are `unordered`; repeated keys are compared
//!   occurrence by occurrence; null is not absent.
//! - `NaN` and `Infinity` are read as the numbers that Python writes so; half a surrogate pair stands for itself.
//! - A body in which fields cannot be told apart is one field, `body`.
//! - Nothing that is kept holds a secret: see `redact`. Of texts without fields only length and place are kept.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod again;
mod align;
mod anchors;
mod body;
mod charset;
mod coding;
mod curl;
mod difference;
mod evidence;
mod exchange;
mod exchanges;
mod gaps;
mod headers;
mod html;
mod hurl;
mod incomparable;
mod json;
mod latency;
mod likeness;
mod lines;
mod lists;
mod markup;
mod masks;
mod media;
mod multipart;
mod noise;
mod number;
mod path;
mod place;
mod plain_tag;
mod protobuf;
mod redact;
mod report;
mod response;
mod rules;
mod shape;
mod statuses;
mod table;
mod tally;
mod text;
mod token;
mod tree;
mod unordered;
mod verdict;
mod walk;
mod window;
mod written;
mod xml;

pub use again::{AgainReport, DifferenceReport, SideReport};
pub use difference::{Difference, Example, Kind, OTHER};
pub use evidence::{Evidence, EvidenceError, Learned, Took};
pub use exchange::KeptExchange;
pub use hurl::BODY_NOT_HELD;
pub use incomparable::Incomparable;
pub use latency::Latency;
pub use likeness::without_port;
pub use noise::{Counts, NOISE_KNOWN_AFTER, interval};
pub use path::{FieldPath, FieldSegment, PathError, PathFault};
pub use redact::REDACTED;
pub use report::{
    CopiesReport, ExampleReport, FieldReport, Latencies, Quantiles, Report, StatusReport, Verdicts, status_word,
};
pub use response::{Body, ComparedRequest, ComparedResponse};
pub use rules::{Headers, Rules};
pub use shape::shape_of;
pub use statuses::KeptRequest;
pub use tally::{KeptExample, MAX_FIELDS, Tally};
pub use verdict::{ComparisonResult, Outcome, compare};
pub use written::{DEFAULT_BODY_LIMIT, NoiseBudget, RuleError, RuleFault, RuleList, WrittenRules};

/// Milliseconds since 1970, as the caller's clock says.
pub type Millis = u64;

#[cfg(test)]
mod noise_tests;
#[cfg(test)]
mod properties;
