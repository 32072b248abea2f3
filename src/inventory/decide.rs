//! Decides which words below a node are values of one parameter.

use std::collections::{HashMap, HashSet};

use super::node::{Clients, Node, NodeId, SegmentRole};
use super::shape::{is_code, is_version, slug_likeness};
use super::tree::Tree;
use super::words::{is_file, is_of_calendar, is_page, is_plural, is_reserved, selects};

/// How sure a decision has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strictness {
    /// Merges for good: only with many exchanges and a clear sum.
    Sure,
    /// Shown now, undone by nothing: whatever is more likely.
    Display,
    /// There is no place for another word.
    Forced,
}

const SURE_EXCHANGES: u32 = 300;
const SURE_SUM: f64 = 1.5;
/// A word has to stand out by this factor of the median to stay a literal among values.
const STANDS_OUT: u32 = 3;
const STANDS_OUT_BY_METHOD: u32 = 5;
/// Exchanges below which a word's own next words or methods say nothing.
const ENOUGH: u32 = 20;
/// The same at the root, where there is no room to wait for more.
const ENOUGH_AT_ONCE: u32 = 6;
/// The same for a word with `SEVERAL_NEXT` next words among words of which nearly all say the same.
const ENOUGH_AMONG_ALIKE: u32 = 8;
const SEVERAL_NEXT: usize = 5;
const ALL_ALIKE: f64 = 0.6;
/// Words of one format that are none of the values beside them, which are more than ten times as many.
const FEW_FORMATS: u32 = 12;
/// From this many words on, of which every third has two hyphens, they are titles; and the evidence that this gives.
const MANY_TITLES: u32 = 16;
const TITLES: f64 = 2.0;
/// The share of exchanges that codes have where all are codes, and what that says.
const ALL_CODES: f64 = 0.9;
const CODES: f64 = 6.0;
/// The remaining words must have this share of the node's exchanges to be the purpose of the place.
const PURPOSE: f64 = 0.05;

/// A word that could be a value.
struct Candidate<'a> {
    id: NodeId,
    node: &'a Node,
    slug: f64,
    /// `php`, where it is a file or a page among names.
    format: &'a str,
    /// The segments after it, without reserved words.
    next: HashSet<&'a str>,
    /// Exchanges that end behind the next segment.
    deep: u32,
    at_root: bool,
}

impl Candidate<'_> {
    /// At the root, where resources stand.
    fn is_collection(&self) -> bool {
        self.at_root && self.node.seen >= 8 && u64::from(self.deep) * 2 > u64::from(self.node.seen)
    }
}

/// The words below the node that are values; none if it is no place of values.
pub fn decide(tree: &Tree, at: NodeId, depth: usize, strictness: Strictness) -> Vec<NodeId> {
    let candidates = candidates(tree, at, depth);
    if candidates.is_empty() {
        return Vec::new();
    }
    let facts = Facts::of(tree, at, &candidates);
    let mut sum = facts.sum(tree.node(at), depth);
    match strictness {
        Strictness::Forced => sum = sum.max(1.0),
        Strictness::Sure if facts.exchanges < SURE_EXCHANGES => return Vec::new(),
        Strictness::Sure if sum.abs() < SURE_SUM => sum = 0.0,
        _ => {}
    }
    // Where a parameter is given whose values are words, words are its values, however they look: all but those that stand out.
    let is_of_given = |word: &NodeId| tree.takes_words(at, tree.split(at, *word).1);
    let of_given: Vec<NodeId> = candidates.iter().map(|word| word.id).filter(is_of_given).collect();
    if sum <= 0.0 && of_given.is_empty() {
        return Vec::new();
    }
    let enough = if strictness == Strictness::Forced && depth == 0 { ENOUGH_AT_ONCE } else { ENOUGH };
    let methods = Methods::of(tree, at, &candidates);
    let values: Vec<&Candidate<'_>> =
        candidates.iter().filter(|word| !facts.stands_out(word, &methods, enough)).collect();
    if !of_given.is_empty() {
        return values.iter().map(|word| word.id).filter(|word| sum > 0.0 || of_given.contains(word)).collect();
    }
    let carried: u32 = values.iter().map(|word| word.node.seen).sum();
    if f64::from(carried) < PURPOSE * f64::from(facts.exchanges + facts.sure) && !facts.is_rest_of_sure() {
        return Vec::new();
    }
    values.iter().map(|word| word.id).collect()
}

