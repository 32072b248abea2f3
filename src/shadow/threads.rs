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
        .on_thread_start(go_last)
        .enable_all()
        .build()
}

/// Leaves the processor to everybody else: this thread gets what nobody asks for. For copies and comparisons, which are dropped
/// and counted when that is too little.
pub fn go_last() {
    #[cfg(target_os = "linux")]
    {
        let parameters = libc::sched_param { sched_priority: 0 };
        #[expect(unsafe_code, reason = "std has no priorities")]
        // SAFETY: the parameters live as long as the call; 0 means the calling thread. A refusal changes nothing.
        let refused = unsafe { libc::sched_setscheduler(0, libc::SCHED_IDLE, &raw const parameters) } != 0;
        if refused {
            step_back();
        }
    }
}

/// Lets requests go first, but gets its share: for what has to be done soon. Only Linux has priorities of single threads;
/// elsewhere this would slow the whole process.
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
    /// A field of this thread's, counted from 1. The second, in brackets, may hold anything.
    fn field(number: usize) -> i32 {
        let stat = std::fs::read_to_string("/proc/thread-self/stat").expect("Linux tells");
        let fields = stat.rsplit_once(')').expect("a name in brackets").1;
        fields.split_whitespace().nth(number - 3).and_then(|field| field.parse().ok()).expect("a number")
    }

    fn niceness() -> i32 {
        field(19)
    }

    fn policy() -> i32 {
        field(41)
    }

    #[test]
    fn threads_of_copies_go_last_and_the_others_do_not() {
        let runtime = super::runtime().expect("a runtime");
        let there = runtime.block_on(runtime.spawn(async { policy() })).expect("a task that ends");
        assert_eq!((there, policy()), (libc::SCHED_IDLE, libc::SCHED_OTHER));
    }

    #[test]
    fn a_thread_that_steps_back_is_nicer_and_the_others_are_not() {
        let before = niceness();
        let stepped = std::thread::spawn(|| {
            super::step_back();
            niceness()
        });
        assert_eq!((stepped.join().expect("no panic"), niceness()), (super::NICENESS.max(before), before));
    }
}
