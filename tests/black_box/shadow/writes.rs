//! Write safety as a rule of the system: over all stages, methods and settings.

use http::Method;
use multilith::compile::compile;
use multilith::endpoint::UpstreamId;
use multilith::message::Fields;
use multilith::migration::{
    BreakerState, CopyDecision, DecisionInput, Dial, Percent, Policy, SafeCalls, Shadow, Stage, WriteCopies, decide,
};
use multilith::reload::environment;
use multilith::route::{Facts, HeaderEdits, MethodSet};

const METHODS: [&str; 11] =
    ["GET", "HEAD", "OPTIONS", "TRACE", "POST", "PUT", "PATCH", "DELETE", "CONNECT", "PROPFIND", "BREW"];

fn methods() -> impl Iterator<Item = Method> {
    METHODS.into_iter().map(|name| Method::from_bytes(name.as_bytes()).expect("a method"))
}

fn is_safe(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

/// Asks for a copy in every way a request can.
fn copies(policy: &Policy, mut look: impl FnMut(&Method, CopyDecision)) {
    let headers = Fields::new();
    for method in methods() {
        for (upgrade, monolith_only) in [(false, false), (true, false), (false, true)] {
            for (breaker, forced) in [
                (BreakerState::Closed, None),
                (BreakerState::Open, None),
                (BreakerState::Probing, Some("monolith")),
                (BreakerState::Closed, Some("service")),
            ] {
                for fresh in [1, 2, 3, 4, 5, 6] {
                    let facts = Facts {
                        method: &method,
                        preflight: None,
                        host: "e",
                        path: "/",
                        query: None,
                        headers: &headers,
                        client: None,
                        upgrade,
                    };
                    let (dial, sample) = (policy.dial, 0);
                    let given = DecisionInput { facts: &facts, dial, monolith_only, breaker, forced, fresh, sample };
                    let copy = decide(policy, &given).copy;
                    if upgrade || monolith_only {
                        assert!(!matches!(copy, CopyDecision::To(_)), "{method} {upgrade} {monolith_only}");
                    }
                    look(&method, copy);
                }
            }
        }
    }
}

/// Every policy there can be, also those that no file can ask for.
#[test]
fn no_unsafe_method_is_ever_copied_to_the_monolith() {
    let sets = [MethodSet::all(), MethodSet::of(&[Method::GET, Method::HEAD]), MethodSet::of(&[Method::POST])];
    let mut sent = 0;
    for stage in Stage::ALL {
        for (weight, writes, reverse) in [0, 5000, 10_000]
            .into_iter()
            .flat_map(|weight| [WriteCopies::Never, WriteCopies::Sandbox].map(|writes| (weight, writes)))
            .flat_map(|(weight, writes)| [false, true].map(|reverse| (weight, writes, reverse)))
        {
            for methods in &sets {
                let policy = Policy {
                    dial: Dial { stage, weight: Percent::from_hundredths(weight).expect("a share") },
                    service: Some(UpstreamId(1)),
                    variants: Vec::new(),
                    sticky: Vec::new(),
                    issue_cookie: true,
                    cohort: "c".into(),
                    pin: None,
                    fallback: None,
                    safe_calls: SafeCalls::default(),
                    shadow: Some(Shadow {
                        sample: Percent::EVERYBODY,
                        methods: methods.clone(),
                        body_limit: 1,
                        timeout: std::time::Duration::from_secs(1),
                        in_flight: 1,
                        reverse,
                        writes,
                        headers: HeaderEdits::default(),
                        compare: None,
                    }),
                    balanced_by_unit: false,
                    shared_cache: false,
                    gate: None,
                };
                copies(&policy, |method, copy| {
                    let CopyDecision::To(target) = copy else { return };
                    sent += 1;
                    assert!(*method != Method::CONNECT, "{stage}");
                    assert!(methods.contains(method), "{stage} {method}");
                    let harmless = is_safe(method) || writes == WriteCopies::Sandbox && target != UpstreamId::MONOLITH;
                    assert!(harmless, "{stage} {method} {writes:?} to {target:?}");
                });
            }
        }
    }
    assert!(sent > 0, "nothing was ever copied");
}

/// Every file that `check` lets through.
#[test]
fn no_file_has_an_unsafe_method_copied_to_what_is_not_a_sandbox() {
    let (mut right, mut refused, mut writes_sent) = (0, 0, 0);
    for stage in ["monolith", "shadow", "canary\"\nweight = \"50%", "migrated", "retired"] {
        for sandbox in ["", "sandbox = true"] {
            for writes in ["", "writes = \"never\"", "writes = \"sandbox\""] {
                for reverse in ["", "reverse = true"] {
                    for methods in ["", "[\"GET\", \"POST\"]", "[\"DELETE\"]", "[\"BREW\", \"HEAD\"]"] {
                        let methods = if methods.is_empty() { String::new() } else { format!("methods = {methods}") };
                        let text = format!(
                            "[monolith]\nurl = \"http://127.0.0.1:1\"\n[services.new]\nurl = \"http://127.0.0.1:2\"\n{sandbox}\n\
                             [routes.all]\npath = \"/{{*rest}}\"\nservice = \"new\"\nstage = \"{stage}\"\n\
                             [routes.all.shadow]\n{writes}\n{reverse}\n{methods}\n"
                        );
                        let Some(snapshot) = compile(&text, "routes.toml", &environment).snapshot else {
                            refused += 1;
                            continue;
                        };
                        right += 1;
                        copies(&snapshot.routes[0].policy, |method, copy| {
                            let CopyDecision::To(target) = copy else { return };
                            let declared = snapshot.upstreams[target.index()].sandbox;
                            let writable = declared && target != UpstreamId::MONOLITH;
                            assert!(is_safe(method) || writable, "{method} would be copied by\n{text}");
                            writes_sent += usize::from(!is_safe(method));
                        });
                    }
                }
            }
        }
    }
    assert!(right > 20 && refused > 20 && writes_sent > 0, "{right} right, {refused} refused, {writes_sent} writes");
}
