//! The thread that writes the access log, and the bounded room in which lines wait for it.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::super::metrics::Meters;
use super::super::worker::ends_within;
use crate::compile::LogOutput;

/// Threads of the proxy rarely share one.
const BUFFERS: usize = 8;
/// 4 MiB of lines in all wait for an output that does not keep up; more are dropped.
const ROOM: usize = 512 * 1024;
/// Lines are gathered this long before they are written, so that a busy proxy writes a hundred times a second, not a hundred thousand.
const GATHER: Duration = Duration::from_millis(10);
/// An output that says it would block is tried again for this long.
const PATIENCE: Duration = Duration::from_secs(1);

/// Lines that wait, and orders for the thread.
pub(super) struct Waiting {
    buffers: [Mutex<Vec<u8>>; BUFFERS],
    room: usize,
    /// There is something to write; the thread must be woken after it was set.
    pending: AtomicBool,
    reopen: AtomicBool,
    closing: AtomicBool,
    next_output: Mutex<Option<Output>>,
    metrics: Arc<Meters>,
}

/// Where lines go.
pub(super) struct Output {
    file: File,
    path: Option<PathBuf>,
    /// The last write broke off within a line.
    mid_line: bool,
}

impl Output {
    pub(super) fn open(output: &LogOutput) -> io::Result<Self> {
        let (file, path) = match output {
            // A descriptor of our own: no buffer of std's between us and the pipe.
            LogOutput::Stdout => (File::from(io::stdout().as_fd().try_clone_to_owned()?), None),
            LogOutput::Stderr => (File::from(io::stderr().as_fd().try_clone_to_owned()?), None),
            LogOutput::File(path) => (File::options().append(true).create(true).open(path)?, Some(path.clone())),
        };
        Ok(Self { file, path, mid_line: false })
    }

    #[cfg(test)]
    pub(super) fn over(output: std::os::fd::OwnedFd) -> Self {
        Self { file: File::from(output), path: None, mid_line: false }
    }

    /// Opens the file of the same name again, after it was moved away.
    fn reopen(&mut self) {
        let Some(path) = &self.path else { return };
        match File::options().append(true).create(true).open(path) {
            Ok(file) => {
                self.file = file;
                self.mid_line = false;
            }
            Err(error) => tracing::warn!(%error, path = %path.display(), "access log could not be reopened"),
        }
    }

    /// Writes whole lines. On an error the number of lines that were lost comes with it.
    fn write(&mut self, lines: &[u8]) -> Result<(), (io::Error, u64)> {
        let lost = |rest: &[u8]| rest.iter().map(|byte| u64::from(*byte == b'\n')).sum();
        if self.mid_line {
            self.write_some(b"\n").map_err(|(error, _)| (error, lost(lines)))?;
            self.mid_line = false;
        }
        self.write_some(lines).map_err(|(error, written)| {
            self.mid_line = written > 0 && lines.get(written - 1) != Some(&b'\n');
            (error, lost(lines.get(written..).unwrap_or_default()))
        })
    }

    /// On an error the number of bytes that were written comes with it.
    fn write_some(&mut self, bytes: &[u8]) -> Result<(), (io::Error, usize)> {
        let (mut written, began) = (0, Instant::now());
        while let Some(rest) = bytes.get(written..).filter(|rest| !rest.is_empty()) {
            match self.file.write(rest) {
                Ok(0) => return Err((ErrorKind::WriteZero.into(), written)),
                Ok(count) => written += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock && began.elapsed() < PATIENCE => {
                    thread::sleep(GATHER);
                }
                Err(error) => return Err((error, written)),
            }
        }
        Ok(())
    }
}

/// The thread and the way to it.
pub(super) struct Writer {
    pub(super) waiting: Arc<Waiting>,
    thread: Mutex<Option<JoinHandle<()>>>,
    handle: thread::Thread,
}

