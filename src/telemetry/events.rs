//! The live stream: sampled exchanges, moves, reloads, mismatches and changes of endpoints for watchers. Watching never slows traffic.

use std::fmt;
use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::SystemTime;

use parking_lot::RwLock;
use tokio::sync::broadcast::{self, error::RecvError};

use super::access_log;
use super::cloud_events::CloudEvents;
use super::record::ExchangeRecord;
use super::trace::RequestId;

/// A watcher that is further behind has missed the oldest.
const BACKLOG: usize = 1024;
/// Each side of a route has a budget of its own for each class of status, so that a busy route does not drown a quiet one,
/// nor the many good answers the few bad ones that a watcher waits for. Few share a place in the table.
const PLACES: usize = 1024;
/// Events a second for each of these. No person reads faster, and two watchers cost no more than one.
const PER_LANE: u32 = 50;
/// Events a second in all, for each class of status.
const IN_ALL: u32 = 1000;
/// 1xx to 5xx; 0: no answer, or no request.
const CLASSES: usize = 6;

/// One thing that happened.
#[derive(Debug, Clone)]
pub struct Event {
    /// `request`, `move`, `reload`, `mismatch`, `upstream`, `verdict`, `fault` or `sign_in`; the name of the server-sent event.
    pub kind: &'static str,
    /// Empty: it concerns no route.
    pub route: Arc<str>,
    /// Empty unless it is a request.
    pub side: Arc<str>,
    /// 0 unless it is a request that was answered.
    pub status: u16,
    /// Of a request, the client's address.
    pub client: Option<IpAddr>,
    /// Of a request, the id under which other logs know it; otherwise empty.
    pub id: Arc<str>,
    /// Beyond the budget: only for watchers that filter by its client or its id.
    pub beyond: bool,
    /// A JSON object on one line. That of a request is the line of the access log.
    pub data: Arc<str>,
}

/// Which events a watcher wants to hear of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventFilter {
    pub route: Option<String>,
    pub side: Option<String>,
    pub status: Option<StatusFilter>,
    pub client: Option<IpAddr>,
    pub id: Option<String>,
}

/// `404`, or a class such as `5xx`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatusFilter {
    Exact(u16),
    /// 1 to 5.
    Class(u16),
}

/// Neither a status nor a class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a status is written as `404`, a class as `5xx`")]
pub struct NoStatus;

impl fmt::Display for StatusFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(status) => write!(f, "{status}"),
            Self::Class(class) => write!(f, "{class}xx"),
        }
    }
}

impl std::str::FromStr for StatusFilter {
    type Err = NoStatus;

    fn from_str(text: &str) -> Result<Self, NoStatus> {
        let digit = |class: &str| class.parse().ok().filter(|class| (1..=5).contains(class));
        match text.strip_suffix("xx").or_else(|| text.strip_suffix("XX")) {
            Some(class) => digit(class).map(Self::Class).ok_or(NoStatus),
            None => text.parse().ok().filter(|status| (100..=599).contains(status)).map(Self::Exact).ok_or(NoStatus),
        }
    }
}

impl EventFilter {
    /// Side and status say something of requests alone: with them, nothing else is wanted.
    #[must_use]
    pub fn wants(&self, event: &Event) -> bool {
        let status = self.status.is_none_or(|wanted| match wanted {
            StatusFilter::Exact(status) => event.status == status,
            StatusFilter::Class(class) => event.status / 100 == class,
        });
        status
            && self.route.as_deref().is_none_or(|route| *event.route == *route)
            && self.side.as_deref().is_none_or(|side| *event.side == *side)
            && self.is_of(event.client, &event.id)
            && (!event.beyond || self.is_narrow())
    }

    /// It names one client or one request: few events, none of which may be left out.
    fn is_narrow(&self) -> bool {
        self.client.is_some() || self.id.is_some()
    }

    fn is_of(&self, client: Option<IpAddr>, id: &str) -> bool {
        // An IPv4 client of an IPv6 listener is one and the same.
        let same = |wanted: IpAddr| client.is_some_and(|client| client.to_canonical() == wanted.to_canonical());
        self.client.is_none_or(same) && self.id.as_deref().is_none_or(|wanted| id == wanted)
    }
}

