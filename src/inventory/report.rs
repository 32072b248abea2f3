//! The report of an inventory: endpoints with their counts and the reason of each parameter.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::callers::OtherAgents;
use super::list::{LEAST, Listed, ListedParameter};
use super::tree::Tree;
use super::values::Values;

/// Why an endpoint that was asked for is not listed.
pub const NOT_SURE_YET: &str =
    "an endpoint is listed once three answers went to two clients or more; behind a balancer, set `[server] trusted`";

/// Thirty days in minutes.
const LATELY: u32 = 30 * 24 * 60;

/// The inventory as `GET /api/v1/inventory` and `inventory --json` give it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct InventoryReport {
    /// RFC 3339, or `null` where no time is known.
    pub since: Option<String>,
    pub requests: u64,
    /// Exchanges that were not looked at: too deep, too long, or more than the learner could take.
    pub dropped: u64,
    pub endpoints: Vec<LearnedEndpoint>,
    pub unknown: Unknown,
    /// Requests at places that may be endpoints, and are not listed: too few answers, or too few clients.
    #[serde(default)]
    pub unsure: u64,
    /// Requests that the monolith answered within thirty days at places that are not listed, without 404, 405, 410 and 501: of places that
    /// may be endpoints all that it answered since they are known.
    #[serde(skip)]
    pub strays: u64,
}

/// Requests for paths that are no endpoint: answered as unknown (404, 405, 410, 501), or only with statuses that do not
/// prove a path (redirects but 303 and 304, refusals, errors), or for a client whose credit is spent.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Unknown {
    pub requests: u64,
    /// About how many different ones.
    pub paths: u64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LearnedEndpoint {
    pub method: Cow<'static, str>,
    pub path: String,
    pub route: Option<String>,
    pub stage: Option<String>,
    pub requests: u64,
    /// Of these, answered by the monolith.
    pub monolith: u64,
    /// Answers 5xx.
    pub errors: u64,
    /// Of these, the monolith's own.
    #[serde(default)]
    pub monolith_errors: u64,
    /// Answers 404, 405, 410 and 501.
    pub missing: u64,
    pub clients: Cow<'static, str>,
    /// About how many; 0: not known, of words that were seen once or twice each and became values.
    pub callers: u64,
    /// Their User-Agents, the most frequent first: eight at most.
    pub agents: Vec<CallingAgent>,
    /// Whether there are more than those.
    #[serde(default)]
    pub other_agents: OtherAgents,
    pub p50_seconds: Option<f64>,
    pub p99_seconds: Option<f64>,
    pub first_seen: Option<String>,
    pub last_seen: Option<String>,
    /// When the monolith answered last; `null`: never.
    pub monolith_last_seen: Option<String>,
    pub parameters: Vec<Described>,
    /// Whether the method changes something.
    pub writes: bool,
    /// The path with a value of each parameter's kind: what a router may be asked with.
    #[serde(skip)]
    pub example: String,
    #[serde(skip)]
    pub last_minute: u32,
    #[serde(skip)]
    pub monolith_last_minute: u32,
    /// Some requests have no time that is known.
    #[serde(skip)]
    pub untimed: bool,
}

/// A client's User-Agent, shortened.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CallingAgent {
    pub name: String,
    /// Requests of it that were looked at, at least, since it is kept among the eight.
    pub requests: u64,
}

/// A parameter and how it was found.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Described {
    pub name: String,
    /// `numbers`, `uuids`, `dates`, `versions`, `ids`, `words` or `rest`.
    pub kind: Cow<'static, str>,
    /// About how many different values.
    pub kinds: u64,
    /// The share of words that were seen once when the place was decided.
    pub once: Option<f64>,
    /// Known by the values' shape, rather than guessed from how words are spread.
    pub sure: bool,
    pub why: String,
    /// Masked shapes of up to three values.
    pub shapes: Vec<String>,
    /// The place has more values than the endpoint had requests: how many of them are its own is not known.
    #[serde(skip)]
    pub cut: bool,
}

impl LearnedEndpoint {
    /// Its first segment is a parameter of which one value was seen, as ids of a strange word are: a route with it would take
    /// everything.
    #[must_use]
    pub fn begins_with_one_value(&self) -> bool {
        let given = |one: &Described| one.why == "given in a file";
        self.path.starts_with("/{") && self.parameters.first().is_some_and(|one| one.kinds <= 1 && !given(one))
    }