impl Writer {
    pub(super) fn start(output: Output, metrics: Arc<Meters>, room: Option<usize>) -> io::Result<Self> {
        let waiting = Arc::new(Waiting {
            buffers: Default::default(),
            room: room.unwrap_or(ROOM),
            pending: AtomicBool::new(false),
            reopen: AtomicBool::new(false),
            closing: AtomicBool::new(false),
            next_output: Mutex::new(None),
            metrics,
        });
        let shared = Arc::clone(&waiting);
        let thread = thread::Builder::new().name("access-log".to_owned()).spawn(move || run(&shared, output))?;
        let handle = thread.thread().clone();
        Ok(Self { waiting, thread: Mutex::new(Some(thread)), handle })
    }

    /// Hands over one line with its end. Never waits: without room the line is dropped and counted.
    pub(super) fn put(&self, line: &[u8]) {
        {
            let mut buffer = self.waiting.buffers[place()].lock();
            if buffer.len() + line.len() > self.waiting.room {
                drop(buffer);
                self.waiting.metrics.edge().log_lines_dropped(1);
                return;
            }
            buffer.extend_from_slice(line);
        }
        if !self.waiting.pending.load(Ordering::Acquire) && !self.waiting.pending.swap(true, Ordering::AcqRel) {
            self.handle.unpark();
        }
    }

    pub(super) fn reopen(&self) {
        self.waiting.reopen.store(true, Ordering::Release);
        self.wake();
    }

    pub(super) fn redirect(&self, output: Output) {
        *self.waiting.next_output.lock() = Some(output);
        self.wake();
    }

    /// Writes what waits and ends the thread. `false`: the output did not take it in time.
    pub(super) fn close(&self, within: Duration) -> bool {
        self.waiting.closing.store(true, Ordering::Release);
        self.wake();
        let Some(thread) = self.thread.lock().take() else { return true };
        ends_within(thread, within)
    }

    fn wake(&self) {
        self.waiting.pending.store(true, Ordering::Release);
        self.handle.unpark();
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // The thread writes what waits and ends by itself; no caller may hang on a stuck pipe here.
        self.waiting.closing.store(true, Ordering::Release);
        self.wake();
    }
}

/// The buffer of the calling thread.
fn place() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static PLACE: Cell<usize> = Cell::new(NEXT.fetch_add(1, Ordering::Relaxed) % BUFFERS);
    }
    PLACE.get()
}

fn run(waiting: &Waiting, mut output: Output) {
    let (mut lines, mut failing) = (Vec::new(), false);
    loop {
        while !waiting.pending.load(Ordering::Acquire) {
            thread::park();
        }
        if !waiting.closing.load(Ordering::Acquire) {
            thread::sleep(GATHER);
        }
        // A swap and not a store: the thread that set it has set its order before, and that order must be seen from here on.
        waiting.pending.swap(false, Ordering::AcqRel);
        let closing = waiting.closing.load(Ordering::Acquire);
        if waiting.reopen.swap(false, Ordering::AcqRel) {
            output.reopen();
        }
        // Lines that were accepted before a redirect are written to the old output.
        for buffer in &waiting.buffers {
            std::mem::swap(&mut *buffer.lock(), &mut lines);
            write(waiting, &mut output, &lines, &mut failing);
            lines.clear();
            // A burst must not hold its memory for ever.
            lines.shrink_to(ROOM / 8);
        }
        if let Some(next) = waiting.next_output.lock().take() {
            output = next;
        }
        if closing {
            return;
        }
    }
}

fn write(waiting: &Waiting, output: &mut Output, lines: &[u8], failing: &mut bool) {
    if lines.is_empty() {
        return;
    }
    match output.write(lines) {
        Ok(()) if *failing => {
            *failing = false;
            tracing::info!("access log is written again");
        }
        Ok(()) => {}
        Err((error, lost)) => {
            waiting.metrics.edge().log_lines_dropped(lost);
            if !*failing {
                *failing = true;
                tracing::error!(%error, "access log could not be written; lines are dropped until it can");
            }
        }
    }
}
