//! Files tried on requests that are written down here.

use serde_json::{Value, json};

use super::*;
use crate::compile::compile;
use crate::learn::{RecordedRequest, RecordedUnit};
use crate::migration::{Dial, Percent, Stage, bucket};
use crate::plan::DialNow;

const HEAD: &str = "[monolith]\nurl = \"http://127.0.0.1:1\"\n[services.new]\nurl = \"http://127.0.0.1:2\"\n";
const USERS: &str = "[routes.users]\npath = \"/users/{*rest}\"\nservice = \"new\"\nstage = \"migrated\"\n";
const WRITES: &str = "[routes.user-write]\npath = \"/users/{id}\"\nmethods = [\"POST\", \"DELETE\"]\nservice = \"new\"\nstage = \"monolith\"\n";

fn snapshot(text: &str) -> Snapshot {
    let compiled = compile(text, "routes.toml", &|_| None);
    compiled.snapshot.unwrap_or_else(|| panic!("{:?}", compiled.diagnostics))
}

fn request(method: &str, path: &str, client: u64) -> RecordedRequest {
    RecordedRequest {
        minute: 1,
        method: method.to_owned(),
        host: "shop".to_owned(),
        path: path.to_owned(),
        shown: None,
        asked: Vec::new(),
        names: 0,
        unit: Some(RecordedUnit {
            sticky: String::new(),
            cohort: "users".to_owned(),
            bucket: bucket("users", &client.to_le_bytes()).0,
            hash: client,
        }),
        weight: 1,
    }
}

/// `(method, path, how many)`, each of another client.
fn planned(old: &str, new: &str, requests: &[(&str, &str, u64)]) -> Value {
    let requests =
        requests.iter().flat_map(|(method, path, all)| (0..*all).map(|client| request(method, path, client)));
    let recorded = Recorded { requests: requests.collect(), ..Recorded::default() };
    let report = plan(&snapshot(old), &|_| None, &snapshot(new), &recorded);
    serde_json::to_value(report).expect("a plan serialises")
}

fn route<'a>(plan: &'a Value, name: &str) -> &'a Value {
    let routes = plan["routes"].as_array().expect("a list");
    routes.iter().find(|route| route["name"] == name).unwrap_or(&Value::Null)
}

fn codes(route: &Value) -> Vec<&str> {
    let flags = route["flags"].as_array().map(Vec::as_slice).unwrap_or_default();
    flags.iter().map(|flag| flag["code"].as_str().expect("a code")).collect()
}

#[test]
fn a_route_of_which_the_file_says_nothing_new_is_told_with_what_it_takes_of_a_removed_one() {
    let traffic = [("GET", "/users/5", 20), ("POST", "/users/5", 7), ("GET", "/else", 3)];
    let plan = planned(&format!("{HEAD}{USERS}{WRITES}"), &format!("{HEAD}{USERS}"), &traffic);
    let users = route(&plan, "users");
    assert_eq!((&users["change"], &users["what"]), (&json!("changed"), &json!(["takes other requests"])), "{plan:#}");
    assert_eq!(codes(users), ["writes-move", "shadowed-by"]);
    let removed = route(&plan, "user-write");
    assert_eq!(removed["what"][1], "`users` takes 7 of its requests", "{plan:#}");
    assert_eq!(plan["unchanged"], json!({ "routes": 0, "share": 0.1 }));
    assert_eq!(plan["summary"]["dangers"], 1);
    assert_eq!((&plan["summary"]["changed"], &plan["summary"]["removed"]), (&json!(1), &json!(1)));
}

#[test]
fn what_another_matching_gives_and_takes_is_told() {
    let insensitive = "[matching]\ncase = \"insensitive\"\n";
    let traffic = [("GET", "/users/5", 20), ("POST", "/Users/5", 7)];
    let (exact, any) = (format!("{HEAD}{USERS}"), format!("{HEAD}{insensitive}{USERS}"));
    let plan = planned(&exact, &any, &traffic);
    let users = route(&plan, "users");
    assert_eq!(users["what"], json!(["takes 7 requests that no route takes now"]), "{plan:#}");
    assert_eq!(codes(users), ["writes-move"]);
    assert_eq!(plan["tables"], json!(["matching"]));
    let plan = planned(&any, &exact, &traffic);
    let users = route(&plan, "users");
    assert_eq!(users["what"], json!(["no longer takes all of its requests"]), "{plan:#}");
    let mut codes = codes(users);
    codes.sort_unstable();
    assert_eq!(codes, ["no-longer-matched", "writes-move"]);
}

