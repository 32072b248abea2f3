//! Properties of compiling that hold for every text, and for large ones.

use std::fmt::Write as _;

use proptest::prelude::*;

use super::{Compiled, compile, without_file};
use crate::diagnostic::{Code, char_end, char_start};
use crate::endpoint::{Address, Source};

fn nobody(_: &str) -> Option<String> {
    None
}

/// A text that has much of what a file has, to be broken at random.
const SAMPLE: &str = r#"
[server]
listen = ["0.0.0.0:8080"]
token = { env = "TOKEN" }
[monolith]
url = "http://127.0.0.1:3000"
[services.users]
endpoints = ["10.0.0.5:7001"]
health = { path = "/healthz", interval = "2s" }
[routes.read]
path = ["/users/{id}", "/a/{*rest}"]
methods = ["GET"]
headers = { accept = { regex = "^a+$" } }
service = "users"
stage = "canary"
weight = "10%"
sticky = ["cookie:uid", "ip"]
rewrite = { path = "/v2/{id}", set = { x-a = "${B:-c}" } }
[routes.read.shadow.compare]
ignore = ["$.a[*].b"]
tolerance = { "$.total" = 0.01 }
"#;

fn holds(text: &str) {
    let Compiled { snapshot, diagnostics } = compile(text, "routes.toml", &nobody);
    assert_eq!(snapshot.is_none(), diagnostics.has_errors());
    for diagnostic in &diagnostics {
        let span = diagnostic.span.clone().expect("every diagnostic has a place");
        assert!(text.get(span).is_some(), "a place in the text: {diagnostic:?}");
        assert!(diagnostic.help.is_some(), "a remedy: {diagnostic:?}");
    }
    let shown = crate::diagnostic::render(&diagnostics, "routes.toml", text, false);
    assert_eq!(shown.is_empty(), diagnostics.is_empty());
}

proptest! {
    #[test]
    fn parsing_arbitrary_bytes_never_panics_and_every_diagnostic_has_a_code_a_place_and_a_remedy(
        bytes in prop::collection::vec(any::<u8>(), 0..400)
    ) {
        holds(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn parsing_text_that_looks_like_toml_never_panics(
        text in "([\\[\\]{}=\"'.,#\\n ${}a-z0-9é%:-]|monolith|routes|stage|url|path|\\[routes\\.a\\]\\n){0,60}"
    ) {
        holds(&text);
    }

    #[test]
    fn parsing_a_broken_file_never_panics(
        at in 0..SAMPLE.len(), length in 0..30_usize, put in "[\\[\\]{}=\"'.,\\n a1%$é]{0,6}"
    ) {
        let start = char_start(SAMPLE, at);
        let end = char_end(SAMPLE, (at + length).min(SAMPLE.len()));
        holds(&format!("{}{put}{}", &SAMPLE[..start], &SAMPLE[end..]));
    }
}

#[test]
fn a_proxy_without_a_file_has_a_monolith_and_an_address() {
    let text = without_file("http://127.0.0.1:3000", "127.0.0.1:0", "127.0.0.1:9900");
    let snapshot = compile(&text, "command line", &nobody).snapshot.expect("everything can be read");
    assert_eq!(&*snapshot.server.listen[0], "127.0.0.1:0");
    let address = Address::Tcp { host: "127.0.0.1".into(), port: 3000 };
    assert_eq!(snapshot.upstreams[0].source, Source::Fixed(vec![(address, 1)]));
}

#[test]
fn a_wrong_url_on_the_command_line_is_told() {
    let text = without_file("127.0.0.1:3000\"${A}", "127.0.0.1:0", "127.0.0.1:9900");
    let compiled = compile(&text, "command line", &nobody);
    assert!(compiled.snapshot.is_none());
    assert_eq!(compiled.diagnostics.iter().next().map(|first| first.code), Some(Code::InvalidUrl));
}

#[test]
fn a_secret_is_never_printed() {
    let text = "[monolith]\nurl = \"http://a\"\n[server]\ntoken = { env = \"TOKEN\" }\n";
    let compiled = compile(text, "routes.toml", &|_| Some("hunter2".to_owned()));
    assert!(!format!("{compiled:?}").contains("hunter2"));
}

#[test]
fn a_message_shows_no_secret_though_it_shows_it_with_escapes() {
    let text = "[monolith]\nurl = \"http://127.0.0.1:1\"\n[services.s]\nurl = \"http://127.0.0.1:2\"\n[routes.r]\npath = \"/r\"\n\
                service = \"s\"\nstage = \"migrated\"\nrewrite.set = { x-key = \"a ${KEY}\" }\n";
    let compiled = compile(text, "routes.toml", &|_| Some("correct horse\nbattery".to_owned()));
    let messages: Vec<_> = compiled.diagnostics.iter().map(|diagnostic| &*diagnostic.message).collect();
    assert_eq!(messages, ["`a ${KEY}` is not a header value"]);
}

#[test]
fn an_unknown_service_in_ten_thousand_routes_is_told_ten_thousand_times() {
    let mut text = String::from("[monolith]\nurl = \"http://a\"\n");
    for index in 0..10_000 {
        write!(text, "[routes.r{index}]\npath = \"/r{index}\"\nservice = \"s{index}\"\nstage = \"migrated\"\n")
            .expect("a string takes everything");
    }
    let compiled = compile(&text, "routes.toml", &nobody);
    assert_eq!(compiled.diagnostics.len(), 10_000);
}

#[test]
#[allow(clippy::disallowed_methods, reason = "a measurement, not what is compiled")]
fn a_hundred_thousand_routes_compile() {
    let mut text = String::from("[monolith]\nurl = \"http://a\"\n[services.s]\nurl = \"http://b\"\n");
    for index in 0..100_000 {
        write!(
            text,
            "[routes.r{index}]\npath = \"/api/{}/r{index}/{{id}}\"\nmethods = [\"GET\"]\nservice = \"s\"\nstage = \"canary\"\nweight = \"10%\"\n",
            index % 100
        )
        .expect("a string takes everything");
    }
    let begun = std::time::Instant::now();
    let compiled = compile(&text, "routes.toml", &nobody);
    println!("{} bytes, {:?}", text.len(), begun.elapsed());
    assert_eq!(compiled.snapshot.expect("the file is right").routes.len(), 100_000);
}