/// A page that is told when to look again.
#[derive(Debug)]
pub struct OpenPage(Arc<Events>);

impl Drop for OpenPage {
    fn drop(&mut self) {
        self.0.pages.fetch_sub(1, Relaxed);
    }
}

/// Where events are published. Without a watcher an event costs one atomic load.
#[derive(Debug)]
pub struct Events {
    watchers: AtomicUsize,
    /// Pages that are told when to look again: they hear no event, and no request asks for them.
    pages: AtomicUsize,
    sender: broadcast::Sender<Event>,
    budget: Budget,
    /// The filters of watchers of one client or one request; asked where the budget is used up.
    narrow: RwLock<Vec<Arc<EventFilter>>>,
    /// For other programs, whether or not anything watches the live events.
    forward: Option<Arc<CloudEvents>>,
}

impl Default for Events {
    fn default() -> Self {
        Self {
            watchers: AtomicUsize::new(0),
            pages: AtomicUsize::new(0),
            sender: broadcast::Sender::new(BACKLOG),
            budget: Budget::default(),
            narrow: RwLock::default(),
            forward: None,
        }
    }
}

impl Events {
    /// Events are forwarded there, too.
    pub(super) fn forwarded_to(forward: Arc<CloudEvents>) -> Self {
        Self { forward: Some(forward), ..Self::default() }
    }

    /// Begins to watch, from now on. The watcher hears what the filter wants, and leaves the rest to other watchers.
    pub fn watch(self: &Arc<Self>, filter: EventFilter) -> Watcher {
        let receiver = self.sender.subscribe();
        let filter = Arc::new(filter);
        if filter.is_narrow() {
            self.narrow.write().push(Arc::clone(&filter));
        }
        self.watchers.fetch_add(1, Relaxed);
        Watcher { receiver, filter, events: Arc::clone(self) }
    }

    /// How many are watching.
    pub fn watchers(&self) -> usize {
        self.watchers.load(Relaxed)
    }

    /// The same, and the pages that are open.
    pub fn streams(&self) -> usize {
        self.watchers() + self.pages.load(Relaxed)
    }

    /// Counts an open page, as long as this lives.
    pub fn page(self: &Arc<Self>) -> OpenPage {
        self.pages.fetch_add(1, Relaxed);
        OpenPage(Arc::clone(self))
    }

    /// Something happened. `data` is only asked for when there is a watcher and the budget of its route lasts.
    pub fn publish(&self, kind: &'static str, route: &str, data: impl FnOnce() -> String) {
        let forward = self.forward.as_ref().filter(|forward| forward.wants(kind));
        let watched = self.is_wanted(kind, route, "", 0);
        if !watched && forward.is_none() {
            return;
        }
        let data: Arc<str> = data().into();
        if let Some(forward) = forward {
            forward.put(kind, route, RequestId::made(fastrand::u128(1..)).as_str(), Arc::clone(&data));
        }
        if watched {
            // An error says that the last watcher has just left.
            let _ = self.sender.send(Event {
                kind,
                route: route.into(),
                side: "".into(),
                status: 0,
                client: None,
                id: "".into(),
                beyond: false,
                data,
            });
        }
    }

    pub(super) fn request(&self, record: &ExchangeRecord<'_>, now: SystemTime) {
        let beyond = !self.is_wanted("request", record.route, record.side, record.judged());
        let (client, id) = (record.client, record.request_id.as_str());
        let forward = self.forward.as_ref().filter(|one| one.wants("request") && one.samples(record));
        let watched = !beyond || self.narrow.read().iter().any(|filter| filter.is_of(client, id));
        if !watched && forward.is_none() {
            return;
        }
        let mut line = Vec::with_capacity(1024);
        access_log::json_line(&mut line, record, now);
        let data: Arc<str> = String::from_utf8_lossy(&line).into();
        if let Some(forward) = forward {
            forward.put("request", record.route, id, Arc::clone(&data));
        }
        if !watched {
            return;
        }
        let _ = self.sender.send(Event {
            kind: "request",
            route: record.route.into(),
            side: record.side.into(),
            status: record.judged(),
            client,
            id: id.into(),
            beyond,
            data,
        });
    }

