//! W3C trace context: `traceparent` continued or started. `tracestate` is not looked into.

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::{read_hex, write_hex};
use crate::message::{Fields, Name};
use crate::migration::{BUCKETS, Percent};

/// 16 bytes, not all zero.
pub type TraceId = [u8; 16];
/// 8 bytes, not all zero.
pub type SpanId = [u8; 8];

const SAMPLED: u8 = 1;
/// The flags that this version of the standard knows: sampled, and that the trace id is random.
const KNOWN_FLAGS: u8 = 3;
/// The number of the copy among the spans below a request; attempts have the small ones.
const SHADOW: u64 = 1 << 32;

/// The place of one request in its trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceContext {
    trace: TraceId,
    /// The parent for upstreams: the span that this request is, or, while nothing is recorded here, the client's.
    span: SpanId,
    /// The span above this one, if it is known.
    parent: Option<SpanId>,
    flags: u8,
    /// The client named the trace.
    continued: bool,
    /// Spans of this request go to the collector.
    recorded: bool,
}

impl TraceContext {
    /// Before the head has been read. Never sent.
    #[must_use]
    pub const fn none() -> Self {
        Self { trace: [0; 16], span: [0; 8], parent: None, flags: 0, continued: false, recorded: false }
    }

    /// The client's trace if its `traceparent` is valid; otherwise a new one, for which no `tracestate` may be passed on.
    /// Nothing is recorded here, so a client's `traceparent` is passed on as it came: a span that is never exported must not stand between
    /// the client's and the upstream's.
    #[must_use]
    pub fn continue_or_start(headers: &Fields, fresh_trace: u128, fresh_span: u64) -> Self {
        Self::begin(headers, fresh_trace, fresh_span, None)
    }

    /// The same when spans are recorded: of traces that the client records, and of this share of those that begin here.
    pub(crate) fn begin(headers: &Fields, fresh_trace: u128, fresh_span: u64, record: Option<Percent>) -> Self {
        // An id of zeros is invalid, and a random number may be zero.
        let (fresh_trace, span) = (fresh_trace.max(1), fresh_span.max(1).to_be_bytes());
        let mut given = headers.all(Name::Traceparent);
        let parsed = match (given.next(), given.next()) {
            (Some(only), None) => parse(only),
            _ => None,
        };
        match (parsed, record) {
            (Some((trace, parent, flags)), None) => {
                Self { trace, span: parent, parent: None, flags: flags & KNOWN_FLAGS, continued: true, recorded: false }
            }
            (Some((trace, parent, flags)), Some(_)) => Self {
                trace,
                span,
                parent: Some(parent),
                flags: flags & KNOWN_FLAGS,
                continued: true,
                recorded: flags & SAMPLED != 0,
            },
            (None, record) => {
                let draw = fresh_trace % u128::from(BUCKETS);
                let recorded = record.is_some_and(|share| draw < u128::from(share.buckets()));
                let flags = if recorded { SAMPLED } else { 0 };
                Self { trace: fresh_trace.to_be_bytes(), span, parent: None, flags, continued: false, recorded }
            }
        }
    }

    /// The client's trace goes on: its `tracestate` is passed on as it came.
    #[must_use]
    pub const fn is_continued(&self) -> bool {
        self.continued
    }

    /// Spans of this request go to the collector.
    #[must_use]
    pub const fn is_recorded(&self) -> bool {
        self.recorded
    }

    /// The sampled flag: the participant that began the trace records it, and so should all others.
    #[must_use]
    pub const fn is_sampled(&self) -> bool {
        self.flags & SAMPLED != 0
    }

    #[must_use]
    pub const fn trace_id(&self) -> &TraceId {
        &self.trace
    }

    #[must_use]
    pub const fn span_id(&self) -> &SpanId {
        &self.span
    }

    #[must_use]
    pub const fn parent_id(&self) -> Option<&SpanId> {
        self.parent.as_ref()
    }

    /// 32 hexadecimal digits.
    #[must_use]
    pub fn trace_text(&self) -> [u8; 32] {
        let mut text = [0; 32];
        write_hex(&self.trace, &mut text);
        text
    }

    /// 16 hexadecimal digits.
    #[must_use]
    pub fn span_text(&self) -> [u8; 16] {
        let mut text = [0; 16];
        write_hex(&self.span, &mut text);
        text
    }

    /// The attempt of this number, counted from 0. It has a span of its own only where spans are recorded.
    #[must_use]
    pub fn for_attempt(&self, number: u8) -> Self {
        if self.recorded { self.child(number.into()) } else { *self }
    }

    /// The context of a copy: the same trace with the sampled flag cleared, so that no second answer shows up in it.
    #[must_use]
    pub fn for_shadow(&self) -> Self {
        let below = if self.recorded { self.child(SHADOW) } else { *self };
        Self { flags: self.flags & !SAMPLED, ..below }
    }

    /// A span below this one. The number tells siblings apart; the ids need no further randomness.
    fn child(&self, number: u64) -> Self {
        let span = xxh3_64_with_seed(&self.span, number).max(1).to_be_bytes();
        Self { span, parent: Some(self.span), ..*self }
    }

    /// The `traceparent` that an upstream is sent.
    #[must_use]
    pub fn traceparent(&self) -> [u8; 55] {
        let mut text = *b"00-................................-................-..";
        write_hex(&self.trace, &mut text[3..35]);
        write_hex(&self.span, &mut text[36..52]);
        write_hex(&[self.flags], &mut text[53..55]);
        text
    }
}

