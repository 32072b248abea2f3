//! The threads of copies and comparisons: their own, and behind those of requests whenever the processor is short.

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

/// Lets requests go first. Only Linux has priorities of single threads; elsewhere this would slow the whole process.
pub(super) fn step_back() {
    #[cfg(target_os = "linux")]
    {
        #[expect(unsafe_code, reason = "std has no priorities")]
        // SAFETY: plain numbers; 0 means the calling thread. A refusal changes nothing, and is nothing to act on.
        let refused = unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, NICENESS) } != 0;
        if refused {
            tracing::debug!("copies have the priority of requests: {}", io::Error::last_os_error());
        }
    }
}
