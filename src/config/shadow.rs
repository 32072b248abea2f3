//! `[routes.NAME.shadow]` and what is compared, as written.

use std::time::Duration;

use http::{HeaderName, Method};

use super::list::Item;
use super::switch::{Switch, Switched};
use super::table::table;
use super::{Examples, HeaderList, HeaderValues, Named, Numbers, OneOrMany, Percent, Size, TokenExchange, Writes};

table! {
    /// Limits of the copies of all routes together.
    pub struct CopyLimits {
        /// Share of one processor that sending copies and comparing answers take at most; beyond it requests are not copied, and
        /// counted as skipped. Where requests want the processor as well, copies get about this share of it (that of the start;
        /// without the key a tenth). Default: as much as requests leave.
        cpu: Percent,
    }
}

table! {
    /// Copies of requests whose answers no client receives.
    pub struct Shadow {
        /// Share of the requests. Default: `"100%"`.
        sample: Percent,
        /// Methods that are copied. Default: `["GET", "HEAD"]`.
        methods: OneOrMany<Method>,
        /// Larger bodies are not copied. Default: `"64KiB"`.
        body_limit: Size,
        /// For the whole copy. Default: `"5s"`.
        timeout: Duration,
        /// Copies at once; more are not sent. Default: 100.
        in_flight: u32,
        /// In `migrated`: copy safe requests to the monolith. Default: false.
        reverse: bool,
        /// Whether unsafe requests are copied to a service with `sandbox = true`. Default: `"never"`.
        writes: Writes,
        /// Headers that the copy alone gets. Default: none.
        set: HeaderValues,
        /// Headers that the copy alone loses. Default: none.
        remove: HeaderList,
        /// Exchanges what the client shows for what the service believes, for copies alone. A copy for which that fails is not sent.
        /// Default: as `auth.exchange` of the route, if it has one.
        credentials: Box<TokenExchange>,
        /// The comparison of the answers; `false`: none, the answer is thrown away. Default: `{}` in stage `shadow`, else nothing.
        compare: Switch<Compare>,
    }
}

impl Switched for Compare {
    const EXAMPLE: &'static str = "{ }";
}

table! {
    /// What of the two answers is compared, and what counts.
    pub struct Compare {
        /// Headers that must be equal, or `"all"`. Default: presence of all but those that must differ, and the values of
        /// those that clients rely on.
        headers: OneOrMany<HeaderName>,
        /// Fields that do not count: `$.path` or `header:name`. Default: none.
        ignore: Vec<Item<String>>,
        /// Lists whose order does not count, by their paths: `$.tags`. Default: none.
        unordered: Vec<Item<String>>,
        /// Numbers that may differ by this much: `{ "$.total" = 0.01 }`. Default: none.
        tolerance: Named<f64>,
        /// The part of a field's text that does not count, as a regular expression: `{ "header:location" = 'comment-\\d+' }`.
        /// Default: none.
        mask: Named<String>,
        /// The member by which the elements of a list are told apart: `{ "$.users" = "id" }`. Default: by their place in the list.
        align: Named<String>,
        /// Links to the client's host and to the sides' own hosts are the same. Default: true.
        hosts: bool,
        /// Links that have the same query in another order are the same. Default: true.
        urls: bool,
        /// Statuses of the service that are as good as one of the monolith: `{ "202" = ["200", "201"] }`.
        /// Default: none.
        status: Named<OneOrMany<String>>,
        /// Ask on where a side only accepts (202 and a Location on the same host), and compare what comes out. Default: not asked.
        follow: Follow,
        /// Whether `1.0` is `1` (`"value"`) or differs from it (`"written"`). Default: `"value"`.
        numbers: Numbers,
        /// Larger bodies are compared by length and hash. Default: `"1MiB"`.
        body_limit: Size,
        /// How often the monolith is compared with itself.
        noise: Noise,
        /// The examples that are kept of fields that differ. Default: `"shapes"`.
        examples: Examples,
        /// Names of fields that are removed before anything is kept, wherever they stand. Default: none, besides `Authorization`,
        /// `Proxy-Authorization`, `Cookie`, `Set-Cookie`, `X-Api-Key` and names that hint at a secret, which always are.
        redact: Vec<Item<String>>,
    }
}

table! {
    /// How an outcome is asked for: by GET, at the side that accepted, until it is there.
    pub struct Follow {
        /// Of the answers that accept. Default: 202.
        status: u16,
        /// Longest wait for the outcome, at most `"1m"`. Default: `"5s"`.
        within: Duration,
    }
}

table! {
    /// Safe requests that are sent to the monolith once more.
    pub struct Noise {
        /// Share of the compared requests. Default: `"1%"`.
        replay: Percent,
        /// The most replays a second. Default: 5.
        per_second: u32,
    }
}
