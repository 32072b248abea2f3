//! Which statuses stood against which: a table of pairs, with the requests that showed them last.

use http::header::{AUTHORIZATION, COOKIE};
use serde::{Deserialize, Serialize};

use super::Millis;
use super::response::ComparedRequest;
use super::rules::Rules;
use super::window::Window;

/// Characters of a request id.
const MAX_ID: usize = 100;

/// Bytes of a field of the request.
const MAX_FIELD: usize = 255;

/// Pairs that are told apart.
const MAX_PAIRS: usize = 64;

/// Requests of one pair.
const MAX_REQUESTS: usize = 3;

/// A request as it is kept: its target without secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptRequest {
    /// By which it can be asked again; 0: it was kept before requests had numbers.
    #[serde(default)]
    pub number: u64,
    pub method: String,
    pub target: String,
    pub request_id: Option<String>,
    /// It carried credentials.
    pub authorized: bool,
    /// `Host` and `Accept`, by which answers are chosen.
    #[serde(default)]
    pub host: Option<String>,
    #[serde(default)]
    pub accept: Option<String>,
}

impl KeptRequest {
    /// The kept parts of a request.
    pub fn of(request: &ComparedRequest<'_>, rules: &Rules) -> Self {
        let secrets = rules.redactor().secrets(request, []);
        let text = |name: &str| request.headers.get(name).and_then(|value| value.to_str().ok());
        let kept = |name: &str| {
            text(name).map(|value| rules.redactor().text(value, &secrets)).filter(|text| text.len() <= MAX_FIELD)
        };
        Self {
            number: 0,
            method: request.method.to_string(),
            target: rules.redactor().target(request.target, &secrets),
            request_id: text("x-request-id").map(|id| id.chars().take(MAX_ID).collect()),
            host: kept("host"),
            accept: kept("accept"),
            authorized: [AUTHORIZATION, COOKIE].iter().any(|name| request.headers.contains_key(name)),
        }
    }
}

/// Two statuses that were not the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Pair {
    pub(super) from: u16,
    /// `None`: no answer came.
    pub(super) to: Option<u16>,
    pub(super) count: u64,
    pub(super) authorized: u64,
    pub(super) last: Millis,
    /// `count` and `authorized` over time.
    #[serde(default)]
    pub(super) window: Window,
    /// The newest last.
    pub(super) requests: Vec<(Millis, KeptRequest)>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Statuses {
    pairs: Vec<Pair>,
}

impl Statuses {
    pub(super) fn count(&mut self, from: u16, to: Option<u16>, asked: &KeptRequest, now: Millis) {
        let known = self.pairs.iter().position(|pair| (pair.from, pair.to) == (from, to));
        let at = match known {
            Some(at) => at,
            None if self.pairs.len() < MAX_PAIRS => {
                self.pairs.push(Pair {
                    from,
                    to,
                    count: 0,
                    authorized: 0,
                    last: now,
                    window: Window::default(),
                    requests: Vec::new(),
                });
                self.pairs.len() - 1
            }
            None => return,
        };
        let Some(pair) = self.pairs.get_mut(at) else { return };
        pair.count += 1;
        pair.authorized += u64::from(asked.authorized);
        pair.window.add([1, u32::from(asked.authorized), 0], now);
        pair.last = pair.last.max(now);
        if pair.requests.len() >= MAX_REQUESTS {
            pair.requests.remove(0);
        }
        pair.requests.push((now, asked.clone()));
    }

    /// A request that is still kept, by its number.
    pub(super) fn request(&self, number: u64) -> Option<&KeptRequest> {
        self.pairs.iter().flat_map(|pair| &pair.requests).map(|(_, asked)| asked).find(|asked| asked.number == number)
    }

    /// The answers since a time: each pair that was seen then, with the counts of then.
    pub(super) fn since(&self, from: Millis, now: Millis) -> Self {
        let recent = self.pairs.iter().filter_map(|pair| {
            let [count, authorized, _] = pair.window.since(from, now);
            let requests = pair.requests.iter().filter(|(at, _)| *at >= from).cloned().collect();
            (count > 0).then(|| Pair { count, authorized, requests, window: Window::default(), ..pair.clone() })
        });
        Self { pairs: recent.collect() }
    }

    /// The most frequent first.
    pub(super) fn pairs(&self) -> Vec<&Pair> {
        let mut pairs: Vec<_> = self.pairs.iter().collect();
        pairs.sort_by_key(|pair| (std::cmp::Reverse(pair.count), pair.from, pair.to));
        pairs
    }
}

impl Pair {
    /// The usual cause of such a pair.
    pub(super) const fn hint(&self) -> Option<&'static str> {
        match (self.from, self.to) {
            (_, None) => Some("the service gives no whole answer: see the log for why"),
            (200..=299, Some(401 | 403)) if self.authorized == self.count => {
                Some("the service refuses the monolith's credentials: see `shadow.credentials`")
            }
            (200..=299, Some(401 | 403)) => Some("the service asks for credentials that the monolith does not need"),
            (202, Some(200 | 201 | 204)) | (200 | 201 | 204, Some(202)) => {
                Some("one side works later: ask on with `follow`, or agree on it with `status`")
            }
            (200..=299, Some(300..=399)) | (300..=399, Some(200..=299)) => {
                Some("one side redirects: a trailing slash, or a login")
            }
            (_, Some(404)) => Some("the service does not know the path: does the route need a rewrite?"),
            (_, Some(405)) => Some("the service does not know the method at this path"),
            _ => None,
        }
    }
}
