//! Says where two texts differ, so that noise of one kind always has the same place.
//!
//! A nonce that is base64 may hold `-`, `+` and `/`, also at its ends. Where both sides have such a mark by chance, it is no part
//! of what is the same in both: it would give the same noise another place each time.

use std::ops::Range;

use xxhash_rust::xxh3::xxh3_64;

use super::align::in_order;
use super::token::{Hunk, Token, class, tokens, words_of_run};

/// Pairs of tokens that are looked at; of longer texts words that stand once in both are found first.
const MAX_PAIRS: usize = 60_000;

/// Marks inside ids: of base64, of parts that are joined, of percent-encoding.
const GLUE: [&str; 7] = ["-", "_", "+", "/", ".", "~", "%"];

/// Marks and white space between a value and its name, at most.
const MAX_TO_NAME: usize = 8;

/// Shorter texts that are neither letters nor digits say nothing.
const INFORMATIVE: usize = 8;

/// How two texts differ.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Parts {
    pub(super) hunks: Vec<Hunk>,
    /// Whether what is the same in both holds information.
    pub(super) rest: bool,
    /// Where each of these begins: a byte of both texts.
    pub(super) places: Vec<[usize; 2]>,
}

/// The part between two places that are the same in both texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Gap {
    pub(super) hunk: Hunk,
    /// Bytes of both texts.
    pub(super) from: [usize; 2],
    pub(super) to: [usize; 2],
}

/// Tokens of one text. A run of base64 is one token for the alignment, and several here.
struct Cut<'a> {
    tokens: Vec<Token<'a>>,
    /// Where the tokens of the alignment begin among these, and the end.
    begins: Vec<usize>,
    /// The byte at which each begins, and the end.
    bytes: Vec<usize>,
}

