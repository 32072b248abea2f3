//! Precedence: between a file and the dial in force, between moves made here alone and those of the other replicas. Pure.

use std::time::Duration;

use super::record::{DialRecord, DialText};
use crate::migration::dial::Action;
use crate::migration::{Dial, Percent, Stage};

/// A roll-back goes on being written against others' moves for this long.
pub const ROLL_BACK_HOLDS: Duration = Duration::from_secs(10);

/// The settings of a route in a replica's file, and the ones before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileSays<'a> {
    pub dial: Dial,
    /// `None`: what it said before is not known.
    pub before: Option<Dial>,
    /// Of everything else that is said of the route.
    pub subject: &'a str,
    pub subject_changed: bool,
}

/// The effect of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileMove {
    /// The dial in force is obeyed.
    Nothing,
    /// No dial of the route was written yet.
    First,
    /// With what it does to the dial.
    Make(Action),
    /// A newer value replaced this one already: it is not proposed again.
    Replaced,
}

/// Of all replicas that load a file the first one moves; those that still have the text before it obey, however often they load
/// it: a roll-out of files cannot flap.
pub fn by_file(says: FileSays<'_>, record: Option<&DialRecord>) -> FileMove {
    let Some(record) = record else { return FileMove::First };
    let file = DialText::from(says.dial);
    let is_new = says.before != Some(says.dial);
    if record.file != file && is_new {
        return match record.to == file {
            true => FileMove::Make(Action::Agrees),
            false if record.was.contains(&file) => FileMove::Replaced,
            false => FileMove::Make(Action::File),
        };
    }
    let known = record.subject == says.subject || record.subjects.iter().any(|before| before == says.subject);
    if says.subject_changed && !known { FileMove::Make(Action::Reset) } else { FileMove::Nothing }
}

/// A roll-back that was made here before the fleet heard of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Unsent {
    pub record: DialRecord,
    /// The last entry of the route when it was made.
    pub base: u64,
    pub age: Duration,
}

/// The fate of an unsent roll-back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It is to be written behind the dial in force.
    Send,
    /// It is in force everywhere, or was.
    Written,
    /// Others moved the route meanwhile, and knew what they did.
    Superseded,
}

/// A local roll-back beats a dial of a lower number; while it is young it beats every other.
pub fn fate(unsent: &Unsent, in_force: Option<&DialRecord>) -> Fate {
    let Some(record) = in_force else { return Fate::Send };
    if record.nonce == unsent.record.nonce {
        Fate::Written
    } else if record.seq <= unsent.base || unsent.age < ROLL_BACK_HOLDS {
        Fate::Send
    } else {
        Fate::Superseded
    }
}

/// Whether a dial that this replica knows goes back into a cluster that has lost its history. A missing key is never a deletion.
pub fn goes_back(known: &DialRecord, there: Option<&DialRecord>) -> bool {
    there.is_none_or(|there| there.seq < known.seq)
}

/// Whether a region whose dial is this has left a step behind: it went beyond it, or no monolith answers there any more.
pub fn has_passed(dial: Dial, step: Dial) -> bool {
    let place = |dial: Dial| match dial.stage {
        Stage::Monolith | Stage::Split => None,
        Stage::Shadow => Some((0, Percent::NOBODY)),
        Stage::Canary => Some((1, dial.weight)),
        Stage::Migrated | Stage::Retired => Some((2, Percent::EVERYBODY)),
    };
    matches!(dial.stage, Stage::Migrated | Stage::Retired) || place(dial) > place(step)
}

#[cfg(test)]
mod tests {
    use super::super::record::LAYOUT;
    use super::*;

    fn canary(hundredths: u16) -> Dial {
        Dial { stage: Stage::Canary, weight: Percent::from_hundredths(hundredths).expect("at most 100 %") }
    }

    fn record(seq: u64, to: Dial, file: Dial) -> DialRecord {
        DialRecord {
            v: LAYOUT,
            to: to.into(),
            seq,
            by: "file".to_owned(),
            dial_by: String::new(),
            who: String::new(),
            term: 0,
            file: file.into(),
            version: String::new(),
            latched: false,
            paused: false,
            paused_all: false,
            approved: false,
            at: String::new(),
            action: "file".to_owned(),
            from: to.into(),
            reason: String::new(),
            generation: 1,
            verdict: None,
            was: Vec::new(),
            subject: "s1".to_owned(),
            subjects: Vec::new(),
            nonce: format!("n{seq}"),
            more: serde_json::Map::new(),
        }
    }

