//! Answers about clients that are used again: bounded, each for its time, and asked for once however many wait for one.

use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use ring::hmac;
use ring::rand::SystemRandom;
use tokio::sync::watch;

/// Answers that are kept at once.
const MOST: usize = 10_000;

/// The key of an answer: a keyed hash, which tells nothing of what the client has shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Tag([u8; 32]);

/// An answer, and what may be done with it.
#[derive(Debug, Clone)]
pub(super) struct Answered<T> {
    pub(super) value: T,
    /// How long it may be used again; `None`: not at all.
    pub(super) keep: Option<Duration>,
    /// Requests that waited for the same answer share it.
    pub(super) shared: bool,
}

/// The answers of one server.
pub(super) struct Answers<T> {
    key: hmac::Key,
    state: Mutex<State<T>>,
}

struct State<T> {
    kept: HashMap<Tag, Kept<T>>,
    /// In the order in which they came, with their stamps.
    order: VecDeque<(Tag, u64)>,
    stamp: u64,
    flights: HashMap<Tag, Flight<T>>,
}

struct Kept<T> {
    value: T,
    until: Instant,
    stamp: u64,
}

/// The result for requests that wait.
#[derive(Clone)]
enum Landed<T> {
    For(T),
    /// The answer is not for them.
    Alone,
}

/// `None` until it has ended.
type Flight<T> = watch::Receiver<Option<Landed<T>>>;

/// Builds a tag of parts none of which can be taken for another.
pub(super) struct Tagger(hmac::Context);

impl Tagger {
    pub(super) fn part(&mut self, kind: u8, text: &[u8]) {
        self.0.update(&[kind]);
        self.0.update(&(text.len() as u64).to_le_bytes());
        self.0.update(text);
    }

    pub(super) fn finish(self) -> Tag {
        let mut tag = [0; 32];
        tag.copy_from_slice(self.0.sign().as_ref());
        Tag(tag)
    }
}

impl<T> std::fmt::Debug for Answers<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Answers(…)")
    }
}

impl<T: Clone + Send + Sync + 'static> Answers<T> {
    pub(super) fn new() -> Arc<Self> {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new()).expect("the system has randomness");
        let state = State { kept: HashMap::new(), order: VecDeque::new(), stamp: 0, flights: HashMap::new() };
        Arc::new(Self { key, state: Mutex::new(state) })
    }

    pub(super) fn tagger(&self) -> Tagger {
        Tagger(hmac::Context::with_key(&self.key))
    }

    /// The answer that is kept, or the one that `ask` gives. Concurrent requests for the same answer wait for the first one. Asking
    /// does not end with the client that began it: others may wait. `None`: it ended without an answer.
    pub(super) async fn get<F>(self: &Arc<Self>, tag: Tag, ask: impl Fn() -> F) -> Option<T>
    where
        F: Future<Output = Answered<T>> + Send + 'static,
    {
        let (mut flight, lead) = {
            let mut state = self.state.lock();
            if let Some(kept) = state.kept.get(&tag).filter(|kept| kept.until > Instant::now()) {
                return Some(kept.value.clone());
            }
            if let Some(flight) = state.flights.get(&tag) {
                (flight.clone(), None)
            } else {
                let (to, from) = watch::channel(None);
                state.flights.insert(tag, from.clone());
                (from, Some(Landing { answers: Arc::clone(self), tag, to }))
            }
        };
        if let Some(landing) = lead {
            let asked = ask();
            return tokio::spawn(async move { landing.with(asked.await) }).await.ok();
        }
        let landed = flight.wait_for(Option::is_some).await.ok().and_then(|landed| landed.clone());
        match landed {
            Some(Landed::For(value)) => Some(value),
            // It is not for others, or its task ended early.
            Some(Landed::Alone) | None => Some(ask().await.value),
        }
    }

    fn keep(state: &mut State<T>, tag: Tag, value: T, time: Duration) {
        let now = Instant::now();
        state.make_room(now);
        state.stamp += 1;
        let stamp = state.stamp;
        state.order.push_back((tag, stamp));
        state.kept.insert(tag, Kept { value, until: now + time, stamp });
    }
}

impl<T> State<T> {
    /// Forgets what is over, and the oldest where there are too many.
    fn make_room(&mut self, now: Instant) {
        while let Some((tag, stamp)) = self.order.front() {
            let kept = self.kept.get(tag).filter(|kept| kept.stamp == *stamp);
            if kept.is_some_and(|kept| kept.until > now) && self.kept.len() < MOST && self.order.len() < 2 * MOST {
                break;
            }
            if kept.is_some() {
                self.kept.remove(tag);
            }
            self.order.pop_front();
        }
    }
}

/// Ends a flight, also one that is broken off.
struct Landing<T: Clone + Send + Sync + 'static> {
    answers: Arc<Answers<T>>,
    tag: Tag,
    to: watch::Sender<Option<Landed<T>>>,
}

impl<T: Clone + Send + Sync + 'static> Landing<T> {
    fn with(self, answered: Answered<T>) -> T {
        let Answered { value, keep, shared } = answered;
        if let Some(time) = keep {
            Answers::keep(&mut self.answers.state.lock(), self.tag, value.clone(), time);
        }
        self.to.send_replace(Some(if shared { Landed::For(value.clone()) } else { Landed::Alone }));
        value
    }
}

