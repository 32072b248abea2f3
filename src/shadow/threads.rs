//! The threads of copies and comparisons, and of whatever else is no request: their own, and behind those of requests.

use std::io;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use tokio::runtime::{Builder, Runtime};

use crate::migration::Percent;

/// One is enough: it waits more than it works.
const THREADS: usize = 1;

/// A tenth of the weight of a thread that serves requests, whichever of both is ready first.
const NICENESS: libc::c_int = 10;

/// By how much one step of niceness makes a thread lighter.
const STEP: f64 = 1.25;
const NICEST: f64 = 19.0;

/// More than any kernel gives to a thread by itself. Since Linux 6.12, one that wakes up need not wait for the end of a slice that is
/// longer than its own; older kernels take no notice.
#[cfg(target_os = "linux")]
const SLICE: Duration = Duration::from_millis(4);

/// The runtime on which copies are sent. `share`: what they may take of one processor.
pub fn runtime(share: Option<Percent>) -> io::Result<Runtime> {
    Builder::new_multi_thread()
        .worker_threads(THREADS)
        .thread_name("shadow")
        .on_thread_start(move || lower_priority_for(share))
        .enable_all()
        .build()
}

/// Lets requests go first, but gets a share of a busy machine. `SCHED_IDLE` would spare requests no more, and leave copies without
/// any where every processor is busy: evidence would end with them. Only Linux has priorities of single threads; elsewhere
/// this would slow the whole process.
pub fn lower_priority() {
    lower_priority_for(None);
}

/// The same as far as this share of a processor asks for: with half of one, the thread weighs as much as one that serves requests.
pub(super) fn lower_priority_for(share: Option<Percent>) {
    let niceness = niceness(share);
    #[cfg(target_os = "linux")]
    {
        // On Linux, of the calling thread.
        let already = rustix::process::getpriority_process(None).unwrap_or_default();
        let thread = libc::sched_attr {
            size: u32::try_from(size_of::<libc::sched_attr>()).unwrap_or_default(),
            // Takes no processor away from a thread that runs.
            sched_policy: libc::SCHED_BATCH.unsigned_abs(),
            sched_flags: 0,
            // Only root may raise a priority.
            sched_nice: niceness.max(already),
            sched_priority: 0,
            sched_runtime: u64::try_from(SLICE.as_nanos()).unwrap_or_default(),
            sched_deadline: 0,
            sched_period: 0,
        };
        #[expect(unsafe_code, reason = "std has no priorities")]
        // SAFETY: the structure is whole and says its size; 0 means the calling thread, and no flags. A refusal changes nothing.
        let refused = unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const thread, 0) } != 0;
        if refused {
            tracing::debug!("this thread has the priority of requests: {}", io::Error::last_os_error());
        }
    }
}

/// As nice as leaves the thread this share of a processor that one serving requests wants as well.
fn niceness(share: Option<Percent>) -> libc::c_int {
    let Some(share) = share.map(Percent::ratio) else { return NICENESS };
    let steps = ((1.0 - share) / share).log(STEP).round().clamp(0.0, NICEST);
    #[expect(clippy::cast_possible_truncation, reason = "between 0 and 19")]
    let steps = steps as libc::c_int;
    steps
}

/// How long this thread had something to do so far, whether or not it had a processor. Zero where the system does not say.
pub(super) fn busy_or_waiting() -> Duration {
    #[cfg(target_os = "linux")]
    {
        use std::fs::File;
        use std::os::unix::fs::FileExt as _;

        thread_local! {
            static FILE: Option<File> = File::open("/proc/thread-self/schedstat").ok();
        }
        let mut text = [0; 64];
        let read = FILE.with(|file| file.as_ref()?.read_at(&mut text, 0).ok());
        let text = std::str::from_utf8(&text[..read.unwrap_or(0)]).unwrap_or_default();
        // Nanoseconds on a processor, nanoseconds ready without one, turns.
        let times = text.split_ascii_whitespace().take(2).filter_map(|time| time.parse::<u64>().ok());
        Duration::from_nanos(times.sum())
    }
    #[cfg(not(target_os = "linux"))]
    Duration::ZERO
}

/// The processor time of this thread so far.
pub(super) fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_a_weight() {
        let niceness = |hundredths| niceness(Percent::from_hundredths(hundredths));
        assert_eq!([10, 100, 1_000, 2_500, 5_000, 10_000].map(niceness), [19, 19, 10, 5, 0, 0]);
    }

    #[test]
    fn a_thread_knows_how_long_it_had_something_to_do() {
        let (before, began) = (busy_or_waiting(), std::time::Instant::now());
        let until = began + Duration::from_secs(20);
        // It runs, or waits for a processor, all of the time.
        while busy_or_waiting().saturating_sub(before) < Duration::from_millis(50) {
            assert!(std::time::Instant::now() < until, "{:?}", busy_or_waiting());
        }
        // The kernel counts at its ticks, which are at most 10 ms apart: some of it was before the first look.
        assert!(began.elapsed() >= Duration::from_millis(30), "no more than there was");
    }

    #[test]
    fn a_thread_that_steps_back_is_nicer_and_the_others_are_not() {
        // The 19th field and the 41st; the name before them, in brackets, may hold anything.
        let niceness_and_policy = || {
            let stat = std::fs::read_to_string("/proc/thread-self/stat").expect("Linux tells");
            let fields = stat.rsplit_once(')').expect("a name in brackets").1;
            let field = |number: usize| fields.split_whitespace().nth(number - 3)?.parse::<i32>().ok();
            field(19).zip(field(41)).expect("numbers")
        };
        let before = niceness_and_policy();
        let runtime = runtime(None).expect("a runtime");
        let there = runtime.block_on(runtime.spawn(async move { niceness_and_policy() })).expect("a task that ends");
        assert_eq!((there, niceness_and_policy()), ((NICENESS.max(before.0), libc::SCHED_BATCH), before));
    }
}
