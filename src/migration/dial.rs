//! Which dial is in force, between the file, a person and the gate; and where a move leads.

use super::gate::{Gate, Pause};
use super::policy::{Dial, Percent};
use super::stage::Stage;

/// The kind of author of a move.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum By {
    File,
    Gate,
    Person,
}

impl By {
    pub const ALL: [Self; 3] = [Self::File, Self::Gate, Self::Person];

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Gate => "gate",
            Self::Person => "person",
        }
    }

    #[must_use]
    pub fn read(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|by| by.as_str() == word)
    }
}

/// The effect of an entry of the journal on its route.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// The file's stage or weight changed.
    File,
    /// The file now says what was in force already.
    Agrees,
    Advance,
    RollBack,
    Promote,
    /// With `all` the gate does not roll back, either. One word for both: a replica of an older program knows no other.
    Pause {
        all: bool,
    },
    Resume,
    Approve,
    /// The evidence begins anew: another key of the route changed, or its `version`; or a person wants it.
    Reset,
    /// Failures on purpose begin, change or end; nothing moves.
    Fault,
    /// A person wrote a rule of comparing into the file; nothing moves.
    Rule,
}

impl Action {
    pub const ALL: [Self; 11] = [
        Self::File,
        Self::Agrees,
        Self::Advance,
        Self::RollBack,
        Self::Promote,
        Self::Pause { all: false },
        Self::Resume,
        Self::Approve,
        Self::Reset,
        Self::Fault,
        Self::Rule,
    ];

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Agrees => "agrees",
            Self::Advance => "advance",
            Self::RollBack => "roll-back",
            Self::Promote => "promote",
            Self::Pause { .. } => "pause",
            Self::Resume => "resume",
            Self::Approve => "approve",
            Self::Reset => "reset",
            Self::Fault => "fault",
            Self::Rule => "rule",
        }
    }

    #[must_use]
    pub fn read(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.as_str() == word)
    }
}

/// The part of an entry that decides the dial.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DialTurn {
    /// Per route, from 1, without gaps.
    pub seq: u64,
    pub action: Action,
    pub by: By,
    pub to: Dial,
    /// The file's dial at that time.
    pub file: Dial,
    /// The gate's `version` at that time.
    pub version: Box<str>,
}

/// A route's dial in force, and what holds its gate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    pub dial: Dial,
    pub by: By,
    /// The last entry; 0 before the first.
    pub seq: u64,
    /// After a roll-back nothing but a person, the file or a new version lets the gate advance again.
    pub latched: bool,
    pub pause: Pause,
    /// A person lets the route into the stage behind this dial.
    pub approved: bool,
}

impl Standing {
    /// Before the first entry.
    #[must_use]
    pub const fn of_file(file: Dial) -> Self {
        Self { dial: file, by: By::File, seq: 0, latched: false, pause: Pause::No, approved: false }
    }

    /// After one more entry.
    pub fn take(&mut self, turn: &DialTurn) {
        self.seq = turn.seq;
        if matches!(turn.action, Action::File | Action::Advance | Action::RollBack | Action::Promote) {
            self.by = turn.by;
        }
        match turn.action {
            // Forgetting comparisons says nothing of the service: a roll-back stays latched.
            Action::Reset if turn.by == By::Person => {}
            // The person let it into the stage behind this one, and it is not there yet.
            Action::Advance if turn.to.stage == self.dial.stage => self.latched = false,
            Action::File | Action::Advance | Action::Promote | Action::Reset => {
                self.latched = false;
                self.approved = false;
            }
            Action::RollBack => {
                self.latched = true;
                self.approved = false;
            }
            Action::Pause { all } => self.pause = Pause::read(true, all),
            Action::Resume => self.pause = Pause::No,
            Action::Approve => self.approved = true,
            Action::Agrees | Action::Fault | Action::Rule => {}
        }
        self.dial = turn.to;
    }

    /// A person wants no such move of the gate.
    #[must_use]
    pub const fn holds(&self, action: Action) -> bool {
        match action {
            Action::Advance => self.pause.is_on(),
            Action::RollBack => self.pause.is_all(),
            _ => false,
        }
    }
}

/// Where the last entry left a route, and what it rested on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Left {
    pub standing: Standing,
    /// The file's dial then.
    pub file: Dial,
    /// The gate's `version` then.
    pub version: Box<str>,
}

impl Left {
    /// The standing under the file of now: what was left, as long as the file says what it said; else the file's own dial. A pause outlives
    /// a changed file; a new version unlatches.
    #[must_use]
    pub fn under(&self, file: Dial, version: &str) -> Standing {
        let left = &self.standing;
        if self.file != file {
            return Standing { seq: left.seq, pause: left.pause, ..Standing::of_file(file) };
        }
        let same = *self.version == *version;
        Standing { latched: left.latched && same, approved: left.approved && same, ..left.clone() }
    }
}

/// The dial in force after these entries. Order is that of `seq`, whatever the order of `turns`; no clock takes part.
#[must_use]
pub fn in_force(turns: &[DialTurn], file: Dial, version: &str) -> Standing {
    let mut turns: Vec<&DialTurn> = turns.iter().collect();
    turns.sort_by_key(|turn| turn.seq);
    let mut standing = Standing::of_file(file);
    for turn in &turns {
        standing.take(turn);
    }
    let Some(last) = turns.last() else { return standing };
    Left { standing, file: last.file, version: last.version.clone() }.under(file, version)
}

