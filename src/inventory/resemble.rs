//! The second pass: a word whose subtree is that of the values beside it, or of its siblings, is a value.
//!
//! The first pass decides from the top, when the levels below are not merged yet: a busy owner's repositories look like
//! words that only this owner has. Now they are merged, and what stands below two words can be compared as templates.

use std::collections::HashMap;

use super::counts::MethodId;
use super::locale::{Locale, locale};
use super::node::{NodeId, SegmentRole};
use super::shape::{SegmentKind, is_mixed, is_version};
use super::tree::Tree;
use super::values::LONGEST_MASK;
use super::words::{is_plural, is_pronoun, is_reserved, selects};

/// The share of a word's exchanges whose templates the values have, too.
const ALIKE: f64 = 0.8;
/// Levels that are compared below a word.
const DEEP: usize = 4;
/// Templates of one subtree that are compared; more say nothing new.
const MOST_TAILS: usize = 4_096;
/// Templates that say by themselves whose they are, and their share.
const SEVERAL: usize = 3;
const NEARLY_ALL: f64 = 0.95;
const FEWEST_SIBLINGS: usize = 3;
/// Values have a template if they have it so often, as a share of how often the word has it: a resource whose first requests
/// were taken for values is none of them.
const OFTEN: f64 = 0.25;
/// Languages that are one place, and the share of exchanges whose templates another one has, too.
const FEWEST_LANGUAGES: usize = 2;
const LANGUAGES_ALIKE: f64 = 0.6;

/// Categories that are one place, and the share of what most of them have that each has.
const FEWEST_CATEGORIES: usize = 6;
const CATEGORIES_ALIKE: f64 = 0.6;
/// A word of this length with a digit or in mixed case, shaped as the values, is an id beside this many times more values.
const SHORTEST_ID: usize = 12;
const OTHER_IDS: u32 = 10;

/// A method, and the part of a template below a node.
type Tail = (MethodId, String);
/// Exchanges by method and template below a node.
type Tails = HashMap<Tail, u32>;

fn often(all: &Tails, tail: &Tail, own: u32) -> bool {
    all.get(tail).is_some_and(|count| f64::from(*count) >= OFTEN * f64::from(own))
}

/// Whether what is most of a word's exchanges is more than a rare exception below the values: there a resource may hide that was
/// taken for one.
fn likely(all: &Tails, all_count: u32, tail: &Tail, own: u32, total: u32) -> bool {
    let mostly = own * 2 >= total;
    let count = all.get(tail).copied().unwrap_or(0);
    !mostly || u64::from(count) * u64::from(total) * 10 >= u64::from(own) * u64::from(all_count)
}

/// By how many words each template is said.
fn said_by(tails: &[(NodeId, Tails)]) -> HashMap<&Tail, usize> {
    let mut said_by = HashMap::new();
    for tail in tails.iter().flat_map(|(_, own)| own.keys()) {
        *said_by.entry(tail).or_insert(0) += 1;
    }
    said_by
}

/// The exchanges of all templates, and of those that others have, too.
fn covered(own: &Tails, is_said: impl Fn(&Tail, u32) -> bool) -> (u32, u32) {
    let covered = own.iter().filter(|(tail, count)| is_said(tail, **count));
    (own.values().sum(), covered.map(|(_, count)| count).sum())
}

/// Whether most exchanges below a word have templates that others have, too, and a value follows it.
fn is_covered(own: &Tails, is_said: impl Fn(&Tail, u32) -> bool) -> bool {
    let (total, covered) = covered(own, is_said);
    let has_values = own.keys().any(|(_, tail)| tail.starts_with("/{}"));
    total > 0 && has_values && f64::from(covered) >= ALIKE * f64::from(total)
}

/// Whether several templates stand below a word, and nearly all of them below the values, too: no program has all of them
/// twice. A user may be called `history`.
fn has_only(own: &Tails, is_said: impl Fn(&Tail, u32) -> bool) -> bool {
    let (total, covered) = covered(own, is_said);
    own.len() >= SEVERAL && f64::from(covered) >= NEARLY_ALL * f64::from(total)
}

impl Tree {
    /// Merges the words that resemble values. For a display, on a copy: it is a guess that later traffic may correct.
    pub(super) fn resemble_below(&mut self, at: NodeId) {
        if self.child(at, SegmentRole::Rest, "").is_some() {
            return;
        }
        let rules =
            [Self::like_the_parameter, Self::languages, Self::like_each_other, Self::categories, Self::ids_like_others];
        for rule in rules {
            let words = rule(self, at);
            if !words.is_empty() {
                self.apply(at, &words);
            }
        }
        let children: Vec<NodeId> = self.node(at).children().collect();
        for child in children {
            self.resemble_below(child);
        }
    }

