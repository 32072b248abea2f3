//! Keeps the arrows pointing down: a module uses only what stands below it, one name means one thing, no file outgrows its
//! room, and the README's lists name files that exist.
//!
//! `cargo test --test architecture -- --nocapture` prints rooms, circles and arrows up.

#[path = "architecture/graph.rs"]
mod graph;
#[path = "architecture/sources.rs"]
mod sources;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use graph::Graph;

/// From the top. Modules of one row do not use each other, except where `BESIDE` says so. Rooms that are not built yet have
/// their place, too.
const LAYERS: &[&[&str]] = &[
    &["cli"],
    &["server"],
    &["admin", "console", "reload"],
    &["gate"],
    &["app"],
    &["listener"],
    &["proxy"],
    &["downstream"],
    &["plan"],
    &["learn"],
    &["shadow", "upstream", "guard", "fleet", "notify"],
    &["telemetry"],
    &["live", "store", "export"],
    &["compile"],
    &["client"],
    &["compare"],
    &["migration"],
    &["route"],
    &["endpoint", "inventory"],
    &["message"],
    &["config"],
    &["diagnostic"],
];

/// What the crates and the program begin with.
const ROOTS: &[&str] = &["lib", "data_plane", "background", "core", "routes_file", "allocator", "main"];

/// The admin listener shows what reloads did, the console what the admin
/// listener knows; copies go to pools and are
/// cleaned by the guards. Arrows within a row, which `arrows_up` prints.
const BESIDE: &[(&str, &str)] =
    &[("admin", "reload"), ("console", "admin"), ("console", "reload"), ("shadow", "upstream"), ("shadow", "guard")];

/// Pure modules do no input or output, read no clock and draw no random number.
const PURE: &[&str] =
    &["diagnostic", "config", "route", "migration", "endpoint", "compare", "compile", "message", "inventory", "export"];
/// What keeps them so, besides `the_core_does_no_io`: the list in .clippy.toml.
const DENIED: &str = "#![deny(clippy::disallowed_methods, clippy::disallowed_types)]";
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

/// The types that a file is written in and those it is compiled to, of one name: the second one's room. None may be added for
/// two things that only sound alike.
const WRITTEN_AND_COMPILED: &[(&str, &str)] = &[
    ("Acme", "compile"),
    ("AdminToken", "compile"),
    ("Certificate", "compile"),
    ("Fault", "compile"),
    ("Limits", "compile"),
    ("Route", "compile"),
    ("TrustedUser", "compile"),
    ("Condition", "route"),
    ("ForwardAuth", "route"),
    ("Matching", "route"),
    ("RateLimit", "route"),
    ("Redirect", "route"),
    ("Revoked", "route"),
    ("Rewrite", "route"),
    ("TokenExchange", "route"),
    ("Fallback", "migration"),
    ("Follow", "migration"),
    ("Gate", "migration"),
    ("Percent", "migration"),
    ("Shadow", "migration"),
    ("Variant", "migration"),
    ("Eject", "endpoint"),
    ("Health", "endpoint"),
    ("RequestBuffer", "endpoint"),
    ("Timeouts", "endpoint"),
];

/// Circles among the files of a folder, its mod.rs apart, that are left: the folder, and how many. None may be added.
const CIRCLES: &[(&str, usize)] = &[("compare", 1), ("shadow", 1), ("upstream", 1)];