    fn says(dial: Dial, before: Option<Dial>) -> FileSays<'static> {
        FileSays { dial, before, subject: "s1", subject_changed: false }
    }

    #[test]
    fn the_first_replica_with_a_new_file_moves_and_the_others_find_it_done() {
        let (old, new) = (canary(100), canary(500));
        let mut dial = record(1, old, old);
        assert_eq!(by_file(says(new, Some(old)), Some(&dial)), FileMove::Make(Action::File));
        dial.put_file(new);
        dial.to = new.into();
        assert_eq!(by_file(says(new, Some(old)), Some(&dial)), FileMove::Nothing);
        // Restarted with the old text, with a memory and without one.
        assert_eq!(by_file(says(old, Some(old)), Some(&dial)), FileMove::Nothing);
        assert_eq!(by_file(says(old, None), Some(&dial)), FileMove::Replaced);
    }

    #[test]
    fn a_file_that_says_what_is_in_force_agrees() {
        let mut dial = record(2, canary(2500), canary(100));
        assert_eq!(by_file(says(canary(2500), Some(canary(100))), Some(&dial)), FileMove::Make(Action::Agrees));
        dial.put_file(canary(500));
        dial.to = canary(100).into();
        // `rollback --write` to a value of the past.
        assert_eq!(by_file(says(canary(100), Some(canary(500))), Some(&dial)), FileMove::Make(Action::Agrees));
        assert_eq!(by_file(says(canary(100), None), None), FileMove::First);
    }

    #[test]
    fn a_route_that_is_changed_beside_its_dial_begins_anew_once() {
        let mut dial = record(1, canary(100), canary(100));
        let changed = FileSays { subject: "s2", subject_changed: true, ..says(canary(100), Some(canary(100))) };
        assert_eq!(by_file(changed, Some(&dial)), FileMove::Make(Action::Reset));
        dial.put_subject("s2");
        assert_eq!(by_file(changed, Some(&dial)), FileMove::Nothing);
        let back = FileSays { subject: "s1", ..changed };
        assert_eq!(by_file(back, Some(&dial)), FileMove::Nothing, "the old text comes back with a restart");
    }

    /// All orders in which three replicas load three texts one after another, with restarts that forget what was: the dial never
    /// comes back to a value that it had left.
    #[test]
    fn a_roll_out_of_files_cannot_flap() {
        let texts = [canary(100), canary(500), canary(900)];
        for plan in 0..6_usize.pow(6) {
            let mut dial = record(0, texts[0], texts[0]);
            let mut replicas = [(0, Some(0)); 3];
            let mut seen = vec![texts[0]];
            let mut plan = plan;
            for _ in 0..6 {
                let (replica, forgets) = (plan % 3, plan % 6 >= 3);
                plan /= 6;
                let (text, known): &mut (usize, Option<usize>) = &mut replicas[replica];
                if forgets {
                    *known = None;
                } else {
                    *known = Some(*text);
                    *text = (*text + 1).min(2);
                }
                let before = known.map(|known| texts[known]);
                match by_file(says(texts[*text], before), Some(&dial)) {
                    FileMove::Make(Action::File) => {
                        assert!(!seen.contains(&texts[*text]), "it came back to {:?}", texts[*text]);
                        seen.push(texts[*text]);
                        dial.put_file(texts[*text]);
                        dial.to = texts[*text].into();
                    }
                    FileMove::Make(Action::Agrees) => dial.put_file(texts[*text]),
                    _ => {}
                }
            }
        }
    }

    #[test]
    fn a_local_roll_back_beats_a_lower_number_and_while_it_is_young_every_other() {
        let mut own = record(4, canary(0), canary(100));
        own.nonce = "mine".to_owned();
        let young = Unsent { record: own.clone(), base: 3, age: Duration::from_secs(1) };
        let old = Unsent { age: Duration::from_secs(60), ..young.clone() };
        let table = [
            (&young, None, Fate::Send),
            (&old, Some(record(3, canary(500), canary(100))), Fate::Send),
            (&old, Some(record(4, canary(500), canary(100))), Fate::Superseded),
            (&young, Some(record(4, canary(500), canary(100))), Fate::Send),
            (&old, Some(own.clone()), Fate::Written),
        ];
        for (unsent, there, expected) in table {
            assert_eq!(fate(unsent, there.as_ref()), expected, "{there:?}");
        }
    }

    #[test]
    fn a_dial_goes_back_into_a_cluster_that_forgot_it() {
        let known = record(4, canary(500), canary(100));
        assert!(goes_back(&known, None));
        assert!(goes_back(&known, Some(&record(3, canary(100), canary(100)))));
        assert!(!goes_back(&known, Some(&record(4, canary(900), canary(100)))));
    }

    #[test]
    fn a_region_has_passed_a_step_that_it_went_beyond() {
        let whole = |stage| Dial { stage, weight: Percent::NOBODY };
        let table = [
            (canary(500), canary(100), true),
            (canary(500), canary(500), false),
            (canary(0), canary(100), false),
            (whole(Stage::Shadow), canary(100), false),
            (canary(100), whole(Stage::Shadow), true),
            (whole(Stage::Monolith), canary(100), false),
            (canary(10_000), Dial { stage: Stage::Migrated, weight: Percent::EVERYBODY }, false),
            (whole(Stage::Migrated), Dial { stage: Stage::Migrated, weight: Percent::EVERYBODY }, true),
            (whole(Stage::Retired), canary(10_000), true),
        ];
        for (dial, step, expected) in table {
            assert_eq!(has_passed(dial, step), expected, "{dial:?} and {step:?}");
        }
    }
}
