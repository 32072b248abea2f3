//! Counts by field, for a bounded number of fields.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::Millis;
use super::difference::{Difference, Example, Kind, OTHER};
use super::masks::Masks;
use super::path::{FieldPath, FieldSegment};
use super::place::MAX_KEYS;
use super::statuses::KeptRequest;
use super::token::Hunk;
use super::window::Window;

/// Fields with a name of their own; the rest share `other`.
pub const MAX_FIELDS: usize = 100;

/// Examples of one field.
const MAX_EXAMPLES: usize = 5;

/// Of these, the first ones, which stay; the others are the newest.
const FIRST_EXAMPLES: usize = 2;

/// When there is no room left, fewer sibling keys are enough to be taken for data.
const MAX_KEYS_WHEN_FULL: usize = 16;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptExample {
    pub example: Example,
    /// The part that it shows.
    #[serde(default)]
    pub(super) part: Option<Hunk>,
    pub at: Millis,
    pub asked: Option<KeptRequest>,
    /// Of both sides.
    pub statuses: Option<[u16; 2]>,
}

/// The counts and examples of one field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    pub field: String,
    pub kinds: BTreeSet<Kind>,
    /// Comparisons in which it differed.
    pub raw: u64,
    /// Of these, judged ones in which it differed in a part that is not masked.
    pub open: u64,
    /// Replays in which the monolith disagreed with itself.
    pub noise: u64,
    pub first: Millis,
    pub last: Millis,
    pub examples: Vec<KeptExample>,
    pub(super) masks: Masks,
    /// `raw`, `open` and `noise` over time.
    pub(super) window: Window,
}

/// The tallies of a route. A tally's place is its id until `place` says otherwise.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Tallies {
    list: Vec<Tally>,
    /// Objects found to have data for keys, because too many different keys were seen in them.
    data: BTreeSet<String>,
}

impl Tally {
    /// The examples to show: of a field that varies by itself in some parts, the examples of the other parts. Where there are
    /// none, all of them.
    pub(super) fn shown(&self) -> impl DoubleEndedIterator<Item = &KeptExample> {
        let all = self.examples.iter().all(|kept| self.is_noise(kept));
        self.examples.iter().filter(move |kept| all || !self.is_noise(kept))
    }

    fn is_noise(&self, kept: &KeptExample) -> bool {
        kept.part.is_some_and(|part| self.masks.cover(&[part]))
    }

    /// Adds the newest one. Noise makes room first, and displaces only noise. Where the same
    /// values come again, their first request stays and of the others the newest.
    fn keep(&mut self, newest: KeptExample) {
        if self.examples.len() >= MAX_EXAMPLES {
            if let Some(noise) = self.examples.iter().position(|kept| self.is_noise(kept)) {
                self.examples.remove(noise);
            } else if self.is_noise(&newest) {
                return;
            }
        }
        let examples = &mut self.examples;
        let same = |at: usize| examples.get(at).is_some_and(|known| known.example == newest.example);
        let twice = matches!(examples.as_slice(), [first, second, ..] if first.example == second.example);
        let known = (1..examples.len()).rev().find(|at| same(*at));
        match known {
            Some(at) if at >= FIRST_EXAMPLES || examples.len() == FIRST_EXAMPLES => drop(examples.remove(at)),
            // The first ones are to differ.
            _ if twice => drop(examples.remove(1)),
            _ if examples.len() >= MAX_EXAMPLES => drop(examples.remove(FIRST_EXAMPLES)),
            _ => {}
        }
        examples.push(newest);
    }
}

/// When a difference was seen, and in what.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen<'a> {
    pub(super) now: Millis,
    pub(super) asked: Option<&'a KeptRequest>,
    pub(super) statuses: Option<[u16; 2]>,
}

impl Tallies {
    pub(super) fn list(&self) -> &[Tally] {
        &self.list
    }

    pub(super) fn get(&self, id: u16) -> Option<&Tally> {
        self.list.get(usize::from(id))
    }

    fn find(&self, field: &str) -> Option<u16> {
        self.list.iter().position(|tally| tally.field == field).and_then(|at| u16::try_from(at).ok())
    }

    /// The id under which a field is counted, if it has one.
    pub(super) fn id(&self, field: &str) -> Option<u16> {
        self.find(&self.known_as(field)).or_else(|| self.find(OTHER))
    }

    /// The tally in which a field is counted, if there is one.
    pub(super) fn of(&self, field: &str) -> Option<&Tally> {
        self.get(self.id(field)?)
    }

    /// Makes sure that a field is counted somewhere. Ids may move if that takes merging others.
    pub(super) fn place(&mut self, field: &str, now: Millis) {
        let mut name = self.known_as(field);
        if self.find(&name).is_some() {
            return;
        }
        let limit = if self.list.len() < MAX_FIELDS { MAX_KEYS } else { MAX_KEYS_WHEN_FULL };
        if let Some(object) = self.object_with_data(&name, limit) {
            self.data.insert(object);
            self.merge();
        }
        name = self.known_as(&name);
        if self.find(&name).is_none() {
            if self.list.len() >= MAX_FIELDS {
                OTHER.clone_into(&mut name);
            }
            if self.find(&name).is_none() {
                self.list.push(Tally {
                    field: name,
                    kinds: BTreeSet::new(),
                    raw: 0,
                    open: 0,
                    noise: 0,
                    first: now,
                    last: now,
                    examples: Vec::new(),
                    masks: Masks::default(),
                    window: Window::default(),
                });
            }
        }
    }