impl<T: Clone + Send + Sync + 'static> Drop for Landing<T> {
    fn drop(&mut self) {
        self.answers.state.lock().flights.remove(&self.tag);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::Notify;

    use super::*;

    const LONG: Duration = Duration::from_secs(3600);

    fn tag(answers: &Arc<Answers<usize>>, text: &str) -> Tag {
        let mut tagger = answers.tagger();
        tagger.part(b'a', text.as_bytes());
        tagger.finish()
    }

    /// Asks for a number that counts how often it was asked for.
    async fn number(
        answers: &Arc<Answers<usize>>,
        about: &str,
        count: &Arc<AtomicUsize>,
        keep: Option<Duration>,
    ) -> usize {
        let tag = tag(answers, about);
        let ask = || {
            let count = Arc::clone(count);
            async move { Answered { value: count.fetch_add(1, Ordering::SeqCst) + 1, keep, shared: true } }
        };
        answers.get(tag, ask).await.expect("an answer")
    }

    #[tokio::test]
    async fn an_answer_is_used_again_for_its_time_and_for_nothing_else() {
        let (answers, count) = (Answers::new(), Arc::default());
        assert_eq!(number(&answers, "one", &count, Some(LONG)).await, 1);
        assert_eq!(number(&answers, "one", &count, Some(LONG)).await, 1);
        assert_eq!(number(&answers, "other", &count, Some(Duration::ZERO)).await, 2);
        assert_eq!(number(&answers, "other", &count, None).await, 3);
        assert_eq!(number(&answers, "other", &count, None).await, 4);
        let others: Arc<Answers<usize>> = Answers::new();
        assert_ne!(tag(&answers, "one"), tag(&others, "one"), "the key is another in every process");
    }

    #[tokio::test]
    async fn no_more_than_so_many_are_kept_and_the_oldest_make_room() {
        let (answers, count) = (Answers::new(), Arc::default());
        for about in 0..MOST + 10 {
            number(&answers, &about.to_string(), &count, Some(LONG)).await;
        }
        assert_eq!(answers.state.lock().kept.len(), MOST);
        let newest = MOST + 9;
        assert_eq!(number(&answers, &newest.to_string(), &count, Some(LONG)).await, newest + 1);
        assert_eq!(number(&answers, "0", &count, Some(LONG)).await, MOST + 11, "the oldest is asked for anew");
        for _ in 0..3 * MOST {
            number(&answers, "again", &count, Some(Duration::ZERO)).await;
        }
        assert!(answers.state.lock().order.len() <= 2 * MOST);
    }

    /// `shared`: whether the askers let their answer be shared. Gives the number of questions.
    async fn together(shared: bool) -> usize {
        const WAITING: usize = 20;
        let answers: Arc<Answers<usize>> = Answers::new();
        let (count, open) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
        let tag = tag(&answers, "one");
        let asking = |_| {
            let (answers, count, open) = (Arc::clone(&answers), Arc::clone(&count), Arc::clone(&open));
            tokio::spawn(async move {
                let ask = || {
                    let (count, open) = (Arc::clone(&count), Arc::clone(&open));
                    async move {
                        if count.fetch_add(1, Ordering::SeqCst) == 0 {
                            open.notified().await;
                        }
                        Answered { value: 7, keep: None, shared }
                    }
                };
                answers.get(tag, ask).await
            })
        };
        let tasks: Vec<_> = (0..WAITING).map(asking).collect();
        let flown = || answers.state.lock().flights.get(&tag).is_some_and(|_| Arc::strong_count(&answers) > WAITING);
        while count.load(Ordering::SeqCst) == 0 || !flown() {
            tokio::task::yield_now().await;
        }
        // The tasks have begun to wait: the runtime of this test has one thread, and runs them before it comes back.
        tokio::task::yield_now().await;
        open.notify_one();
        for task in tasks {
            assert_eq!(task.await.unwrap(), Some(7));
        }
        assert!(answers.state.lock().flights.is_empty());
        count.load(Ordering::SeqCst)
    }

    #[tokio::test]
    async fn those_who_ask_for_the_same_at_once_wait_for_one_answer_if_it_may_be_shared() {
        assert_eq!(together(true).await, 1);
        assert_eq!(together(false).await, 20);
    }

    #[tokio::test]
    async fn who_began_to_ask_may_leave() {
        let answers: Arc<Answers<usize>> = Answers::new();
        let open = Arc::new(Notify::new());
        let tag = tag(&answers, "one");
        let ask = || {
            let open = Arc::clone(&open);
            async move {
                open.notified().await;
                Answered { value: 7, keep: None, shared: true }
            }
        };
        let mut first = Box::pin(answers.get(tag, ask));
        let waker = std::task::Waker::noop();
        assert!(first.as_mut().poll(&mut std::task::Context::from_waker(waker)).is_pending());
        let mut second = Box::pin(answers.get(tag, ask));
        assert!(second.as_mut().poll(&mut std::task::Context::from_waker(waker)).is_pending());
        drop(first);
        open.notify_one();
        assert_eq!(second.await, Some(7));
    }
}