    fn candidates(&self, at: NodeId) -> Vec<NodeId> {
        let is_given = |name: &str| self.is_given_otherwise(at, name);
        let words = self.node(at).children().filter(|id| {
            let node = self.node(*id);
            node.role == SegmentRole::Word
                && !node.fixed
                && node.inner.is_some()
                && !node.name.is_empty()
                && !is_version(&node.name)
                && !selects(&node.name)
                && !is_given(&node.name)
        });
        words.collect()
    }

    /// The words that could be values, and how many of them are plurals.
    fn siblings(&self, at: NodeId) -> (Vec<NodeId>, usize) {
        let mut words = self.candidates(at);
        words.retain(|word| !is_reserved(&self.node(*word).name));
        let plural = words.iter().filter(|word| is_plural(&self.node(**word).name)).count();
        (words, plural)
    }

    /// Words beside values that are words, too, with the same endpoints below.
    fn like_the_parameter(&self, at: NodeId) -> Vec<NodeId> {
        let parameters = || self.node(at).children().filter(|id| self.node(*id).role == SegmentRole::Parameter);
        let of_words = |id: NodeId| self.node(id).values.as_ref().is_some_and(|values| values.has_words());
        if !parameters().any(of_words) {
            return Vec::new();
        }
        let words = self.candidates(at);
        if words.is_empty() {
            return Vec::new();
        }
        let mut all = Tails::new();
        for parameter in parameters() {
            self.tails(parameter, &mut String::new(), 0, &mut all);
        }
        let all_count = all.values().sum();
        let is_value = |word: &NodeId| {
            let name = &self.node(*word).name;
            let own = self.own_tails(*word);
            let total = own.values().sum();
            let is_said = |tail: &Tail, count| often(&all, tail, count) && likely(&all, all_count, tail, count, total);
            !is_reserved(name) && is_covered(&own, is_said) || !is_pronoun(name) && has_only(&own, is_said)
        };
        words.into_iter().filter(is_value).collect()
    }

    /// Words below a word that says that a value follows (`packages`, `by-name`), with the same endpoints below each.
    fn like_each_other(&self, at: NodeId) -> Vec<NodeId> {
        let parent = self.node(at);
        if parent.role != SegmentRole::Word || !(is_plural(&parent.name) || selects(&parent.name)) {
            return Vec::new();
        }
        let (words, plural) = self.siblings(at);
        // `secrets`, `variables`: collections, which all look alike.
        if words.len() < FEWEST_SIBLINGS || plural * 2 > words.len() {
            return Vec::new();
        }
        let tails = self.tails_of(&words);
        let said_by = said_by(&tails);
        let most = words.len() / 2;
        let is_common = |tail: &Tail, _| said_by.get(tail).is_some_and(|count| *count >= most);
        let alike = tails.iter().filter(|(_, own)| is_covered(own, is_common));
        let values: Vec<NodeId> = alike.map(|(word, _)| *word).collect();
        let all_alike = values.len() * 10 >= words.len() * 8 && values.len() >= FEWEST_SIBLINGS;
        if all_alike { values } else { Vec::new() }
    }

    /// Languages and regions (`/de/cart`, `/fr/cart`): one place, if the same is below several.
    fn languages(&self, at: NodeId) -> Vec<NodeId> {
        let mut words = self.candidates_with_leaves(at);
        words.retain(|word| locale(&self.node(*word).name).is_some());
        let sure = words.iter().filter(|word| locale(&self.node(**word).name) == Some(Locale::Sure)).count();
        if sure < FEWEST_LANGUAGES {
            return Vec::new();
        }
        let tails = self.tails_of(&words);
        let said_by = said_by(&tails);
        let is_alike = |own: &Tails| {
            let (total, common) = covered(own, |tail, _| said_by[tail] > 1);
            total > 0 && f64::from(common) >= LANGUAGES_ALIKE * f64::from(total)
        };
        let words: Vec<NodeId> = tails.iter().filter(|(_, own)| is_alike(own)).map(|(word, _)| *word).collect();
        if words.len() < FEWEST_LANGUAGES { Vec::new() } else { words }
    }

