//! One segment of a template, and whether a path's segment fits it.

use super::path::is_dot_like;

/// A segment of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Segment {
    /// In normal form; empty only as the last one, for a trailing slash.
    Literal(Box<str>),
    Parameter(Parameter),
    /// `{*rest}`: the last segment; zero or more segments of the path.
    Rest(Box<str>),
}

/// `{name}` with its literal prefix and suffix, both often empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    pub name: Box<str>,
    pub prefix: Box<str>,
    pub suffix: Box<str>,
}

impl Parameter {
    /// Literal bytes around the parameter.
    pub(super) fn literal_bytes(&self) -> usize {
        self.prefix.len() + self.suffix.len()
    }

    pub(super) fn takes(&self, segment: &str, fold: bool) -> bool {
        let (prefix, suffix) = (self.prefix.len(), self.suffix.len());
        let bytes = segment.as_bytes();
        leaves_value(bytes, prefix, suffix)
            && same(&bytes[..prefix], self.prefix.as_bytes(), fold)
            && same(&bytes[bytes.len() - suffix..], self.suffix.as_bytes(), fold)
    }
}

impl Segment {
    /// Whether this segment, which is not a catch-all, takes that one.
    pub(super) fn takes(&self, segment: &str, fold: bool) -> bool {
        match self {
            Self::Literal(text) => same(segment.as_bytes(), text.as_bytes(), fold),
            Self::Parameter(parameter) => parameter.takes(segment, fold),
            Self::Rest(_) => false,
        }
    }

    pub(super) fn name(&self) -> Option<&str> {
        match self {
            Self::Literal(_) => None,
            Self::Parameter(parameter) => Some(&parameter.name),
            Self::Rest(name) => Some(name),
        }
    }
}

fn same(left: &[u8], right: &[u8], fold: bool) -> bool {
    if fold { left.eq_ignore_ascii_case(right) } else { left == right }
}

/// Whether a value is left between affixes of these lengths: one that is not empty, that does not end inside a percent
/// escape, and that could not be read as a dot segment when a rewrite takes it out of its affixes.
pub(super) fn leaves_value(segment: &[u8], prefix: usize, suffix: usize) -> bool {
    if segment.len() <= prefix + suffix {
        return false;
    }
    if prefix + suffix == 0 {
        return true;
    }
    let value = &segment[prefix..segment.len() - suffix];
    let cut = suffix > 0 && value.iter().rev().take(2).any(|byte| *byte == b'%');
    !cut && !is_dot_like(value)
}
