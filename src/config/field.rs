//! The value of a key: absent, wrong, or given.

use crate::diagnostic::Span;

/// A decoded value and where it stands.
#[derive(Debug, Clone)]
pub struct Given<T> {
    /// The key's place.
    pub key: Span,
    /// The value's place.
    pub span: Span,
    pub value: T,
}

/// One key of a table.
#[derive(Debug, Clone, Default)]
pub enum Field<T> {
    #[default]
    Absent,
    /// Given, or perhaps given, but it could not be read; that has been reported. Nothing may be concluded from it.
    Wrong,
    Given(Given<T>),
}

impl<T> Field<T> {
    pub const fn get(&self) -> Option<&T> {
        match self {
            Self::Given(given) => Some(&given.value),
            Self::Absent | Self::Wrong => None,
        }
    }

    pub const fn given(&self) -> Option<&Given<T>> {
        match self {
            Self::Given(given) => Some(given),
            Self::Absent | Self::Wrong => None,
        }
    }

    /// Certainly not in the file.
    pub const fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }

    /// The key's place.
    pub fn key(&self) -> Option<Span> {
        self.given().map(|given| given.key.clone())
    }

    /// The value's place.
    pub fn span(&self) -> Option<Span> {
        self.given().map(|given| given.span.clone())
    }
}

impl<T: Copy> Field<T> {
    /// The value, or what stands for it when it is not given.
    pub fn or(&self, default: T) -> T {
        self.get().copied().unwrap_or(default)
    }
}