    /// Categories of titles (`/news/sport/a-title-of-words`): words that are no plural, with the same below each, where titles
    /// follow and nothing but a title's page is asked for.
    fn categories(&self, at: NodeId) -> Vec<NodeId> {
        let (words, plural) = self.siblings(at);
        if words.len() < FEWEST_CATEGORIES || plural * 3 > words.len() {
            return Vec::new();
        }
        let tails = self.tails_of(&words);
        let said_by = said_by(&tails);
        let common = said_by.iter().filter(|(_, count)| **count * 2 >= tails.len());
        let common: Vec<&Tail> = common.map(|(tail, _)| *tail).collect();
        let is_alike = |own: &Tails| {
            let has = common.iter().filter(|tail| own.contains_key(**tail)).count();
            let total: u32 = own.values().sum();
            let covered: u32 = common.iter().filter_map(|tail| own.get(*tail)).sum();
            has as f64 >= CATEGORIES_ALIKE * common.len() as f64 && f64::from(covered) >= ALIKE * f64::from(total)
        };
        let reads = |own: &Tails| own.keys().all(|(method, tail)| method.is_safe() || !matches!(&**tail, "" | "/{}"));
        let values: Vec<NodeId> = tails
            .iter()
            .filter(|(word, own)| is_alike(own) && reads(own) && self.has_titles(*word))
            .map(|(word, _)| *word)
            .collect();
        let most = values.len() >= FEWEST_CATEGORIES && values.len() as f64 >= CATEGORIES_ALIKE * tails.len() as f64;
        if most { values } else { Vec::new() }
    }

    /// Whether the values that follow are titles: words with hyphens.
    fn has_titles(&self, at: NodeId) -> bool {
        self.node(at).children().any(|id| {
            let node = self.node(id);
            let is_title = |mask: &str| mask.matches('-').count() >= 2;
            let values = node.values.as_ref().filter(|_| node.role == SegmentRole::Parameter);
            values.is_some_and(|values| values.masks.iter().any(|mask| is_title(mask)) && values.has_words())
        })
    }

    /// Texts without meaning that the first look did not know, beside many ids of their length.
    fn ids_like_others(&self, at: NodeId) -> Vec<NodeId> {
        let parameter = self.child(at, SegmentRole::Parameter, "").map(|id| self.node(id));
        let Some(values) = parameter.and_then(|node| node.values.as_ref()) else { return Vec::new() };
        let words = self.candidates_with_leaves(at);
        let is_id = |id: &NodeId| {
            let node = self.node(*id);
            let bytes = node.name.as_bytes();
            bytes.len() >= SHORTEST_ID
                && (is_mixed(bytes) || bytes.iter().any(u8::is_ascii_digit))
                && values.masks.iter().any(|mask| mask.len() == bytes.len().min(LONGEST_MASK))
                && values.by_kind[SegmentKind::Other as usize] / OTHER_IDS > node.seen
        };
        words.into_iter().filter(is_id).collect()
    }

    fn candidates_with_leaves(&self, at: NodeId) -> Vec<NodeId> {
        let words = self.node(at).children().filter(|id| {
            let node = self.node(*id);
            node.role == SegmentRole::Word && !node.fixed
        });
        words.collect()
    }

    /// The templates below a word, with their exchanges.
    fn own_tails(&self, word: NodeId) -> Tails {
        let mut own = Tails::new();
        self.tails(word, &mut String::new(), 0, &mut own);
        own
    }

    fn tails_of(&self, words: &[NodeId]) -> Vec<(NodeId, Tails)> {
        words.iter().map(|word| (*word, self.own_tails(*word))).collect()
    }

    fn tails(&self, at: NodeId, path: &mut String, depth: usize, found: &mut Tails) {
        let node = self.node(at);
        let length = path.len();
        if depth > 0 {
            path.push('/');
            match node.role {
                SegmentRole::Word => path.push_str(&node.name),
                SegmentRole::Parameter => {
                    path.push_str("{}");
                    path.push_str(&node.name);
                }
                SegmentRole::Rest => path.push_str("{*}"),
            }
        }
        for count in node.counts.iter().filter(|count| count.answered > 0) {
            if found.len() < MOST_TAILS || found.contains_key(&(count.method, path.clone())) {
                *found.entry((count.method, path.clone())).or_insert(0) += count.answered;
            }
        }
        if depth < DEEP {
            for child in node.children() {
                self.tails(child, path, depth + 1, found);
            }
        }
        path.truncate(length);
    }
}
