//! A path template: literal segments, parameters with optional affixes, and a final catch-all.

use std::ops::Range;

/// A parsed template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    text: Box<str>,
}

/// Why a template cannot be read, and where in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateError {
    pub span: Range<usize>,
    pub message: String,
    pub help: String,
}

impl Template {
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        if text.starts_with('/') {
            return Ok(Self { text: text.into() });
        }
        Err(TemplateError {
            span: 0..text.len(),
            message: format!("`{text}` does not begin with `/`"),
            help: format!("write `/{text}`"),
        })
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}
