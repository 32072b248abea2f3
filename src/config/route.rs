//! `[routes.NAME]` as written.

use std::time::Duration;

use http::{HeaderValue, Method};
use serde_json::json;

use super::list::Item;
use super::reader::{Decode, Reader, Value};
use super::switch::{Switch, Switched};
use super::table::table;
use super::{
    Auth, Buffer, CallTable, Conditions, Gate, HeaderList, HeaderValues, Limit, Named, OneOrMany, Percent, Rate,
    Shadow, Size, Stage, Timeouts,
};

table! {
    /// A match, and where it stands in the migration.
    pub struct Route {
        /// A host, or `*.example.com`: any depth, not the apex. Default: any.
        host: String,
        /// A path template or a list of them: `/api/users/{id}`, `/static/{*rest}`. Required, unless `host` is given.
        path: OneOrMany<String>,
        /// Methods; `GET` stands for GET and HEAD. Default: all.
        methods: OneOrMany<Method>,
        /// Conditions on headers. Default: none.
        headers: Conditions,
        /// Conditions on cookies. Default: none.
        cookies: Conditions,
        /// Conditions on query values. Default: none.
        query: Conditions,
        /// Decides between routes that are equally specific; the higher one wins. Default: 0.
        priority: i64,
        /// The service that takes the route over. Required, except in `monolith`, in `split` and beside `redirect`.
        service: String,
        /// Where the route stands.
        stage: Stage = checked,
        /// The service's share of the clients. Required in `canary`, and possible there alone.
        weight: Percent,
        /// The sides of a `split`. Required there, and possible there alone.
        variants: Named<Variant>,
        /// The unit of a client: the first that is present of `header:NAME`, `cookie:NAME`, `jwt:CLAIM`, `query:NAME` and `ip`.
        /// The cookie `multilith_id` is always the last. Default: that cookie alone.
        sticky: OneOrMany<String>,
        /// Give a client that nothing names a cookie. Default: true.
        issue_cookie: bool,
        /// Routes of one cohort put a client on one side. Default: the route's name.
        cohort: String,
        /// How long a silent conversation keeps the side it began on. Default: none.
        pin: Limit<Duration>,
        /// Both sides' answers may stay in shared caches. Default: false.
        shared_cache: bool,
        /// The monolith answers when the service fails. Default: true in `canary`, false in `migrated`.
        fallback: Switch<Fallback>,
        /// Stops asking a service that keeps failing, where a fallback is on. Default: `{}`.
        breaker: Box<Breaker>,
        /// Changes of the request before the service gets it. Default: the request as it is.
        rewrite: Box<Rewrite>,
        /// Changes of the service's answer. Default: nothing.
        answer: Box<Answer>,
        /// Calls of gRPC that change nothing: `/shop.Catalog/Get*`, with `*` at the end alone. They may be copied, retried and fall
        /// back as a GET may. Default: none.
        safe_methods: OneOrMany<String>,
        /// Copies of requests. Default: `{}` in `shadow`, else none.
        shadow: Box<Shadow>,
        /// Moves the route by itself, when it is proved that its service may have more. `{}` is enough. Default: none.
        gate: Box<Gate>,
        /// Size of a request body; more is 413. Default: `limits.body`.
        body_limit: Limit<Size>,
        /// How much of bodies is held on their way. Default: as the upstream has it.
        buffer: Buffer,
        /// How long upstreams may take on this route. Default: as `[timeouts]` and the upstream's own have it.
        timeouts: Box<Timeouts>,
        /// The method that is called. Required where the service is one of Nameko.
        call: Box<CallTable>,
        /// Answers instead of a service, in `migrated` and `retired`. Default: none.
        redirect: Box<Redirect>,
        /// Networks of the clients that may ask at all, after `server.trusted`; others get 403. Default: all.
        allow: Vec<Item<String>>,
        /// Failures on purpose, to see what happens. While it is in the file, the route's gate holds. Default: none.
        fault: Box<Fault>,
        /// How often one client may ask. Default: no limit.
        rate_limit: Box<RateLimit>,
        /// Which requests may pass at all. Default: all.
        auth: Box<Auth>,
    }
}

