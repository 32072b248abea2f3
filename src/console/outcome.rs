//! How a button that was pressed ended, or why it was none.

use crate::admin::{NotReplayed, nothing_compared};
use crate::compare::AgainReport;
use crate::reload::{NotAnAct, NotMoved, RuleNotMade};

/// The result of an act: a sentence, and the route to look at.
pub enum Done {
    Said(String, Option<String>),
    /// A request was asked again, and nothing was changed.
    Answered(Box<AgainReport>),
    Refused(u16, String),
}

impl From<NotMoved> for Done {
    fn from(why: NotMoved) -> Self {
        let status = match why {
            NotMoved::NoRoute => 404,
            NotMoved::Journal(_) => 503,
            _ => 409,
        };
        Self::Refused(status, why.to_string())
    }
}

/// Why a form is no command.
#[derive(Debug, thiserror::Error)]
pub enum BadForm {
    #[error(transparent)]
    Act(#[from] NotAnAct),
    #[error("there is no such rule")]
    Rule,
    #[error("the form does not say what it was about")]
    Incomplete,
}

/// Why a command cannot be given now.
#[derive(Debug, thiserror::Error)]
pub enum NotNow {
    #[error(transparent)]
    Form(#[from] BadForm),
    #[error("there is no such route")]
    NoRoute,
    #[error("{}", nothing_compared(.0))]
    ComparesNothing(String),
    #[error(transparent)]
    Replay(#[from] NotReplayed),
    #[error(transparent)]
    Move(#[from] NotMoved),
    #[error(transparent)]
    Rule(#[from] RuleNotMade),
    #[error("the file could not be looked at")]
    File,
}
