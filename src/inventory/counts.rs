//! Counts of one endpoint: a method at a place of the tree.

use http::Method;

use super::callers::Callers;
use super::exchange::Observation;

/// Bounds of the latency classes are powers of two: class `i` ends at 2^(i + 7) microseconds (128 µs to 134 s).
const LATENCY_CLASSES: usize = 21;

/// The methods that have a name of their own. Their numbers stand in files: new ones come behind [`OTHER`].
const METHODS: [&str; 19] = [
    "GET",
    "HEAD",
    "POST",
    "PUT",
    "PATCH",
    "DELETE",
    "OPTIONS",
    "TRACE",
    "CONNECT",
    "PROPFIND",
    "PROPPATCH",
    "MKCOL",
    "COPY",
    "MOVE",
    "LOCK",
    "UNLOCK",
    "REPORT",
    "OTHER",
    "QUERY",
];
/// The number of all methods without a name of their own.
const OTHER: u8 = 17;

/// A method by number, so that a count of one takes a byte for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MethodId(u8);

impl MethodId {
    #[must_use]
    pub fn of(method: &str) -> Self {
        let at = METHODS.iter().position(|known| *known == method);
        Self(at.map_or(OTHER, |at| u8::try_from(at).expect("less than twenty methods")))
    }

    /// The same for a method of RFC 9110 or PATCH without a look at its name; `None` for any other.
    #[must_use]
    #[inline]
    pub fn common(method: &Method) -> Option<Self> {
        let code = match *method {
            Method::GET => 0,
            Method::HEAD => 1,
            Method::POST => 2,
            Method::PUT => 3,
            Method::PATCH => 4,
            Method::DELETE => 5,
            Method::OPTIONS => 6,
            Method::TRACE => 7,
            Method::CONNECT => 8,
            _ => return None,
        };
        Some(Self(code))
    }

    /// The number, for a ring or a file. It stays the same in later versions.
    #[must_use]
    pub const fn code(self) -> u8 {
        self.0
    }

    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        (usize::from(code) < METHODS.len()).then_some(Self(code))
    }

    #[must_use]
    pub fn as_str(self) -> &'static str {
        METHODS[usize::from(self.0)]
    }

    /// Whether the method changes nothing (RFC 9110 9.2.1; QUERY by its own draft).
    #[must_use]
    pub fn is_safe(self) -> bool {
        matches!(self.as_str(), "GET" | "HEAD" | "OPTIONS" | "TRACE" | "PROPFIND" | "REPORT" | "QUERY")
    }
}

/// The counts of one method at one place. Requests are weighted by the learner's sample.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MethodCount {
    pub method: MethodId,
    /// Some of the exchanges have no time that is known.
    pub untimed: bool,
    /// Exchanges learned from, without 404, 405, 410 and 501.
    pub answered: u32,
    /// All exchanges, weighted.
    pub requests: u64,
    /// The requests that the monolith answered, weighted.
    pub monolith: u64,
    /// The minute of the last exchange, and of the last that the monolith answered; 0: none.
    pub last: u32,
    pub monolith_last: u32,
    /// Most places have none.
    failures: Option<Box<Failures>>,
    latency: Option<Box<[u16; LATENCY_CLASSES]>>,
    /// From the third answer on: places that are seen once or twice are most of a tree.
    pub callers: Option<Box<Callers>>,
}

/// Answers that are none, or not the one that was asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Failures {
    /// Exchanges learned from that were answered 404, 405, 410 or 501.
    pub missing: u32,
    /// The missing ones that the monolith answered, weighted.
    pub monolith_missing: u32,
    /// Answers 5xx, weighted, and those of them that are the monolith's.
    pub errors: u32,
    pub monolith_errors: u32,
}

impl Failures {
    fn add(&mut self, other: Self) {
        self.missing = self.missing.saturating_add(other.missing);
        self.monolith_missing = self.monolith_missing.saturating_add(other.monolith_missing);
        self.errors = self.errors.saturating_add(other.errors);
        self.monolith_errors = self.monolith_errors.saturating_add(other.monolith_errors);
    }
}

