//! W3C trace context: `traceparent` continued or started. `tracestate` is not looked into.

use http::{HeaderMap, HeaderValue};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::{read_hex, write_hex};

/// 16 bytes, not all zero.
pub type TraceId = [u8; 16];
/// 8 bytes, not all zero.
pub type SpanId = [u8; 8];

const SAMPLED: u8 = 1;
/// The flags that this version of the standard knows: sampled, and that the trace id is random.
const KNOWN_FLAGS: u8 = 3;

/// The place of one request in its trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceContext {
    trace: TraceId,
    /// The span that this request is: what upstreams are told as their parent.
    span: SpanId,
    /// The span that the client named.
    parent: Option<SpanId>,
    flags: u8,
}

impl TraceContext {
    /// Before the head has been read. Never sent.
    #[must_use]
    pub const fn none() -> Self {
        Self { trace: [0; 16], span: [0; 8], parent: None, flags: 0 }
    }

    /// The client's trace if its `traceparent` is valid; otherwise a new one, for which no `tracestate` may be passed on.
    #[must_use]
    pub fn continue_or_start(headers: &HeaderMap, fresh_trace: u128, fresh_span: u64) -> Self {
        // An id of zeros is invalid, and a random number may be zero.
        let span = fresh_span.max(1).to_be_bytes();
        let mut given = headers.get_all("traceparent").iter();
        match (given.next(), given.next()) {
            (Some(only), None) => parse(only.as_bytes()).map(|(trace, parent, flags)| Self {
                trace,
                span,
                parent: Some(parent),
                flags: flags & KNOWN_FLAGS,
            }),
            _ => None,
        }
        .unwrap_or(Self { trace: fresh_trace.max(1).to_be_bytes(), span, parent: None, flags: 0 })
    }

    /// The client's trace goes on: its `tracestate` is passed on as it came.
    #[must_use]
    pub const fn is_continued(&self) -> bool {
        self.parent.is_some()
    }

    /// Whoever began the trace records it, and so should everyone in it.
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

    /// The same trace, recorded or not.
    #[must_use]
    pub const fn with_sampled(mut self, sampled: bool) -> Self {
        self.flags = self.flags & !SAMPLED | if sampled { SAMPLED } else { 0 };
        self
    }

    /// A span below this one. The number tells siblings apart; the ids need no further randomness.
    #[must_use]
    pub fn child(&self, number: u64) -> Self {
        let span = xxh3_64_with_seed(&self.span, number.wrapping_add(1)).max(1).to_be_bytes();
        Self { span, parent: Some(self.span), ..*self }
    }

    /// What a copy carries: the same trace, not recorded, so that no second answer shows up in it.
    #[must_use]
    pub fn for_shadow(&self) -> Self {
        self.child(u64::from(u32::MAX)).with_sampled(false)
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

    #[must_use]
    pub fn header_value(&self) -> HeaderValue {
        HeaderValue::from_bytes(&self.traceparent()).expect("hexadecimal digits and dashes make a header value")
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

    fn of(values: &[&str]) -> TraceContext {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append("traceparent", HeaderValue::from_str(value).unwrap());
        }
        TraceContext::continue_or_start(&headers, 0xabc, 0xdef)
    }

    fn text(context: &TraceContext) -> String {
        String::from_utf8(context.traceparent().to_vec()).unwrap()
    }

    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

    #[test]
    fn only_what_the_standard_allows_is_continued() {
        for (given, continued) in [
            ("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", true),
            ("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00", true),
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
            let context = of(&[given]);
            assert_eq!(context.is_continued(), continued, "{given}");
            assert_eq!(text(&context)[3..35] == *TRACE, continued, "{given}");
        }
    }

    #[test]
    fn upstreams_see_this_request_as_their_parent() {
        let context = of(&["00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"]);
        assert_eq!(text(&context), format!("00-{TRACE}-0000000000000def-01"));
        assert_eq!(context.parent_id(), Some(&[0xb7, 0xad, 0x6b, 0x71, 0x69, 0x20, 0x33, 0x31]));
    }

    #[test]
    fn flags_that_nobody_knows_yet_are_not_passed_on() {
        assert!(text(&of(&["00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-ff"])).ends_with("-03"));
        assert!(text(&of(&["cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-f4"])).ends_with("-00"));
    }

    #[test]
    fn none_and_two_headers_start_a_new_trace() {
        let valid = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        for values in [&[][..], &[valid, valid]] {
            assert_eq!(text(&of(values)), "00-00000000000000000000000000000abc-0000000000000def-00");
        }
        let zeros = TraceContext::continue_or_start(&HeaderMap::new(), 0, 0);
        assert_eq!(text(&zeros), "00-00000000000000000000000000000001-0000000000000001-00", "zeros are invalid ids");
    }

    #[test]
    fn children_are_told_apart_and_a_copy_is_not_recorded() {
        let context = of(&["00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"]);
        let (first, second, shadow) = (context.child(0), context.child(1), context.for_shadow());
        let spans = [context.span_id(), first.span_id(), second.span_id(), shadow.span_id()];
        assert!((1..4).all(|n| !spans[..n].contains(&spans[n])));
        assert!([first, second, shadow].iter().all(|child| child.parent_id() == Some(context.span_id())));
        assert!(text(&shadow).starts_with(&format!("00-{TRACE}-")) && text(&shadow).ends_with("-00"));
        assert!(first.is_sampled() && !shadow.is_sampled());
    }
}
