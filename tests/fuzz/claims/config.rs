//! Configuration text: whatever is written, it is read without a panic, and each mistake has a code, a place and a remedy.

use multilith::compile::compile;
use multilith::diagnostic::{self, Diagnostic};

/// A golden file is an input as it stands: what follows this line is what was said of it.
const LINE: &str = "\n----------\n";

const SECRET: &str = "a-token-that-must-never-be-printed";

fn env(name: &str) -> Option<String> {
    match name {
        "MONOLITH" => Some("http://127.0.0.1:3000".to_owned()),
        "TOKEN" => Some(SECRET.to_owned()),
        "EMPTY" => Some(String::new()),
        _ => None,
    }
}

pub fn hold(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let text = text.split_once(LINE).map_or(text, |(text, _)| text);
    let compiled = compile(text, "routes.toml", &env);
    assert_eq!(compiled.snapshot.is_none(), compiled.diagnostics.has_errors());
    for diagnostic in &compiled.diagnostics {
        complete(diagnostic, text);
    }
    let shown = diagnostic::render(&compiled.diagnostics, "routes.toml", text, false);
    assert_eq!(shown.is_empty(), compiled.diagnostics.is_empty());
    let report = diagnostic::report(&compiled.diagnostics, "routes.toml", text);
    let report = serde_json::to_string(&report).expect("a report is JSON");
    // A token belongs into `{ env = … }`; elsewhere a variable is text like any other and may be shown.
    if !text.contains(SECRET) && !text.contains("${") {
        assert!(!shown.contains(SECRET) && !report.contains(SECRET), "the secret is printed");
    }
    let again = compile(text, "routes.toml", &env);
    assert_eq!(again.diagnostics, compiled.diagnostics, "the same text, other words");
    assert_eq!(
        again.snapshot.map(|it| it.routes),
        compiled.snapshot.map(|it| it.routes),
        "the same text, other routes"
    );
}

fn complete(diagnostic: &Diagnostic, text: &str) {
    let span = diagnostic.span.clone().unwrap_or_else(|| panic!("no place: {diagnostic:?}"));
    assert!(text.get(span).is_some(), "a place outside the text: {diagnostic:?}");
    assert!(diagnostic.help.as_ref().is_some_and(|help| !help.is_empty()), "no remedy: {diagnostic:?}");
    assert!(diagnostic.label.is_some(), "no label: {diagnostic:?}");
    assert!(!diagnostic.message.is_empty() && !diagnostic.code.as_str().is_empty(), "{diagnostic:?}");
    for related in &diagnostic.related {
        assert!(text.get(related.span.clone()).is_some(), "another place outside the text: {diagnostic:?}");
    }
}