/// From how many answers on times and callers are kept.
const WORTH_MORE: u32 = 3;

impl MethodCount {
    #[must_use]
    pub const fn new(method: MethodId) -> Self {
        Self {
            method,
            untimed: false,
            answered: 0,
            requests: 0,
            monolith: 0,
            last: 0,
            monolith_last: 0,
            failures: None,
            latency: None,
            callers: None,
        }
    }

    pub fn add(&mut self, exchange: &Observation<'_>) {
        let Observation { status, weight, minute, monolith, .. } = *exchange;
        self.last = self.last.max(minute);
        self.untimed |= minute == 0;
        if monolith {
            self.monolith_last = self.monolith_last.max(minute);
        }
        if is_missing(status) || status >= 500 {
            let (missing, error) = (is_missing(status), status >= 500);
            self.add_failures(Failures {
                missing: missing.into(),
                monolith_missing: if missing && monolith { weight } else { 0 },
                errors: if error { weight } else { 0 },
                monolith_errors: if error && monolith { weight } else { 0 },
            });
        }
        if !is_missing(status) {
            self.answered = self.answered.saturating_add(1);
        }
        self.requests += u64::from(weight);
        if monolith {
            self.monolith += u64::from(weight);
        }
        if self.answered < WORTH_MORE || is_missing(status) {
            return;
        }
        self.callers.get_or_insert_default().add(exchange.client, exchange.agent);
        if let Some(micros) = exchange.micros {
            let class = (32 - (micros >> 7).leading_zeros()) as usize;
            let classes = self.latency.get_or_insert_default();
            let class = &mut classes[class.min(LATENCY_CLASSES - 1)];
            if *class == u16::MAX {
                classes.iter_mut().for_each(|class| *class /= 2);
            } else {
                *class += 1;
            }
        }
    }

    pub fn merge(&mut self, other: &Self) {
        self.untimed |= other.untimed;
        self.answered = self.answered.saturating_add(other.answered);
        self.add_failures(other.failures());
        self.requests += other.requests;
        self.monolith += other.monolith;
        self.last = self.last.max(other.last);
        self.monolith_last = self.monolith_last.max(other.monolith_last);
        if let Some(theirs) = &other.callers {
            self.callers.get_or_insert_default().merge(theirs);
        }
        if let Some(theirs) = &other.latency {
            let ours = self.latency.get_or_insert_default();
            for (class, more) in ours.iter_mut().zip(theirs.iter()) {
                *class = class.saturating_add(*more);
            }
        }
    }

    #[must_use]
    pub fn failures(&self) -> Failures {
        self.failures.as_deref().copied().unwrap_or_default()
    }

    pub fn add_failures(&mut self, more: Failures) {
        if more != Failures::default() {
            self.failures.get_or_insert_default().add(more);
        }
    }

    /// Requests that the monolith answered with more than that there is nothing, if it answered since this minute.
    #[must_use]
    pub fn monolith_served(&self, since: u32) -> u64 {
        let served = self.monolith.saturating_sub(self.failures().monolith_missing.into());
        if self.monolith_last >= since { served } else { 0 }
    }

    /// Seconds below which this share of the exchanges stayed: the middle of a class in logarithms, so within a factor
    /// of 1.42.
    #[must_use]
    pub fn quantile(&self, share: f64) -> Option<f64> {
        let classes = self.latency.as_ref()?;
        let total: u32 = classes.iter().map(|count| u32::from(*count)).sum();
        let wanted = (f64::from(total) * share).ceil().max(1.0);
        let mut below = 0;
        for (class, count) in classes.iter().enumerate() {
            below += u32::from(*count);
            if f64::from(below) >= wanted {
                let micros = f64::powi(2.0, i32::try_from(class).unwrap_or(0) + 7) * std::f64::consts::FRAC_1_SQRT_2;
                return Some(micros / 1e6);
            }
        }
        None
    }