#[test]
fn every_module_has_its_layer_and_uses_only_what_stands_below_it() {
    let sources = sources::program();
    let mut wrong = BTreeSet::new();
    for source in sources.iter().filter(|source| !ROOTS.contains(&source.room())) {
        if layer(source.room()).is_none() {
            wrong.insert(format!("`{}` has no layer", source.room()));
        }
    }
    for (module, targets) in &Graph::of(&sources).uses {
        for target in targets {
            let (Some(own), Some(other)) = (layer(&module[0]), layer(&target[0])) else { continue };
            if module[0] != target[0] && other <= own && !is_beside(&module[0], &target[0]) {
                wrong.insert(format!("{} uses {}, which does not stand below it", name(module), name(target)));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", lines(&wrong));
}

/// A comment names its subject: the client, the peer, the operator.
#[test]
fn comments_have_nouns_for_subjects() {
    const PRONOUNS: &[&str] = &["whoever", "nobody", "somebody", "anybody", "everybody", "so many", "so long"];
    let mut wrong = BTreeSet::new();
    for source in sources::all() {
        for (number, line) in source.text.lines().enumerate() {
            let Some(comment) = line.trim_start().strip_prefix("//").map(str::to_lowercase) else { continue };
            let words = comment.split(|c: char| !c.is_alphanumeric()).collect::<Vec<_>>().join(" ");
            let padded = format!(" {words} ");
            if let Some(pronoun) = PRONOUNS.iter().find(|pronoun| padded.contains(&format!(" {pronoun} "))) {
                wrong.insert(format!("{}:{}: {pronoun}", source.path.display(), number + 1));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", lines(&wrong));
}

#[test]
fn files_of_a_folder_make_no_circle() {
    let graph = Graph::of(&sources::program());
    let folders = graph.folders();
    let rooms: BTreeSet<_> = graph.uses.keys().map(|module| &module[0]).collect();
    println!("rooms: {}", rooms.len() - ROOTS.len());
    let (mut among, mut through, mut wrong) = (0, 0, Vec::new());
    for folder in &folders {
        let circles = graph.circles(folder, false);
        let folder_name = folder.join("/");
        for circle in &circles {
            println!("circle in src/{folder_name}: {}", circle.members.join(", "));
            for (from, to) in &circle.arrows {
                println!("  {from} -> {to}");
            }
        }
        let known = CIRCLES.iter().find(|(name, _)| *name == folder_name).map_or(0, |(_, known)| *known);
        if circles.len() > known {
            wrong.push(format!("src/{folder_name}: {} circles, {known} are known", circles.len()));
        }
        among += circles.len();
        through += graph.circles(folder, true).len();
    }
    println!("circles among the files of a folder: {among}, {through} with its mod.rs");
    let up: Vec<_> =
        graph.rooms().into_iter().filter(|(from, to)| layer(from).is_some() && layer(from) >= layer(to)).collect();
    println!("arrows up or within a row: {}", up.len());
    for (from, to) in &up {
        println!("  {from} -> {to}");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_public_type_name_stands_in_one_file_or_is_written_and_compiled() {
    let mut files: BTreeMap<String, BTreeSet<Vec<String>>> = BTreeMap::new();
    for source in sources::program() {
        for name in public_types(&source.code()) {
            files.entry(name).or_default().insert(source.module.clone());
        }
    }
    let is_pair = |name: &str, files: &BTreeSet<Vec<String>>| {
        let rooms: BTreeSet<_> = files.iter().map(|module| module[0].as_str()).collect();
        files.len() == 2
            && WRITTEN_AND_COMPILED
                .iter()
                .any(|(pair, room)| *pair == name && rooms == BTreeSet::from(["config", *room]))
    };
    let shared = files.iter().filter(|(name, files)| files.len() > 1 && !is_pair(name, files));
    let mut wrong: Vec<_> = shared
        .map(|(twin, files)| {
            format!("`{twin}` in {}", files.iter().map(|file| name(file)).collect::<Vec<_>>().join(" and "))
        })
        .collect();
    for (pair, _) in WRITTEN_AND_COMPILED {
        if !files.get(*pair).is_some_and(|files| is_pair(pair, files)) {
            wrong.push(format!("`{pair}` is no pair any more: take it off the list"));
        }
    }
    assert!(wrong.is_empty(), "one word, one thing; find the field's noun for one of them:\n{}", wrong.join("\n"));
}

#[test]
fn the_core_does_no_io() {
    let mut wrong = Vec::new();
    for source in sources::program().iter().filter(|source| PURE.contains(&source.room())) {
        let code = source.code();
        for word in IMPURE.iter().filter(|word| code.contains(*word)) {
            wrong.push(format!("{}: `{word}`", source.path.display()));
        }
        if source.module.len() == 1 && !code.contains(DENIED) {
            wrong.push(format!("{}: lacks `{DENIED}`", source.path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn an_error_has_a_type() {
    let mut wrong = Vec::new();
    for source in sources::all() {
        let text: String = source.text.split_whitespace().collect::<Vec<_>>().join(" ");
        for (start, _) in text.match_indices("Result<") {
            if error_type(&text[start + "Result<".len()..]) == Some("String") {
                wrong.push(format!("{}: `Result<…, String>`", source.path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "what can fail is said by an error type:\n{}", wrong.join("\n"));
}

#[test]
fn the_error_type_of_a_result_is_its_second_argument() {
    for (rest, expected) in [
        ("Vec<(u8, String)>, String> {", Some("String")),
        ("(), String>", Some("String")),
        ("fn(u8) -> u8, String,>", Some("String")),
        ("String, Error>", Some("Error")),
        ("String>", None),
    ] {
        assert_eq!(error_type(rest), expected, "{rest}");
    }
}

#[test]
fn no_file_outgrows_its_room_and_each_opens_with_one_sentence_of_place() {
    let mut wrong = Vec::new();
    for source in sources::all() {
        let lines = source.code().lines().filter(|line| !line.trim().is_empty()).count();
        if lines > LONGEST && !source.is_test() {
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
    let wrong: Vec<_> = sources::all()
        .into_iter()
        .filter(|source| source.path.file_stem().is_some_and(|stem| empty.contains(&&*stem.to_string_lossy())))
        .map(|source| source.path.display().to_string())
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_readme_has_400_lines_at_most_and_its_lists_name_files_that_exist() {
    let readme = fs::read_to_string(sources::root().join("README.md")).expect("a README");
    let length = readme.lines().count();
    assert!(length <= 400, "{length} lines: long material goes to `multilith man` or beside the tests");
    for thing in ["A predicate", "A stage", "A source of endpoints", "A target kind"] {
        let list = readme.split_once(&format!("- **{thing}**")).unwrap_or_else(|| panic!("no list for `{thing}`")).1;
        let list = list.split("\n- ").next().and_then(|list| list.split("\n\n").next()).expect("split gives one");
        let files: Vec<_> = list.split('`').filter(|word| word.starts_with("src/")).collect();
        assert!(files.len() >= 3, "the list of `{thing}` names {files:?}");
        for file in files {
            assert!(sources::root().join(file).exists(), "the list of `{thing}` names `{file}`, which does not exist");
        }
    }
    for page in readme.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
        let file = page.split('#').next().unwrap_or(page);
        let outside = file.contains("://") || file.is_empty();
        assert!(outside || sources::root().join(file).exists(), "the README points to `{file}`");
    }
}

#[test]
fn the_map_in_lib_rs_has_every_room() {
    let sources = sources::all();
    let map = &sources.iter().find(|source| source.room() == "lib").expect("src/lib.rs").text;
    let rooms: BTreeSet<_> =
        sources.iter().filter(|source| source.module.len() == 1).map(sources::Source::room).collect();
    for room in rooms.into_iter().filter(|room| !ROOTS.contains(room)) {
        let on_it = map.lines().any(|line| line.starts_with("//! |") && line.contains(&format!("[`{room}`]")));
        assert!(on_it, "the map lacks `{room}`");
    }
}

fn layer(room: &str) -> Option<usize> {
    LAYERS.iter().position(|row| row.contains(&room))
}

fn is_beside(from: &str, to: &str) -> bool {
    BESIDE.contains(&(from, to))
}

/// `struct`, `enum`, `trait`, `type` and `union` with `pub`.
fn public_types(code: &str) -> Vec<String> {
    let letter = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let after = |line: &str| {
        let rest = line.trim_start().strip_prefix("pub ")?;
        let rest = ["struct ", "enum ", "trait ", "type ", "union "].iter().find_map(|kind| rest.strip_prefix(kind))?;
        // A macro's `$name` is none.
        Some(rest.chars().take_while(|c| letter(*c)).collect::<String>()).filter(|name| !name.is_empty())
    };
    code.lines().filter_map(after).collect()
}

/// The second argument of a `Result<`, behind which `rest` begins.
fn error_type(rest: &str) -> Option<&str> {
    let (mut depth, mut comma) = (0, None);
    for (at, letter) in rest.char_indices() {
        match letter {
            '>' if rest[..at].ends_with('-') => {}
            '>' if depth == 0 => return comma.map(|comma: usize| rest[comma + 1..at].trim_matches([' ', ','])),
            '<' | '(' | '[' => depth += 1,
            '>' | ')' | ']' => depth -= 1,
            ',' if depth == 0 && comma.is_none() => comma = Some(at),
            _ => {}
        }
    }
    None
}

fn name(module: &[String]) -> String {
    module.join("::")
}

fn lines(of: &BTreeSet<String>) -> String {
    of.iter().cloned().collect::<Vec<_>>().join("\n")
}
