//! Why the side was chosen, and what becomes of a copy, as `explain` says it.

use super::ExplainedCopy;
use super::upstream::name_of;
use crate::compile::{Route, Snapshot};
use crate::migration::{Bucket, CopyDecision, Decision, Dial, Policy, Reason, Stage};

pub(super) fn reason(dial: Dial, decision: &Decision, route: Option<&Route>, monolith_only: bool) -> String {
    let Some(route) = route else {
        return "no route takes this request, so it goes to the monolith".to_owned();
    };
    let stage = dial.stage;
    match decision.reason {
        Reason::MonolithOnly => {
            "the big red button is on: every route that is not retired goes to the monolith".to_owned()
        }
        Reason::Stage => {
            let button = if monolith_only { "; the big red button does not move retired routes" } else { "" };
            format!("route `{}` is in stage {stage}{button}", route.name)
        }
        Reason::Bucket(bucket) | Reason::NoUnit(bucket) => share(dial, decision, bucket),
        Reason::Pinned => "the client's conversation began on this side (its pin cookie says so)".to_owned(),
        Reason::Forced => "a trusted client named this side".to_owned(),
        Reason::BreakerOpen => "the breaker is open".to_owned(),
    }
}

fn share(dial: Dial, decision: &Decision, Bucket(bucket): Bucket) -> String {
    let unit = match (decision.issue, decision.reason) {
        (Some(_), _) => "the client has no unit yet and gets a cookie: its side depends on that cookie, here",
        (None, Reason::NoUnit(_)) => "the client has no unit and gets none: each request is assigned anew, here",
        _ => "the client's unit falls into",
    };
    match dial {
        Dial { stage: Stage::Split, .. } => format!("{unit} bucket {bucket} of 10000"),
        Dial { weight, .. } => {
            format!("{unit} bucket {bucket} of 10000; the service has those below {} ({weight})", weight.buckets())
        }
    }
}

pub(super) fn copy(snapshot: &Snapshot, policy: &Policy, decision: &Decision, call: bool) -> Option<ExplainedCopy> {
    let sample = policy.shadow.as_ref()?.sample;
    let (upstream, why) = match decision.copy {
        CopyDecision::None => return None,
        CopyDecision::To(upstream) => {
            (Some(name_of(snapshot, upstream)), format!("{sample} of such requests are copied"))
        }
        // The sample depends on the request's id, which is made when it arrives.
        CopyDecision::SampledOut => (None, format!("{sample} of such requests are copied")),
        CopyDecision::Method if call && !decision.safe_call => {
            (None, "calls of gRPC are POST, and `safe_methods` does not declare this one safe".to_owned())
        }
        CopyDecision::Method => (None, "this method is not copied".to_owned()),
        CopyDecision::Upgrade => (None, "upgrades are never copied".to_owned()),
    };
    Some(ExplainedCopy { upstream, why, translation: None })
}
