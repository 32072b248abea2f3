//! Compares two answers to one request.

use http::{Method, StatusCode};

use super::body;
use super::difference::{Difference, Findings, Found, Kind};
use super::headers;
use super::incomparable::Incomparable;
use super::path::FieldPath;
use super::response::{Body, ComparedRequest, ComparedResponse};
use super::rules::Rules;
use crate::message::ResultCode;

/// The result of one comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ComparisonResult {
    Match,
    Mismatch,
    /// Nothing that counts differs, and what was compared of the body holds no information.
    Undecided,
    Incomparable(Incomparable),
    /// It was never judged.
    Dropped,
}

impl ComparisonResult {
    /// The word in metrics and the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Match => "match",
            Self::Mismatch => "mismatch",
            Self::Undecided => "undecided",
            Self::Incomparable(_) => "incomparable",
            Self::Dropped => "dropped",
        }
    }
}

/// One comparison: what differs, and what could not be looked at. Whether a difference counts, only the evidence of
/// many comparisons can say.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Outcome {
    pub differences: Vec<Difference>,
    /// Set when a part of the answers, or all of them, is beyond comparison.
    pub unknown: Option<Incomparable>,
    /// Some part of the answers that holds information is the same, or there is nothing to compare beside the head.
    pub equal: bool,
    /// Of both sides, as [`ResultCode::number`] gives them.
    pub statuses: Option<[u16; 2]>,
    /// The rules take these for as good as each other.
    pub agreed: bool,
    /// The outcomes of what was only accepted were compared: the request alone does not show them again.
    pub asked_on: bool,
}

impl Outcome {
    /// There was no outcome to compare.
    #[must_use]
    pub fn unfinished() -> Self {
        Self::beyond(Incomparable::Unfinished, None)
    }

    /// The verdict if every difference counts. A known difference outweighs an unknown part.
    #[must_use]
    pub fn verdict(&self) -> ComparisonResult {
        match self.unknown {
            _ if !self.differences.is_empty() => ComparisonResult::Mismatch,
            Some(why) => ComparisonResult::Incomparable(why),
            None => ComparisonResult::Match,
        }
    }

    fn beyond(why: Incomparable, statuses: Option<[u16; 2]>) -> Self {
        Self { unknown: Some(why), statuses, ..Self::default() }
    }
}

/// Compares the candidate's answer with the control's. Nothing in the outcome holds a secret.
#[must_use]
pub fn compare(
    request: &ComparedRequest<'_>,
    control: &ComparedResponse,
    candidate: &ComparedResponse,
    rules: &Rules,
) -> Outcome {
    let results = [control, candidate].map(|response| response.result(request));
    let statuses = Some(results.map(ResultCode::number));
    if results[0].is_failure() {
        return Outcome::beyond(Incomparable::ControlFailed, statuses);
    }
    let not_modified = [control, candidate].iter().any(|response| response.status == StatusCode::NOT_MODIFIED);
    if not_modified && !request.is_conditional() {
        return Outcome::beyond(Incomparable::NotModified, statuses);
    }
    let secrets = rules.redactor().secrets(request, [&control.headers, &candidate.headers]);
    let mut findings = Findings::new(rules, secrets);
    if let Some(host) = request.headers.get(http::header::HOST).and_then(|host| host.to_str().ok()) {
        findings.asked_at(host);
    }
    if !rules.agrees(control.status, candidate.status) && !rules.ignores(&FieldPath::Status) {
        // Of two different answers everything differs: the status is the difference.
        let (a, b) = (control.status.as_u16(), candidate.status.as_u16());
        findings.add(FieldPath::Status.to_string(), Kind::Value, Found::Plain(a), Found::Plain(b));
        return Outcome { differences: findings.into_list(), equal: true, statuses, ..Outcome::default() };
    }
    if results[0] != results[1] && request.is_call() && !headers::ignores_outcome(rules) {
        headers::outcome(&control.headers, &candidate.headers, &mut findings);
        return Outcome { differences: findings.into_list(), equal: true, statuses, ..Outcome::default() };
    }
    let has_content =
        control.status == candidate.status || [control, candidate].iter().all(|it| may_have_content(it.status));
    let unknown = if *request.method == Method::HEAD {
        findings.same();
        streamed_head(control, candidate)
    } else if !has_content {
        findings.same();
        None
    } else {
        body::bodies(control, candidate, &mut findings).err()
    };
    // After the bodies: a header may repeat a secret that only the body tells for one.
    let equal = findings.is_equal_somewhere();
    if has_content {
        headers::headers(&control.headers, &candidate.headers, &mut findings);
    } else {
        let [control, candidate] = [control, candidate].map(|it| headers::without_content(&it.headers));
        headers::headers(&control, &candidate, &mut findings);
    }
    Outcome { differences: findings.into_list(), unknown, equal, statuses, agreed: true, asked_on: false }
}

/// Whether an answer of this status has content to compare.
const fn may_have_content(status: StatusCode) -> bool {
    !matches!(status, StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::NOT_MODIFIED)
}

/// HEAD has no body to compare, but a tunnel is a tunnel.
fn streamed_head(control: &ComparedResponse, candidate: &ComparedResponse) -> Option<Incomparable> {
    [control, candidate].iter().any(|response| response.body == Body::Streamed).then_some(Incomparable::Streamed)
}

#[cfg(test)]
#[path = "verdict_tests.rs"]
pub(super) mod tests;
