//! Precedence of file, person and gate, and where moves lead.

use proptest::prelude::*;

use crate::migration::dial::{Action, By, DialTurn, NoMove, Standing, Wish, in_force, promoted, rolled_back};
use crate::migration::gate::{Gate, Pause};
use crate::migration::{Dial, Percent, Stage};

fn canary(hundredths: u16) -> Dial {
    Dial { stage: Stage::Canary, weight: Percent::from_hundredths(hundredths).expect("at most 100 %") }
}

fn whole(stage: Stage) -> Dial {
    let weight = if stage >= Stage::Migrated { Percent::EVERYBODY } else { Percent::NOBODY };
    Dial { stage, weight }
}

fn turn(seq: u64, action: Action, by: By, to: Dial, file: Dial) -> DialTurn {
    DialTurn { seq, action, by, to, file, version: "v1".into() }
}

#[test]
fn without_an_entry_the_file_is_in_force() {
    assert_eq!(in_force(&[], canary(100), ""), Standing::of_file(canary(100)));
}

#[test]
fn what_a_gate_moved_stays_as_long_as_the_file_says_what_it_said() {
    let turns = [turn(1, Action::Advance, By::Gate, canary(500), canary(100))];
    assert_eq!(in_force(&turns, canary(100), "v1").dial, canary(500));
    assert_eq!(in_force(&turns, canary(100), "v1").by, By::Gate);
    assert_eq!(in_force(&turns, canary(2500), "v1").dial, canary(2500), "a changed file is a change");
}

#[test]
fn a_roll_back_latches_until_a_person_the_file_or_a_new_version() {
    let file = canary(100);
    let mut turns = vec![turn(1, Action::RollBack, By::Gate, canary(0), file)];
    assert!(in_force(&turns, file, "v1").latched);
    assert!(!in_force(&turns, file, "v2").latched, "a new version");
    assert!(!in_force(&turns, canary(200), "v1").latched, "another file");
    turns.push(turn(2, Action::Reset, By::Person, canary(0), file));
    assert!(in_force(&turns, file, "v1").latched, "who forgets comparisons says nothing of the service");
    turns.push(turn(3, Action::Promote, By::Person, canary(100), file));
    assert!(!in_force(&turns, file, "v1").latched, "a person");
}

#[test]
fn a_pause_outlives_a_changed_file_and_ends_with_resume() {
    let file = canary(100);
    let mut turns = vec![turn(1, Action::Pause { all: false }, By::Person, file, file)];
    let pause = |turns: &[DialTurn], file| in_force(turns, file, "v1").pause;
    assert_eq!((pause(&turns, file), pause(&turns, canary(500))), (Pause::Advances, Pause::Advances));
    // The last word is in force.
    turns.push(turn(2, Action::Pause { all: true }, By::Person, file, file));
    assert_eq!((pause(&turns, file), pause(&turns, canary(500))), (Pause::All, Pause::All));
    let standing = in_force(&turns, file, "v1");
    assert!(standing.holds(Action::Advance) && standing.holds(Action::RollBack) && !standing.holds(Action::Promote));
    turns.push(turn(3, Action::Resume, By::Person, file, file));
    assert_eq!(pause(&turns, file), Pause::No);
}

#[test]
fn an_approval_is_for_the_stage_behind_and_for_no_other() {
    let file = canary(500);
    let mut turns = vec![turn(1, Action::Approve, By::Person, file, file)];
    assert!(in_force(&turns, file, "v1").approved);
    turns.push(turn(2, Action::Advance, By::Gate, canary(2500), file));
    assert!(in_force(&turns, file, "v1").approved, "a step within the stage is not what was approved");
    let mut back = turns.clone();
    back.push(turn(3, Action::RollBack, By::Gate, canary(0), file));
    assert!(!in_force(&back, file, "v1").approved, "what was approved did not hold");
    turns.push(turn(3, Action::Advance, By::Gate, whole(Stage::Migrated), file));
    assert!(!in_force(&turns, file, "v1").approved);
}