#[test]
fn keys_that_move_nobody_are_named_and_so_are_other_addresses() {
    let traffic = [("GET", "/users/5", 20)];
    let old = format!("{HEAD}{USERS}");
    for (more, what) in [
        ("allow = [\"10.9.0.0/16\"]\n", "other allow"),
        ("fault = { share = \"1%\", status = 503 }\n", "other fault"),
        ("auth.forward = { url = \"http://127.0.0.1:4/who\" }\n", "other auth.forward"),
        ("timeouts = { answer = \"1s\" }\nbody_limit = \"1MiB\"\n", "other body_limit, timeouts"),
    ] {
        let plan = planned(&old, &format!("{old}{more}"), &traffic);
        assert_eq!(route(&plan, "users")["what"], json!([what]), "{plan:#}");
        assert_eq!(plan["unchanged"]["share"], 0.0);
        assert_eq!(plan["tables"], json!([]));
    }
    let elsewhere =
        old.replace("127.0.0.1:1", "10.0.0.1:80").replace("127.0.0.1:2\"\n", "127.0.0.1:3\"\nhttp = \"2\"\n");
    let plan = planned(&old, &elsewhere, &traffic);
    assert_eq!(plan["tables"], json!(["monolith", "services"]));
    assert_eq!(
        plan["upstreams"],
        json!([
            { "name": "monolith", "change": "changed", "what": ["127.0.0.1:1 -> 10.0.0.1:80"] },
            { "name": "new", "change": "changed", "what": ["127.0.0.1:2 -> 127.0.0.1:3", "other http"] },
        ])
    );
    let plan = planned(&old, &old, &traffic);
    assert_eq!((&plan["routes"], &plan["tables"], &plan["upstreams"]), (&json!([]), &json!([]), &json!([])));
}

#[test]
fn the_times_of_all_upstreams_are_told_once() {
    let old = format!("{HEAD}{USERS}");
    let new = format!("{old}[timeouts]\nanswer = \"10s\"\ntotal = \"90s\"\n");
    let plan = planned(&old, &new, &[("GET", "/users/5", 20)]);
    assert_eq!((&plan["tables"], &plan["upstreams"]), (&json!(["timeouts"]), &json!([])), "{plan:#}");
    assert_eq!(plan["table_keys"], json!({ "timeouts": ["answer 60s -> 10s", "total none -> 90s"] }));
    // One with times of its own has them as before, and says itself what of them is another.
    let own = |text: &str| text.replace("127.0.0.1:2\"\n", "127.0.0.1:2\"\ntimeouts = { answer = \"5s\" }\n");
    let plan = planned(&own(&old), &own(&new), &[]);
    assert_eq!((&plan["tables"], &plan["upstreams"]), (&json!(["timeouts"]), &json!([])), "{plan:#}");
    let plan = planned(&own(&old), &new, &[]);
    assert_eq!(plan["tables"], json!(["timeouts", "services"]));
    assert_eq!(plan["upstreams"], json!([{ "name": "new", "change": "changed", "what": ["other timeouts"] }]));
    let plan = planned(&old, &own(&old), &[]);
    assert_eq!((&plan["tables"], &plan["table_keys"]), (&json!(["services"]), &json!({})), "{plan:#}");
}

#[test]
fn a_redirect_is_at_neither_side() {
    let redirect = USERS.replace("service = \"new\"", "redirect = { to = \"/new/{rest}\", status = 308 }");
    let (old, new) = (format!("{HEAD}{USERS}"), format!("{HEAD}{redirect}"));
    let traffic = [("GET", "/users/5", 20), ("POST", "/users/5", 7)];
    let plan = planned(&old, &new, &traffic);
    let users = route(&plan, "users");
    assert_eq!(users["what"], json!(["service new -> redirect to /new/{rest} (308)"]), "{plan:#}");
    assert_eq!(codes(users), ["writes-move"]);
    assert_eq!(users["flags"][0]["message"], "7 requests that change something are answered by a redirect");
    let numbers = |endpoint: &Value| {
        ["before", "after", "redirected_before", "redirected_after"]
            .map(|key| endpoint[key].as_u64().expect("a number"))
    };
    assert_eq!(numbers(&users["endpoints"][0]), [20, 0, 0, 20]);
    let summary = &plan["summary"];
    let shares = ["to_service", "back", "redirected"].map(|key| summary[key].as_f64().expect("a share"));
    assert_eq!(shares.map(|share| format!("{share:.1}")), ["0.0", "0.0", "1.0"]);
    let plan = planned(&new, &new.replace("308", "307"), &traffic);
    assert_eq!(
        route(&plan, "users")["what"],
        json!(["redirect to /new/{rest} (308) -> redirect to /new/{rest} (307)"])
    );
    assert_eq!(codes(route(&plan, "users")), Vec::<&str>::new(), "{plan:#}");
}