    /// Counts a difference of one comparison; `first` unless the field was counted for it already.
    pub(super) fn count_raw(&mut self, id: u16, difference: &Difference, seen: &Seen<'_>, first: bool) {
        let Some(tally) = self.list.get_mut(usize::from(id)) else { return };
        tally.kinds.insert(difference.kind);
        tally.last = tally.last.max(seen.now);
        if first {
            tally.raw = tally.raw.saturating_add(1);
            tally.window.add([1, 0, 0], seen.now);
        }
        // A part that is known to be noise shows no fault.
        let Some((part, example)) = difference.example(|part| !tally.masks.cover(std::slice::from_ref(part))) else {
            return;
        };
        let kept = KeptExample {
            example: example.clone(),
            part: Some(*part),
            at: seen.now,
            asked: seen.asked.cloned(),
            statuses: seen.statuses,
        };
        tally.keep(kept);
    }

    /// A difference that no mask covers, in a comparison that was made at this time.
    pub(super) fn count_open(&mut self, id: u16, at: Millis) {
        if let Some(tally) = self.list.get_mut(usize::from(id)) {
            tally.open = tally.open.saturating_add(1);
            tally.window.add([0, 1, 0], at);
        }
    }

    /// A field in which a side disagreed with itself.
    pub(super) fn count_noise(&mut self, id: u16, difference: &Difference, first: bool, now: Millis) {
        let Some(tally) = self.list.get_mut(usize::from(id)) else { return };
        tally.masks.learn(&difference.hunks, difference.rest);
        if first {
            tally.noise = tally.noise.saturating_add(1);
            tally.window.add([0, 0, 1], now);
        }
    }

    /// The field's name with `*` for the keys of objects that hold data.
    fn known_as(&self, field: &str) -> String {
        if self.data.is_empty() {
            return field.to_owned();
        }
        let Ok(FieldPath::Json(mut segments)) = FieldPath::parse(field) else { return field.to_owned() };
        for index in 0..segments.len() {
            let object = FieldPath::Json(segments.iter().take(index).cloned().collect()).to_string();
            if let Some(segment @ FieldSegment::Key(_)) = segments.get_mut(index)
                && self.data.contains(&object)
            {
                *segment = FieldSegment::AnyKey;
            }
        }
        FieldPath::Json(segments).to_string()
    }

    /// The outermost object on the way to a field in which more than `limit` keys were seen.
    fn object_with_data(&self, field: &str, limit: usize) -> Option<String> {
        let segments = |field: &str| match FieldPath::parse(field) {
            Ok(FieldPath::Json(segments)) => segments,
            _ => Vec::new(),
        };
        let new = segments(field);
        let known = self.list.iter().map(|tally| segments(&tally.field)).collect::<Vec<_>>();
        (0..new.len()).find_map(|depth| {
            let (above, key) = (new.get(..depth)?, new.get(depth)?);
            let siblings = known.iter().filter(|other| other.get(..depth) == Some(above));
            let keys = siblings.filter_map(|other| match other.get(depth) {
                Some(FieldSegment::Key(key)) => Some(key.as_ref()),
                _ => None,
            });
            let keys = keys.collect::<BTreeSet<_>>();
            let more = matches!(key, FieldSegment::Key(key) if !keys.contains(key.as_ref()));
            (more && keys.len() >= limit).then(|| FieldPath::Json(above.to_vec()).to_string())
        })
    }

    /// Joins the tallies that now share a name. A sum may count one comparison several times; readers cap it.
    fn merge(&mut self) {
        let mut merged: Vec<Tally> = Vec::new();
        for mut tally in std::mem::take(&mut self.list) {
            tally.field = self.known_as(&tally.field);
            let at = merged.iter().position(|known| known.field == tally.field);
            match at.and_then(|at| merged.get_mut(at)) {
                Some(known) => {
                    known.kinds.extend(tally.kinds);
                    known.raw = known.raw.saturating_add(tally.raw);
                    known.open = known.open.saturating_add(tally.open);
                    known.masks.merge(tally.masks);
                    known.window.merge(&tally.window);
                    known.noise = known.noise.saturating_add(tally.noise);
                    known.first = known.first.min(tally.first);
                    known.last = known.last.max(tally.last);
                    known.examples.extend(tally.examples);
                    known.examples.sort_by_key(|kept| kept.at);
                    while known.examples.len() > MAX_EXAMPLES {
                        known.examples.remove(FIRST_EXAMPLES);
                    }
                }
                None => merged.push(tally),
            }
        }
        self.list = merged;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_beyond_the_bound_share_a_name() {
        let mut tallies = Tallies::default();
        for index in 0..300 {
            tallies.place(&format!("header:x-{index}"), 1);
        }
        assert_eq!(tallies.list().len(), MAX_FIELDS + 1);
        assert_eq!(tallies.id("header:x-299"), tallies.id(OTHER));
        assert_eq!(tallies.id("header:x-7"), Some(7));
    }

    #[test]
    fn keys_that_keep_coming_are_data() {
        let mut tallies = Tallies::default();
        tallies.place("$.total", 1);
        for a in 'a'..='z' {
            for b in ["x", "y"] {
                let field = format!("$.users.{a}{b}.name");
                tallies.place(&field, 1);
                let id = tallies.id(&field).expect("placed");
                let kind = Kind::Value;
                let found = Difference { field, kind, hunks: Vec::new(), rest: false, examples: Vec::new() };
                tallies.count_noise(id, &found, true, 1);
            }
        }
        let names = tallies.list().iter().map(|tally| (tally.field.as_str(), tally.noise)).collect::<Vec<_>>();
        assert_eq!(names, [("$.total", 0), ("$.users.*.name", 52)]);
        assert_eq!(tallies.id("$.users.zoe.name"), Some(1));
    }
}
