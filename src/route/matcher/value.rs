//! Conditions on a value: a text, a pattern, that it is there or is not.

use std::fmt;

use super::ConditionOn;
use crate::route::Facts;

/// The condition on a header, cookie or query value. Of several values under one name the first counts.
#[derive(Debug, Clone)]
pub enum ConditionKind {
    Equal(Box<str>),
    Present,
    Absent,
    /// Never holds for a value that is missing or not UTF-8.
    Regex(regex::Regex),
}

impl PartialEq for ConditionKind {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Equal(one), Self::Equal(other)) => one == other,
            (Self::Regex(one), Self::Regex(other)) => one.as_str() == other.as_str(),
            (Self::Present, Self::Present) | (Self::Absent, Self::Absent) => true,
            _ => false,
        }
    }
}

/// A condition on one header, cookie or query value.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition {
    pub on: ConditionOn,
    /// Headers in lower case; cookies and query keys as written.
    pub name: Box<str>,
    pub kind: ConditionKind,
}

impl Condition {
    pub(in crate::route) fn holds(&self, facts: &Facts<'_>) -> bool {
        self.on.holds(self, facts)
    }

    /// Whether no request can meet both, as far as that can be told without reading a regex.
    pub(in crate::route) fn excludes(&self, other: &Self) -> bool {
        self.on == other.on && self.name == other.name && self.kind.excludes(&other.kind)
    }
}

impl ConditionKind {
    pub(super) fn holds(&self, value: Option<&[u8]>) -> bool {
        match self {
            Self::Equal(own) => value == Some(own.as_bytes()),
            Self::Present => value.is_some(),
            Self::Absent => value.is_none(),
            Self::Regex(regex) => {
                value.and_then(|value| std::str::from_utf8(value).ok()).is_some_and(|value| regex.is_match(value))
            }
        }
    }

    fn excludes(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Equal(left), Self::Equal(right)) => left != right,
            (Self::Absent, Self::Absent) => false,
            (Self::Absent, _) | (_, Self::Absent) => true,
            _ => false,
        }
    }
}

impl fmt::Display for ConditionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Equal(value) => write!(f, "equal to `{value}`"),
            Self::Present => f.write_str("present"),
            Self::Absent => f.write_str("absent"),
            Self::Regex(regex) => write!(f, "matched by `{regex}`"),
        }
    }
}
