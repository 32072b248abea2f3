//! The rules of a route for comparing and keeping, checked once.

use http::{HeaderName, StatusCode};
use regex::RegexBuilder;
use xxhash_rust::xxh3::xxh3_64;

use super::likeness::Likeness;
use super::number::Decimal;
use super::path::{FieldPath, FieldSegment};
use super::place::Step;
use super::redact::Redactor;
use super::written::{NoiseBudget, RuleError, RuleFault, RuleList, WrittenRules};
use crate::migration::{Examples, Follow};

/// Counted up whenever the same rules compare differently, so that old evidence is not mixed with new.
const COMPARED_AS: u32 = 6;

/// Bytes of a compiled mask.
const LARGEST_MASK: usize = 1 << 20;

/// Which headers are compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Headers {
    /// Presence of all, values of those that clients rely on.
    Usual,
    /// Values of all.
    All,
    /// These alone.
    Named(Vec<HeaderName>),
}

/// The settings, compiled.
#[derive(Debug, Clone)]
pub struct Rules {
    headers: Headers,
    ignore: Vec<FieldPath>,
    unordered: Vec<FieldPath>,
    tolerance: Vec<(FieldPath, Decimal)>,
    numbers_as_written: bool,
    align: Vec<(FieldPath, Box<str>)>,
    status: Vec<(StatusCode, Vec<StatusCode>)>,
    follow: Option<Follow>,
    likeness: Likeness,
    redactor: Redactor,
    examples: Examples,
    noise: NoiseBudget,
    body_limit: u64,
    fingerprint: u64,
}

impl Default for Rules {
    fn default() -> Self {
        Self::new(&WrittenRules::default()).expect("the defaults are valid")
    }
}

impl Rules {
    /// Checks every setting; all mistakes are returned together.
    pub fn new(written: &WrittenRules) -> Result<Self, Vec<RuleError>> {
        let mut errors = Vec::new();
        let headers = match &written.headers {
            _ if written.all_headers => Headers::All,
            None => Headers::Usual,
            Some(names) => Headers::Named(collect(RuleList::Headers, names, &mut errors, |name| {
                name.parse::<HeaderName>().map_err(|_| RuleFault::HeaderName)
            })),
        };
        let ignore = collect(RuleList::Ignore, &written.ignore, &mut errors, |text| {
            FieldPath::parse(text).map_err(RuleFault::Path)
        });
        let unordered = collect(RuleList::Unordered, &written.unordered, &mut errors, json_path);
        let tolerance = collect(RuleList::Tolerance, &written.tolerance, &mut errors, |(text, value)| {
            let path = json_path(text)?;
            let value = if *value >= 0.0 { Decimal::parse(&value.to_string()) } else { None };
            Ok((path, value.ok_or(RuleFault::Tolerance)?))
        });
        let masks = collect(RuleList::Mask, &written.mask, &mut errors, |(field, mask)| {
            let field = FieldPath::parse(field).map_err(RuleFault::Path)?;
            let mask = RegexBuilder::new(mask).size_limit(LARGEST_MASK).build().map_err(|_| RuleFault::Regex)?;
            Ok((field.to_string(), mask))
        });
        let align = collect(RuleList::Align, &written.align, &mut errors, |(list, key)| {
            let path = json_path(list)?;
            if key.is_empty() { Err(RuleFault::NoName) } else { Ok((path, Box::from(key.as_str()))) }
        });
        let status = collect(RuleList::Status, &written.status, &mut errors, |(from, to)| {
            let read = |text: &String| text.parse::<StatusCode>().map_err(|_| RuleFault::Status);
            Ok((read(from)?, to.iter().map(read).collect::<Result<Vec<_>, _>>()?))
        });
        let redact = collect(RuleList::Redact, &written.redact, &mut errors, redacted_name);
        if !errors.is_empty() {
            return Err(errors);
        }
        Ok(Self {
            headers,
            ignore,
            unordered,
            tolerance,
            numbers_as_written: written.numbers_as_written,
            align,
            status,
            follow: written.follow,
            likeness: Likeness::new(masks, written.hosts, written.urls),
            redactor: Redactor::new(&redact),
            examples: written.examples,
            noise: written.noise,
            body_limit: written.body_limit,
            fingerprint: fingerprint(written),
        })
    }

