//! A route's migration policy, compiled: nothing here is parsed or defaulted again.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, Method};

use super::bucket::BUCKETS;
use super::gate::Gate;
use super::safe_calls::SafeCalls;
use super::stage::Stage;
use super::sticky::UnitSource;
use crate::endpoint::UpstreamId;
use crate::route::{HeaderEdits, MethodSet};

/// A share in steps of 0.01 %, 0 to 10 000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Percent(u16);

impl Percent {
    pub const NOBODY: Self = Self(0);
    pub const EVERYBODY: Self = Self(BUCKETS);

    /// `None` above 100 %.
    #[must_use]
    pub const fn from_hundredths(hundredths: u16) -> Option<Self> {
        if hundredths <= BUCKETS { Some(Self(hundredths)) } else { None }
    }

    /// The number of buckets, out of 10 000, that this share takes.
    #[must_use]
    pub const fn buckets(self) -> u16 {
        self.0
    }

    /// 0.0 to 1.0.
    #[must_use]
    pub fn ratio(self) -> f64 {
        f64::from(self.0) / f64::from(BUCKETS)
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, hundredths) = (self.0 / 100, self.0 % 100);
        match hundredths {
            0 => write!(f, "{whole}%"),
            h if h % 10 == 0 => write!(f, "{whole}.{}%", h / 10),
            h => write!(f, "{whole}.{h:02}%"),
        }
    }
}

/// One answer of an A/B split. Variants take the buckets in the order of their names.
#[derive(Debug, Clone, PartialEq)]
pub struct Variant {
    pub name: Box<str>,
    pub upstream: UpstreamId,
    pub weight: Percent,
    /// Headers this variant's requests carry.
    pub headers: HeaderEdits,
}

/// Statuses of 100 to 599, as a bit set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StatusSet([u64; 8]);

impl StatusSet {
    pub fn insert(&mut self, status: u16) {
        if let (100..=599, Some(word)) = (status, self.0.get_mut(usize::from(status.wrapping_sub(100)) / 64)) {
            *word |= 1 << ((status - 100) % 64);
        }
    }

    /// In rising order.
    pub fn iter(&self) -> impl Iterator<Item = u16> + '_ {
        (100..=599).filter(|status| self.contains(*status))
    }

    #[must_use]
    pub fn contains(&self, status: u16) -> bool {
        matches!(status, 100..=599)
            && self
                .0
                .get(usize::from(status.wrapping_sub(100)) / 64)
                .is_some_and(|word| word & (1 << ((status - 100) % 64)) != 0)
    }
}

/// When the monolith answers instead of a service that failed.
#[derive(Debug, Clone, PartialEq)]
pub struct Fallback {
    /// Methods that move to the monolith when nothing was sent to the service.
    pub methods: MethodSet,
    /// Answers of the service that count as its failure; safe methods only.
    pub statuses: StatusSet,
    /// Consecutive failures of the service side that open the breaker.
    pub breaker_failures: u32,
    /// How long the breaker stays open before one request probes.
    pub breaker_open: Duration,
}

/// Whether unsafe methods may be copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteCopies {
    Never,
    /// The target is declared a sandbox; checked when the file is compiled.
    Sandbox,
}

/// The copies of a route's requests.
#[derive(Debug, Clone, PartialEq)]
pub struct Shadow {
    pub sample: Percent,
    pub methods: MethodSet,
    pub body_limit: u64,
    pub timeout: Duration,
    pub in_flight: u32,
    /// In `migrated`: copy safe methods to the monolith.
    pub reverse: bool,
    pub writes: WriteCopies,
    pub headers: HeaderEdits,
    /// `None`: the answer is read and thrown away.
    pub compare: Option<CompareSettings>,
}

impl Shadow {
    /// Whether a service gets copies of requests of this method: of an unsafe one only a sandbox does.
    #[must_use]
    pub fn may_copy(&self, method: &Method) -> bool {
        let allowed = is_safe(method) || self.writes == WriteCopies::Sandbox;
        allowed && *method != Method::CONNECT && self.methods.contains(method)
    }

    /// Whether some of the methods that a route takes are copied; `None`: it takes all.
    #[must_use]
    pub fn may_copy_any(&self, methods: Option<&MethodSet>) -> bool {
        let named = |name: &str| Method::from_bytes(name.as_bytes()).is_ok_and(|method| self.may_copy(&method));
        methods.is_none_or(|methods| methods.is_all() || methods.names().into_iter().any(named))
    }

    /// Why no request of a route is copied, whatever comes; `None`: some may be.
    #[must_use]
    pub fn copies_nothing(&self, methods: Option<&MethodSet>, calls: &SafeCalls) -> Option<String> {
        if self.sample == Percent::NOBODY {
            return Some("its `sample` is 0%".to_owned());
        }
        let methods = methods.filter(|methods| !self.may_copy_any(Some(methods)))?;
        // A call of gRPC that is declared safe is copied as a GET is.
        if !calls.0.is_empty() && self.methods.contains(&Method::GET) {
            return None;
        }
        let list = |set: &MethodSet| set.names().iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        let writes = self.writes == WriteCopies::Never && !methods.names().into_iter().all(is_safe_name);
        Some(format!(
            "`methods` of the route are {}, `shadow.methods` are {}{}",
            list(methods),
            list(&self.methods),
            if writes { ", and writes are not copied" } else { "" }
        ))
    }
}