fn candidates(tree: &Tree, at: NodeId, depth: usize) -> Vec<Candidate<'_>> {
    let words = tree.node(at).children().map(|id| (id, tree.node(id)));
    words
        .filter(|(_, node)| {
            // `by-id` among values begins endpoints of its own.
            node.role == SegmentRole::Word
                && !node.fixed
                && !node.name.is_empty()
                && !is_version(&node.name)
                && !selects(&node.name)
                && !matches!(node.clients, Clients::One(client) if tree.credit.is_sunk(client))
        })
        .map(|(id, node)| Candidate {
            id,
            node,
            slug: slug_likeness(&node.name),
            format: page_format(&node.name, depth),
            next: next_words(tree, node),
            deep: deep(node),
            at_root: depth == 0,
        })
        .collect()
}

/// Exchanges that end behind the next segment.
fn deep(node: &Node) -> u32 {
    node.inner.as_ref().map_or(0, |inner| inner.below[1..].iter().sum())
}

/// The ending of a file that stands among names and is none of them; empty: it has none, or one that names a representation.
fn page_format(word: &str, depth: usize) -> &str {
    let (_, ending) = word.rsplit_once('.').unwrap_or_default();
    let is_page = is_page(ending) || depth == 0 && is_file(ending);
    if is_page { ending } else { "" }
}

/// Versions are looked through.
fn next_words<'a>(tree: &'a Tree, node: &'a Node) -> HashSet<&'a str> {
    let mut found = HashSet::new();
    for child in node.children().map(|id| tree.node(id)).filter(|child| child.role == SegmentRole::Word) {
        if is_version(&child.name) {
            let behind = child.children().map(|id| tree.node(id));
            found.extend(behind.filter(|word| word.role == SegmentRole::Word).map(|word| &*word.name));
        } else {
            found.insert(&*child.name);
        }
    }
    found.retain(|word| !word.is_empty() && !is_reserved(word));
    found
}

/// Statistics of the words below one node.
struct Facts<'a> {
    kinds: u32,
    exchanges: u32,
    once: u32,
    median: u32,
    /// Exchanges of sure values beside them.
    sure: u32,
    slug: f64,
    /// The share of words with two hyphens or more: titles.
    hyphened: f64,
    /// Words that end in a digit.
    numbered: u32,
    /// Exchanges of words that look written by a user.
    styled: u32,
    /// Words that say something next, and the mean share of it that another word says, too.
    having: u32,
    overlap: f64,
    said_by: HashMap<&'a str, u32>,
    /// Words by their format.
    formats: HashMap<&'a str, u32>,
    /// Exchanges of codes, months and days: `DE`, `EUR`, `jan`.
    codes: u32,
    /// Words of a file at this place, in lower case.
    given: HashSet<String>,
    /// Words that stand at the root, and below which most requests end deeper than at the next segment.
    collections: u32,
}