impl<'a> Cut<'a> {
    fn of(whole: &[Token<'a>]) -> Self {
        let mut cut = Self { tokens: Vec::with_capacity(whole.len()), begins: vec![0], bytes: vec![0] };
        let mut at = 0;
        for token in whole {
            let first = cut.tokens.len();
            if token.class == class::OPAQUE && token.text.bytes().any(|byte| !byte.is_ascii_alphanumeric()) {
                cut.tokens.extend(words_of_run(token.text));
            } else {
                cut.tokens.push(*token);
            }
            for token in &cut.tokens[first..] {
                at += token.text.len();
                cut.bytes.push(at);
            }
            cut.begins.push(cut.tokens.len());
        }
        cut
    }
}

/// A part that differs: places among the tokens of both texts.
type Differing = [Range<usize>; 2];

/// Where two texts differ.
pub(super) fn parts(control: &str, candidate: &str) -> Parts {
    let gaps = gaps(control, candidate);
    let starts = gaps.iter().map(|gap| gap.from[0]).chain([control.len()]);
    let ends = [0].into_iter().chain(gaps.iter().map(|gap| gap.to[0]));
    let same = || ends.clone().zip(starts.clone()).filter_map(|(from, to)| control.get(from..to));
    Parts {
        rest: same().map(str::len).sum::<usize>() >= INFORMATIVE
            || same().any(|text| text.contains(char::is_alphanumeric)),
        hunks: gaps.iter().map(|gap| gap.hunk).collect(),
        places: gaps.iter().map(|gap| gap.from).collect(),
    }
}

/// A part of two texts: of both sides the same, or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Segment<'a> {
    pub(super) sides: [&'a str; 2],
    pub(super) same: bool,
}

/// Two texts as what is the same in both and what is not, in turn.
pub(super) fn segments<'a>(control: &'a str, candidate: &'a str) -> Vec<Segment<'a>> {
    let mut out = Vec::new();
    let mut at = [0, 0];
    let mut add = |from: [usize; 2], to: [usize; 2], same| {
        let sides = [control.get(from[0]..to[0]), candidate.get(from[1]..to[1])].map(Option::unwrap_or_default);
        if sides != ["", ""] {
            out.push(Segment { sides, same });
        }
    };
    for gap in gaps(control, candidate) {
        add(at, gap.from, true);
        add(gap.from, gap.to, false);
        at = gap.to;
    }
    add(at, [control.len(), candidate.len()], true);
    out
}

/// The parts in which the two sides differ. White space alone does not part two of them.
pub(super) fn gaps(control: &str, candidate: &str) -> Vec<Gap> {
    let (a, b) = (tokens(control), tokens(candidate));
    let common = in_order(&a, &b, MAX_PAIRS);
    // White space anchors nothing: it is everywhere.
    let anchors = common.into_iter().filter(|(x, _)| a[*x].class != class::SPACE);
    let (a, b) = (Cut::of(&a), Cut::of(&b));
    let narrow = joined(&a, &b, differing(&a, &b, anchors));
    let mut out: Vec<Gap> = Vec::with_capacity(narrow.len());
    let mut last = 0;
    for (at, part) in narrow.iter().enumerate() {
        let behind_last = at.checked_sub(1).and_then(|at| narrow.get(at)).map(|[range, _]| range.end);
        let before_next = narrow.get(at + 1).map(|[range, _]| range.start);
        let [left, right] = widths(&a.tokens, &part[0], behind_last.map(|end| end.max(last)), before_next);
        let (x, y) = (part[0].start - left..part[0].end + right, part[1].start - left..part[1].end + right);
        last = x.end;
        let inside = a.tokens[x.clone()].iter().chain(&b.tokens[y.clone()]);
        let classes = inside.filter(|token| token.class != class::SPACE).fold(0, |sum, token| sum | token.class);
        let hunk = Hunk {
            classes: if classes == 0 { class::SPACE } else { classes },
            before: before(&a.tokens[..x.start], behind_last.unwrap_or(0)),
            behind: a.tokens[x.end..].iter().find(|token| token.class != class::SPACE).map_or(2, |t| short(t.text)),
        };
        out.push(Gap { hunk, from: [a.bytes[x.start], b.bytes[y.start]], to: [a.bytes[x.end], b.bytes[y.end]] });
    }
    out
}

/// The differing parts between anchors, without the beginning and the end that both sides share.
fn differing(a: &Cut<'_>, b: &Cut<'_>, anchors: impl Iterator<Item = (usize, usize)>) -> Vec<Differing> {
    let mut out = Vec::new();
    let mut from = [0, 0];
    for anchor in anchors.map(Some).chain([None]) {
        let to = anchor.map_or([a.tokens.len(), b.tokens.len()], |(x, y)| [a.begins[x], b.begins[y]]);
        out.extend(trimmed(a, b, [from[0]..to[0], from[1]..to[1]]));
        if let Some((x, y)) = anchor {
            from = [a.begins[x + 1], b.begins[y + 1]];
        }
    }
    out
}

/// A part without what both sides begin and end with; none if there is nothing else.
fn trimmed(a: &Cut<'_>, b: &Cut<'_>, [x, y]: Differing) -> Option<Differing> {
    let same = |(a, b): &(&Token<'_>, &Token<'_>)| a.text == b.text;
    let (left, right) = (&a.tokens[x.clone()], &b.tokens[y.clone()]);
    let start = left.iter().zip(right).take_while(same).count();
    let (left, right) = (&left[start..], &right[start..]);
    let end = left.iter().rev().zip(right.iter().rev()).take_while(same).count();
    (left.len().max(right.len()) > 0).then(|| [x.start + start..x.end - end, y.start + start..y.end - end])
}

/// Parts between which only such marks stand as occur inside an id are one part.
fn joined(a: &Cut<'_>, b: &Cut<'_>, parts: Vec<Differing>) -> Vec<Differing> {
    let ends_in_space = |token: Option<&Token<'_>>| token.is_some_and(|token| token.class == class::SPACE);
    let mut out: Vec<Differing> = Vec::with_capacity(parts.len());
    for part in parts {
        if let Some(last) = out.last_mut()
            && are_glue(&a.tokens, last[0].end..part[0].start)
            && [(a, 0), (b, 1)].iter().all(|(cut, side)| {
                let (last, part) = (&cut.tokens[last[*side].clone()], &cut.tokens[part[*side].clone()]);
                !ends_in_space(last.last()) && !ends_in_space(part.first())
            })
        {
            *last = [last[0].start..part[0].end, last[1].start..part[1].end];
        } else {
            out.push(part);
        }
    }
    // An anchor inside such a part may have been no place that the two have in common.
    out.into_iter().filter_map(|part| trimmed(a, b, part)).collect()
}

/// How many marks on either side of a part belong to it: an id may begin and end with some.
fn widths(tokens: &[Token<'_>], part: &Range<usize>, last: Option<usize>, next: Option<usize>) -> [usize; 2] {
    let is_edge = |token: Option<&Token<'_>>| {
        token.is_none_or(|token| matches!(token.class, class::SPACE | class::PUNCTUATION) || is_glue(token))
    };
    // The tokens at the borders of a neighbouring part that differs are not known.
    let before = &tokens[last.unwrap_or(0)..part.start];
    let behind = &tokens[part.end..next.unwrap_or(tokens.len())];
    let beyond_first = |at: usize| at + 1 < before.len() || last.is_none();
    let beyond_last = |at: usize| at + 1 < behind.len() || next.is_none();
    let left = before
        .iter()
        .rev()
        .enumerate()
        .take_while(|(at, token)| is_glue(token) && beyond_first(*at) && is_edge(before.iter().rev().nth(at + 1)));
    // Base64 is padded.
    let right = behind.iter().enumerate().take_while(|(at, token)| {
        (is_glue(token) || token.text == "=") && beyond_last(*at) && is_edge(behind.get(at + 1))
    });
    [left.count(), right.count()]
}

/// The tokens before a part: the nearest, and the name if the part is a named value. `end` is that of the part before.
fn before(tokens: &[Token<'_>], end: usize) -> u32 {
    let Some(nearest) = tokens.iter().rfind(|token| token.class != class::SPACE) else { return 1 };
    let is_between = |token: &&Token<'_>| matches!(token.class, class::SPACE | class::PUNCTUATION);
    let known = tokens.get(end..).unwrap_or_default();
    let between = known.iter().rev().take(MAX_TO_NAME).take_while(is_between);
    let is_named = between.clone().any(|token| matches!(token.text, "=" | ":"));
    let name = known.iter().rev().nth(between.count()).filter(|name| is_named && name.class == class::WORD);
    short(nearest.text) ^ name.map_or(0, |name| short(name.text).rotate_left(1))
}

fn is_glue(token: &Token<'_>) -> bool {
    GLUE.contains(&token.text)
}

/// Marks alone, also those that are percent-encoded.
fn are_glue(tokens: &[Token<'_>], mut between: Range<usize>) -> bool {
    let is_percent = |at: usize| tokens.get(at).is_some_and(|token| token.text == "%");
    let is_code = |text: &str| text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    between.all(|at| is_glue(&tokens[at]) || is_code(tokens[at].text) && at.checked_sub(1).is_some_and(is_percent))
}

/// Whether two parts with this token between them are one part where both differ.
pub(super) fn joins(neighbour: u32) -> bool {
    GLUE.iter().any(|mark| short(mark) == neighbour)
}

#[expect(clippy::cast_possible_truncation, reason = "half of a hash is a hash")]
fn short(text: &str) -> u32 {
    xxh3_64(text.as_bytes()) as u32
}

#[cfg(test)]
mod tests {
    use super::super::masks::Masks;
    use super::*;

    const URL_SAFE: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    const STANDARD: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    fn random(random: &mut fastrand::Rng, alphabet: &[u8], length: usize) -> String {
        (0..length).map(|_| char::from(alphabet[random.usize(..alphabet.len())])).collect()
    }

    /// How a nonce is made: at random, with marks at its ends, without digits, padded, percent-encoded, long.
    const NONCES: [fn(&mut fastrand::Rng) -> String; 8] = [
        |r| random(r, URL_SAFE, 22),
        |r| random(r, URL_SAFE, 10),
        |r| format!("{}{}", ["-", "_", "--", ""][r.usize(..4)], random(r, URL_SAFE, 20)),
        |r| format!("{}{}", random(r, URL_SAFE, 20), ["-", "_", "-_-", ""][r.usize(..4)]),
        |r| random(r, b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ----__", 16),
        |r| format!("{}==", random(r, STANDARD, 22)),
        |r| format!("{}=", random(r, STANDARD, 23)).replace('+', "%2B").replace('/', "%2F").replace('=', "%3D"),
        |r| random(r, URL_SAFE, 86),
    ];

    const TEXTS: [&str; 10] = [
        "/app.js?v={n}&p={p}",
        "/app.js?p={p}&v={n}",
        "nonce={n}; price {p} EUR",
        "var shop = {\"nonce\":\"{n}\",\"price\":\"{p}\"};",
        "var shop = {\"price\":\"{p}\",\"nonce\":\"{n}\"};",
        "see {n}, price {p}.",
        "price {p}, see {n}",
        "/static/{n}/app-{p}.js",
        "item-{n}-{p}",
        "{p} \"{n}\" '{n}'",
    ];

    /// Of 500 pairs: those that are not masked, and those in which a fault beside the nonce is.
    fn seen(text: &str, nonce: fn(&mut fastrand::Rng) -> String, seed: u64) -> (usize, usize) {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut hunks = |price: &str| {
            let [a, b] = ["10", price].map(|price| text.replace("{n}", &nonce(&mut random)).replace("{p}", price));
            parts(&a, &b).hunks
        };
        let mut masks = Masks::default();
        (0..100).for_each(|_| masks.learn(&hunks("10"), true));
        let open = (0..500).filter(|_| !masks.cover(&hunks("10"))).count();
        let hidden = (0..500).filter(|_| masks.cover(&hunks("99"))).count();
        (open, hidden)
    }

    #[test]
    fn the_same_noise_has_the_same_place_and_a_fault_another() {
        let noise = parts("nonce=a1b2c3; price 10 EUR", "nonce=d4e5f6; price 10 EUR");
        let again = parts("nonce=999999; price 10 EUR", "nonce=d4e5f6; price 10 EUR");
        let both = parts("nonce=a1b2c3; price 10 EUR", "nonce=d4e5f6; price 99 EUR");
        assert_eq!((noise.hunks.len(), both.hunks.len()), (1, 2));
        assert_eq!(noise.hunks[0], both.hunks[0]);
        assert_eq!((noise.hunks[0].before, noise.hunks[0].behind), (again.hunks[0].before, again.hunks[0].behind));
        assert!(both.rest && !parts("10", "11").rest && !parts("- 10", "- 11").rest);
        assert_eq!(parts("john smith", "mary jones").hunks.len(), 1);
    }

    #[test]
    fn places_and_segments_say_where_two_texts_differ() {
        let (a, b) = ("n=a1b2; price 10 EUR", "n=c3; price 9900 EUR");
        assert_eq!(parts(a, b).places, [[2, 2], [14, 12]]);
        let found = segments(a, b);
        for (side, whole) in [a, b].into_iter().enumerate() {
            assert_eq!(found.iter().map(|segment| segment.sides[side]).collect::<String>(), whole);
        }
        assert_eq!(found.iter().filter(|segment| !segment.same).count(), 2);
        assert_eq!(segments("a", "a"), [Segment { sides: ["a", "a"], same: true }]);
    }

    #[test]
    fn a_nonce_has_one_place_whatever_marks_it_holds_and_a_fault_beside_it_has_another() {
        let mut wrong = Vec::new();
        for text in TEXTS {
            for (number, nonce) in NONCES.into_iter().enumerate() {
                let found = seen(text, nonce, number as u64);
                if found != (0, 0) {
                    wrong.push(format!("{text} nonce {number}: {found:?}"));
                }
            }
        }
        assert!(wrong.is_empty(), "not masked, hidden:\n{}", wrong.join("\n"));
    }

    #[test]
    fn marks_at_an_end_belong_to_what_differs_and_marks_between_words_do_not() {
        for (a, b, expected) in [
            ("v=\"-ab\"", "v=\"-cd\"", &[("-ab", "-cd")][..]),
            ("v=\"ab-\"", "v=\"cd-\"", &[("ab-", "cd-")]),
            ("v=\"ab-cd\"", "v=\"ef-gh\"", &[("ab-cd", "ef-gh")]),
            ("v=\"ab-cd\"", "v=\"ef-cd\"", &[("ab", "ef")]),
            ("ab - cd", "ef - gh", &[("ab", "ef"), ("cd", "gh")]),
            ("a1, b2", "c3, d4", &[("a1", "c3"), ("b2", "d4")]),
            ("a=1&b=2", "a=3&b=4", &[("1", "3"), ("2", "4")]),
            ("/p/a1B2c3D4e5F6/x", "/p/z1Y2x3W4v5U6/x", &[("a1B2c3D4e5F6", "z1Y2x3W4v5U6")]),
            ("/p/a1B2c3D4e5F6/x", "/p/zyx/x", &[("a1B2c3D4e5F6", "zyx")]),
        ] {
            let found = gaps(a, b);
            let found: Vec<_> =
                found.iter().map(|gap| (&a[gap.from[0]..gap.to[0]], &b[gap.from[1]..gap.to[1]])).collect();
            assert_eq!(found, expected, "{a} {b}");
        }
    }

    #[test]
    fn in_a_long_text_a_fault_between_two_that_vary_is_a_part_of_its_own() {
        let words = (0..400).map(|word| format!("word{word} and ")).collect::<Vec<_>>().concat();
        let text = |nonce: &str, price: u8, time: &str| format!("n={nonce}; {words}price {price} {words}at {time}.");
        let noise = parts(&text("a1b2", 10, "10:00"), &text("c3d4", 10, "10:01")).hunks;
        let fault = parts(&text("a1b2", 10, "10:00"), &text("c3d4", 99, "10:01")).hunks;
        assert_eq!((noise.len(), fault.len()), (2, 3));
        let mut masks = Masks::default();
        masks.learn(&noise, true);
        assert!(masks.cover(&noise) && !masks.cover(&fault));
    }

    #[test]
    fn parts_that_vary_by_themselves_are_noise_together() {
        let mut masks = Masks::default();
        masks.learn(&parts("see red/big now", "see blue/big now").hunks, true);
        masks.learn(&parts("see red/big now", "see red/small now").hunks, true);
        assert!(masks.cover(&parts("see red/big now", "see blue/small now").hunks));
        assert!(!masks.cover(&parts("see red/big now", "see blue/7 now").hunks));
        assert!(!masks.cover(&parts("see red/big now", "hear red/big now").hunks));
    }
}
