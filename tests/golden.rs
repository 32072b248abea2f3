//! Each file under tests/golden is a routes.toml, a line of dashes, and what is said about it.
//!
//! `UPDATE_GOLDEN=1 cargo test --test golden` rewrites the second halves; read them before you commit.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use multilith::compile::{Compiled, compile_all};
use multilith::config::{FileRule, changed_lines, with_rule};
use multilith::diagnostic::{self, Code, Sources};

const LINE: &str = "\n----------\n";

/// The environment that the files are compiled in.
fn env(name: &str) -> Option<String> {
    match name {
        "MONOLITH" => Some("http://127.0.0.1:3000".to_owned()),
        "TOKEN" => Some("a-token-that-must-never-be-printed".to_owned()),
        "SHORT" => Some("21-bytes-of-a-secret-".to_owned()),
        "EMPTY" => Some(String::new()),
        _ => None,
    }
}

/// A line that begins so has the name of a further file, which begins with the next line.
const FILE: &str = "\n#=== ";

/// The files that a golden file stands for; most stand for one.
fn sources(input: &str) -> Arc<Sources> {
    let mut parts = input.split(FILE);
    let mut sources = Sources::one("routes.toml", parts.next().unwrap_or(""));
    for part in parts {
        let (name, text) = part.split_once('\n').unwrap_or((part, ""));
        sources.push(name, text, true);
    }
    Arc::new(sources)
}

fn compiled(input: &str) -> Compiled {
    compile_all(&sources(input), &env, &|_| None)
}

fn shown(compiled: &Compiled, input: &str) -> String {
    diagnostic::render_all(&compiled.diagnostics, &sources(input), false)
}

fn files(directory: &str) -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(directory);
    let mut files: Vec<_> = fs::read_dir(&directory)
        .expect("the directory of golden files is there")
        .map(|entry| entry.expect("an entry can be read").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .collect();
    files.sort();
    files
}

/// Compiles every file of a directory and compares what `told` says of it; returns how many there were.
fn run(directory: &str, told: impl Fn(&Path, &str, &Compiled) -> String) -> usize {
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let files = files(directory);
    let mut differing = String::new();
    for path in &files {
        let whole = fs::read_to_string(path).expect("a golden file is text");
        let (input, expected) = whole.split_once(LINE).unwrap_or((whole.trim_end(), ""));
        let compiled = compiled(input);
        let found = told(path, input, &compiled);
        if found == expected {
            continue;
        }
        if update {
            fs::write(path, format!("{input}{LINE}{found}")).expect("the golden file can be written");
        } else {
            writeln!(differing, "{}\n--- expected\n{expected}\n--- found\n{found}", path.display())
                .expect("a string takes everything");
        }
    }
    assert!(differing.is_empty(), "{differing}");
    files.len()
}

#[test]
fn wrong_files_are_told_what_is_wrong_where_and_what_to_do() {
    let count = run("wrong", |path, input, compiled| {
        assert!(!compiled.diagnostics.is_empty(), "{} has nothing wrong", path.display());
        shown(compiled, input)
    });
    assert!(count >= 60, "{count} wrong files");
}

#[test]
fn right_files_compile_without_a_word() {
    let count = run("right", |path, input, compiled| {
        assert!(compiled.diagnostics.is_empty(), "{}\n{}", path.display(), shown(compiled, input));
        summary(compiled)
    });
    assert!(count >= 20, "{count} right files");
}

/// `#: KEY ROUTE WHAT [PATTERN]`, then the file before, a line of dashes, and the file after or why it is left alone.
#[test]
fn a_rule_is_written_into_the_file_and_nothing_else_is_changed() {
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let files = files("rules");
    assert!(files.len() >= 12, "{} files", files.len());
    for path in files {
        let whole = fs::read_to_string(&path).expect("a golden file is text");
        let (input, expected) = whole.split_once(LINE).unwrap_or((whole.trim_end(), ""));
        let (asked, text) = input.split_once('\n').expect("the rule, then the file");
        let words: Vec<&str> = asked.trim_start_matches("#: ").splitn(4, ' ').collect();
        let rule = match words[..] {
            ["ignore", _, field] => FileRule::Ignore(field),
            ["unordered", _, field] => FileRule::Unordered(field),
            ["mask", _, field, pattern] => FileRule::Mask { field, pattern },
            ["literal", _, path] => FileRule::Literal(path),
            _ => panic!("{}: {asked}", path.display()),
        };
        let text = format!("{text}\n");
        let found = match with_rule(&text, words[1], &rule) {
            Ok(changed) => {
                // Every line that was there is there, in its order; at most one has another value.
                let (gone, _) = changed_lines(&text, &changed);
                assert!(gone.len() <= 1, "{}: {gone:?}", path.display());
                changed
            }
            Err(why) => format!("not written: {why}\n"),
        };
        if update {
            fs::write(&path, format!("{input}{LINE}{found}")).expect("the golden file can be written");
        } else {
            assert_eq!(found, expected, "{}", path.display());
        }
    }
}

