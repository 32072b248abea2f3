//! Files that nginx.conf includes: beside the file that is imported, with `*` in the last part of the name.

use std::fs;
use std::path::{Path, PathBuf};

use crate::compile::takes;
use crate::inventory::IncludedFile;

/// One file; all of them together are bounded where they are read.
const LARGEST: u64 = 16 << 20;
const MOST: usize = 4_096;

/// The files of a pattern in the order of their names, as nginx takes them. No file is right only where there is a `*`.
pub(super) fn read(folder: &Path, pattern: &str) -> Result<Vec<IncludedFile>, &'static str> {
    let path = folder.join(pattern);
    let (Some(parent), Some(name)) = (path.parent(), path.file_name().and_then(|name| name.to_str())) else {
        return Err("no name of a file");
    };
    if parent.to_string_lossy().contains(['*', '?']) {
        return Err("a `*` in the name of a folder");
    }
    if !name.contains(['*', '?', '[']) {
        return Ok(vec![file(&path)?]);
    }
    let mut found: Vec<PathBuf> = match fs::read_dir(parent) {
        Ok(entries) => entries.filter_map(|entry| Some(entry.ok()?.path())).take(MOST).collect(),
        Err(_) => return Err("the folder cannot be read"),
    };
    let fits = |path: &PathBuf| {
        path.is_file()
            && path
                .file_name()
                .and_then(|name| name.to_str())
                .is_some_and(|found| takes(name, found) && found.starts_with('.') <= name.starts_with('.'))
    };
    found.retain(fits);
    found.sort();
    found.iter().map(|path| file(path)).collect()
}

fn file(path: &Path) -> Result<IncludedFile, &'static str> {
    // A device or a pipe is no file.
    if !path.is_file() {
        return Err("the file is not there");
    }
    if fs::metadata(path).is_ok_and(|data| data.len() > LARGEST) {
        return Err("the file has more than 16 MiB");
    }
    let bytes = fs::read(path).map_err(|_| "the file cannot be read")?;
    let text = String::from_utf8(bytes).map_err(|_| "the file is not UTF-8")?;
    Ok(IncludedFile { name: path.display().to_string(), text })
}
