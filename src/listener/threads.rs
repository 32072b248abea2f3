//! Which of the threads that serve clients serves a connection: the one with the fewest.
//!
//! Pingora draws one at random. Of a few long connections, as a balancer in front keeps them, one thread then has most while
//! others idle; listeners of their own (`SO_REUSEPORT`) are drawn by a hash, which is no better.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc;
use std::thread::{self, ThreadId};

use pingora_runtime::Runtime;
use tokio::runtime::Handle;

/// The threads of a runtime.
pub struct Threads(Vec<Thread>);

struct Thread {
    id: ThreadId,
    handle: Handle,
    /// Connections that it has.
    open: AtomicUsize,
}

/// One connection, counted for its thread as long as this lives.
pub struct Assignment(Arc<Threads>, usize);

impl Threads {
    /// The `count` threads of the runtime, which gives one of them at a time, by chance. Not for a thread of a runtime.
    pub fn of(runtime: &Runtime, count: usize) -> Arc<Self> {
        // Each is asked for this often on average: one that is not found then would take no connection, and no harm is done.
        const ASKED: usize = 64;
        let mut found: Vec<Thread> = Vec::with_capacity(count);
        for _ in 0..count * ASKED {
            let handle = runtime.get_handle().clone();
            let (say, said) = mpsc::sync_channel(1);
            handle.spawn(async move { say.send(thread::current().id()) });
            let id = said.recv().expect("the thread lives as long as its runtime");
            if found.iter().all(|thread| thread.id != id) {
                found.push(Thread { id, handle, open: AtomicUsize::new(0) });
            }
            if found.len() == count {
                break;
            }
        }
        Arc::new(Self(found))
    }

    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Serves a connection on the thread that has the fewest; of several, on this one. The connection holds its assignment itself: a
    /// future around it would hold its memory twice.
    pub fn serve<F>(self: &Arc<Self>, connection: impl FnOnce(Assignment) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let own = thread::current().id();
        let fewest = self.0.iter().enumerate().min_by_key(|(_, thread)| (thread.open.load(Relaxed), thread.id != own));
        let (at, thread) = fewest.expect("a runtime has a thread");
        thread.open.fetch_add(1, Relaxed);
        thread.handle.spawn(connection(Assignment(Arc::clone(self), at)));
    }
}

impl Drop for Assignment {
    fn drop(&mut self) {
        self.0.0[self.1].open.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::mem::ManuallyDrop;
    use std::time::{Duration, Instant};

    use tokio::sync::watch;

    use super::*;

    #[test]
    fn connections_are_spread_evenly_and_those_that_end_make_room() {
        // It is not dropped: pingora finds threads by numbers that are used again, and would take others for those of this one.
        let runtime = ManuallyDrop::new(Runtime::new_no_steal(3, "spread"));
        let threads = Threads::of(&runtime, 3);
        assert_eq!(threads.count(), 3);
        let (say, said) = mpsc::channel();
        let serve = |ends: watch::Receiver<bool>| {
            let (say, mut ends) = (say.clone(), ends);
            threads.serve(|assignment| async move {
                say.send(thread::current().id()).expect("the test listens");
                drop(ends.wait_for(|end| *end).await);
                drop(assignment);
            });
            said.recv().expect("it is served")
        };
        let ((end, ends), (_stay, stays)) = (watch::channel(false), watch::channel(false));
        let mut count: HashMap<ThreadId, Vec<bool>> = HashMap::new();
        let first = serve(ends.clone());
        for _ in 0..11 {
            count.entry(serve(stays.clone())).or_default().push(true);
        }
        assert_eq!((count.len(), count[&first].len()), (3, 3));
        end.send(true).expect("one waits");
        let deadline = Instant::now() + Duration::from_secs(20);
        while threads.0.iter().map(|thread| thread.open.load(Relaxed)).sum::<usize>() > 11 {
            assert!(Instant::now() < deadline, "the connection is still counted");
            thread::yield_now();
        }
        assert_eq!(serve(stays), first, "where one has ended there are fewest");
    }
}
