//! The files that `include`, a folder and several `-c` stand for.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::compile::takes;

/// The files of a pattern, and the folders in which new ones may appear.
#[derive(Debug, Default)]
pub(super) struct Matched {
    /// In the order of their paths.
    pub(super) files: Vec<PathBuf>,
    pub(super) folders: Vec<PathBuf>,
}

/// The files that a path of the command line or of `include` names: a folder is its `*.toml`; `*` and `?` stand for letters of one name.
pub(super) fn matched(beside: &Path, pattern: &str) -> io::Result<Matched> {
    let path = beside.join(pattern);
    if !pattern.contains(['*', '?']) {
        return if path.is_dir() { in_folder(&path) } else { Ok(Matched { files: vec![path], folders: Vec::new() }) };
    }
    let mut found = Matched { files: vec![PathBuf::new()], folders: Vec::new() };
    for part in path.components() {
        let name = part.as_os_str();
        match name.to_str().filter(|name| name.contains(['*', '?'])) {
            None => found.files.iter_mut().for_each(|path| path.push(name)),
            Some(pattern) => found.step(pattern)?,
        }
    }
    // A folder that matches is its files, too.
    let (folders, mut files): (Vec<_>, Vec<_>) = found.files.into_iter().partition(|path| path.is_dir());
    for folder in folders {
        let inside = in_folder(&folder)?;
        files.extend(inside.files);
        found.folders.extend(inside.folders);
    }
    files.retain(|path| path.exists());
    files.sort();
    Ok(Matched { files, folders: found.folders })
}

/// The `*.toml` of a folder.
pub(super) fn in_folder(folder: &Path) -> io::Result<Matched> {
    let mut found = Matched { files: vec![folder.to_owned()], folders: Vec::new() };
    found.step("*.toml")?;
    found.files.retain(|path| !path.is_dir());
    Ok(found)
}

impl Matched {
    /// Goes one level down, into the names that the pattern takes.
    fn step(&mut self, pattern: &str) -> io::Result<()> {
        for folder in std::mem::take(&mut self.files) {
            let at = if folder.as_os_str().is_empty() { Path::new(".") } else { &folder };
            let entries = match fs::read_dir(at) {
                Ok(entries) => entries,
                // A file has nothing below it.
                Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                    self.folders.push(folder);
                    continue;
                }
                Err(error) => return Err(error),
            };
            for entry in entries {
                let name = entry?.file_name();
                if name.to_str().is_some_and(|name| takes_file(pattern, name)) {
                    self.files.push(folder.join(&name));
                }
            }
            self.folders.push(folder);
        }
        self.files.sort();
        Ok(())
    }
}

/// Whether a pattern takes a file's name. As in a shell, only a pattern that begins with a dot takes a hidden file.
fn takes_file(pattern: &str, name: &str) -> bool {
    (!name.starts_with('.') || pattern.starts_with('.')) && takes(pattern, name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_takes_names_as_a_shell_does() {
        for (pattern, name, taken) in [
            ("*.toml", "a.toml", true),
            ("*.toml", ".a.toml.7", false),
            ("*.toml", ".a.toml", false),
            (".*", ".a", true),
            ("*.toml", "a.toml~", false),
            ("team-?.toml", "team-a.toml", true),
            ("team-?.toml", "team-ab.toml", false),
            ("*a*b*", "xaybz", true),
            ("*a*b*", "xbya", false),
            ("a", "a", true),
            ("a", "b", false),
        ] {
            assert_eq!(takes_file(pattern, name), taken, "{pattern} {name}");
        }
    }

    #[test]
    fn a_folder_is_its_toml_files_and_a_pattern_goes_down_several_levels() {
        let folder = std::env::temp_dir().join(format!("multilith-include-{}", std::process::id()));
        for name in ["b.toml", "a.toml", ".hidden.toml", "notes.md", "teams/x/routes.toml", "teams/y/routes.toml"] {
            let path = folder.join(name);
            fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
            fs::write(path, "").expect("a file");
        }
        let names = |pattern: &str| {
            let found = matched(&folder, pattern).expect("it can be read");
            let name = |path: PathBuf| path.strip_prefix(&folder).expect("below").display().to_string();
            found.files.into_iter().map(name).collect::<Vec<_>>()
        };
        assert_eq!(names("."), ["a.toml", "b.toml"]);
        assert_eq!(names("*.toml"), ["a.toml", "b.toml"]);
        assert_eq!(names("teams/*/routes.toml"), ["teams/x/routes.toml", "teams/y/routes.toml"]);
        assert_eq!(names("teams/*"), ["teams/x/routes.toml", "teams/y/routes.toml"]);
        assert_eq!(names("nothing/*.toml"), Vec::<String>::new());
        assert_eq!(names("missing.toml"), ["missing.toml"]);
        fs::remove_dir_all(&folder).expect("it can go");
    }
}
