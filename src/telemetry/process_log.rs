//! The process's own log, on stderr: what multilith says of its life, and what pingora warns of.

use std::fmt::{self, Write as _};
use std::io::{self, Write as _};
use std::sync::Arc;
use std::time::SystemTime;

use parking_lot::Mutex;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::{FmtContext, MakeWriter};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;

use super::access_log;

/// `MULTILITH_LOG` holds directives as `info`, `multilith=debug` or `pingora_core=info`. One without a target does not reach
/// pingora and what it stands on, which write heads and bodies, cookies and all: they have to be named.
const VARIABLE: &str = "MULTILITH_LOG";
/// A directive holds for every target that begins like it. Pingora reports each odd request, and each pooled connection
/// that an upstream closed, as an error: the access log and the metrics say that better, and a hostile client must not
/// be able to fill the log: the library of HTTP/2 warns of single frames. The faults of the listeners remain.
const DEFAULT: &str =
    "info,pingora=off,pingora_core::services=error,pingora_core::listeners=warn,h2=off,rskafka=off,rustls=off";
/// A room is `multilith::ROOM` in the log and in a directive, whichever crate it stands in.
const PROGRAM: &str = "multilith";
/// The crates below `multilith` of which a room writes to the log.
const CRATES: [&str; 2] = [env!("CARGO_CRATE_NAME"), "multilith_background"];
/// Pingora's parse errors carry the head that could not be parsed, cookies and all.
const LONGEST: usize = 512;
/// The text in front of such a head.
const HEADS: [&str; 2] = ["buf: ", "buf:"];

/// Installs the log for the whole process. Does nothing when one is installed already. `false`: the directives
/// in `MULTILITH_LOG` could not be understood, and the default holds.
pub fn init_logging(colour: bool) -> bool {
    init(colour, io::stderr)
}

/// The same, whose lines are kept until the `HeldLog` is dropped: what a person looks for first stands above them.
pub fn init_held_logging(colour: bool) -> (bool, HeldLog) {
    let held = HeldLog(Arc::new(Mutex::new(Some(Vec::new()))));
    let lines = Arc::clone(&held.0);
    (init(colour, move || HeldWriter(Arc::clone(&lines))), held)
}

/// The log so far. Dropped, it is written to stderr, and later lines go there at once.
#[must_use]
pub struct HeldLog(HeldLines);

/// `None`: nothing is kept any more.
type HeldLines = Arc<Mutex<Option<Vec<u8>>>>;

impl Drop for HeldLog {
    fn drop(&mut self) {
        let mut held = self.0.lock();
        if let Some(lines) = held.take() {
            // A closed stderr is no mistake of ours.
            let _ = io::stderr().write_all(&lines);
        }
    }
}

struct HeldWriter(HeldLines);

impl io::Write for HeldWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut *self.0.lock() {
            Some(lines) => lines.write(bytes),
            None => io::stderr().write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

fn init<W>(colour: bool, writer: W) -> bool
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let given = std::env::var(VARIABLE).ok().filter(|given| !given.trim().is_empty());
    let parsed = given.as_deref().map(|given| {
        EnvFilter::try_new(given).and_then(|_| EnvFilter::try_new(format!("{DEFAULT},{}", for_each_crate(given))))
    });
    let understood = !matches!(parsed, Some(Err(_)));
    let filter = parsed.and_then(Result::ok).unwrap_or_else(|| EnvFilter::new(DEFAULT));
    install(filter, colour, writer);
    understood
}

/// The directives, those of a room once for each crate.
fn for_each_crate(directives: &str) -> String {
    let mut all = directives.to_owned();
    for directive in directives.split(',').map(str::trim) {
        if let Some(room) = directive.strip_prefix(PROGRAM).filter(|room| room.starts_with("::")) {
            for name in CRATES {
                let _ = write!(all, ",{name}{room}");
            }
        }
    }
    all
}

fn install<W>(filter: EnvFilter, colour: bool, writer: W)
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(colour)
        // It would print to stderr, which panics when stderr is a closed pipe.
        .log_internal_errors(false)
        .event_format(OneLine { colour })
        .with_writer(writer);
    // It fails when a log is installed already, which happens only in tests.
    let _ = log.finish().try_init();
}

/// `2026-11-21T02:58:49.123Z WARN  multilith::live: message key=value`, on one line unless it is a message of ours with an excerpt.
struct OneLine {
    colour: bool,
}

impl<S, N> FormatEvent<S, N> for OneLine
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let ours = event.metadata().target().starts_with(PROGRAM);
        let mut said = Said { ours, ..Said::default() };
        event.record(&mut said);
        let mut time = Vec::with_capacity(24);
        access_log::timestamp(&mut time, SystemTime::now());
        let level = *event.metadata().level();
        let target = if said.target.is_empty() { event.metadata().target() } else { &said.target };
        let (paint, plain) = if self.colour { (paint(level), "\x1b[0m") } else { ("", "") };
        let time = String::from_utf8_lossy(&time);
        let (program, room) =
            CRATES.iter().find_map(|name| target.strip_prefix(name)).map_or(("", target), |room| (PROGRAM, room));
        writeln!(writer, "{time} {paint}{level:<5}{plain} {program}{room}: {}{}", said.message, said.fields)
    }
}

const fn paint(level: Level) -> &'static str {
    match level {
        Level::ERROR => "\x1b[31m",
        Level::WARN => "\x1b[33m",
        Level::INFO => "\x1b[32m",
        _ => "\x1b[2m",
    }
}

