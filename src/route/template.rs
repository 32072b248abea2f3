//! A path template: literal segments, parameters with optional affixes, and a final catch-all.

/// A parsed template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    text: Box<str>,
}
