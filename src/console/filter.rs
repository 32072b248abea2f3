//! The grammar of the filter boxes: words that stand in the name or path, `stage:canary`, `service:users`, `errors>1%`.

use super::overview::Overview;
use super::shown::ratio;
use super::verdict::word;
use crate::admin::RouteFigures;
use crate::inventory::LearnedEndpoint;

/// The keys before a `:`, `<` or `>`, of all pages.
const KEYS: [&str; 9] = ["route", "stage", "service", "verdict", "by", "errors", "p99", "differ", "requests"];
/// Of these, the keys of each page.
const BOARD: &[&str] = &["route", "stage", "service", "verdict", "errors", "p99", "differ", "requests"];
pub const INVENTORY: &[&str] = &["route", "stage", "errors", "p99", "requests"];
pub const JOURNAL: &[&str] = &["route", "by", "stage"];

/// The terms of a filter; all must hold.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Filter {
    terms: Vec<Term>,
    wrong: Option<BadTerm>,
    unknown: Option<BadTerm>,
}

#[derive(Debug, Clone, PartialEq)]
enum Term {
    Word(String),
    Route(String),
    Stage(String),
    Service(String),
    Verdict(String),
    Figure(Figure, bool, f64),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Figure {
    Errors,
    P99,
    Differ,
    Requests,
}

/// A part of a filter that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadTerm {
    #[error("`{0}` is no figure: errors, p99, differ and requests are")]
    NoFigure(Box<str>),
    #[error("`{0}` is no number: write 1%, 200ms or 50")]
    NoNumber(Box<str>),
    #[error("the filter of this page does not know `{0}`: it knows {1}, and words")]
    NotHere(Box<str>, Box<str>),
}

/// A part that asks for what another page has.
pub fn not_here(text: &str, known: &[&str]) -> Option<BadTerm> {
    foreign(text, known, |key, _| KEYS.contains(&key))
}

/// A part that looks as if it asked for what no page has. It is taken for a word, since paths and reasons have colons, too: said
/// where nothing was found by it.
pub fn unknown(text: &str, known: &[&str]) -> Option<BadTerm> {
    let is_word = |key: &str| !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphabetic());
    foreign(text, known, |key, rest| is_word(key) && rest.starts_with(':') && !rest.starts_with("://"))
}

/// The first part whose key the page does not know and that `is` what is looked for, by its key and what stands behind that.
fn foreign(text: &str, known: &[&str], is: impl Fn(&str, &str) -> bool) -> Option<BadTerm> {
    let parts = text.split_whitespace().filter_map(|word| Some(word.split_at(word.find([':', '<', '>'])?)));
    let (foreign, _) = parts.filter(|(key, _)| !known.contains(key)).find(|(key, rest)| is(key, rest))?;
    let known: Vec<String> = known.iter().map(|key| format!("`{key}`")).collect();
    Some(BadTerm::NotHere(foreign.into(), known.join(", ").into()))
}

impl Filter {
    /// Of the board.
    pub fn read(text: &str) -> Self {
        Self::of(text, BOARD)
    }

    /// Of a page that has what is `known`.
    pub fn of(text: &str, known: &[&str]) -> Self {
        let mut filter = Self { terms: Vec::new(), wrong: not_here(text, known), unknown: unknown(text, known) };
        for word in text.split_whitespace() {
            match term(word) {
                Ok(term) => filter.terms.push(term),
                Err(why) => filter.wrong = filter.wrong.or(Some(why)),
            }
        }
        filter
    }

    /// The part that could not be read. `found`: the filter takes something.
    pub fn wrong(&self, found: bool) -> Option<&BadTerm> {
        self.wrong.as_ref().or(self.unknown.as_ref().filter(|_| !found))
    }

    /// By what is known without figures.
    pub fn may_take(&self, name: &str, stage: &str, matched: impl Fn() -> String) -> bool {
        self.terms.iter().all(|term| match term {
            Term::Word(word) => {
                name.to_lowercase().contains(word.as_str()) || matched().to_lowercase().contains(word.as_str())
            }
            Term::Stage(wanted) => stage == wanted,
            Term::Route(wanted) => name.eq_ignore_ascii_case(wanted),
            _ => true,
        })
    }

    /// By its figures, of which only those are looked at that the filter names. `number`: its place among the routes.
    pub fn takes(&self, route: &RouteFigures<'_>, (number, overview): (usize, &Overview)) -> bool {
        self.terms.iter().all(|term| match term {
            Term::Word(_) | Term::Stage(_) | Term::Route(_) => true,
            Term::Service(wanted) => route.services().any(|service| service.eq_ignore_ascii_case(wanted)),
            Term::Verdict(wanted) => word(route).1.to_lowercase().contains(wanted.as_str()),
            Term::Figure(figure, above, limit) => {
                let value = match figure {
                    Figure::Errors => overview.answers(number).worst,
                    Figure::P99 => overview.p99(route.parts, route.generation, number),
                    Figure::Differ => route.mismatch_rate(),
                    #[expect(clippy::cast_precision_loss, reason = "compared with what a person typed")]
                    Figure::Requests => Some(route.sums().0 as f64),
                };
                holds(value, *above, *limit)
            }
        })
    }