/// `version-trace-parent-flags`, all lower-case hexadecimal. Versions to come may be longer, after another dash.
fn parse(text: &[u8]) -> Option<(TraceId, SpanId, u8)> {
    let (known, more) = text.split_at_checked(55)?;
    let [version]: [u8; 1] = read_hex(&known[..2])?;
    let dashes = known[2] == b'-' && known[35] == b'-' && known[52] == b'-';
    let length = match version {
        0 => more.is_empty(),
        0xff => false,
        _ => more.is_empty() || more[0] == b'-',
    };
    let trace: TraceId = read_hex(&known[3..35])?;
    let parent: SpanId = read_hex(&known[36..52])?;
    let [flags]: [u8; 1] = read_hex(&known[53..55])?;
    (dashes && length && trace != [0; 16] && parent != [0; 8]).then_some((trace, parent, flags))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(values: &[&str]) -> Fields {
        values.iter().map(|value| ("traceparent", *value)).collect()
    }

    fn of(values: &[&str]) -> TraceContext {
        TraceContext::continue_or_start(&headers(values), 0xabc, 0xdef)
    }

    fn recording(values: &[&str], share: u16) -> TraceContext {
        TraceContext::begin(&headers(values), 0xabc, 0xdef, Percent::from_hundredths(share))
    }

    fn text(context: &TraceContext) -> String {
        String::from_utf8(context.traceparent().to_vec()).unwrap()
    }

    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
    const SAMPLED: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    const UNSAMPLED: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";

    #[test]
    fn only_what_the_standard_allows_is_continued() {
        for (given, continued) in [
            (SAMPLED, true),
            (UNSAMPLED, true),
            ("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-ff", true),
            ("cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", true),
            ("cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-what-comes-later", true),
            ("cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01.what", false),
            ("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more", false),
            ("ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", false),
            ("00-00000000000000000000000000000000-b7ad6b7169203331-01", false),
            ("00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01", false),
            ("00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", false),
            ("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0A", false),
            ("0-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", false),
            ("00-0af7651916cd43dd8448eb211c80319-b7ad6b7169203331-01", false),
            ("00-0af7651916cd43dd8448eb211c80319c-b7ad6b716920333-01", false),
            ("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-1", false),
            ("00_0af7651916cd43dd8448eb211c80319c_b7ad6b7169203331_01", false),
            ("0x-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", false),
            ("", false),
        ] {
            for context in [of(&[given]), recording(&[given], 10_000)] {
                assert_eq!(context.is_continued(), continued, "{given}");
                assert_eq!(text(&context)[3..35] == *TRACE, continued, "{given}");
            }
        }
    }

    #[test]
    fn where_nothing_is_recorded_the_upstream_sees_the_client_as_its_parent() {
        let context = of(&[SAMPLED]);
        assert_eq!(text(&context), SAMPLED);
        assert!(context.is_sampled() && !context.is_recorded());
        assert_eq!(text(&context.for_attempt(1)), SAMPLED);
        assert_eq!(text(&context.for_shadow()), UNSAMPLED);
    }

    #[test]
    fn where_spans_are_recorded_the_upstream_sees_this_request_as_its_parent() {
        let context = recording(&[SAMPLED], 0);
        assert_eq!(text(&context), format!("00-{TRACE}-0000000000000def-01"));
        assert_eq!(context.parent_id(), Some(&[0xb7, 0xad, 0x6b, 0x71, 0x69, 0x20, 0x33, 0x31]));
        assert!(context.is_recorded(), "the client decides for its own traces");
        assert!(!recording(&[UNSAMPLED], 10_000).is_recorded());
    }

    #[test]
    fn traces_that_begin_here_are_recorded_in_their_share() {
        let share = Percent::from_hundredths(2500).unwrap();
        let none = Fields::new();
        let recorded = (0..40_000_u128).filter(|n| {
            let context = TraceContext::begin(&none, *n * 0x9e37_79b9_7f4a_7c15, 1, Some(share));
            assert_eq!(context.is_sampled(), context.is_recorded());
            context.is_recorded()
        });
        let recorded = recorded.count();
        assert!((9_000..11_000).contains(&recorded), "{recorded} of 40000 for 25 %");
    }

    #[test]
    fn flags_that_nobody_knows_yet_are_not_passed_on() {
        assert!(text(&of(&["00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-ff"])).ends_with("-03"));
        assert!(text(&of(&["cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-f4"])).ends_with("-00"));
    }

    #[test]
    fn none_and_two_headers_start_a_new_trace() {
        for values in [&[][..], &[SAMPLED, SAMPLED]] {
            assert_eq!(text(&of(values)), "00-00000000000000000000000000000abc-0000000000000def-00");
            assert!(!of(values).is_continued());
        }
        let zeros = TraceContext::continue_or_start(&Fields::new(), 0, 0);
        assert_eq!(text(&zeros), "00-00000000000000000000000000000001-0000000000000001-00", "zeros are invalid ids");
    }

    #[test]
    fn attempts_are_told_apart_and_a_copy_is_not_sampled() {
        let context = recording(&[SAMPLED], 0);
        let (first, second, shadow) = (context.for_attempt(0), context.for_attempt(1), context.for_shadow());
        let spans = [context.span_id(), first.span_id(), second.span_id(), shadow.span_id()];
        assert!((1..4).all(|n| !spans[..n].contains(&spans[n])));
        assert!([first, second, shadow].iter().all(|child| child.parent_id() == Some(context.span_id())));
        assert!(text(&shadow).starts_with(&format!("00-{TRACE}-")) && text(&shadow).ends_with("-00"));
        assert!(first.is_sampled() && !shadow.is_sampled() && shadow.is_recorded());
    }
}
