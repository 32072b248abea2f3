//! What is written, and what is said not to be; that it routes alike is shown with the real programs, in tests/e2e.

use super::*;
use crate::compile::compile;

fn snapshot(routes: &str) -> Snapshot {
    let text =
        format!("[monolith]\nurl = \"http://127.0.0.1:1\"\n[services.users]\nurl = \"http://127.0.0.1:2\"\n{routes}");
    let compiled = compile(&text, "routes.toml", &|_| None);
    compiled.snapshot.unwrap_or_else(|| panic!("{:?}", compiled.diagnostics))
}

const ALL: [ExportTarget; 4] =
    [ExportTarget::Nginx, ExportTarget::Haproxy, ExportTarget::Envoy, ExportTarget::HttpRoute];

#[test]
fn what_guards_a_route_and_cannot_be_written_closes_it_and_is_said() {
    let guarded = snapshot(
        "[routes.admin]\npath = \"/admin/{*rest}\"\nservice = \"users\"\nstage = \"migrated\"\nallow = [\"10.0.0.0/8\"]\n",
    );
    for target in ALL {
        let exported = export(&guarded, target);
        let said = exported.left_out.iter().any(|left| left.of == "admin" && left.key == "allow");
        assert!(said, "{target:?}: {:?}", exported.left_out);
        let closed = match target {
            ExportTarget::Nginx => exported.text.contains("return 403") && exported.text.contains("admin 1;"),
            ExportTarget::Haproxy => exported.text.contains("deny_status 403 if { var(txn.rule) -m str admin }"),
            ExportTarget::Envoy => exported.text.contains("\"direct_response\": {\n") && exported.text.contains("403"),
            ExportTarget::HttpRoute => exported.text.contains("\"backendRefs\": []"),
        };
        assert!(closed, "{target:?}:\n{}", exported.text);
    }
}

#[test]
fn nothing_is_said_of_a_file_that_can_be_written_whole() {
    let plain = snapshot("[routes.users]\npath = \"/users/{id}\"\nservice = \"users\"\nstage = \"retired\"\n");
    for target in [ExportTarget::Nginx, ExportTarget::Haproxy, ExportTarget::Envoy] {
        assert_eq!(export(&plain, target).left_out, [], "{target:?}");
    }
    let httproute = export(&plain, ExportTarget::HttpRoute).left_out;
    let keys: Vec<_> = httproute.iter().map(|left| format!("{}.{}", left.of, left.key)).collect();
    assert_eq!(keys, ["monolith.endpoints", "users.endpoints", "users.path"]);
}

#[test]
fn a_regex_that_a_target_would_read_otherwise_is_not_written() {
    for (regex, portable) in [
        ("^de|at$", true),
        ("^[a-z]+$", true),
        ("(?i)de", false),
        ("[a-z&&[^b]]", false),
        ("\\pL", false),
        ("\\d+", true),
    ] {
        assert_eq!(pattern::is_portable(regex), portable, "{regex}");
    }
    let foreign = snapshot(
        "[routes.german]\npath = \"/\"\nheaders = { accept-language = { regex = \"(?i)^de\" } }\nservice = \"users\"\nstage = \"migrated\"\n",
    );
    for target in ALL {
        let exported = export(&foreign, target);
        assert!(exported.left_out.iter().any(|left| left.key == "headers"), "{target:?}: {:?}", exported.left_out);
        assert!(!exported.text.contains("(?i)^de"), "{target:?}");
    }
}

#[test]
fn a_stage_between_is_unfinished() {
    let routes = snapshot(
        "[routes.a]\npath = \"/a\"\nservice = \"users\"\nstage = \"canary\"\nweight = \"5%\"\n[routes.b]\npath = \"/b\"\nservice = \"users\"\nstage = \"migrated\"\n",
    );
    assert_eq!(unfinished(&routes), [("a", Stage::Canary)]);
}

#[test]
fn rules_of_httproute_whose_order_the_standard_leaves_open_are_said() {
    let routes = snapshot(
        "[routes.one]\npath = \"/a/{id}/x\"\nservice = \"users\"\nstage = \"migrated\"\n[routes.two]\npath = \"/a/b/{id}\"\nservice = \"users\"\nstage = \"migrated\"\n",
    );
    let said = export(&routes, ExportTarget::HttpRoute).left_out;
    assert!(said.iter().any(|left| left.why.contains("which of them wins is the gateway's choice")), "{said:?}");
}