    /// Events that watchers were not shown since the program began, because there were too many.
    pub fn left_out(&self) -> u64 {
        self.budget.left_out.load(Relaxed)
    }

    fn is_wanted(&self, kind: &'static str, route: &str, side: &str, status: u16) -> bool {
        self.watchers.load(Relaxed) > 0 && self.budget.allows((kind, route, side), status, seconds(SystemTime::now()))
    }
}

fn seconds(now: SystemTime) -> u64 {
    now.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// A budget of events a second. Two threads at the turn of a second may let a few too many through, which does no harm.
#[derive(Debug)]
struct Budget {
    second: AtomicU64,
    all: [AtomicU32; CLASSES],
    lanes: [AtomicU32; PLACES],
    left_out: AtomicU64,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            second: AtomicU64::new(0),
            all: std::array::from_fn(|_| AtomicU32::new(0)),
            lanes: std::array::from_fn(|_| AtomicU32::new(0)),
            left_out: AtomicU64::new(0),
        }
    }
}

impl Budget {
    /// `of`: kind, route, side.
    fn allows(&self, of: (&str, &str, &str), status: u16, second: u64) -> bool {
        if self.second.swap(second, Relaxed) != second {
            self.all.iter().chain(&self.lanes).for_each(|count| count.store(0, Relaxed));
        }
        let class = usize::from(status / 100).min(CLASSES - 1);
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one((of, class));
        let place = usize::try_from(hash % PLACES as u64).expect("a place is small");
        let allowed =
            self.lanes[place].fetch_add(1, Relaxed) < PER_LANE && self.all[class].fetch_add(1, Relaxed) < IN_ALL;
        if !allowed {
            self.left_out.fetch_add(1, Relaxed);
        }
        allowed
    }
}

/// A watcher; dropping it ends the watch.
#[derive(Debug)]
pub struct Watcher {
    receiver: broadcast::Receiver<Event>,
    filter: Arc<EventFilter>,
    events: Arc<Events>,
}

/// An item of a watcher's stream.
#[derive(Debug, Clone)]
pub enum Heard {
    Event(Event),
    /// The watcher was too slow: the number of events that it missed.
    Missed(u64),
}