#[test]
fn promote_takes_one_step_after_another_and_rollback_takes_them_back() {
    let gate = Gate::default();
    let mut way = vec![whole(Stage::Monolith)];
    while let Ok(next) = promoted(*way.last().expect("not empty"), Wish::default(), &gate, true) {
        way.push(next);
    }
    let shown: Vec<String> = way.iter().map(|dial| format!("{} {}", dial.stage, dial.weight)).collect();
    assert_eq!(
        shown,
        [
            "monolith 0%",
            "shadow 0%",
            "canary 1%",
            "canary 5%",
            "canary 25%",
            "canary 50%",
            "canary 99%",
            "canary 100%",
            "migrated 100%",
            "retired 100%"
        ]
    );
    let mut back = vec![*way.last().expect("not empty")];
    while let Ok(before) = rolled_back(*back.last().expect("not empty"), Wish::default(), &gate, true) {
        back.push(before);
    }
    back.reverse();
    assert_eq!(back, way);
}

#[test]
fn a_wish_names_a_place_and_a_direction() {
    let gate = Gate::default();
    let to = |stage, weight: Option<u16>| Wish { stage, weight: weight.and_then(Percent::from_hundredths) };
    let cases = [
        (canary(500), to(None, Some(2500)), Ok(canary(2500))),
        (canary(500), to(None, Some(100)), Err(NoMove::Direction)),
        (canary(500), to(None, Some(500)), Err(NoMove::Same)),
        (whole(Stage::Shadow), to(Some(Stage::Canary), None), Ok(canary(100))),
        (whole(Stage::Shadow), to(None, Some(0)), Err(NoMove::NobodyPromoted)),
        (canary(500), to(Some(Stage::Migrated), None), Ok(whole(Stage::Migrated))),
        (canary(500), to(Some(Stage::Migrated), Some(100)), Err(NoMove::WeightWithoutCanary)),
        (canary(500), to(Some(Stage::Split), None), Err(NoMove::Split)),
        (whole(Stage::Retired), to(None, None), Err(NoMove::Last)),
    ];
    for (from, wish, expected) in cases {
        assert_eq!(promoted(from, wish, &gate, true), expected, "{from:?} {wish:?}");
    }
    let cases = [
        (canary(500), to(None, Some(0)), Ok(canary(0))),
        (canary(500), to(Some(Stage::Monolith), None), Ok(whole(Stage::Monolith))),
        (whole(Stage::Migrated), to(None, Some(2500)), Ok(canary(2500))),
        (canary(500), to(None, Some(2500)), Err(NoMove::Direction)),
        (whole(Stage::Monolith), to(None, None), Err(NoMove::First)),
    ];
    for (from, wish, expected) in cases {
        assert_eq!(rolled_back(from, wish, &gate, true), expected, "{from:?} {wish:?}");
    }
}

fn any_dial() -> impl Strategy<Value = Dial> {
    prop_oneof![
        (0_u16..=10_000).prop_map(canary),
        prop::sample::select(vec![Stage::Monolith, Stage::Shadow, Stage::Migrated, Stage::Retired]).prop_map(whole),
    ]
}

fn any_turns() -> impl Strategy<Value = Vec<DialTurn>> {
    let one =
        (prop::sample::select(Action::ALL.to_vec()), prop::sample::select(By::ALL.to_vec()), any_dial(), any_dial());
    prop::collection::vec(one, 0..12).prop_map(|turns| {
        (1..).zip(turns).map(|(seq, (action, by, to, file))| turn(seq, action, by, to, file)).collect()
    })
}

proptest! {
    #[test]
    fn the_dial_is_a_function_of_the_order_of_seq_only(
        (turns, shuffled) in any_turns().prop_flat_map(|turns| (Just(turns.clone()), Just(turns).prop_shuffle())),
        file in any_dial(),
    ) {
        prop_assert_eq!(in_force(&turns, file, "v1"), in_force(&shuffled, file, "v1"));
    }

    #[test]
    fn the_dial_is_the_last_entry_s_or_the_file_s(turns in any_turns(), file in any_dial()) {
        let expected = turns.last().filter(|last| last.file == file).map_or(file, |last| last.to);
        prop_assert_eq!(in_force(&turns, file, "v1").dial, expected);
    }

    #[test]
    fn no_step_is_the_place_where_the_route_stands(from in any_dial(), gated in any::<bool>()) {
        if let Ok(up) = promoted(from, Wish::default(), &Gate::default(), gated) {
            prop_assert!(up != from);
        }
        if let Ok(down) = rolled_back(from, Wish::default(), &Gate::default(), gated) {
            prop_assert!(down != from);
        }
    }
}
