//! The written files and their lists of omissions; that they route alike is shown with the real programs, in tests/e2e.

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
    let route = "[routes.admin]\npath = \"/admin/{*rest}\"\nservice = \"users\"\nstage = \"migrated\"\n";
    let networks = "allow = [\"10.0.0.0/8\"]\n";
    // Another condition than the one that is asked would let more pass, or take the requests of other routes.
    let foreign = "headers = { accept-language = { regex = \"(?i)^de\" } }\n";
    let trusted = "[server]\ntrusted = [\"10.0.0.1\"]\n";
    let token = "auth = { jwt = { jwks = \"https://id.example/keys\" } }\n";
    for (more, key, targets) in [
        (networks.to_owned(), "allow", &[ExportTarget::HttpRoute][..]),
        (format!("{networks}{foreign}"), "allow", &ALL),
        (format!("{networks}{trusted}"), "allow", &ALL),
        (token.to_owned(), "auth.jwt", &ALL),
        (format!("{token}{foreign}"), "auth.jwt", &ALL),
    ] {
        let guarded = snapshot(&format!("{route}{more}"));
        for target in targets {
            let exported = export(&guarded, *target);
            let said = exported.left_out.iter().any(|left| left.of == "admin" && left.key == key);
            assert!(said, "{target:?}: {:?}", exported.left_out);
            let text = &exported.text;
            let closed = match target {
                ExportTarget::Nginx => text.contains("return 403") && text.contains("admin 1;"),
                ExportTarget::Haproxy => text.contains("deny_status 403 if { var(txn.rule) -m str admin }\n"),
                ExportTarget::Envoy => text.contains("\"direct_response\": {\n") && text.contains("403"),
                ExportTarget::HttpRoute => text.contains("\"backendRefs\": []"),
            };
            assert!(closed && !text.contains("(?i)^de"), "{target:?}, {more}:\n{text}");
        }
    }
}

