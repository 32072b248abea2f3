//! The pause that a person has set on a gate.

/// How much of a gate a person has paused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Pause {
    #[default]
    No,
    /// It does not advance, and still rolls back.
    Advances,
    /// It does not roll back, either: only a person, the breaker and the file protect the clients.
    All,
}

impl Pause {
    /// As two answers: whether it is paused, and whether its roll-backs are, too. The second means nothing without the first.
    #[must_use]
    pub const fn read(paused: bool, all: bool) -> Self {
        match (paused, all) {
            (false, _) => Self::No,
            (true, false) => Self::Advances,
            (true, true) => Self::All,
        }
    }

    #[must_use]
    pub const fn is_on(self) -> bool {
        !matches!(self, Self::No)
    }

    /// The roll-backs, too.
    #[must_use]
    pub const fn is_all(self) -> bool {
        matches!(self, Self::All)
    }
}