    /// Of an endpoint of the inventory; `route:none` and `writes` are asked of these alone.
    pub fn takes_endpoint(&self, endpoint: &LearnedEndpoint) -> bool {
        let text = format!("{} {}", endpoint.method, endpoint.path).to_lowercase();
        self.terms.iter().all(|term| match term {
            Term::Word(word) if word == "writes" => endpoint.writes,
            Term::Word(word) => text.contains(word.as_str()),
            Term::Route(wanted) if wanted == "none" => endpoint.route.is_none(),
            Term::Route(wanted) => endpoint.route.as_deref().is_some_and(|name| name.eq_ignore_ascii_case(wanted)),
            Term::Stage(wanted) => endpoint.stage.as_deref() == Some(wanted),
            Term::Figure(figure, above, limit) => {
                let value = match figure {
                    Figure::Errors => ratio(endpoint.errors, endpoint.requests),
                    Figure::P99 => endpoint.p99_seconds,
                    #[expect(clippy::cast_precision_loss, reason = "compared with what a person typed")]
                    Figure::Requests => Some(endpoint.requests as f64),
                    Figure::Differ => return true,
                };
                holds(value, *above, *limit)
            }
            Term::Service(_) | Term::Verdict(_) => true,
        })
    }
}

fn holds(value: Option<f64>, above: bool, limit: f64) -> bool {
    value.is_some_and(|value| if above { value > limit } else { value < limit })
}

fn term(word: &str) -> Result<Term, BadTerm> {
    if let Some((key, value)) = word.split_once(':') {
        let value = value.to_lowercase();
        return match key {
            "route" => Ok(Term::Route(value)),
            "stage" => Ok(Term::Stage(value)),
            "service" => Ok(Term::Service(value)),
            "verdict" => Ok(Term::Verdict(value)),
            _ => Ok(Term::Word(word.to_lowercase())),
        };
    }
    let Some(at) = word.find(['>', '<']) else { return Ok(Term::Word(word.to_lowercase())) };
    let (key, rest) = word.split_at(at);
    let figure = match key {
        "errors" => Figure::Errors,
        "p99" => Figure::P99,
        "differ" => Figure::Differ,
        "requests" => Figure::Requests,
        _ => return Err(BadTerm::NoFigure(key.into())),
    };
    let limit = number(&rest[1..]).ok_or_else(|| BadTerm::NoNumber(rest[1..].into()))?;
    Ok(Term::Figure(figure, rest.starts_with('>'), limit))
}

fn number(text: &str) -> Option<f64> {
    if let Some(percent) = text.strip_suffix('%') {
        return percent.parse::<f64>().ok().map(|percent| percent / 100.0);
    }
    text.parse().ok().or_else(|| crate::config::read_duration(text).map(|time| time.as_secs_f64()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_stages_are_taken_without_figures_and_mistakes_are_said() {
        let filter = Filter::read("Stage stage:canary /users");
        assert!(filter.wrong(false).is_none());
        let path = || "GET /Users/{id}".to_owned();
        assert!(Filter::read("users stage:canary").may_take("read", "canary", path));
        assert!(!Filter::read("users stage:canary").may_take("read", "shadow", path));
        assert_eq!(Filter::read("errors>1% p99>200ms").wrong(false), None);
        assert!(Filter::read("p99>soon").wrong(true).is_some() && Filter::read("x>1").wrong(true).is_some());
        assert!(Filter::read("route:Read").may_take("read", "canary", path));
        assert!(!Filter::read("route:read").may_take("read-user", "canary", path));
    }

    #[test]
    fn an_endpoint_is_found_by_its_route_its_stage_and_its_figures() {
        let endpoint = serde_json::json!({
            "method": "POST", "path": "/orders", "route": "pay", "stage": "canary", "requests": 100, "monolith": 0, "errors": 5,
            "missing": 0, "clients": "several", "callers": 2, "agents": [], "p99_seconds": 0.3, "parameters": [], "writes": true
        });
        let endpoint: LearnedEndpoint = serde_json::from_value(endpoint).expect("an endpoint");
        let takes = |text| Filter::of(text, INVENTORY).takes_endpoint(&endpoint);
        for text in ["", "post /ORD", "writes", "route:Pay", "stage:canary", "errors>1% requests<101 p99>200ms"] {
            assert!(takes(text), "{text}");
        }
        for text in ["get", "route:none", "route:pa", "stage:shadow", "errors<1%", "p99<200ms"] {
            assert!(!takes(text), "{text}");
        }
    }

    #[test]
    fn a_page_says_which_words_it_does_not_know() {
        for (asked, known, foreign) in [
            ("by:gate", BOARD, Some("by")),
            ("route:pay stage:canary errors>1% p99<1s", INVENTORY, None),
            ("verdict:good", INVENTORY, Some("verdict")),
            ("differ>1%", INVENTORY, Some("differ")),
            ("verdict:good", JOURNAL, Some("verdict")),
            ("route:pay by:gate stage:canary things:batch a>b", JOURNAL, None),
        ] {
            let said = not_here(asked, known).map(|why| why.to_string());
            assert_eq!(said.is_some(), foreign.is_some(), "{asked}: {said:?}");
            assert!(said.is_none_or(|said| foreign.is_some_and(|key| said.contains(&format!("`{key}`")))), "{asked}");
        }
    }

    #[test]
    fn what_looks_like_a_key_is_said_to_be_none_where_nothing_was_found_by_it() {
        for (asked, key) in [
            ("route:pay who:ann", Some("who")),
            ("Stage:canary", Some("Stage")),
            ("route:pay by:gate http://shop.example $.a:b :x 10:20 a>b", None),
        ] {
            let said = unknown(asked, JOURNAL).map(|why| why.to_string());
            let wanted = key.map(|key| {
                format!("the filter of this page does not know `{key}`: it knows `route`, `by`, `stage`, and words")
            });
            assert_eq!(said, wanted, "{asked}");
        }
        let filter = Filter::read("things:batch");
        assert!(filter.wrong(true).is_none() && filter.wrong(false).is_some());
    }
}
