//! The files of src, and the code in them without comments and tests.

use std::fs;
use std::path::{Path, PathBuf};

/// A file of src.
pub struct Source {
    pub path: PathBuf,
    /// `["proxy", "driver"]` for src/proxy/driver.rs, `["proxy"]` for src/proxy/mod.rs.
    pub module: Vec<String>,
    pub text: String,
}

impl Source {
    /// The room, `lib` or `main`.
    pub fn room(&self) -> &str {
        &self.module[0]
    }

    pub fn is_test(&self) -> bool {
        let path = self.path.to_string_lossy();
        path.contains("/tests/") || path.ends_with("tests.rs") || path.ends_with("properties.rs")
    }

    /// Without its tests and comments.
    pub fn code(&self) -> String {
        let text = self.text.split("\n#[cfg(test)]\nmod ").next().unwrap_or(&self.text);
        text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
    }
}

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Those without which the program is built, too: not the tests.
pub fn program() -> Vec<Source> {
    all().into_iter().filter(|source| !source.is_test()).collect()
}

pub fn all() -> Vec<Source> {
    let mut found = Vec::new();
    walk(&root().join("src"), &mut found);
    found.sort_by(|one, other| one.path.cmp(&other.path));
    assert!(found.len() > 50, "the sources were not found");
    found
}

fn walk(folder: &Path, found: &mut Vec<Source>) {
    for entry in fs::read_dir(folder).expect("src can be read") {
        let path = entry.expect("an entry of src").path();
        if path.is_dir() {
            walk(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            let inside = path.strip_prefix(root().join("src")).expect("below src").with_extension("");
            let mut module: Vec<_> = inside.iter().map(|part| part.to_string_lossy().into_owned()).collect();
            if module.len() > 1 && module.last().is_some_and(|name| name == "mod") {
                module.pop();
            }
            let text = fs::read_to_string(&path).expect("a source can be read");
            found.push(Source { path, module, text });
        }
    }
}
