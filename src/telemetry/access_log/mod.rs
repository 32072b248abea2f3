//! The access log: one line for each exchange, written by a thread of its own so that no request ever waits for a disk or a pipe.

mod line;
mod redact;
mod text;
mod writer;

use std::cell::RefCell;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use parking_lot::Mutex;

use super::metrics::Meters;
use super::record::ExchangeRecord;
use crate::compile::{AccessLog as Settings, LogFormat};
use crate::migration::BUCKETS;

pub(crate) use line::{json as json_line, timestamp};
use writer::{Output, Writer};

/// Hands a query over with the values of secret keys replaced.
pub(crate) fn redacted_query(query: &[u8], hidden: &[Box<str>], use_it: impl FnOnce(&[u8])) {
    let mut redacted = Vec::with_capacity(query.len().min(text::LONGEST));
    redact::query(query, hidden, &mut redacted);
    use_it(&redacted);
}

/// The log in force.
pub struct AccessLogger {
    settings: ArcSwap<Settings>,
    /// Of `settings`: every request asks.
    off: AtomicBool,
    writer: Writer,
    /// Two reloads at once must not leave the settings of one with the output of the other.
    changing: Mutex<()>,
}

impl AccessLogger {
    /// Opens the output and starts the thread.
    pub fn start(settings: &Settings, metrics: Arc<Meters>) -> io::Result<Self> {
        let writer = Writer::start(Output::open(&settings.output)?, metrics, None)?;
        Ok(Self::writing_to(writer, settings.clone()))
    }

    fn writing_to(writer: Writer, settings: Settings) -> Self {
        let off = AtomicBool::new(settings.format == LogFormat::Off);
        Self { settings: ArcSwap::from_pointee(settings), off, writer, changing: Mutex::new(()) }
    }

    /// Puts other settings in force. An output that cannot be opened leaves everything as it was.
    pub fn configure(&self, settings: &Settings) -> io::Result<()> {
        let _alone = self.changing.lock();
        if self.settings.load().output != settings.output {
            self.writer.redirect(Output::open(&settings.output)?);
        }
        self.settings.store(Arc::new(settings.clone()));
        self.off.store(settings.format == LogFormat::Off, Relaxed);
        Ok(())
    }

    /// Opens the file again, after it was moved away. Returns at once.
    pub fn reopen(&self) {
        self.writer.reopen();
    }

    /// Writes what waits and stops. `false`: the output did not take it in time. Lines that come later are lost.
    pub fn close(&self, within: Duration) -> bool {
        self.writer.close(within)
    }

    /// No line will be written.
    pub fn is_off(&self) -> bool {
        self.off.load(Relaxed)
    }

    /// Writes the exchange's line, if it is to be written. Never waits.
    pub fn write(&self, record: &ExchangeRecord<'_>, now: SystemTime) {
        thread_local! {
            static LINE: RefCell<Vec<u8>> = RefCell::new(Vec::with_capacity(1024));
        }
        let settings = self.settings.load();
        if settings.format == LogFormat::Off || !sampled(&settings, record) {
            return;
        }
        LINE.with_borrow_mut(|line| {
            line.clear();
            match settings.format {
                LogFormat::Json => line::json(line, record, now),
                LogFormat::Common => line::common(line, record, now, false),
                LogFormat::Combined => line::common(line, record, now, true),
                LogFormat::Off => return,
            }
            line.push(b'\n');
            self.writer.put(line);
        });
    }
}

#[cfg(test)]
impl AccessLogger {
    /// A log of everything over an open descriptor, with little room.
    fn over(output: std::os::fd::OwnedFd, metrics: Arc<Meters>, room: usize) -> Self {
        let settings = Settings {
            format: LogFormat::Json,
            output: crate::compile::LogOutput::Stdout,
            sample: crate::migration::Percent::EVERYBODY,
        };
        let writer = Writer::start(Output::over(output), metrics, Some(room)).expect("a thread can be started");
        Self::writing_to(writer, settings)
    }
}

/// Answers of 400 and above, calls of gRPC that are not OK, and exchanges that failed or fell back, are always written.
fn sampled(settings: &Settings, record: &ExchangeRecord<'_>) -> bool {
    let share = settings.sample.buckets();
    if share == BUCKETS
        || record.status == 0
        || record.judged() >= 400
        || record.error.is_some()
        || record.fallback.is_some()
    {
        return true;
    }
    record.request_id.hash() % u64::from(BUCKETS) < u64::from(share)
}

#[cfg(test)]
mod tests;