/// Message and fields of one event, escaped and clipped.
#[derive(Default)]
struct Said {
    message: String,
    fields: String,
    /// Of an event that came through the `log` crate.
    target: String,
    /// Our own messages show excerpts of routes.toml, line by line. Text from outside is in their fields.
    ours: bool,
}

impl Visit for Said {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.take(field.name(), &format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.take(field.name(), value);
    }
}

impl Said {
    fn take(&mut self, name: &str, value: &str) {
        match name {
            "message" if self.ours => self.message.push_str(value),
            "message" => tame(&mut self.message, value),
            "log.target" => tame(&mut self.target, value),
            // Where in pingora it was said: of no use to an operator.
            name if name.starts_with("log.") => {}
            name => {
                let _ = write!(self.fields, " {name}=");
                let quoted = value.is_empty() || value.contains([' ', '=', '\n', '"']);
                if quoted {
                    self.fields.push('"');
                }
                tame(&mut self.fields, &value.replace('"', "\\\""));
                if quoted {
                    self.fields.push('"');
                }
            }
        }
    }
}

/// Appends a text without control characters, without the head of a request in it, and not for ever.
fn tame(into: &mut String, text: &str) {
    let head = HEADS.iter().find_map(|mark| text.find(mark).map(|at| at + mark.len()));
    let shown = head.and_then(|end| text.get(..end)).unwrap_or(text);
    for (number, character) in shown.chars().enumerate() {
        if number == LONGEST {
            into.push('…');
            return;
        }
        if character.is_control() || matches!(character, '\u{2028}' | '\u{2029}') {
            into.extend(character.escape_default());
        } else {
            into.push(character);
        }
    }
    if shown.len() < text.len() {
        let _ = write!(into, "({} bytes not shown)", text.len() - shown.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tamed(text: &str) -> String {
        let mut into = String::new();
        tame(&mut into, text);
        into
    }

    #[test]
    fn heads_of_requests_and_control_characters_do_not_reach_the_log() {
        for (text, wanted) in [
            ("listening", "listening"),
            ("two\nlines\x1b[31m", "two\\nlines\\u{1b}[31m"),
            ("bad head, buf: GET / HTTP/1.1\r\nCookie: secret", "bad head, buf: (30 bytes not shown)"),
        ] {
            assert_eq!(tamed(text), wanted);
        }
        assert_eq!(tamed(&"x".repeat(100_000)).chars().count(), LONGEST + 1);
    }

    #[test]
    fn a_directive_for_a_room_holds_in_whichever_crate_it_stands() {
        assert_eq!(for_each_crate("info,multilith=debug, h2=off"), "info,multilith=debug, h2=off");
        assert_eq!(
            for_each_crate("multilith::live=trace,info"),
            "multilith::live=trace,info,multilith_data_plane::live=trace,multilith_background::live=trace"
        );
    }

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn an_event_is_one_line_with_its_fields_whatever_is_in_them() {
        let kept = Kept::default();
        let writer = kept.clone();
        let subscriber = tracing_subscriber::fmt()
            .event_format(OneLine { colour: false })
            .with_writer(move || writer.clone())
            .finish();
        tracing::subscriber::with_default(subscriber, || {
            tracing::warn!(route = "read-user", why = "two\nwords", count = 3, "breaker opened");
            tracing::warn!(target: "elsewhere", "two\nlines");
        });
        let text = String::from_utf8(kept.0.lock().clone()).unwrap();
        let (ours, theirs) = text.split_at(text.find('\n').unwrap() + 1);
        assert!(theirs.ends_with("WARN  elsewhere: two\\nlines\n"), "{theirs}");
        let (time, rest) = ours.split_once(' ').unwrap();
        assert!(time.len() == 24 && time.ends_with('Z'), "{text}");
        let wanted = concat!(
            "WARN  multilith::telemetry::process_log::tests: breaker opened ",
            "route=read-user why=\"two\\nwords\" count=3\n"
        );
        assert_eq!(rest, wanted);
    }

    /// The log of a process can be installed once, so this one runs in a process of its own.
    #[test]
    fn pingoras_warnings_pass_tamed_and_its_chatter_does_not() {
        const CHILD: &str = "MULTILITH_TEST_LOGGING";
        if std::env::var_os(CHILD).is_some() {
            assert!(init_logging(false));
            log::info!(target: "pingora_core::server", "chatter");
            log::debug!(target: "pingora_proxy::proxy_h1", "chatter of heads, cookie: s3cret");
            log::debug!(target: "h2::codec::framed_write", "chatter of frames");
            tracing::debug!("ours in detail");
            log::error!(target: "pingora_core::connectors", "chatter of pools");
            log::warn!(target: "pingora_core::listeners", "bad head, buf: GET / HTTP/1.1\r\nCookie: s3cret");
            tracing::info!("ours");
            return;
        }
        let name = "telemetry::process_log::tests::pingoras_warnings_pass_tamed_and_its_chatter_does_not";
        let child = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", name, "--nocapture"])
            .env(CHILD, "1")
            // Without a target it is about this program alone.
            .env(VARIABLE, "debug")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&child.stderr);
        assert!(said.contains("WARN  pingora_core::listeners: bad head, buf: (30 bytes not shown)\n"), "{said}");
        assert!(said.contains("INFO  multilith::telemetry::process_log::tests: ours\n"), "{said}");
        assert!(said.contains("DEBUG multilith::telemetry::process_log::tests: ours in detail\n"), "{said}");
        assert!(!said.contains("chatter") && !said.contains("s3cret"), "{said}");
    }
}
