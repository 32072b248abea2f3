//! Keeps the arrows pointing down: a module uses only what stands below it, and no file outgrows its room.

use std::fs;
use std::path::{Path, PathBuf};

/// From the top. Modules of one row do not use each other, except where `BESIDE` says so.
const LAYERS: &[&[&str]] = &[
    &["cli"],
    &["server"],
    &["admin", "reload"],
    &["gate"],
    &["proxy"],
    &["shadow", "upstream", "guard"],
    &["telemetry"],
    &["live", "store"],
    &["compile"],
    &["route", "migration", "compare", "endpoint"],
    &["config"],
    &["diagnostic"],
];

/// The core's modules are one room with doors; the admin listener shows what reloads did; copies go to pools and are
/// cleaned by the guards.
const BESIDE: &[(&str, &str)] = &[
    ("route", "migration"),
    ("migration", "route"),
    ("migration", "endpoint"),
    ("compare", "migration"),
    ("admin", "reload"),
    ("shadow", "upstream"),
    ("shadow", "guard"),
];

/// Pure modules do no input or output, read no clock and draw no random number.
const PURE: &[&str] = &["diagnostic", "config", "route", "migration", "endpoint", "compare", "compile"];
const IMPURE: &[&str] = &[
    "std::fs",
    "std::net::Tcp",
    "std::process",
    "std::env",
    "Instant::now",
    "SystemTime::now",
    "Timestamp::now",
    "fastrand::",
    "tokio::",
    "thread::sleep",
];
const LONGEST: usize = 420;

struct Source {
    module: String,
    path: PathBuf,
    text: String,
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    walk(&root, &root, &mut found);
    assert!(found.len() > 50, "the sources were not found");
    found
}

fn walk(root: &Path, folder: &Path, found: &mut Vec<Source>) {
    for entry in fs::read_dir(folder).expect("src can be read") {
        let path = entry.expect("an entry of src").path();
        if path.is_dir() {
            walk(root, &path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            let inside = path.strip_prefix(root).expect("below src");
            let first = inside.components().next().expect("a name").as_os_str().to_string_lossy().into_owned();
            let text = fs::read_to_string(&path).expect("a source can be read");
            found.push(Source { module: first.trim_end_matches(".rs").to_owned(), path, text });
        }
    }
}

/// The code of a file: without its tests and comments.
fn code(text: &str) -> String {
    let text = text.split("\n#[cfg(test)]\nmod ").next().unwrap_or(text);
    text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

fn is_test(source: &Source) -> bool {
    let path = source.path.to_string_lossy();
    path.contains("/tests/") || path.ends_with("tests.rs") || path.ends_with("properties.rs")
}

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|row| row.contains(&module))
}

#[test]
fn every_module_has_its_layer_and_uses_only_what_stands_below_it() {
    let mut wrong = Vec::new();
    for source in sources().iter().filter(|source| !is_test(source)) {
        if matches!(source.module.as_str(), "lib" | "main") {
            continue;
        }
        let Some(own) = layer(&source.module) else {
            wrong.push(format!("{}: `{}` has no layer", source.path.display(), source.module));
            continue;
        };
        for used in code(&source.text).split("crate::").skip(1) {
            let name: String = used.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
            let Some(other) = layer(&name) else { continue };
            let beside = BESIDE.contains(&(&source.module, &name));
            if name != source.module && other <= own && !beside {
                wrong.push(format!(
                    "{}: `{}` uses `{name}`, which does not stand below it",
                    source.path.display(),
                    source.module
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_core_does_no_io() {
    let mut wrong = Vec::new();
    for source in sources().iter().filter(|source| PURE.contains(&&*source.module) && !is_test(source)) {
        let code = code(&source.text);
        for word in IMPURE.iter().filter(|word| code.contains(*word)) {
            wrong.push(format!("{}: `{word}`", source.path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_file_outgrows_its_room_and_each_opens_with_one_sentence_of_place() {
    let mut wrong = Vec::new();
    for source in sources() {
        let lines = code(&source.text).lines().filter(|line| !line.trim().is_empty()).count();
        if lines > LONGEST && !is_test(&source) {
            wrong.push(format!("{}: {lines} lines of code", source.path.display()));
        }
        if !source.text.starts_with("//!") {
            wrong.push(format!("{}: does not say what it is for", source.path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_file_has_a_name_that_says_nothing() {
    let empty = ["util", "utils", "common", "misc", "manager", "helpers", "helper", "inner"];
    let wrong: Vec<_> = sources()
        .into_iter()
        .filter(|source| source.path.file_stem().is_some_and(|stem| empty.contains(&&*stem.to_string_lossy())))
        .map(|source| source.path.display().to_string())
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
