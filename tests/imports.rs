//! `multilith import`: what real programs print becomes a routes file that passes `check`, and what is not taken is said.
//!
//! The inputs are in tests/golden/imports, with what is written and said of each beside them; README.md there says which
//! program printed them. `UPDATE_GOLDEN=1 cargo test --test imports` writes the expectations anew.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

const LINE: &str = "----------\n";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/imports")
}

fn multilith(arguments: &[&str], input: &[u8]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_multilith"))
        .args(arguments)
        .current_dir(folder())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("multilith starts");
    let mut pipe = child.stdin.take().expect("a pipe");
    let input = input.to_vec();
    // A program that refuses what it reads closes the pipe.
    let writer = std::thread::spawn(move || {
        let _ = pipe.write_all(&input);
    });
    let output = child.wait_with_output().expect("it ends");
    writer.join().expect("the writer ends");
    output
}

/// What is said of an input that cannot be read; it is a finding, and nothing is written.
fn refusal(from: &str, input: &[u8]) -> String {
    let output = multilith(&["import", from], input);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(output.stdout.is_empty(), "{said}");
    said
}

#[test]
fn what_real_programs_print_becomes_routes_that_pass_check() {
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let mut inputs: Vec<(String, String)> = fs::read_dir(folder())
        .expect("the folder is there")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("a name"))
        .filter(|name| !name.ends_with(".expected") && name.contains('.') && name != "README.md")
        .map(|name| (name.split(['.', '-']).next().expect("a format").to_owned(), name))
        .collect();
    inputs.push(("nginx".to_owned(), "nginx/nginx.conf".to_owned()));
    inputs.sort();
    assert!(inputs.len() >= 11, "{inputs:?}");
    let mut differing = String::new();
    for (from, name) in inputs {
        let output = multilith(&["import", &from, &name], b"");
        let (written, said) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{name}: {said}");
        let file =
            std::env::temp_dir().join(format!("multilith-{}-{}.toml", std::process::id(), name.replace('/', "-")));
        fs::write(&file, &*output.stdout).expect("a file");
        let checked = multilith(&["check", file.to_str().expect("a path")], b"");
        assert!(checked.status.success(), "{name}: {}", String::from_utf8_lossy(&checked.stdout));
        let _ = fs::remove_file(&file);
        let found = format!("{written}{LINE}{said}");
        let expected = folder().join(format!("{}.expected", name.replace('/', "-")));
        if update {
            fs::write(&expected, found).expect("it is written");
        } else if fs::read_to_string(&expected).unwrap_or_default() != found {
            differing.extend([name, "\n".to_owned(), found, "\n".to_owned()]);
        }
    }
    assert!(differing.is_empty(), "{differing}");
}

#[test]
fn a_document_of_100_mib_is_read_in_bounded_time_and_one_beyond_the_bound_is_refused() {
    let mut document = br#"{"openapi":"3.1.0","paths":{"/a":{"get":{"description":""#.to_vec();
    document.resize(100 << 20, b'x');
    document.extend_from_slice(br#""}}}}"#);
    let began = Instant::now();
    let output = multilith(&["import", "openapi"], &document);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8_lossy(&output.stdout).contains("path = \"/a\""));
    assert!(began.elapsed() < Duration::from_secs(120), "a bound that no machine needs");
    document.resize(129 << 20, b' ');
    let output = multilith(&["import", "openapi"], &document);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("more than 128 MiB") && output.status.code() == Some(2), "{said}");
}

#[test]
fn two_targets_of_the_same_paths_are_not_made_one() {
    let conf = b"http { server { location /a/ { proxy_pass http://x:1; } location /a { proxy_pass http://y:2; } } }";
    let output = multilith(&["import", "nginx"], conf);
    let (written, said) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(written.matches("path = ").count(), 1, "{written}");
    assert!(said.contains("not imported: /a/{*rest}: another line with the same paths has another target"), "{said}");
}