    /// The headers that are compared.
    pub const fn headers(&self) -> &Headers {
        &self.headers
    }

    /// The same rules where both sides have hosts of their own, to which their links may lead.
    #[must_use]
    pub fn with_hosts(mut self, hosts: impl IntoIterator<Item = String>) -> Self {
        self.likeness.learn(hosts);
        self
    }

    pub(super) const fn likeness(&self) -> &Likeness {
        &self.likeness
    }

    /// Whether two statuses are agreed to be as good as each other.
    pub(super) fn agrees(&self, control: StatusCode, candidate: StatusCode) -> bool {
        control == candidate || self.status.iter().any(|(from, to)| *from == control && to.contains(&candidate))
    }

    /// The member by which the elements of a list are told apart, if the rules say it.
    pub(super) fn key(&self, at: &[Step<'_>]) -> Option<&str> {
        let of = |(path, _): &&(FieldPath, Box<str>)| json(path).is_some_and(|segments| is(segments, at));
        self.align.iter().find(of).map(|(_, key)| &**key)
    }

    /// How what a side only accepted is asked on.
    pub const fn follow(&self) -> Option<&Follow> {
        self.follow.as_ref()
    }

    pub const fn examples(&self) -> Examples {
        self.examples
    }

    pub const fn noise(&self) -> NoiseBudget {
        self.noise
    }

    /// Bytes of a decoded body.
    pub const fn body_limit(&self) -> u64 {
        self.body_limit
    }

    /// Changes when the rules compare, name or keep something else; the noise budget does none of these.
    pub const fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    /// The names under which secrets stand: lower case, without `-` and `_`.
    pub fn hidden_names(&self) -> impl Iterator<Item = &str> {
        self.redactor.names()
    }

    pub(super) const fn redactor(&self) -> &Redactor {
        &self.redactor
    }

    pub(super) fn ignores(&self, field: &FieldPath) -> bool {
        self.ignore.contains(field)
            || matches!(field, FieldPath::Form(_)) && self.ignore.contains(&FieldPath::Form("*".into()))
    }

    /// Whether a field is ignored by the name that a report gives it, or lies inside one that is.
    pub(super) fn ignores_named(&self, field: &str) -> bool {
        self.ignore.iter().any(|path| matches!(path, FieldPath::Named(_)) && path.covers(field))
    }

    /// Whether a JSON field is ignored; the walk does not go into one that is.
    pub(super) fn ignores_json(&self, at: &[Step<'_>]) -> bool {
        self.ignore.iter().any(|path| json(path).is_some_and(|segments| is(segments, at)))
    }

    pub(super) fn is_unordered(&self, at: &[Step<'_>]) -> bool {
        self.unordered.iter().any(|path| json(path).is_some_and(|segments| is(segments, at)))
    }

    pub(super) const fn numbers_as_written(&self) -> bool {
        self.numbers_as_written
    }

    pub(super) fn tolerance(&self, at: &[Step<'_>]) -> Option<&Decimal> {
        self.tolerance
            .iter()
            .find(|(path, _)| json(path).is_some_and(|segments| is(segments, at)))
            .map(|(_, value)| value)
    }
}

fn json(path: &FieldPath) -> Option<&[FieldSegment]> {
    match path {
        FieldPath::Json(segments) => Some(segments),
        _ => None,
    }
}

fn is(segments: &[FieldSegment], at: &[Step<'_>]) -> bool {
    segments.len() == at.len()
        && segments.iter().zip(at).all(|(segment, step)| match (segment, step) {
            (FieldSegment::Key(key), Step::Key { name, .. }) => **key == **name,
            (FieldSegment::AnyKey, Step::Key { .. }) | (FieldSegment::Items, Step::Item) => true,
            _ => false,
        })
}

fn collect<T, W: Named>(
    list: RuleList,
    written: &[W],
    errors: &mut Vec<RuleError>,
    read: impl Fn(&W) -> Result<T, RuleFault>,
) -> Vec<T> {
    let mut good = Vec::new();
    for (index, entry) in written.iter().enumerate() {
        match read(entry) {
            Ok(value) => good.push(value),
            Err(fault) => errors.push(RuleError { list, index, written: entry.name().to_owned(), fault }),
        }
    }
    good
}

/// The part of an entry that an error repeats.
trait Named {
    fn name(&self) -> &str;
}

impl Named for String {
    fn name(&self) -> &str {
        self
    }
}

impl Named for (String, f64) {
    fn name(&self) -> &str {
        &self.0
    }
}

impl Named for (String, String) {
    fn name(&self) -> &str {
        &self.0
    }
}

impl Named for (String, Vec<String>) {
    fn name(&self) -> &str {
        &self.0
    }
}

#[expect(clippy::ptr_arg, reason = "`collect` hands out the entries as they are")]
fn json_path(text: &String) -> Result<FieldPath, RuleFault> {
    match FieldPath::parse(text).map_err(RuleFault::Path)? {
        path @ FieldPath::Json(_) => Ok(path),
        _ => Err(RuleFault::NotJson),
    }
}

/// A name as it is; of a path its last key, which is then removed wherever it stands.
#[expect(clippy::ptr_arg, reason = "`collect` hands out the entries as they are")]
fn redacted_name(text: &String) -> Result<String, RuleFault> {
    if !text.starts_with('$') && !text.contains(':') {
        return if text.is_empty() { Err(RuleFault::NoName) } else { Ok(text.clone()) };
    }
    match FieldPath::parse(text).map_err(RuleFault::Path)? {
        FieldPath::Header(name) => Ok(name.to_string()),
        FieldPath::Form(name) if &*name != "*" => Ok(name.into()),
        FieldPath::Json(segments) => segments
            .iter()
            .rev()
            .find_map(|segment| match segment {
                FieldSegment::Key(key) => Some(key.to_string()),
                _ => None,
            })
            .ok_or(RuleFault::NoName),
        _ => Err(RuleFault::NoName),
    }
}

fn fingerprint(written: &WrittenRules) -> u64 {
    let WrittenRules {
        headers,
        all_headers,
        ignore,
        unordered,
        tolerance,
        numbers_as_written,
        mask,
        align,
        hosts,
        urls,
        status,
        follow,
        redact,
        examples,
        noise: _,
        body_limit,
    } = written;
    let mut sets = [headers.clone().unwrap_or_default(), ignore.clone(), unordered.clone(), redact.clone()];
    for set in &mut sets {
        set.sort();
        set.dedup();
    }
    let mut tolerance = tolerance.iter().map(|(path, value)| format!("{path}={value}")).collect::<Vec<_>>();
    tolerance.sort();
    let (given, examples) = (headers.is_some(), examples.as_str());
    let (mut mask, mut align, mut status) = (mask.clone(), align.clone(), status.clone());
    mask.sort();
    align.sort();
    status.sort();
    let told = format!("{all_headers} {mask:?} {align:?} {hosts} {status:?}");
    // Nothing where it is not set: evidence of before goes on.
    let told = told + &follow.map_or_else(String::new, |follow| format!(" {follow:?}"));
    let told = told + if *urls { "" } else { " urls" };
    let text =
        format!("{COMPARED_AS} {given} {sets:?} {tolerance:?} {numbers_as_written} {told} {examples} {body_limit}");
    xxh3_64(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::migration::Percent;

    fn texts(list: &[&str]) -> Vec<String> {
        list.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn every_mistake_is_reported_with_its_place_and_a_remedy() {
        let written = WrittenRules {
            headers: Some(texts(&["etag", "a b"])),
            ignore: texts(&["$.a", "$.a[1]", "header:x"]),
            unordered: texts(&["status"]),
            tolerance: vec![("$.a".to_owned(), -1.0), ("$.b".to_owned(), f64::NAN), ("$.c".to_owned(), 0.1)],
            redact: texts(&["$[*]", "password", "$.user.ssn", ""]),
            mask: vec![("$.a".to_owned(), "(".to_owned())],
            align: vec![("header:x".to_owned(), "id".to_owned())],
            status: vec![("202".to_owned(), texts(&["2000"]))],
            ..WrittenRules::default()
        };
        let errors = Rules::new(&written).expect_err("ten mistakes");
        let seen = errors.iter().map(|e| (e.list.as_str(), e.index, e.at())).collect::<Vec<_>>();
        assert_eq!(
            seen,
            [
                ("headers", 1, 0..3),
                ("ignore", 1, 3..6),
                ("unordered", 0, 0..6),
                ("tolerance", 0, 0..3),
                ("tolerance", 1, 0..3),
                ("mask", 0, 0..3),
                ("align", 0, 0..8),
                ("status", 0, 0..3),
                ("redact", 0, 0..4),
                ("redact", 3, 0..0)
            ]
        );
        assert_eq!(errors[1].to_string(), "`$.a[1]` in `ignore`: a position cannot be named");
        assert!(errors.iter().all(|error| !error.help().is_empty()));
    }

    #[test]
    fn the_fingerprint_follows_what_is_compared_and_kept_alone() {
        let of = |change: fn(&mut WrittenRules)| {
            let mut written = WrittenRules::default();
            change(&mut written);
            Rules::new(&written).expect("valid").fingerprint()
        };
        let plain = of(|_| ());
        assert_eq!(plain, of(|w| w.noise.per_second = 99));
        assert_eq!(of(|w| w.ignore = texts(&["$.a", "$.b"])), of(|w| w.ignore = texts(&["$.b", "$.a"])));
        for changed in [
            of(|w| w.headers = Some(Vec::new())),
            of(|w| w.ignore = texts(&["$.a"])),
            of(|w| w.unordered = texts(&["$.a"])),
            of(|w| w.redact = texts(&["a"])),
            of(|w| w.tolerance = vec![("$.a".to_owned(), 0.5)]),
            of(|w| w.examples = Examples::Off),
            of(|w| w.body_limit = 1),
            of(|w| w.numbers_as_written = true),
            of(|w| w.all_headers = true),
            of(|w| w.hosts = false),
            of(|w| w.urls = false),
            of(|w| w.mask = vec![("$.a".to_owned(), "x".to_owned())]),
            of(|w| w.align = vec![("$.a".to_owned(), "x".to_owned())]),
            of(|w| w.status = vec![("202".to_owned(), texts(&["200"]))]),
            of(|w| w.follow = Some(Follow { status: 202, within: std::time::Duration::from_secs(5) })),
        ] {
            assert_ne!(plain, changed);
        }
    }

    #[test]
    fn the_settings_of_a_compiled_route_are_rules() {
        let settings = crate::migration::CompareSettings {
            headers: Some(vec![http::header::ETAG]),
            all_headers: false,
            mask: vec![("header:location".into(), r"comment-\d+".into())],
            align: vec![("$.users".into(), "id".into())],
            hosts: true,
            urls: true,
            status: vec![("202".into(), vec!["200".into()])],
            ignore: vec!["$.at".into()],
            unordered: vec!["$.tags".into()],
            tolerance: vec![("$.total".into(), 0.01)],
            numbers_as_written: true,
            body_limit: 7,
            replay: Percent::EVERYBODY,
            replays_per_second: 7,
            follow: None,
            examples: Examples::Values,
            redact: vec!["password".into(), "$.user.ssn".into()],
            hidden: Box::default(),
        };
        let rules = Rules::new(&WrittenRules::from(&settings)).expect("valid");
        assert_eq!((rules.headers(), rules.examples()), (&Headers::Named(vec![http::header::ETAG]), Examples::Values));
        assert!(rules.numbers_as_written() && rules.body_limit() == 7);
        assert_eq!(rules.noise(), NoiseBudget { replay: Percent::EVERYBODY, per_second: 7 });
        assert!(rules.redactor().hides("ssn") && rules.redactor().hides("Password"));
        assert!(["ssn", "password", "setcookie"].iter().all(|name| rules.hidden_names().any(|hidden| hidden == *name)));
        let at = |name| [Step::Key { name, data: false }];
        assert_eq!(rules.key(&at("users")), Some("id"));
        assert!(
            rules.agrees(StatusCode::ACCEPTED, StatusCode::OK) && !rules.agrees(StatusCode::OK, StatusCode::ACCEPTED)
        );
        assert!(rules.ignores_json(&at("at")) && rules.is_unordered(&at("tags")));
        assert_eq!(rules.tolerance(&at("total")), Decimal::parse("0.01").as_ref());
    }
}