    /// Bytes that the count takes beside itself.
    #[must_use]
    pub fn heap(&self) -> usize {
        let callers = self.callers.as_ref().map_or(0, |callers| callers.bytes());
        let failures = self.failures.as_ref().map_or(0, |_| size_of::<Failures>());
        self.latency.as_ref().map_or(0, |_| LATENCY_CLASSES * 2 + 6) + callers + failures
    }

    /// The count as words of a file.
    #[must_use]
    pub fn latency(&self) -> Option<&[u16]> {
        self.latency.as_deref().map(|classes| &classes[..])
    }

    pub fn set_latency(&mut self, classes: &[u16]) {
        let mut own = [0; LATENCY_CLASSES];
        for (class, count) in own.iter_mut().zip(classes) {
            *class = *count;
        }
        self.latency = Some(Box::new(own));
    }
}

/// Statuses that say: there is nothing here, or not for this method.
#[must_use]
pub const fn is_missing(status: u16) -> bool {
    matches!(status, 404 | 405 | 410 | 501)
}

/// Statuses that say: this exists. A redirect says it only if it does more than change slash, case, scheme or host,
/// which the caller knows.
#[must_use]
pub const fn is_existing(status: u16) -> bool {
    status < 300 || matches!(status, 303 | 304 | 409 | 422)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_common_method_has_the_number_of_its_name() {
        for name in METHODS {
            let method = Method::from_bytes(name.as_bytes()).expect("a method");
            let common = MethodId::common(&method);
            assert!(common.is_none_or(|found| found == MethodId::of(name)), "{name}");
            assert_eq!(common.is_some(), name == "CONNECT" || MethodId::of(name) < MethodId::of("CONNECT"), "{name}");
        }
    }

    #[test]
    fn a_quantile_is_within_its_class() {
        let mut count = MethodCount::new(MethodId::of("GET"));
        let exchange = Observation {
            method: "GET",
            path: "/",
            status: 200,
            client: 1,
            weight: 1,
            minute: 7,
            micros: Some(10_000),
            monolith: true,
            ..Observation::default()
        };
        for _ in 0..100 {
            count.add(&exchange);
        }
        assert_eq!((count.last, count.monolith_last), (7, 7));
        let median = count.quantile(0.5).expect("there are some");
        assert!((0.0071..0.0142).contains(&median), "{median}");
        assert_eq!(count.requests, 100);
    }

    #[test]
    fn errors_of_the_monolith_are_counted_apart_and_take_no_room_where_there_are_none() {
        let mut count = MethodCount::new(MethodId::of("GET"));
        assert!(size_of::<MethodCount>() <= 56, "{}: 20 000 nodes would not fit", size_of::<MethodCount>());
        for (status, monolith) in [(200, true), (503, false), (503, false), (500, true), (404, true), (501, false)] {
            count.add(&Observation { status, monolith, weight: 2, minute: 7, ..Observation::default() });
        }
        let expected = Failures { missing: 2, monolith_missing: 2, errors: 8, monolith_errors: 2 };
        assert_eq!(count.failures(), expected);
        assert_eq!((count.monolith_served(7), count.monolith_served(8)), (4, 0));
        let mut sum = MethodCount::new(MethodId::of("GET"));
        assert_eq!(sum.heap(), 0);
        sum.merge(&count);
        assert_eq!(sum.failures(), expected);
    }

    #[test]
    fn an_unknown_method_is_counted_with_the_others() {
        assert_eq!(MethodId::of("BREW").as_str(), "OTHER");
        assert_eq!(MethodId::of("BREW").code(), 17, "the number of files that were written before QUERY had a name");
        assert_eq!(MethodId::of("PATCH").as_str(), "PATCH");
        assert!(MethodId::of("HEAD").is_safe() && !MethodId::of("BREW").is_safe());
        assert!(MethodId::of("QUERY").as_str() == "QUERY" && MethodId::of("QUERY").is_safe());
        let code = MethodId::of("QUERY").code();
        assert_eq!((MethodId::from_code(code), MethodId::from_code(code + 1)), (Some(MethodId::of("QUERY")), None));
    }
}