#[test]
fn the_remedy_of_a_split_names_what_differs() {
    let read = "[routes.read]\npath = \"/orders/{id}\"\nmethods = \"GET\"\nservice = \"new\"\nstage = \"canary\"\nweight = \"5%\"\nsticky = \"cookie:sid\"\ncohort = \"o\"\n";
    let write = |stage: &str, more: &str| {
        format!(
            "[routes.write]\npath = \"/orders/{{id}}\"\nmethods = \"POST\"\nservice = \"new\"\nstage = {stage}\n{more}"
        )
    };
    let traffic = [("GET", "/orders/5", 20), ("POST", "/orders/5", 7)];
    // Both are at the monolith: nothing is split.
    let old = format!("{HEAD}{}{}", read.replace("canary\"\nweight = \"5%\"", "monolith\""), write("\"monolith\"", ""));
    for (stage, more, remedy) in [
        ("\"canary\"\nweight = \"5%\"", "", "one cohort and sticky"),
        ("\"canary\"\nweight = \"5%\"", "cohort = \"o\"\n", "one sticky"),
        ("\"canary\"\nweight = \"5%\"", "sticky = \"cookie:sid\"\n", "one cohort"),
        ("\"canary\"\nweight = \"50%\"", "cohort = \"o\"\nsticky = \"cookie:sid\"\n", "one weight"),
        ("\"migrated\"", "cohort = \"o\"\nsticky = \"cookie:sid\"\n", "one stage and weight"),
        ("\"migrated\"", "", "one cohort, sticky, stage and weight"),
    ] {
        let plan = planned(&old, &format!("{HEAD}{read}{}", write(stage, more)), &traffic);
        let flags = route(&plan, "write")["flags"].as_array().expect("a list").clone();
        let split = flags.iter().find(|flag| flag["code"] == "writes-split").expect("it is split");
        let message = split["message"].as_str().expect("a text");
        assert!(message.ends_with(&format!("give it and `read` {remedy}")), "{stage} {more}: {message}");
    }
    let one = write("\"canary\"\nweight = \"5%\"", "cohort = \"o\"\nsticky = \"cookie:sid\"\n");
    let plan = planned(&old, &format!("{HEAD}{read}{one}"), &traffic);
    assert!(!plan.to_string().contains("writes-split"), "{plan:#}");
}

#[test]
fn where_a_move_made_the_split_its_remedy_is_a_move() {
    let table = |name: &str, methods: &str, stage: &str| {
        format!(
            "[routes.{name}]\npath = \"/orders/{{id}}\"\nmethods = \"{methods}\"\nservice = \"new\"\nstage = {stage}\n\
             sticky = \"cookie:sid\"\ncohort = \"o\"\n"
        )
    };
    let (none, few, half) = ("\"monolith\"", "\"canary\"\nweight = \"5%\"", "\"canary\"\nweight = \"50%\"");
    let traffic = (0..9).flat_map(|client| ["GET", "POST"].map(|method| request(method, "/orders/5", client)));
    let recorded = Recorded { requests: traffic.collect(), ..Recorded::default() };
    let canary = |hundredths| Dial {
        stage: Stage::Canary,
        weight: Percent::from_hundredths(hundredths).expect("at most 100 %"),
    };
    let monolith = Dial { stage: Stage::Monolith, weight: Percent::NOBODY };
    // `read` is the first route, and stands elsewhere than its file says.
    for (written, moved, write, remedy) in [
        (
            few,
            canary(5000),
            few,
            "give it and `read` one weight; a move took `read` to canary 50%, not the file: \
             `multilith rollback read --weight 5%`",
        ),
        (
            none,
            canary(500),
            half,
            "give it and `read` one weight; a move took `read` to canary 5%, not the file: \
             `multilith promote read --weight 50%`",
        ),
        (
            half,
            monolith,
            half,
            "the monolith answers the rest of it, so move both together; a move took `read` to monolith, not the file: \
             `multilith promote read --weight 50%`",
        ),
    ] {
        let file = |write: &str| format!("{HEAD}{}{}", table("read", "GET", written), table("write", "POST", write));
        let (old, new) = (snapshot(&file(none)), snapshot(&file(write)));
        let now = DialNow { in_force: moved, written: old.routes[0].policy.dial };
        let plan = plan(&old, &|id| (id.0 == 0).then_some(now), &new, &recorded);
        let flags = plan.routes.into_iter().find(|route| route.name == "write").expect("it is changed").flags;
        let split = flags.into_iter().find(|flag| flag.code == "writes-split").expect("it is split");
        assert!(split.message.ends_with(remedy), "{}", split.message);
    }
}

#[test]
fn a_split_that_no_route_of_the_file_shows_is_told_of_the_route_that_stays() {
    let read = "[routes.read]\npath = \"/orders/{id}\"\nmethods = \"GET\"\nservice = \"new\"\nstage = \"migrated\"\n";
    let write =
        "[routes.write]\npath = \"/orders/{id}\"\nmethods = \"POST\"\nservice = \"new\"\nstage = \"migrated\"\n";
    let plan = planned(
        &format!("{HEAD}{read}{write}"),
        &format!("{HEAD}{read}"),
        &[("GET", "/orders/5", 20), ("POST", "/orders/5", 7)],
    );
    assert_eq!(codes(route(&plan, "read")), ["writes-split"], "{plan:#}");
    assert_eq!(codes(route(&plan, "write")), ["writes-move", "no-longer-matched"]);
}