/// Why there is no such move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoMove {
    /// The route is at the end of the way.
    Last,
    /// It is at the beginning.
    First,
    /// A split has no direction.
    Split,
    /// A weight belongs to `canary` alone.
    WeightWithoutCanary,
    /// A canary needs a weight above 0 %.
    NobodyPromoted,
    /// It stands there already.
    Same,
    /// `promote` does not go down, `rollback` does not go up.
    Direction,
}

impl NoMove {
    /// Said to a person.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Last => "the route is retired: there is no stage after it",
            Self::First => "the route is at the monolith: there is nothing to roll back",
            Self::Split => "a split has no direction; change its variants in the file",
            Self::WeightWithoutCanary => "only a canary has a weight",
            Self::NobodyPromoted => "a promotion to 0 % gives the service nobody; use rollback",
            Self::Same => "the route stands there already",
            Self::Direction => "that is the other direction: promote goes up, rollback goes down",
        }
    }
}

/// A person's wish: one step, or a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Wish {
    pub stage: Option<Stage>,
    pub weight: Option<Percent>,
}

/// Every place of the way from the monolith to the service, in its order.
fn rungs(gate: &Gate, gated: bool) -> Vec<Dial> {
    let mut weights: Vec<Percent> =
        if gated { (0..gate.steps.len()).map(|step| gate.weight_of(step)).collect() } else { gate.steps.clone() };
    if gated && gate.steps.last() == Some(&Percent::EVERYBODY) {
        // The step of 100 % first leaves a share to compare with.
        weights.push(Percent::EVERYBODY);
    }
    let whole = |stage| Dial { stage, weight: whole_weight(stage) };
    let canary = weights.into_iter().map(|weight| Dial { stage: Stage::Canary, weight });
    [whole(Stage::Monolith), whole(Stage::Shadow)]
        .into_iter()
        .chain(canary)
        .chain([whole(Stage::Migrated), whole(Stage::Retired)])
        .collect()
}

const fn whole_weight(stage: Stage) -> Percent {
    if stage.is_moved() { Percent::EVERYBODY } else { Percent::NOBODY }
}

/// How far a dial is on the way.
fn rank(dial: Dial) -> (u8, Percent) {
    let stage = match dial.stage {
        Stage::Monolith => 0,
        Stage::Shadow => 1,
        Stage::Canary | Stage::Split => 2,
        Stage::Migrated => 3,
        Stage::Retired => 4,
    };
    (stage, dial.own_weight().unwrap_or(Percent::NOBODY))
}

/// Where `promote` leads: one step, or where the wish says.
pub fn promoted(from: Dial, wish: Wish, gate: &Gate, gated: bool) -> Result<Dial, NoMove> {
    if from.stage == Stage::Split || wish.stage == Some(Stage::Split) {
        return Err(NoMove::Split);
    }
    let rungs = rungs(gate, gated);
    let next = || rungs.iter().copied().find(|rung| rank(*rung) > rank(from)).ok_or(NoMove::Last);
    let to = match placed(from, wish)? {
        None => next()?,
        Some(Dial { stage: Stage::Canary, weight: Percent::NOBODY }) if wish.weight.is_none() => {
            // Into the canary without a weight: its first step above where the route stands.
            let first = |rung: &&Dial| rung.stage == Stage::Canary && rank(**rung) > rank(from);
            *rungs.iter().find(first).ok_or(NoMove::Same)?
        }
        Some(place) => place,
    };
    if to.stage == Stage::Canary && to.weight == Percent::NOBODY {
        return Err(NoMove::NobodyPromoted);
    }
    match rank(to).cmp(&rank(from)) {
        std::cmp::Ordering::Greater => Ok(to),
        std::cmp::Ordering::Equal => Err(NoMove::Same),
        std::cmp::Ordering::Less => Err(NoMove::Direction),
    }
}

/// Where `rollback` leads: one step back, or where the wish says.
pub fn rolled_back(from: Dial, wish: Wish, gate: &Gate, gated: bool) -> Result<Dial, NoMove> {
    if from.stage == Stage::Split || wish.stage == Some(Stage::Split) {
        return Err(NoMove::Split);
    }
    let to = match placed(from, wish)? {
        None => {
            let rungs = rungs(gate, gated);
            rungs.iter().rev().copied().find(|rung| rank(*rung) < rank(from)).ok_or(NoMove::First)?
        }
        // Back into the canary without a weight: its copies and its breaker, and no clients.
        Some(place) => place,
    };
    match rank(to).cmp(&rank(from)) {
        std::cmp::Ordering::Less => Ok(to),
        std::cmp::Ordering::Equal => Err(NoMove::Same),
        std::cmp::Ordering::Greater => Err(NoMove::Direction),
    }
}

fn placed(from: Dial, wish: Wish) -> Result<Option<Dial>, NoMove> {
    let stage = wish.stage.unwrap_or(if wish.weight.is_some() { Stage::Canary } else { from.stage });
    match (wish.stage, wish.weight) {
        (None, None) => Ok(None),
        (_, Some(_)) if stage != Stage::Canary => Err(NoMove::WeightWithoutCanary),
        (_, Some(weight)) => Ok(Some(Dial { stage: Stage::Canary, weight })),
        (Some(stage), None) => Ok(Some(Dial { stage, weight: whole_weight(stage) })),
    }
}