impl Watcher {
    /// Waits for the next event that is wanted. Safe to cancel. `None`: there will be no more.
    pub async fn next(&mut self) -> Option<Heard> {
        loop {
            match self.receiver.recv().await {
                Ok(event) if self.filter.wants(&event) => return Some(Heard::Event(event)),
                Ok(_) => {}
                Err(RecvError::Lagged(count)) => return Some(Heard::Missed(count)),
                Err(RecvError::Closed) => return None,
            }
        }
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.events.narrow.write().retain(|filter| !Arc::ptr_eq(filter, &self.filter));
        self.events.watchers.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(route: &str, side: &str, status: u16) -> Event {
        Event {
            kind: "request",
            route: route.into(),
            side: side.into(),
            status,
            client: Some([10, 0, 0, 7].into()),
            id: "7f".into(),
            beyond: false,
            data: "{}".into(),
        }
    }

    #[test]
    fn a_filter_lets_through_what_it_names() {
        let filter = |route: Option<&str>, side: Option<&str>, status: Option<&str>| EventFilter {
            route: route.map(Into::into),
            side: side.map(Into::into),
            status: status.map(|status| status.parse().unwrap()),
            ..EventFilter::default()
        };
        for (filter, wanted) in [
            (filter(None, None, None), true),
            (filter(Some("a"), Some("service"), Some("5xx")), true),
            (filter(None, None, Some("503")), true),
            (filter(Some("b"), None, None), false),
            (filter(None, Some("monolith"), None), false),
            (filter(None, None, Some("4xx")), false),
            (filter(None, None, Some("500")), false),
        ] {
            assert_eq!(filter.wants(&event("a", "service", 503)), wanted, "{filter:?}");
        }
        for nonsense in ["", "xx", "0xx", "6xx", "99", "600", "abc"] {
            assert!(nonsense.parse::<StatusFilter>().is_err(), "{nonsense}");
        }
    }

    #[test]
    fn one_client_or_one_request_is_heard_of_beyond_the_budget() {
        let of = |client: Option<&str>, id: Option<&str>| EventFilter {
            client: client.map(|client| client.parse().unwrap()),
            id: id.map(Into::into),
            ..EventFilter::default()
        };
        let beyond = Event { beyond: true, ..event("a", "service", 200) };
        for (filter, within, without) in [
            (of(None, None), true, false),
            (of(Some("10.0.0.7"), None), true, true),
            (of(Some("::ffff:10.0.0.7"), None), true, true),
            (of(Some("10.0.0.8"), None), false, false),
            (of(None, Some("7f")), true, true),
            (of(None, Some("80")), false, false),
            (of(Some("10.0.0.7"), Some("80")), false, false),
        ] {
            assert_eq!(
                (filter.wants(&event("a", "service", 200)), filter.wants(&beyond)),
                (within, without),
                "{filter:?}"
            );
        }
        let events = Arc::new(Events::default());
        let narrow = events.watch(of(None, Some("7f")));
        let wide = events.watch(of(None, None));
        assert_eq!(events.narrow.read().len(), 1);
        drop(narrow);
        assert!(events.narrow.read().is_empty());
        drop(wide);
    }

    #[test]
    fn nothing_is_made_when_nobody_watches() {
        let events = Arc::new(Events::default());
        events.publish("reload", "", || panic!("nobody watches"));
        drop(events.watch(EventFilter::default()));
        events.publish("reload", "", || panic!("nobody watches any more"));
    }

    #[tokio::test]
    async fn whoever_watches_hears_of_it() {
        let events = Arc::new(Events::default());
        let mut watcher = events.watch(EventFilter::default());
        events.publish("move", "a", || "{\"to\":\"canary\"}".to_owned());
        let Some(Heard::Event(heard)) = watcher.next().await else { panic!("nothing was heard") };
        assert_eq!((heard.kind, &*heard.route, &*heard.data), ("move", "a", "{\"to\":\"canary\"}"));
    }

    #[tokio::test]
    async fn a_watcher_that_is_too_slow_is_told_what_it_missed() {
        let events = Arc::new(Events::default());
        let mut watcher = events.watch(EventFilter::default());
        for _ in 0..BACKLOG + 7 {
            events.sender.send(event("a", "service", 200)).unwrap();
        }
        assert!(matches!(watcher.next().await, Some(Heard::Missed(7))));
        assert!(matches!(watcher.next().await, Some(Heard::Event(_))));
    }

    #[test]
    fn a_busy_route_does_not_drown_a_quiet_one() {
        let budget = Budget::default();
        let allows = |route: &str, second| budget.allows(("request", route, "service"), 200, second);
        let busy = (0..10_000).filter(|_| allows("busy", 7)).count();
        assert_eq!(busy, 50);
        assert!(allows("quiet", 7));
        assert!(allows("busy", 8), "the next second has a budget of its own");
        let all = (0..5_000).filter(|n| allows(&format!("route-{n}"), 9)).count();
        assert_eq!(all, 1000);
    }

    #[test]
    fn good_answers_do_not_drown_the_bad_ones_nor_one_side_the_other() {
        let budget = Budget::default();
        for n in 0..10_000 {
            budget.allows(("request", &format!("route-{}", n % 100), "monolith"), 200, 7);
        }
        assert!(!budget.allows(("request", "route-1", "monolith"), 200, 7));
        assert!(budget.allows(("request", "route-1", "monolith"), 503, 7));
        let few = Budget::default();
        for _ in 0..100 {
            let _ = few.allows(("request", "route-1", "monolith"), 200, 7);
        }
        assert!(few.allows(("request", "route-1", "service"), 200, 7));
    }
}