/// What a person would want to see of a snapshot to believe that it is what the file says.
fn summary(compiled: &Compiled) -> String {
    let snapshot = compiled.snapshot.as_ref().expect("a file without errors has a snapshot");
    let mut text = String::new();
    let server = &snapshot.server;
    writeln!(text, "listen {:?} tls {:?} admin {}", server.listen, server.tls.listen, server.admin).expect("a string");
    for upstream in &snapshot.upstreams {
        writeln!(text, "upstream {}: {:?}", upstream.name, upstream.source).expect("a string");
        if let Some(host) = &upstream.host {
            let shown = upstream.tls.as_ref().map_or("no certificate", |tls| &*tls.server_name);
            writeln!(text, "  asked as {host}, shows {shown}").expect("a string");
        }
    }
    for route in &snapshot.routes {
        let paths: Vec<_> = route.rule.paths.iter().map(multilith::route::Template::as_str).collect();
        let dial = route.policy.dial;
        let methods = route.rule.methods.as_ref().map_or_else(|| "all".to_owned(), |set| set.names().join(","));
        writeln!(text, "route {}: {methods} {paths:?} {} {}", route.name, dial.stage, dial.weight).expect("a string");
        for unit in &route.policy.sticky {
            writeln!(text, "  sticky {unit}").expect("a string");
        }
        for variant in &route.policy.variants {
            writeln!(text, "  variant {} {} of upstream {}", variant.name, variant.weight, variant.upstream.0)
                .expect("a string");
        }
        if let Some(fallback) = &route.policy.fallback {
            writeln!(text, "  fallback after {} failures for {:?}", fallback.breaker_failures, fallback.breaker_open)
                .expect("a string");
        }
        if let Some(gate) = &route.policy.gate {
            let steps: Vec<_> = gate.steps.iter().map(ToString::to_string).collect();
            writeln!(text, "  gate {} each {:?}, sure of {}", steps.join(" "), gate.interval, gate.confidence)
                .expect("a string");
        }
        if let Some(shadow) = &route.policy.shadow {
            let compare = if shadow.compare.is_some() { "compared" } else { "thrown away" };
            writeln!(text, "  shadow {} of {}, {compare}", shadow.sample, shadow.methods.names().join(","))
                .expect("a string");
        }
    }
    text
}

/// Codes that no text alone can cause.
const NOT_FROM_TEXT: [Code; 11] = [
    Code::NotUtf8,
    Code::UnreadableFile,
    Code::NeedsRestart,
    Code::UnresolvedName,
    Code::UnusableCertificate,
    Code::CertificateExpires,
    Code::MissingAuthority,
    Code::MissingFile,
    Code::UnusableKeys,
    // Only who reads files knows which there are.
    Code::IncludeMatchesNothing,
    // It takes the rate of a running proxy.
    Code::GateSlow,
];

#[test]
fn every_code_has_a_golden_file() {
    let mut missing: Vec<_> = Code::ALL.iter().filter(|code| !NOT_FROM_TEXT.contains(code)).collect();
    for path in files("wrong") {
        let whole = fs::read_to_string(path).expect("a golden file is text");
        missing.retain(|code| !whole.contains(&format!("[{code}]")));
    }
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn every_diagnostic_has_a_code_a_place_and_a_remedy() {
    for path in files("wrong") {
        let whole = fs::read_to_string(&path).expect("a golden file is text");
        let (input, _) = whole.split_once(LINE).expect("a golden file has two halves");
        let compiled = compiled(input);
        assert_eq!(compiled.snapshot.is_none(), compiled.diagnostics.has_errors(), "{}", path.display());
        for diagnostic in &compiled.diagnostics {
            complete(diagnostic, sources(input).text());
        }
    }
}

fn complete(diagnostic: &diagnostic::Diagnostic, input: &str) {
    let span = diagnostic.span.clone().unwrap_or_else(|| panic!("no place: {diagnostic:?}"));
    assert!(input.get(span).is_some(), "a place outside the text: {diagnostic:?}");
    assert!(diagnostic.help.as_ref().is_some_and(|help| !help.is_empty()), "no remedy: {diagnostic:?}");
    assert!(diagnostic.label.is_some(), "no label: {diagnostic:?}");
    assert!(!diagnostic.message.is_empty() && !diagnostic.code.as_str().is_empty(), "{diagnostic:?}");
}