#[test]
fn a_host_that_no_route_may_have_is_left_out_and_said() {
    let list = br#"[{"domain":"http://a.example","method":"GET","uri":"a"},{"domain":"a.example:80","method":"GET","uri":"b"}]"#;
    let output = multilith(&["import", "laravel"], list);
    let (written, said) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && written.matches("path = ").count() == 1, "{written}{said}");
    assert!(said.contains("not imported: http://a.example/a: its host is no name"), "{said}");
}

#[test]
fn what_is_called_as_no_route_may_be_gets_another_name() {
    let nginx: &[u8] =
        b"http { server { location / { proxy_pass http://a:1; } location /unmatched { proxy_pass http://b:1; } } }";
    let openapi: &[u8] = br#"{"paths":{"/x":{"get":{"operationId":"unmatched"}},"/unmatched":{"get":{}}}}"#;
    for (from, input) in [("nginx", nginx), ("openapi", openapi), ("django", b"/unmatched\tview\n")] {
        let output = multilith(&["import", from], input);
        let file = std::env::temp_dir().join(format!("multilith-{}-reserved-{from}.toml", std::process::id()));
        fs::write(&file, &*output.stdout).expect("a file");
        let checked = multilith(&["check", file.to_str().expect("a path")], b"");
        assert!(checked.status.success(), "{from}: {}", String::from_utf8_lossy(&checked.stdout));
        let _ = fs::remove_file(&file);
    }
}

#[test]
fn servers_of_one_name_at_several_ports_are_said_to_become_one() {
    let servers = |first: &str, second: &str| {
        let server = |listen: &str, to: &str| {
            format!("server {{ listen {listen}; server_name a.example; location / {{ proxy_pass http://{to}; }} }}")
        };
        let conf = format!("http {{ {} {} }}", server(first, "x:1"), server(second, "y:1"));
        let output = multilith(&["import", "nginx"], conf.as_bytes());
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let said = servers("80", "[::]:443 ssl");
    assert!(said.contains("server_name a.example: its servers differ by port (443, 80)"), "{said}");
    assert!(!servers("127.0.0.1:80", "80").contains("differ by port"));
}

#[test]
fn bombs_are_refused_or_left_out_and_said() {
    let mut aliases = String::from("a: &a [x,x,x,x,x,x,x,x,x,x]\n");
    for (from, to) in ('a'..'j').zip('b'..) {
        let ten = vec![format!("*{from}"); 10].join(",");
        aliases.extend([to.to_string(), format!(": &{to} [{ten}]\n")]);
    }
    assert!(refusal("openapi", (aliases + "paths: {/x: {get: {x: *j}}}\n").as_bytes()).contains("no OpenAPI in YAML"));
    assert!(refusal("openapi", format!("{{\"paths\":{}", "[".repeat(1 << 20)).as_bytes()).contains("in JSON"));
    assert!(refusal("nginx", "a{".repeat(1 << 18).as_bytes()).contains("within each other"));
    assert!(refusal("nginx", b"server { location /a").contains("line 1"));
    for from in ["django", "rails", "fastify", "flask"] {
        let said = refusal(from, b"garbage\n");
        assert!(said.contains("not imported: garbage: not a route") && said.contains("no route in the list"), "{said}");
    }
    let binary = multilith(&["import", "django"], &[0xff, 0xfe, b'/']);
    assert_eq!(binary.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&binary.stderr).contains("it is not UTF-8"));
    let deep = format!("{}\tview\n/\tview\n", "/a".repeat(100_000));
    let output = multilith(&["import", "django"], deep.as_bytes());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("1 imported, 1 not: 1 the path has more than 128 segments"), "{said}");
    assert!(said.len() < 2_000, "a long path is shortened");
    let many = (0..60_000).map(|number| format!("/a/b{number}\tview")).collect::<Vec<_>>().join("\n");
    assert!(refusal("django", many.as_bytes()).contains("60000 routes, more than 50000"));
    let escape = multilith(&["import", "django"], "/\tv\n/a(\u{1b}[31m\tv\n".as_bytes());
    assert!(!escape.stderr.contains(&0x1b), "a terminal obeys nothing that a list has");
}
