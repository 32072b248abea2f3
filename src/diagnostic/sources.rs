//! The files of one configuration as one text, so that a place in it is a place in one of them.

use std::sync::Arc;

use super::{Diagnostic, Span};

/// One or more files, one behind the other with a line break between them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sources {
    text: String,
    files: Vec<SourceFile>,
    /// The files that the configuration names, as they were read.
    extras: Vec<Extra>,
    /// The findings of reading them, such as a file that is not there.
    found: Vec<Diagnostic>,
}

/// One file of a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFile {
    /// In messages.
    pub name: Arc<str>,
    /// Where it stands in the text of all.
    pub span: Span,
    /// Named by another file of the configuration, not by the command line.
    pub included: bool,
}

/// A file beside the configuration, such as an error page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extra {
    /// As the configuration names it.
    pub path: Arc<str>,
    /// Its text, or why it cannot be used.
    pub text: Result<Arc<str>, UnusableExtra>,
}

/// Why a file beside the configuration cannot be used, in words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct UnusableExtra(pub Box<str>);

impl Sources {
    /// A configuration of one file.
    #[must_use]
    pub fn one(name: &str, text: &str) -> Self {
        let mut sources = Self::default();
        sources.push(name, text, false);
        sources
    }

    /// Puts one more file behind those that are there.
    pub fn push(&mut self, name: &str, text: &str, included: bool) {
        if !self.files.is_empty() {
            self.text.push('\n');
        }
        let start = self.text.len();
        self.text.push_str(text);
        self.files.push(SourceFile { name: name.into(), span: start..start + text.len(), included });
    }

    /// The same files, one of them with another text. The findings of reading them are not said again.
    #[must_use]
    pub fn with_text(&self, name: &str, text: &str) -> Self {
        self.with_texts(|file| if *file.name == *name { text } else { self.text_of(file) })
    }

    /// The same files with other texts.
    #[must_use]
    pub fn with_texts<T: AsRef<str>>(&self, text: impl Fn(&SourceFile) -> T) -> Self {
        let mut sources = Self { extras: self.extras.clone(), ..Self::default() };
        for file in &self.files {
            sources.push(&file.name, text(file).as_ref(), file.included);
        }
        sources
    }

    /// Something that was found while the files were read.
    pub fn note(&mut self, diagnostic: Diagnostic) {
        self.found.push(diagnostic);
    }

    pub fn add_extra(&mut self, extra: Extra) {
        self.extras.push(extra);
    }

    /// `None`: it was not read, because nothing outside the text is read.
    #[must_use]
    pub fn extra(&self, path: &str) -> Option<&Extra> {
        self.extras.iter().find(|extra| &*extra.path == path)
    }

    #[must_use]
    pub fn found(&self) -> &[Diagnostic] {
        &self.found
    }

    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    #[must_use]
    pub fn files(&self) -> &[SourceFile] {
        &self.files
    }

    /// The first file's name: what has no place is said of it.
    #[must_use]
    pub fn name(&self) -> &str {
        self.files.first().map_or("", |file| &*file.name)
    }

    #[must_use]
    pub fn text_of(&self, file: &SourceFile) -> &str {
        self.text.get(file.span.clone()).unwrap_or("")
    }

    /// Where this value is written as a string, quotes and all; `None` where a variable or an escape stands in it.
    fn place_of(&self, value: &str) -> Option<Span> {
        ['"', '\''].iter().find_map(|quote| {
            let written = format!("{quote}{value}{quote}");
            self.text.find(&written).map(|start| start..start + written.len())
        })
    }

    /// The diagnostic at the place where this value is written, if there is one.
    #[must_use]
    pub fn placed(&self, diagnostic: Diagnostic, value: &str) -> Diagnostic {
        match self.place_of(value) {
            Some(place) => diagnostic.at(place),
            None => diagnostic,
        }
    }

    /// The index of the file that holds a byte of the text.
    #[must_use]
    pub(super) fn index_of(&self, byte: usize) -> usize {
        self.files.partition_point(|file| file.span.start <= byte).saturating_sub(1)
    }

    /// The file that holds a byte of the text.
    #[must_use]
    pub fn file_of(&self, byte: usize) -> Option<&SourceFile> {
        self.files.get(self.index_of(byte))
    }
}

#[cfg(test)]
mod tests {
    use super::Sources;

    #[test]
    fn every_place_belongs_to_one_file() {
        let mut sources = Sources::one("a.toml", "a = 1");
        sources.push("b.toml", "", true);
        sources.push("c.toml", "c = 1\n", true);
        assert_eq!(sources.text(), "a = 1\n\nc = 1\n");
        let at = |byte| sources.file_of(byte).map(|file| &*file.name);
        for (byte, name) in [(0, "a.toml"), (5, "a.toml"), (6, "b.toml"), (7, "c.toml"), (13, "c.toml")] {
            assert_eq!(at(byte), Some(name), "{byte}");
        }
        let texts: Vec<_> = sources.files().iter().map(|file| sources.text_of(file)).collect();
        assert_eq!(texts, ["a = 1", "", "c = 1\n"]);
    }
}