impl<'a> Facts<'a> {
    fn of(tree: &'a Tree, at: NodeId, words: &[Candidate<'a>]) -> Self {
        let kinds = u32::try_from(words.len()).unwrap_or(u32::MAX);
        let mut seen: Vec<u32> = words.iter().map(|word| word.node.seen).collect();
        seen.sort_unstable();
        let mut said_by = HashMap::new();
        for word in words {
            for next in &word.next {
                *said_by.entry(*next).or_insert(0) += 1;
            }
        }
        let having: Vec<&Candidate<'_>> = words.iter().filter(|word| !word.next.is_empty()).collect();
        let shares: f64 = having.iter().map(|word| shared(&said_by, word)).sum();
        let mut formats = HashMap::new();
        for word in words {
            *formats.entry(word.format).or_insert(0) += 1;
        }
        let sure = tree.node(at).children().map(|id| tree.node(id)).filter(|child| child.role != SegmentRole::Word);
        Self {
            kinds,
            exchanges: seen.iter().sum(),
            once: u32::try_from(seen.iter().filter(|count| **count == 1).count()).unwrap_or(u32::MAX),
            median: seen[seen.len() / 2].max(1),
            sure: sure.map(|child| child.seen).sum(),
            slug: words.iter().map(|word| word.slug).sum::<f64>() / f64::from(kinds),
            hyphened: words.iter().filter(|word| word.node.name.matches('-').count() >= 2).count() as f64
                / f64::from(kinds),
            numbered: u32::try_from(
                words.iter().filter(|word| word.node.name.ends_with(|end: char| end.is_ascii_digit())).count(),
            )
            .unwrap_or(u32::MAX),
            styled: words.iter().filter(|word| word.slug >= 0.5).map(|word| word.node.seen).sum(),
            having: u32::try_from(having.len()).unwrap_or(u32::MAX),
            overlap: if having.is_empty() { 0.0 } else { shares / having.len() as f64 },
            said_by,
            formats,
            given: given(tree, at),
            collections: u32::try_from(words.iter().filter(|word| word.is_collection()).count()).unwrap_or(u32::MAX),
            codes: words
                .iter()
                .filter(|word| is_code(&word.node.name) || is_of_calendar(&word.node.name))
                .map(|word| word.node.seen)
                .sum(),
        }
    }

    /// Above zero: more likely values than words. The terms were fitted on the tables of eight interfaces.
    fn sum(&self, node: &Node, depth: usize) -> f64 {
        let kinds = f64::from(self.kinds);
        let once = f64::from(self.once) / kinds;
        let mut sum = -1.2;
        // Many kinds.
        sum += ((kinds - 6.0) / 6.0).clamp(-1.0, 3.0);
        // Still growing: the share of kinds seen once is the chance that the next exchange brings a new one (Good, Turing).
        sum += if self.kinds >= 4 { 4.0 * (once - 0.35) } else { -0.5 };
        // A closed set, well seen.
        if self.exchanges > 20 * self.kinds {
            sum -= 1.0;
        }
        // Words as a user writes them weigh more while they are new, and when there are many of them.
        let many = if self.hyphened >= 0.3 { kinds / 40.0 } else { 0.0 };
        sum += 4.0 * (self.slug - 0.15) * (0.35 + 0.65 * (2.0 * once).max(many).min(1.0));
        if node.role != SegmentRole::Word {
            sum -= 1.5;
        } else if is_plural(&node.name) {
            sum += 1.0;
        }
        if depth == 0 {
            sum -= 2.0;
        }
        // The same is said after each of them.
        if self.having >= 3 {
            let steep = if self.overlap > 0.6 { 12.0 } else { 8.0 };
            sum += steep * (self.overlap - 0.6) * (f64::from(self.having) / 4.0).min(1.0);
        }
        if self.sure > 0 && self.kinds < 8 {
            sum -= 1.0;
        }
        // Above this number, words with several hyphens are titles, also when all of them are known.
        if self.hyphened >= 0.3 && self.kinds >= MANY_TITLES {
            sum += TITLES;
        }
        // Codes of countries, currencies, places are values, few as they are.
        if depth > 0 && self.kinds >= 3 && f64::from(self.codes) > ALL_CODES * f64::from(self.exchanges) {
            sum += CODES;
        }
        sum
    }

    /// `red-7` beside thousands of `red-4711`, which are sure: too short to be sure themselves.
    fn is_rest_of_sure(&self) -> bool {
        self.kinds >= MANY_TITLES && self.sure > self.exchanges && self.numbered * 10 >= self.kinds * 9
    }

    /// Whether a word among values is a literal for itself.
    fn stands_out(&self, word: &Candidate<'_>, methods: &Methods, enough: u32) -> bool {
        let seen = word.node.seen;
        // `Users` where a file names `users`: what reaches the monolith by another spelling is to be seen.
        if seen >= enough && self.given.contains(&word.node.name.to_ascii_lowercase()) {
            return true;
        }
        if is_reserved(&word.node.name) && seen >= STANDS_OUT * self.median {
            return true;
        }
        // `robots.txt` among titles: no other is written so, or few.
        let alike = self.formats.get(word.format).copied().unwrap_or(0);
        if !word.format.is_empty() && alike <= FEW_FORMATS && alike * 10 < self.kinds {
            return true;
        }
        // `author` among titles: what is asked stands below its next segment, and below no other's.
        if self.kinds >= MANY_TITLES && word.is_collection() && self.collections * 10 < self.kinds {
            return true;
        }
        // It says what the others do not; the more alike they are, the sooner that is clear.
        if self.having >= 3 && !word.next.is_empty() {
            let common = shared(&self.said_by, word);
            let is_alone = common < f64::MIN_POSITIVE;
            let is_soon = self.overlap > ALL_ALIKE && word.next.len() >= SEVERAL_NEXT && seen >= ENOUGH_AMONG_ALIKE;
            if is_alone && is_soon || seen >= enough && (is_alone || common < 0.5 && word.next.len() >= 3) {
                return true;
            }
        }
        // `public-key` among `DB_PASSWORD`s.
        if word.slug == 0.0
            && seen >= STANDS_OUT * self.median
            && f64::from(self.styled) > 0.8 * f64::from(self.exchanges - seen)
        {
            return true;
        }
        seen >= STANDS_OUT_BY_METHOD * self.median && word.slug < 0.3 && methods.differ(word.node)
    }
}

