//! Tables of decisions: stages, units, pins, force, breaker and the big red button.

use http::Method;

use super::world::{CASE, Case, SERVICE, decided, pinned, policy, split};
use crate::endpoint::UpstreamId;
use crate::migration::{BreakerState, Fallback, Pinning, Policy, Reason, Side, Stage, UnitSource, bucket, issued_unit};
use crate::route::MethodSet;

const NOTHING: &[(&str, &str)] = &[];

#[test]
fn each_stage_has_its_side() {
    let table = [
        (Stage::Monolith, 0, Side::Monolith, Reason::Stage),
        (Stage::Shadow, 0, Side::Monolith, Reason::Stage),
        (Stage::Migrated, 10_000, Side::Service, Reason::Stage),
        (Stage::Retired, 10_000, Side::Service, Reason::Stage),
    ];
    for (stage, weight, side, reason) in table {
        let decision = decided(&policy(stage, weight), NOTHING, CASE);
        assert_eq!((decision.side, decision.reason), (side, reason), "{stage}");
        assert_eq!(decision.upstream == UpstreamId::MONOLITH, side == Side::Monolith, "{stage}");
        assert_eq!((decision.issue, decision.both_live), (None, false), "{stage}");
    }
}

#[test]
fn the_button_moves_everything_but_retired_routes() {
    let case = Case { monolith_only: true, forced: Some("service"), ..CASE };
    for stage in Stage::ALL {
        let policy = if stage == Stage::Split { split(&[("a", 5_000), ("b", 5_000)]) } else { policy(stage, 10_000) };
        let policy = pinned(policy);
        let decision = decided(&policy, &[("cookie", "multilith_pin_checkout=service")], case);
        let expected =
            if stage == Stage::Retired { (Side::Service, SERVICE) } else { (Side::Monolith, UpstreamId::MONOLITH) };
        assert_eq!((decision.side, decision.upstream), expected, "{stage}");
        assert_eq!((decision.pin, decision.issue), (Pinning::None, None), "{stage}");
    }
}

/// Sources, header fields, and the unit that is found.
type UnitRow<'a> = (&'a [UnitSource], &'a [(&'static str, &'a str)], Option<&'a str>);

#[test]
fn the_first_unit_that_is_present_and_not_empty_counts() {
    let sources = vec![
        UnitSource::Header(http::HeaderName::from_static("x-user-id")),
        UnitSource::Cookie("uid".into()),
        UnitSource::Jwt("sub".into()),
        UnitSource::Query("account".into()),
        UnitSource::Ip,
    ];
    // {"sub":"user-7"}
    let token = "Bearer h.eyJzdWIiOiJ1c2VyLTcifQ.s";
    let table: [UnitRow<'_>; 10] = [
        (&sources, &[("x-user-id", "u1"), ("cookie", "uid=c1")], Some("u1")),
        (&sources, &[("x-user-id", ""), ("cookie", "uid=c1")], Some("c1")),
        (&sources, &[("cookie", "uid="), ("authorization", token)], Some("user-7")),
        (&sources, &[("authorization", "Bearer broken")], Some("a 1")),
        (&sources[4..], &[], Some("203.0.113.7")),
        (&sources[4..], &[("cookie", "multilith_id=m1")], Some("203.0.113.7")),
        (&sources[..3], &[("cookie", "multilith_id=m1")], Some("m1")),
        (&sources[..3], &[("cookie", "multilith_id=m1; uid=c1")], Some("c1")),
        (&[], &[("cookie", "multilith_id=m1")], Some("m1")),
        (&[], &[("cookie", "multilith_id=")], None),
    ];
    for (sticky, fields, unit) in table {
        let policy = Policy { sticky: sticky.to_vec(), ..policy(Stage::Canary, 5_000) };
        let decision = decided(&policy, fields, CASE);
        let fresh = issued_unit(CASE.fresh);
        let expected = bucket("checkout", unit.map_or(&fresh[..], str::as_bytes));
        assert_eq!(decision.reason, Reason::Bucket(expected), "{fields:?}");
        assert_eq!(decision.issue, unit.is_none().then_some(CASE.fresh), "{fields:?}");
    }
}

#[test]
fn an_issued_cookie_is_the_unit_that_was_decided_by() {
    let policy = policy(Stage::Canary, 5_000);
    for fresh in 0..200 {
        let first = decided(&policy, NOTHING, Case { fresh, ..CASE });
        let unit = issued_unit(first.issue.expect("a client without a unit gets one"));
        let cookie = format!("multilith_id={}", std::str::from_utf8(&unit).expect("hexadecimal"));
        let second = decided(&policy, &[("cookie", &cookie)], Case { fresh: 12_345, ..CASE });
        assert_eq!((second.side, second.issue), (first.side, None), "{cookie}");
    }
}

#[test]
fn without_a_unit_and_without_a_cookie_each_request_is_assigned_anew() {
    let policy = Policy { issue_cookie: false, ..policy(Stage::Canary, 5_000) };
    let sides: Vec<_> = (0..64).map(|fresh| decided(&policy, NOTHING, Case { fresh, ..CASE })).collect();
    assert!(sides.iter().all(|decision| decision.issue.is_none() && matches!(decision.reason, Reason::NoUnit(_))));
    assert!(sides.iter().any(|decision| decision.side == Side::Service));
    assert!(sides.iter().any(|decision| decision.side == Side::Monolith));
}

#[test]
fn a_lowered_weight_moves_everybody_whatever_cookie_they_have() {
    let cookies = [("cookie", "multilith_id=m1; multilith_pin_checkout=service"), ("x-user-id", "u1")];
    let decision = decided(&pinned(policy(Stage::Canary, 0)), &cookies, CASE);
    assert_eq!(decision.side, Side::Monolith);
    let decision = decided(&pinned(policy(Stage::Monolith, 0)), &cookies, CASE);
    assert_eq!((decision.side, decision.pin), (Side::Monolith, Pinning::None));
}