table! {
    /// One side of a split.
    pub struct Variant {
        /// `"monolith"` or a service.
        upstream: String = required,
        /// Its share of the clients.
        weight: Percent = required,
        /// Headers its requests carry. Default: none.
        headers: HeaderValues,
    }
}

impl Switched for Fallback {
    const EXAMPLE: &'static str = "true";
}

table! {
    /// When the monolith answers instead of a service that failed.
    pub struct Fallback {
        /// Methods that move when nothing was sent. Default: all.
        methods: OneOrMany<Method>,
        /// Answers that count as a failure; safe methods only. A gRPC call has failed with `UNKNOWN`, `DEADLINE_EXCEEDED`,
        /// `UNIMPLEMENTED`, `INTERNAL`, `UNAVAILABLE` and `DATA_LOSS`. Default: `[502, 503, 504]`, in `canary` 500 besides.
        statuses: Vec<Item<u16>>,
    }
}

table! {
    /// While it is open, the monolith answers without the service being asked.
    pub struct Breaker {
        /// Failures in a row that open it. Default: 5.
        failures: u32,
        /// How long until one request tries the service again. Default: `"30s"`.
        open: Duration,
    }
}

table! {
    /// Changes of the request before the service gets it.
    pub struct Rewrite {
        /// A path with the template's parameters: `/v2/people/{id}`. Default: the path as it is.
        path: String,
        /// The Host header. Default: the `host` of the upstream, else the client's.
        host: HeaderValue,
        /// Headers to set. Default: none.
        set: HeaderValues,
        /// Headers to add beside those that are there. Default: none.
        add: HeaderValues,
        /// Headers to remove. Default: none.
        remove: HeaderList,
    }
}

table! {
    /// Changes of the service's answer.
    pub struct Answer {
        /// Turn `Location`, `Content-Location` and `Refresh` back to what the client asked for. Default: false.
        location: bool,
        /// Cookie domains: from, to; `""` removes the attribute. Default: none.
        cookie_domain: Named<CookieDomain>,
        /// Cookie path prefixes: from, to. Default: none.
        cookie_path: Named<String>,
        /// Headers to set. Default: none.
        set: HeaderValues,
        /// Headers to remove. Default: none.
        remove: HeaderList,
        /// The status of a call that succeeded. Default: 200.
        status: u16,
        /// The status for an exception, by the path of its class: `"orders.exceptions.NotFound" = 404`. Default: 400 for wrong
        /// arguments, 500 for others.
        errors: Named<u16>,
    }
}

/// The domain that a cookie is given, or none.
#[derive(Debug)]
pub struct CookieDomain(pub Option<String>);

impl Decode for CookieDomain {
    const EXPECTED: &'static str = "a domain";
    const EXAMPLE: &'static str = "\"example.com\"";

    fn decode(value: &Value<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        let text = reader.string::<Self>(value)?;
        Some(Self(if text.is_empty() { None } else { Some(text.into_owned()) }))
    }

    fn schema() -> serde_json::Value {
        json!({ "type": "string" })
    }
}

table! {
    /// Answers instead of a service. The query of the request is kept.
    pub struct Redirect {
        /// A path with the template's parameters, `/new/{id}`, or a URL that ends in one.
        to: String = required,
        /// 301, 302, 303, 307 or 308. Default: 308.
        status: u16,
    }
}

table! {
    /// Failures on purpose: each request that the side would answer is drawn anew.
    pub struct Fault {
        /// Of the requests that the side would answer.
        share: Percent = required,
        /// They wait this long before the service is asked. Default: none.
        delay: Duration,
        /// They are answered with this instead of by the service, 400 to 599; it counts as the service's own. Default: none.
        status: u16,
        /// `"service"`, or in a split the name of a variant. Default: `"service"`.
        side: String,
    }
}

table! {
    /// How often one client may ask.
    pub struct RateLimit {
        /// `"ip"`, `"header:NAME"` or `"cookie:NAME"`.
        per: String = required,
        /// As in `"100/s"`.
        rate: Rate = required,
        /// Requests that may come at once. Default: the rate's number.
        burst: u32,
        /// All replicas of `[fleet]` share rate and burst, each by its part of the route's requests in the last seconds. That is an
        /// approximation, for balancers that spread each client's requests over all replicas. Default: `false`, each replica has the whole.
        fleet: bool,
    }
}