/// The words that a file names below the node, in lower case.
fn given(tree: &Tree, at: NodeId) -> HashSet<String> {
    let children = tree.node(at).children().map(|id| tree.node(id));
    children
        .filter(|child| child.fixed && child.role == SegmentRole::Word)
        .map(|child| child.name.to_ascii_lowercase())
        .collect()
}

/// The share of a word's next words that another word says, too.
fn shared(said_by: &HashMap<&str, u32>, word: &Candidate<'_>) -> f64 {
    word.next.iter().filter(|next| said_by.get(*next).is_some_and(|count| *count > 1)).count() as f64
        / word.next.len() as f64
}

/// The methods that all words and parameters of a node end with.
struct Methods(HashMap<super::counts::MethodId, u32>, u32);

impl Methods {
    fn of(tree: &Tree, at: NodeId, words: &[Candidate<'_>]) -> Self {
        let parameters =
            tree.node(at).children().map(|id| tree.node(id)).filter(|child| child.role != SegmentRole::Word);
        let mut all = HashMap::new();
        for node in words.iter().map(|word| word.node).chain(parameters) {
            for count in node.counts.iter() {
                *all.entry(count.method).or_insert(0) += count.answered;
            }
        }
        let total = all.values().sum();
        Self(all, total)
    }

    /// Total variation between the node's methods and those of the others.
    fn differ(&self, node: &Node) -> bool {
        let own: u32 = node.counts.iter().map(|count| count.answered).sum();
        if own < ENOUGH || self.1 - own < ENOUGH {
            return false;
        }
        let distance: f64 = self
            .0
            .iter()
            .map(|(method, all)| {
                let mine = node.counts.iter().find(|count| count.method == *method).map_or(0, |count| count.answered);
                (f64::from(mine) / f64::from(own) - f64::from(all - mine) / f64::from(self.1 - own)).abs()
            })
            .sum();
        distance / 2.0 > 0.25
    }
}