    /// The most frequent of what the clients call themselves: `curl/8.5.0, okhttp/4.9.3 and 2 more`. Empty: nothing is known.
    #[must_use]
    pub fn asked_by(&self, most: usize) -> String {
        let names: Vec<&str> = self.agents.iter().take(most).map(|agent| &*agent.name).collect();
        match (self.other_agents, self.agents.len() - names.len()) {
            (_, 0) if names.is_empty() => String::new(),
            (OtherAgents::Many, _) => "many different agents".to_owned(),
            (OtherAgents::Some, _) => format!("{} and others", names.join(", ")),
            (OtherAgents::None, 0) => names.join(", "),
            (OtherAgents::None, more) => format!("{} and {more} more", names.join(", ")),
        }
    }
}

impl InventoryReport {
    /// As another process gave it: what is not written is found again.
    pub fn complete(&mut self) {
        for endpoint in &mut self.endpoints {
            endpoint.example = example(&endpoint.path, &endpoint.parameters);
            endpoint.last_minute = minute(endpoint.last_seen.as_deref());
            endpoint.monolith_last_minute = minute(endpoint.monolith_last_seen.as_deref());
        }
    }

    /// The minute of the first exchange; 0: not known.
    #[must_use]
    pub fn since_minute(&self) -> u32 {
        minute(self.since.as_deref())
    }

    /// Of a tree that was settled for display. The endpoints with most requests come first.
    #[must_use]
    pub fn of(tree: &Tree) -> Self {
        let found = tree.endpoints(LEAST);
        let since = tree.totals.until.saturating_sub(LATELY);
        let served = tree.counts().map(|count| count.monolith_served(since)).sum::<u64>();
        let known = found.iter().map(|listed| listed.count.monolith_served(since)).sum::<u64>();
        let mut endpoints: Vec<LearnedEndpoint> = found.iter().map(endpoint).collect();
        endpoints.sort_by(|one, other| {
            other.requests.cmp(&one.requests).then_with(|| (&one.path, &one.method).cmp(&(&other.path, &other.method)))
        });
        let listed: u64 = endpoints.iter().map(|endpoint| endpoint.requests).sum();
        let elsewhere = listed + tree.totals.unknown + tree.totals.refused;
        Self {
            since: rfc3339(tree.totals.since),
            requests: tree.totals.requests,
            dropped: tree.totals.refused,
            endpoints,
            unknown: Unknown { requests: tree.totals.unknown, paths: tree.unknown_paths() },
            unsure: tree.totals.requests.saturating_sub(elsewhere),
            strays: served.saturating_sub(known) + tree.strays.until(tree.totals.until),
        }
    }
}

fn endpoint(listed: &Listed<'_>) -> LearnedEndpoint {
    let count = listed.count;
    let parameters = described(&listed.parameters, count.requests);
    // Counts of exchanges are scaled up by the learner's sample.
    let failures = count.failures();
    let seen = u64::from(count.answered) + u64::from(failures.missing);
    let missing = (u64::from(failures.missing) * count.requests).checked_div(seen).unwrap_or(0);
    let path = filled(&listed.path, &parameters, |one| {
        if one.kind == "rest" { format!("{{*{}}}", one.name) } else { format!("{{{}}}", one.name) }
    });
    let callers = count.callers.as_ref().map(|callers| callers.clients.kinds());
    let agents = count.callers.as_ref().map(|callers| callers.agents()).unwrap_or_default();
    LearnedEndpoint {
        method: Cow::Borrowed(count.method.as_str()),
        route: None,
        stage: None,
        requests: count.requests,
        monolith: count.monolith,
        errors: failures.errors.into(),
        monolith_errors: failures.monolith_errors.into(),
        missing,
        clients: Cow::Borrowed(if listed.several_clients { "several" } else { "one" }),
        callers: callers.map_or(0, |callers| callers.min(count.requests).max(1 + u64::from(listed.several_clients))),
        agents: agents
            .into_iter()
            .map(|(name, requests)| CallingAgent { name: name.to_owned(), requests: requests.into() })
            .collect(),
        other_agents: count.callers.as_ref().map(|callers| callers.others()).unwrap_or_default(),
        p50_seconds: count.quantile(0.5),
        p99_seconds: count.quantile(0.99),
        first_seen: rfc3339(listed.first),
        last_seen: rfc3339(listed.last),
        monolith_last_seen: rfc3339(count.monolith_last),
        writes: !count.method.is_safe(),
        example: example(&path, &parameters),
        path,
        last_minute: listed.last,
        monolith_last_minute: count.monolith_last,
        untimed: count.untimed,
        parameters,
    }
}

/// The path with a value of each parameter's kind in its place.
fn example(path: &str, parameters: &[Described]) -> String {
    let mut example = path.to_owned();
    for one in parameters {
        let text = if one.kind == "rest" { format!("{{*{}}}", one.name) } else { format!("{{{}}}", one.name) };
        example = example.replacen(&text, one.example(), 1);
    }
    example
}

