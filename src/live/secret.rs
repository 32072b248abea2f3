//! Reads secrets at the moment of their use: whatever rotates a file needs no reload.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use crate::route::SecretSource;

/// The value; of a file, without white space at its end.
pub fn read_secret(source: &SecretSource) -> io::Result<Arc<str>> {
    match source {
        SecretSource::Value(secret) => Ok(Arc::clone(&secret.0)),
        SecretSource::File(path) => read_secret_file(path),
    }
}

/// As [`read_secret`], of a file.
pub fn read_secret_file(path: &Path) -> io::Result<Arc<str>> {
    Ok(fs::read_to_string(path)?.trim_end().into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::SecretText;

    #[test]
    fn a_file_is_read_each_time_and_white_space_at_its_end_does_not_count() {
        let path = std::env::temp_dir().join(format!("multilith-secret-{}", std::process::id()));
        let source = SecretSource::File(path.clone());
        assert_eq!(read_secret(&source).expect_err("no file").kind(), io::ErrorKind::NotFound);
        for (written, expected) in [("first\n", "first"), ("second \r\n", "second")] {
            fs::write(&path, written).expect("a file");
            assert_eq!(&*read_secret(&source).expect("it can be read"), expected);
        }
        fs::remove_file(&path).expect("it can go");
        assert_eq!(&*read_secret(&SecretSource::Value(SecretText("value".into()))).expect("it is here"), "value");
    }
}