#[test]
fn hosts_whose_clients_must_show_a_certificate_are_closed() {
    let mut guarded = snapshot("[routes.users]\npath = \"/users\"\nservice = \"users\"\nstage = \"migrated\"\n");
    guarded.server.tls.client_ca_hosts = vec!["bank.example".into()];
    for target in ALL {
        let exported = export(&guarded, target);
        assert!(exported.left_out.iter().any(|left| left.key == "server.tls.client_ca_hosts"), "{target:?}");
        let text = &exported.text;
        let closed = match target {
            ExportTarget::Nginx => text.contains("\"bank.example\" 1;") && text.contains("{ return 403; }"),
            ExportTarget::Haproxy => text.contains("deny_status 403 if { var(txn.host) -m str bank.example }"),
            ExportTarget::Envoy => text.contains("bank\\\\.example") && text.contains("403"),
            ExportTarget::HttpRoute => text.contains("\"bank.example\"") && text.contains("\"backendRefs\": []"),
        };
        assert!(closed, "{target:?}:\n{text}");
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
    for (regex, ends) in [
        ("^de", true),
        ("a|b", true),
        ("^de|at$", false),
        ("a\\$", true),
        ("a$b", false),
        ("^[^|$]+$", true),
        ("(^a)", false),
    ] {
        assert_eq!(pattern::anchors_at_ends(regex), ends, "{regex}");
    }
    for (regex, names) in [
        ("^[a-z0-9]+$", true),
        ("^(de|at)-\\.$", true),
        ("^[.]$", true),
        ("^a.b$", false),
        ("^[^a]$", false),
        ("^\\d+$", false),
    ] {
        assert_eq!(pattern::names_its_characters(regex), names, "{regex}");
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

#[test]
fn an_alternation_is_asked_of_a_part_of_the_value_and_no_two_objects_share_a_name() {
    let of = |name: &str, host: &str, more: &str| {
        format!("[routes.{name}]\npath = \"/\"\nhost = \"{host}\"\nservice = \"users\"\nstage = \"migrated\"\n{more}")
    };
    let german = "headers = { accept-language = { regex = \"^de|at$\" } }\n";
    let routes = snapshot(
        &[
            of("german", "shop.example", german),
            of("below", "*.shop.example", ""),
            of("dash", "a-b.example", ""),
            of("dot", "a.b.example", ""),
        ]
        .concat(),
    );
    assert!(export(&routes, ExportTarget::Envoy).text.contains("\".*(?:^de|at$).*\""));
    let list: serde_json::Value =
        serde_json::from_str(&export(&routes, ExportTarget::HttpRoute).text).expect("it is JSON");
    let names: Vec<_> =
        list["items"].as_array().expect("a list").iter().filter_map(|item| item["metadata"]["name"].as_str()).collect();
    let mut unique = names.clone();
    unique.sort_unstable();
    unique.dedup();
    assert_eq!(unique.len(), names.len(), "{names:?}");
    assert!(names.len() > 3, "{names:?}");
}

#[test]
fn a_unit_whose_name_is_no_variable_of_nginx_is_read_by_a_map() {
    let routes = snapshot(
        "[routes.part]\npath = \"/\"\nservice = \"users\"\nstage = \"canary\"\nweight = \"10%\"\nsticky = [\"cookie:session-id\", \"query:user-id\"]\n",
    );
    let text = export(&routes, ExportTarget::Nginx).text;
    assert!(!text.contains("$cookie_session-id") && !text.contains("$arg_user-id"), "{text}");
    assert!(text.contains("session\\-id") || text.contains("session-id"), "{text}");
}

#[test]
fn what_is_no_server_of_http_is_said_not_to_be_asked() {
    let called = snapshot(
        "[services.quote]\nlambda = { function = \"quote\", region = \"eu-central-1\" }\n\
         [services.greeter]\nnameko = { broker = \"amqp://guest:guest@127.0.0.1/\", service = \"greeting\" }\n\
         [routes.quote]\npath = \"/quote\"\nservice = \"quote\"\nstage = \"migrated\"\n\
         [routes.greet]\npath = \"/greet\"\nservice = \"greeter\"\nstage = \"migrated\"\ncall = { method = \"hello\" }\n\
         [routes.users]\npath = \"/users\"\nservice = \"users\"\nstage = \"migrated\"\n",
    );
    for target in ALL {
        let left = export(&called, target).left_out;
        let said = |of: &str, key: &str| left.iter().any(|left| left.of == of && left.key == key);
        assert!(said("quote", "lambda") && said("greeter", "nameko"), "{target:?}: {left:?}");
        assert!(!said("users", "http"), "{target:?}: {left:?}");
    }
}

#[test]
fn what_multilith_refuses_is_refused_and_other_differences_stand_in_the_file() {
    let routes = snapshot(
        "[routes.six]\nhost = \"[::1]\"\npath = \"/own\"\nservice = \"users\"\nstage = \"migrated\"\n\
         [routes.below]\nhost = \"*.shop.example\"\npath = \"/own\"\nservice = \"users\"\nstage = \"migrated\"\n",
    );
    for target in ALL {
        let exported = export(&routes, target);
        let has = |part: &str| assert!(exported.text.contains(part), "{target:?}, {part}:\n{}", exported.text);
        match target {
            // No part of the key but the path may have the character that stands between them.
            ExportTarget::Nginx => {
                has("\"~^ [^ ]* \\\\[::1\\\\] /+own$\" six;");
                has("\"~^ [^ ]* [^: ]+\\\\.shop\\\\.example /+own$\" below;");
                has("if ($request_method ~ ^(?:CONNECT|TRACE|TRACK)$) { return 405; }");
                has("proxy_set_header X-Forwarded-Host $ml_authority;");
            }
            ExportTarget::Haproxy => {
                has("deny_status 405 if { method CONNECT TRACE TRACK }");
                has("deny_status 400 if { path -m reg -i '/(?:[.]|%2e){2}(?:;|%3b)|");
                has("{ var(txn.host) -m reg '^\\[::1\\]$' }");
            }
            ExportTarget::Envoy => {
                has("\"allow_custom_methods\": true");
                has("\"(?i)\\\\[::1\\\\][.]?(?::[0-9]*)?\"");
            }
            ExportTarget::HttpRoute => {
                assert!(exported.left_out.iter().any(|left| left.of == "six" && left.key == "host"));
            }
        }
        if matches!(target, ExportTarget::Nginx | ExportTarget::Haproxy) {
            exported.notes.iter().for_each(|note| has(&format!("# multilith: {note}\n")));
        }
    }
}

#[test]
fn what_a_client_says_of_itself_reaches_no_upstream() {
    let routes = snapshot(
        "[server]\nforce = { header = \"X-Side\", from = [\"10.0.0.1\"] }\nforwarded = true\n\
         [routes.set]\npath = \"/set\"\nservice = \"users\"\nstage = \"migrated\"\nrewrite = { set = { x-forwarded-prefix = \"/set\" } }\n",
    );
    for target in ALL {
        let exported = export(&routes, target);
        assert!(exported.left_out.iter().any(|left| left.key == "server.forwarded"), "{target:?}");
        let text = &exported.text;
        let removed = |name: &str| match target {
            ExportTarget::Nginx => text.contains(&format!("proxy_set_header {name} \"\";")),
            ExportTarget::HttpRoute => {
                let list: serde_json::Value = serde_json::from_str(text).expect("it is JSON");
                let rules = list["items"][0]["spec"]["rules"].as_array().expect("a list").clone();
                rules.iter().all(|rule| {
                    let names = rule["filters"][0]["requestHeaderModifier"]["remove"].as_array().expect("a list");
                    assert!(names.len() <= 16, "{names:?}");
                    names.iter().any(|known| known == name)
                })
            }
            ExportTarget::Haproxy | ExportTarget::Envoy => {
                let pattern = regex::Regex::new(&format!("^(?:{})$", forgeable::pattern(&routes))).expect("a regex");
                text.contains("x[-_]forwarded[-_].*") && pattern.is_match(name)
            }
        };
        for name in ["forwarded", "proxy", "x-forwarded-ssl", "x-forwarded-client-cert", "x-multilith-side", "x-side"] {
            assert!(removed(name), "{target:?}, {name}:\n{text}");
        }
        if target == ExportTarget::Nginx {
            // The value of the route, and of the others none.
            assert!(text.contains("proxy_set_header x-forwarded-prefix $ml_h_x_forwarded_prefix;"), "{text}");
            assert!(!text.contains("$http_x_forwarded_prefix"), "{text}");
        }
    }
    let pattern = regex::Regex::new(&format!("^(?:{})$", forgeable::pattern(&routes))).expect("a regex");
    for (name, is_forged) in [
        ("x_forwarded_for", true),
        ("content_length", true),
        ("x-real_ip", true),
        ("x_real-ip", true),
        ("x-real-ip", false),
        ("content-length", false),
        ("user_id", false),
    ] {
        assert_eq!(pattern.is_match(name), is_forged, "{name}");
    }
}

#[test]
fn a_catch_all_between_two_slashes_that_took_nothing_leaves_one() {
    for (from, to, path, expected) in [
        ("/u/{*rest}", "/pre/{rest}/post", "/u", "/pre/post"),
        ("/u/{*rest}", "/pre/{rest}/post", "/u/", "/pre/post"),
        ("/u/{*rest}", "/pre/{rest}/post", "/u/a/b", "/pre/a/b/post"),
        ("/u/{*rest}", "/pre/{rest}/post", "/u/a/", "/pre/a//post"),
        ("/u/{*rest}", "/{rest}/post", "/u/", "/post"),
        ("/u/{*rest}", "/{rest}/post", "/u/a", "/a/post"),
        ("/{*rest}", "/pre/{rest}/post", "/", "/pre/post"),
        ("/{*rest}", "/pre/{rest}/post", "/a", "/pre/a/post"),
        ("/u/{*rest}", "/v2/{rest}", "/u/", "/v2/"),
    ] {
        let template = crate::route::Template::parse(from).expect("a template");
        let rewrite = crate::route::PathRewrite::parse(to, std::slice::from_ref(&template)).expect("a rewrite");
        assert_eq!(rewrite.expand(&template.captures(path)), expected, "multilith: {from} {to} {path}");
        for one_slash in [false, true] {
            let matching = crate::route::Matching::default();
            let read = if one_slash {
                pattern::address(&template, matching, pattern::Captures::Numbered, &rewrite)
            } else {
                pattern::path(&template, matching, pattern::Captures::Numbered, Some(&rewrite))
            };
            let sent = pattern::rewritten(&rewrite, &template, str::to_owned, |_, number| format!("${{{number}}}"));
            let read = regex::Regex::new(&read).expect("a regex");
            assert_eq!(read.replace(path, &sent), expected, "{from} {to} {path} {read}");
        }
    }
}

#[test]
fn an_httproute_has_no_more_rules_and_matches_than_a_cluster_takes_and_no_empty_values() {
    let route = |number: usize| {
        format!(
            "[routes.r{number}]\npath = \"/r{number}\"\nmethods = [\"GET\", \"POST\", \"PUT\", \"PATCH\", \"DELETE\"]\n\
             service = \"users\"\nstage = \"migrated\"\n"
        )
    };
    let empty = "[routes.empty]\npath = \"/empty\"\nheaders = { x-e = \"\" }\nservice = \"users\"\nstage = \"migrated\"\n\
                 [routes.sets]\npath = \"/sets\"\nrewrite = { set = { x-set = \"\" } }\nservice = \"users\"\nstage = \"migrated\"\n";
    let routes = snapshot(&((0..40).map(route).collect::<String>() + empty));
    let exported = export(&routes, ExportTarget::HttpRoute);
    let list: serde_json::Value = serde_json::from_str(&exported.text).expect("it is JSON");
    let mut names = Vec::new();
    let mut written = 0;
    for item in list["items"].as_array().expect("a list") {
        let rules = item["spec"]["rules"].as_array().expect("a list");
        let matches: usize = rules.iter().map(|rule| rule["matches"].as_array().expect("a list").len()).sum();
        assert!(rules.len() <= 16 && matches <= 128, "{} rules, {matches} matches", rules.len());
        written += rules.len();
        names.push(item["metadata"]["name"].as_str().expect("a name").to_owned());
    }
    assert!(names.is_sorted(), "the order of objects is that of their names: {names:?}");
    // All but the one with an empty value, and that of the monolith.
    assert_eq!(written, 42);
    assert!(!exported.text.contains("\"value\": \"\""), "{}", exported.text);
    for (of, key) in [("empty", "headers"), ("sets", "rewrite.set")] {
        assert!(exported.left_out.iter().any(|left| left.of == of && left.key == key), "{:?}", exported.left_out);
    }
}

#[test]
fn what_is_empty_or_needs_escapes_is_asked_for_or_said() {
    let routes = snapshot(
        "[routes.header]\npath = \"/header\"\nheaders = { x-e = \"\" }\nservice = \"users\"\nstage = \"migrated\"\n\
         [routes.query]\npath = \"/query\"\nquery = { e = \"\" }\nservice = \"users\"\nstage = \"migrated\"\n\
         [routes.bracket]\npath = \"/bracket\"\nquery = { \"a[b]\" = { regex = \"^7\" } }\nservice = \"users\"\nstage = \"migrated\"\n\
         [routes.root]\npath = \"/\"\nservice = \"users\"\nstage = \"migrated\"\n",
    );
    let written = |target| {
        let exported = export(&routes, target);
        let said: Vec<_> = exported.left_out.iter().map(|left| format!("{}.{}", left.of, left.key)).collect();
        (exported.text, said)
    };
    let (haproxy, said) = written(ExportTarget::Haproxy);
    assert!(haproxy.contains("{ req.fhdr(x-e,1) -m len 0 }") && !haproxy.contains("url_param("), "{haproxy}");
    assert!(haproxy.contains("http-request set-header Cookie %[var(txn.cookies)]"), "{haproxy}");
    assert_eq!(said, [""; 0]);
    let (nginx, said) = written(ExportTarget::Nginx);
    assert!(!nginx.contains("$http_x_e") && said.contains(&"header.headers".to_owned()), "{said:?}:\n{nginx}");
    let (envoy, _) = written(ExportTarget::Envoy);
    // Envoy refuses an empty regex, and leaves two slashes of a path that has nothing else.
    assert!(!envoy.contains("\"regex\": \"\"") && envoy.contains("\"regex\": \"^/+$\""), "{envoy}");
    let (_, said) = written(ExportTarget::HttpRoute);
    for key in ["header.headers", "query.query", "bracket.query"] {
        assert!(said.contains(&key.to_owned()), "{said:?}");
    }
}

#[test]
fn a_condition_on_what_a_client_must_not_say_sees_what_is_written_in_its_place() {
    let routes = snapshot(
        "[server]\nforce = { header = \"X-Side\", from = [\"10.0.0.1\"] }\n\
         [routes.proto]\npath = \"/a\"\nheaders = { x-forwarded-proto = \"https\", x-forwarded-for = { present = true } }\nservice = \"users\"\nstage = \"migrated\"\n\
         [routes.family]\npath = \"/b\"\nheaders = { x-forwarded-anything = \"1\", x-side = \"1\", proxy = \"1\", x-real-ip = \"::1\" }\nservice = \"users\"\nstage = \"migrated\"\n\
         [routes.under]\npath = \"/c\"\nheaders = { x_under = \"1\" }\nallow = [\"10.0.0.0/8\"]\nservice = \"users\"\nstage = \"migrated\"\n",
    );
    let nginx = export(&routes, ExportTarget::Nginx);
    for forged in ["$http_x_forwarded", "$http_x_side", "$http_proxy", "$http_x_under"] {
        assert!(!nginx.text.contains(forged), "{forged}:\n{}", nginx.text);
    }
    assert!(nginx.text.contains("map $scheme $ml_c") && nginx.text.contains("map $remote_addr $ml_c"));
    assert!(nginx.left_out.iter().any(|left| left.of == "under" && left.key == "headers"), "{:?}", nginx.left_out);
    assert!(nginx.text.contains("under 1;"), "what guards it cannot be asked: {}", nginx.text);
    for (target, of) in [(ExportTarget::Envoy, "family"), (ExportTarget::HttpRoute, "proto")] {
        let left = export(&routes, target).left_out;
        assert!(left.iter().any(|left| left.of == of && left.key == "headers"), "{target:?}: {left:?}");
    }
}

#[test]
fn words_of_a_map_are_escaped_where_routes_are_called_so() {
    let named = |name: &str| {
        format!("[routes.{name}]\npath = \"/{name}\"\nservice = \"users\"\nstage = \"migrated\"\nallow = [\"::1\"]\n")
    };
    let routes: String = ["default", "hostnames", "include", "volatile"].map(named).concat();
    let text = export(&snapshot(&routes), ExportTarget::Nginx).text;
    for name in ["default", "hostnames", "include", "volatile"] {
        assert!(text.contains(&format!("\\{name} service;")), "{text}");
        assert!(text.contains(&format!("\\{name} $ml_outside_")), "{text}");
    }
}

#[test]
fn groups_are_numbered_for_what_the_rewrite_uses_and_no_more_than_nine() {
    let names = "abcdefghij".chars().map(|name| format!("/{{{name}}}")).collect::<Vec<_>>().concat();
    let of = |to: &str| {
        format!(
            "[routes.long]\npath = \"/p{names}\"\nservice = \"users\"\nstage = \"migrated\"\nrewrite = {{ path = \"{to}\" }}\n\
             [routes.away]\npath = \"/q{names}\"\nstage = \"migrated\"\nredirect = {{ to = \"{to}\" }}\n"
        )
    };
    let (few, many) = (snapshot(&of("/x/{j}/{a}")), snapshot(&of(&format!("/x{names}"))));
    for target in [ExportTarget::Haproxy, ExportTarget::Envoy] {
        let exported = export(&few, target);
        assert_eq!(exported.left_out, [], "{target:?}");
        assert!(exported.text.contains(if target == ExportTarget::Envoy { "/x/\\\\2/\\\\1" } else { "/x/\\2/\\1" }));
        let exported = export(&many, target);
        let said: Vec<_> = exported.left_out.iter().map(|left| format!("{}.{}", left.of, left.key)).collect();
        assert_eq!(said, ["away.redirect", "long.rewrite.path"], "{target:?}");
        assert!(!exported.text.contains("\\10") && exported.text.contains("403"), "{target:?}: {}", exported.text);
    }
    assert_eq!(export(&many, ExportTarget::Nginx).left_out, []);
}

#[test]
fn text_of_a_query_is_asked_for_as_it_is_decoded() {
    let condition = |name: &str, value: &str| crate::route::Condition {
        on: crate::route::ConditionOn::Query,
        name: name.into(),
        kind: crate::route::ConditionKind::Equal(value.into()),
    };
    let asked = |name: &str, value: &str| pattern::query(&condition(name, value)).expect("a regex");
    assert!(asked("a", "x+y").ends_with("(?:%(?i:2b))(?:y|%(?i:79))(?:&|$)"), "{}", asked("a", "x+y"));
    assert!(asked("a", "%41").contains("(?:%(?![0-9a-fA-F]{2})|%(?i:25))"), "{}", asked("a", "%41"));
    assert!(asked("a", "5%").contains("(?:%|%(?i:25))"), "nothing to look ahead at");
    assert!(asked("a", "1&2=3").contains("(?:%(?i:26))(?:2|%(?i:32))(?:=|%(?i:3d))"));
    assert!(asked("k=1", "").contains("(?:k|%(?i:6b))(?:%(?i:3d))"));
    let routes = snapshot(
        "[routes.q]\npath = \"/q\"\nquery = { a = \"%41\" }\nservice = \"users\"\nstage = \"migrated\"\nallow = [\"::1\"]\n",
    );
    let envoy = export(&routes, ExportTarget::Envoy);
    assert!(envoy.left_out.iter().any(|left| left.key == "query") && !envoy.text.contains("(?!"), "{}", envoy.text);
    assert!(envoy.text.contains("403"));
    for (regex, written) in
        [("^a$", "^a\\z"), ("a\\$|[$]$", "a\\$|[$]\\z"), ("[]$]$", "[]$]\\z"), ("[^]$]\\\\$", "[^]$]\\\\\\z")]
    {
        assert_eq!(pattern::ending(regex), written, "{regex}");
    }
}

#[test]
fn cookies_are_read_by_haproxy_as_multilith_reads_them_and_empty_addresses_bear_no_mark() {
    let routes = snapshot(
        "[routes.gold]\npath = \"/g\"\ncookies = { s = { regex = \"^gold$\" } }\nservice = \"users\"\nstage = \"migrated\"\nanswer = { location = true }\n\
         [routes.part]\npath = \"/p\"\nservice = \"users\"\nstage = \"canary\"\nweight = \"10%\"\nsticky = [\"cookie:s\"]\n",
    );
    let text = export(&routes, ExportTarget::Haproxy).text;
    assert!(!text.contains("req.cook("), "{text}");
    assert!(text.contains("{ res.fhdr(location) -m len gt 0 }"), "{text}");
    assert!(text.contains("http-request set-path / if"), "{text}");
}

#[test]
fn a_regex_that_may_lead_past_a_guard_is_named() {
    let route = |name: &str, more: &str| {
        format!("[routes.{name}]\npath = \"/a/{{x}}\"\nservice = \"users\"\nstage = \"retired\"\n{more}\n")
    };
    let guarded = route("guarded", "allow = [\"10.0.0.0/8\"]");
    for (regex, is_named) in [("^\\\\w+$", true), ("^a.b$", true), ("^[a-z]+$", false)] {
        let open = route("open", &format!("headers = {{ x-tenant = {{ regex = \"{regex}\" }} }}"));
        for target in [ExportTarget::Nginx, ExportTarget::Haproxy, ExportTarget::Envoy] {
            let named = |text: &str| {
                let left_out = export(&snapshot(text), target).left_out;
                left_out.iter().any(|left| left.of == "open" && left.why.contains("past what guards"))
            };
            assert_eq!(named(&(open.clone() + &guarded)), is_named, "{regex} {target:?}");
            assert!(!named(&open), "nothing is guarded");
        }
    }
}