#[test]
fn a_pin_holds_while_its_side_is_live() {
    let table = [
        (policy(Stage::Canary, 1), "service", Some(Side::Service)),
        (policy(Stage::Canary, 9_999), "monolith", Some(Side::Monolith)),
        (policy(Stage::Canary, 0), "service", None),
        (policy(Stage::Canary, 10_000), "monolith", None),
        (policy(Stage::Canary, 5_000), "blue", None),
        (split(&[("blue", 1), ("green", 9_999)]), "blue", Some(Side::Variant(0))),
        (split(&[("blue", 0), ("green", 10_000)]), "blue", None),
        (split(&[("blue", 1), ("green", 9_999)]), "service", None),
    ];
    for (policy, pin, held) in table {
        let cookie = format!("multilith_pin_checkout={pin}");
        let decision = decided(&pinned(policy.clone()), &[("cookie", &cookie)], CASE);
        match held {
            Some(side) => {
                assert_eq!(
                    (decision.side, decision.reason, decision.pin),
                    (side, Reason::Pinned, Pinning::Renew(side))
                );
            }
            None => assert_eq!(decision.pin, Pinning::Begin, "{pin}: {decision:?}"),
        }
        assert_eq!(decided(&policy, &[("cookie", &cookie)], CASE).pin, Pinning::None, "a route without pins");
    }
}

#[test]
fn a_forced_side_is_taken_where_there_is_a_choice() {
    let force = |side| Case { forced: Some(side), ..CASE };
    let canary = policy(Stage::Canary, 0);
    let forced = decided(&canary, NOTHING, force("service"));
    assert_eq!((forced.side, forced.reason, forced.issue), (Side::Service, Reason::Forced, None));
    assert!(forced.both_live, "others must not get this answer from a shared cache");
    assert_eq!(decided(&canary, NOTHING, force("nonsense")).side, Side::Monolith);
    assert_eq!(decided(&canary, NOTHING, force("green")).side, Side::Monolith);
    let variants = split(&[("blue", 10_000), ("green", 0)]);
    assert_eq!(decided(&variants, NOTHING, force("green")).side, Side::Variant(1));
    assert_eq!(decided(&variants, NOTHING, force("service")).side, Side::Variant(0));
    for stage in [Stage::Monolith, Stage::Shadow] {
        assert_eq!(decided(&policy(stage, 0), NOTHING, force("service")).side, Side::Monolith, "{stage}");
    }
    for stage in [Stage::Migrated, Stage::Retired] {
        assert_eq!(decided(&policy(stage, 10_000), NOTHING, force("monolith")).side, Side::Service, "{stage}");
    }
}

#[test]
fn an_open_breaker_sends_the_service_side_to_the_monolith_where_a_fallback_may() {
    let open = Case { breaker: BreakerState::Open, ..CASE };
    let canary = decided(&policy(Stage::Canary, 10_000), NOTHING, open);
    assert_eq!((canary.side, canary.reason, canary.fallback), (Side::Monolith, Reason::BreakerOpen, false));
    assert!(canary.issue.is_some(), "the client is still assigned");
    let migrated = decided(&policy(Stage::Migrated, 10_000), NOTHING, open);
    assert_eq!((migrated.side, migrated.reason), (Side::Monolith, Reason::BreakerOpen));
    for breaker in [BreakerState::Closed, BreakerState::Probing] {
        let decision = decided(&policy(Stage::Canary, 10_000), NOTHING, Case { breaker, ..CASE });
        assert_eq!((decision.side, decision.fallback), (Side::Service, true), "{breaker:?}");
    }
    let without = Policy { fallback: None, ..policy(Stage::Migrated, 10_000) };
    assert_eq!(decided(&without, NOTHING, open).side, Side::Service);
    let retired = Policy { fallback: policy(Stage::Canary, 1).fallback, ..policy(Stage::Retired, 10_000) };
    assert_eq!(decided(&retired, NOTHING, open).side, Side::Service);
}

#[test]
fn an_open_breaker_does_not_send_the_monolith_a_method_that_may_not_fall_back() {
    let mut policy = policy(Stage::Migrated, 10_000);
    let fallback = policy.fallback.take().expect("a fallback");
    policy.fallback = Some(Fallback { methods: MethodSet::of(&[Method::GET]), ..fallback });
    let open = Case { breaker: BreakerState::Open, ..CASE };
    assert_eq!(decided(&policy, NOTHING, open).side, Side::Monolith);
    assert_eq!(decided(&policy, NOTHING, Case { method: &Method::POST, ..open }).side, Side::Service);
}

#[test]
fn a_conversation_keeps_its_pin_through_an_open_breaker() {
    let policy = pinned(policy(Stage::Canary, 10_000));
    let open = Case { breaker: BreakerState::Open, ..CASE };
    let cookie = [("cookie", "multilith_pin_checkout=service")];
    assert_eq!(decided(&policy, &cookie, open).pin, Pinning::Renew(Side::Service));
    let begun = decided(&policy, NOTHING, open);
    assert_eq!((begun.side, begun.pin), (Side::Monolith, Pinning::Begin), "it stays where it is answered");
}

#[test]
fn both_sides_are_live_between_the_ends_only() {
    for (weight, both) in [(0, false), (1, true), (9_999, true), (10_000, false)] {
        assert_eq!(decided(&policy(Stage::Canary, weight), NOTHING, CASE).both_live, both, "{weight}");
    }
    assert!(decided(&split(&[("a", 5_000), ("b", 5_000)]), NOTHING, CASE).both_live);
}
