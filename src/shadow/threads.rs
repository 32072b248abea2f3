//! The threads of copies and comparisons, and of whatever else is no request: their own, and behind those of requests.

use std::io;

use tokio::runtime::{Builder, Runtime};

/// One is enough: it waits more than it works.
const THREADS: usize = 1;

/// A tenth of the weight of a thread that serves requests, whichever of both is ready first.
const NICENESS: libc::c_int = 10;

/// The runtime on which copies are sent.
pub fn runtime() -> io::Result<Runtime> {
    Builder::new_multi_thread()
        .worker_threads(THREADS)
        .thread_name("shadow")
        .on_thread_start(step_back)
        .enable_all()
        .build()
}

/// Lets requests go first, but gets a share of a busy machine. `SCHED_IDLE` would spare requests more, and leave copies without
/// any where every processor is busy: evidence would end with them. Only Linux has priorities of single threads; elsewhere
/// this would slow the whole process.
pub fn step_back() {
    #[cfg(target_os = "linux")]
    {
        #[expect(unsafe_code, reason = "std has no priorities")]
        // SAFETY: plain numbers; 0 means the calling thread. A refusal changes nothing, and is nothing to act on.
        let refused = unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, NICENESS) } != 0;
        if refused {
            tracing::debug!("this thread has the priority of requests: {}", io::Error::last_os_error());
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    #[test]
    fn a_thread_that_steps_back_is_nicer_and_the_others_are_not() {
        // The 19th field; the name before it, in brackets, may hold anything.
        let niceness = || {
            let stat = std::fs::read_to_string("/proc/thread-self/stat").expect("Linux tells");
            let fields = stat.rsplit_once(')').expect("a name in brackets").1;
            fields.split_whitespace().nth(16).and_then(|field| field.parse::<i32>().ok()).expect("a number")
        };
        let before = niceness();
        let runtime = super::runtime().expect("a runtime");
        let there = runtime.block_on(runtime.spawn(async move { niceness() })).expect("a task that ends");
        assert_eq!((there, niceness()), (super::NICENESS.max(before), before));
    }
}