/// The template with each `{}` and `{*}` replaced, from the left.
fn filled(template: &str, parameters: &[Described], text: impl Fn(&Described) -> String) -> String {
    let mut rest = template;
    let mut path = String::with_capacity(template.len() + 16);
    for parameter in parameters {
        let place = rest.find("{}").into_iter().chain(rest.find("{*}")).min();
        let Some(at) = place else { break };
        path.push_str(&rest[..at]);
        path.push_str(&text(parameter));
        rest = &rest[at + rest[at..].find('}').map_or(0, |end| end + 1)..];
    }
    path.push_str(rest);
    path
}

/// `requests`: of their endpoint, which has no more different values than those.
fn described(parameters: &[ListedParameter<'_>], requests: u64) -> Vec<Described> {
    let mut all: Vec<Described> = Vec::with_capacity(parameters.len());
    for parameter in parameters {
        let empty = Values::default();
        let values = parameter.values.unwrap_or(&empty);
        let kind = if parameter.rest { "rest" } else { kind(values) };
        let base = match (&values.given, kind) {
            (Some(given), _) => given.to_string(),
            (None, "rest") => "rest".to_owned(),
            (None, "words") => "slug".to_owned(),
            (None, "dates") => "date".to_owned(),
            (None, _) => "id".to_owned(),
        };
        let same = all.iter().filter(|other| other.name.trim_end_matches(char::is_numeric) == base).count();
        let name = if same == 0 { base } else { format!("{base}{}", same + 1) };
        all.push(describe(name, kind, values, requests));
    }
    all
}

fn kind(values: &Values) -> &'static str {
    let [numbers, uuids, dates, versions, others, words] = values.by_kind;
    let named = [
        (numbers, "numbers"),
        (uuids, "uuids"),
        (dates, "dates"),
        (versions, "versions"),
        (others, "ids"),
        (words.max(values.words), "words"),
    ];
    named.into_iter().max_by_key(|(count, _)| *count).map_or("ids", |(_, kind)| kind)
}

fn describe(name: String, kind: &'static str, values: &Values, requests: u64) -> Described {
    // The estimate may be a little above a number that is known to be enough.
    let cut = values.kinds() * 4 > requests.max(1) * 5;
    let kinds = values.kinds().min(requests.max(1));
    let sure = !matches!(kind, "words" | "rest") || values.given.is_some();
    let once = (values.words > 0).then(|| f64::from(values.once) / f64::from(values.words));
    let why = match (&values.given, kind, once) {
        (Some(_), ..) => "given in a file".to_owned(),
        (None, "rest", _) => "files at several depths".to_owned(),
        (None, "words", Some(once)) if cut => format!("words, {:.0} % seen once", once * 100.0),
        _ if cut => kind.to_owned(),
        (None, "words", Some(once)) if u64::from(values.words) * 10 >= kinds * 9 => {
            format!("{kinds} words, {:.0} % seen once", once * 100.0)
        }
        // Later values were not looked at one by one.
        (None, "words", Some(once)) => {
            format!("{kinds} words; of the first {}, {:.0} % seen once", values.words, once * 100.0)
        }
        _ => format!("{kinds} {kind}"),
    };
    let shapes = values.masks.iter().map(ToString::to_string).collect();
    Described { name, kind: Cow::Borrowed(kind), kinds, once, sure, why, shapes, cut }
}

/// A count of different things, which is an estimate unless it is one: `~610`. `written`: the number in words.
#[must_use]
pub fn about(count: u64, written: String) -> String {
    if count > 1 { format!("~{written}") } else { written }
}

impl Described {
    /// `why` for a person, where its number is marked as an estimate.
    #[must_use]
    pub fn about(&self) -> String {
        match self.why.strip_prefix(&self.kinds.to_string()) {
            Some(rest) if rest.starts_with(' ') => about(self.kinds, self.kinds.to_string()) + rest,
            _ => self.why.clone(),
        }
    }

    fn example(&self) -> &'static str {
        match &*self.kind {
            "numbers" => "42",
            "uuids" => "0f8fad5b-d9cb-469f-a165-70867728950e",
            "dates" => "2024-05-01",
            "versions" => "1.4.2",
            "ids" => "a1b2c3d4e5",
            _ => "example",
        }
    }
}

/// RFC 3339 of minutes since 1970; `None`: not known.
#[must_use]
pub fn rfc3339(minute: u32) -> Option<String> {
    let second = i64::from(minute) * 60;
    (minute > 0).then(|| jiff::Timestamp::from_second(second).map(|time| time.to_string()).ok()).flatten()
}

/// 0 for what is no time.
fn minute(time: Option<&str>) -> u32 {
    let second = time.and_then(|time| time.parse::<jiff::Timestamp>().ok()).map_or(0, jiff::Timestamp::as_second);
    u32::try_from(second / 60).unwrap_or(0)
}