/// The methods that promise to change nothing, as far as they are passed on.
#[must_use]
pub fn is_safe(method: &Method) -> bool {
    is_safe_name(method.as_str())
}

fn is_safe_name(method: &str) -> bool {
    matches!(method, "GET" | "HEAD" | "OPTIONS")
}

/// The form in which examples of fields that differ are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Examples {
    /// The values, redacted.
    Values,
    /// Types and lengths, no values.
    #[default]
    Shapes,
    Off,
}

impl Examples {
    /// The word used in routes.toml.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Values => "values",
            Self::Shapes => "shapes",
            Self::Off => "off",
        }
    }
}

/// An answer of this status says that the outcome is elsewhere, to be asked for as long as this.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Follow {
    pub status: u16,
    pub within: Duration,
}

/// The parts of two answers that are compared, and what counts. Paths are written as in the file and checked.
#[derive(Debug, Clone, PartialEq)]
pub struct CompareSettings {
    /// `None`: presence of all, and the values of those that clients rely on.
    pub headers: Option<Vec<HeaderName>>,
    /// Values of all headers.
    pub all_headers: bool,
    /// `$.path` or `header:name`.
    pub ignore: Vec<Box<str>>,
    /// `$.path`: lists whose order does not count.
    pub unordered: Vec<Box<str>>,
    /// `$.path` and by how much the numbers there may differ.
    pub tolerance: Vec<(Box<str>, f64)>,
    /// `1.0` and `1` differ.
    pub numbers_as_written: bool,
    /// A field and the pattern of what does not count in it.
    pub mask: Vec<(Box<str>, Box<str>)>,
    /// A list and the member by which its elements are told apart.
    pub align: Vec<(Box<str>, Box<str>)>,
    /// Links to the client's host and to the sides' own hosts are the same.
    pub hosts: bool,
    /// Links that have the same query in another order are the same.
    pub urls: bool,
    /// A status of the monolith and those of the service that are as good.
    pub status: Vec<(Box<str>, Vec<Box<str>>)>,
    /// How what a side only accepted is asked on.
    pub follow: Option<Follow>,
    /// Bytes of a body; larger ones are compared by length and hash.
    pub body_limit: u64,
    /// Share of the compared safe requests that the monolith is sent once more.
    pub replay: Percent,
    /// Most of these a second.
    pub replays_per_second: u64,
    pub examples: Examples,
    /// Removed before anything is kept, beside what is always removed.
    pub redact: Vec<Box<str>>,
    /// All names under which nothing is kept: lower case, without `-` and `_`.
    pub hidden: Box<[Box<str>]>,
}

/// How long a silent conversation keeps the side it began on.
#[derive(Debug, Clone, PartialEq)]
pub struct Pin {
    pub silence: Duration,
    /// `multilith_pin_ROUTE`.
    pub cookie: Box<str>,
}

/// Stage and weight in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dial {
    pub stage: Stage,
    /// The service's share in `canary`; all or nothing in the stages without a weight.
    pub weight: Percent,
}

impl Dial {
    /// `None` in the stages without a weight.
    #[must_use]
    pub fn own_weight(self) -> Option<Percent> {
        self.stage.has_weight().then_some(self.weight)
    }
}

/// `canary 5%`, `migrated`.
impl fmt::Display for Dial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.own_weight() {
            Some(weight) => write!(f, "{} {weight}", self.stage),
            None => self.stage.fmt(f),
        }
    }
}

/// All that a route says about which side answers.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// The dial that the file asks for.
    pub dial: Dial,
    /// The service the route moves to; `None` only in `monolith` and in `split`.
    pub service: Option<UpstreamId>,
    /// Empty except in `split`; sorted by name.
    pub variants: Vec<Variant>,
    /// In the order they are tried; never ends with the issued cookie, which is always tried last.
    pub sticky: Vec<UnitSource>,
    pub issue_cookie: bool,
    /// The cohort's name, or the route's own.
    pub cohort: Box<str>,
    pub pin: Option<Pin>,
    pub fallback: Option<Fallback>,
    pub shadow: Option<Shadow>,
    /// Calls of gRPC that may be copied, retried and fall back.
    pub safe_calls: SafeCalls,
    /// An upstream of this route is balanced by the sticky unit, so every client needs one.
    pub balanced_by_unit: bool,
    /// Answers may stay in shared caches although two sides are live.
    pub shared_cache: bool,
    /// Moves the route by itself.
    pub gate: Option<Arc<Gate>>,
}

impl Policy {
    /// The service, or the upstreams of the variants: one may come twice, and the monolith may be among them.
    pub fn upstreams(&self) -> impl Iterator<Item = UpstreamId> + '_ {
        self.service.into_iter().chain(self.variants.iter().map(|variant| variant.upstream))
    }

    /// Where units are looked for, in words: `header:x-user,cookie:sid`.
    #[must_use]
    pub fn sticky_sources(&self) -> String {
        self.sticky.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
    }
}
