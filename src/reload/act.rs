//! An act as a person writes it: its verb, and where it is to lead.

use super::asked::RequestedMove;
use crate::config::read_percent;
use crate::migration::dial::Wish;
use crate::migration::{Percent, Stage};

/// The acts of a person.
pub const VERBS: [&str; 5] = ["promote", "rollback", "pause", "resume", "approve"];

/// An act that was not read yet.
#[derive(Debug, Clone, Copy)]
pub struct WrittenAct<'a> {
    pub verb: &'a str,
    pub to: Option<&'a str>,
    pub weight: Option<&'a str>,
    pub from_start: bool,
    /// Of a pause: the roll-backs, too.
    pub all: bool,
}

/// Why a text is no act.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotAnAct {
    #[error("there is no such act: promote, rollback, pause, resume and approve are")]
    Verb,
    #[error("`{0}` is not a stage")]
    Stage(String),
    #[error("`{0}` is not a share between 0% and 100%")]
    Weight(String),
    #[error("`{0}` takes neither `to` nor `weight`")]
    NoGoal(String),
    #[error("`{0}` does not take `from_start`")]
    NoStart(String),
    #[error("`{0}` does not take `all`")]
    NoAll(String),
}

impl WrittenAct<'_> {
    /// Reads the act.
    ///
    /// # Errors
    /// The verb is none, a value cannot be read, or the verb does not take it.
    pub fn read(&self) -> Result<RequestedMove, NotAnAct> {
        let stage = self.to.map(|word| {
            let stage = Stage::ALL.into_iter().find(|stage| stage.as_str() == word);
            stage.ok_or_else(|| NotAnAct::Stage(word.to_owned()))
        });
        let weight = self.weight.map(|text| {
            let share = read_percent(text).and_then(|share| Percent::from_hundredths(share.0));
            share.ok_or_else(|| NotAnAct::Weight(text.to_owned()))
        });
        let wish = Wish { stage: stage.transpose()?, weight: weight.transpose()? };
        if !matches!(self.verb, "promote" | "rollback") && wish != Wish::default() {
            return Err(NotAnAct::NoGoal(self.verb.to_owned()));
        }
        if self.verb != "resume" && self.from_start {
            return Err(NotAnAct::NoStart(self.verb.to_owned()));
        }
        if self.verb != "pause" && self.all {
            return Err(NotAnAct::NoAll(self.verb.to_owned()));
        }
        Ok(match self.verb {
            "promote" => RequestedMove::Promote(wish),
            "rollback" => RequestedMove::RollBack(wish),
            "pause" => RequestedMove::Pause { all: self.all },
            "resume" => RequestedMove::Resume { from_start: self.from_start },
            "approve" => RequestedMove::Approve,
            _ => return Err(NotAnAct::Verb),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_act_is_read_with_what_it_takes_and_nothing_else() {
        let read = |verb, to, weight, from_start| WrittenAct { verb, to, weight, from_start, all: false }.read();
        let half = Percent::from_hundredths(5000);
        assert_eq!(
            read("promote", Some("canary"), Some("50%"), false),
            Ok(RequestedMove::Promote(Wish { stage: Some(Stage::Canary), weight: half }))
        );
        assert_eq!(read("rollback", None, None, false), Ok(RequestedMove::RollBack(Wish::default())));
        assert_eq!(read("resume", None, None, true), Ok(RequestedMove::Resume { from_start: true }));
        for (verb, to, weight, from_start, why) in [
            ("jump", None, None, false, NotAnAct::Verb),
            ("promote", Some("half"), None, false, NotAnAct::Stage("half".to_owned())),
            ("promote", None, Some("101%"), false, NotAnAct::Weight("101%".to_owned())),
            ("pause", None, Some("5%"), false, NotAnAct::NoGoal("pause".to_owned())),
            ("approve", None, None, true, NotAnAct::NoStart("approve".to_owned())),
        ] {
            assert_eq!(read(verb, to, weight, from_start), Err(why));
        }
        let all = |verb| WrittenAct { verb, to: None, weight: None, from_start: false, all: true }.read();
        assert_eq!(all("pause"), Ok(RequestedMove::Pause { all: true }));
        for verb in VERBS.into_iter().filter(|verb| *verb != "pause") {
            assert_eq!(all(verb), Err(NotAnAct::NoAll(verb.to_owned())));
        }
    }
}
