//! The output of verbs: reports to stdout, messages to stderr, colour only for a person.

use std::io::{IsTerminal, Write};

use crate::telemetry::{self, HeldLog};

/// Writes a report to stdout. A reader that has gone away is no mistake of ours.
pub fn out(text: &str) {
    let mut stdout = std::io::stdout().lock();
    let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
}

/// A report that replaces the one before it on a terminal; elsewhere they follow each other.
pub fn redrawn(report: &str) -> String {
    if std::io::stdout().is_terminal() { format!("\x1b[H\x1b[2J\x1b[3J{report}") } else { format!("{report}\n") }
}

/// Writes a message to stderr.
pub fn say(text: &str) {
    let mut stderr = std::io::stderr().lock();
    let _ = writeln!(stderr, "{text}");
}

/// An error with its remedy, in the form of the diagnostics.
pub fn fail(message: &str, help: Option<&str>) {
    let (red, cyan, bold, reset) =
        if colour_on_stderr() { ("\x1b[1;31m", "\x1b[1;36m", "\x1b[1m", "\x1b[0m") } else { ("", "", "", "") };
    say(&format!("{red}error{reset}{bold}: {message}{reset}"));
    if let Some(help) = help {
        say(&format!("  {cyan}help{reset}: {help}"));
    }
}

/// Asks the person at the terminal; `None`: there is no terminal to ask at.
pub fn agrees(question: &str) -> Option<bool> {
    if !(std::io::stdin().is_terminal() && std::io::stderr().is_terminal()) {
        return None;
    }
    let mut stderr = std::io::stderr().lock();
    let _ = write!(stderr, "{question} [y/N] ").and_then(|()| stderr.flush());
    let mut said = String::new();
    let read = std::io::stdin().read_line(&mut said);
    Some(read.is_ok() && matches!(said.trim().to_lowercase().as_str(), "y" | "yes"))
}

/// A text of a stranger, which must not control the reader's terminal.
pub fn one_line(text: &str) -> String {
    let turns = |character: char| matches!(character, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars()
        .map(|character| if character.is_control() || turns(character) { '\u{fffd}' } else { character })
        .collect()
}

/// Columns of the terminal; `COLUMNS` says otherwise, and without either there are 100.
pub fn width() -> usize {
    let said = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    let seen = || terminal_size::terminal_size_of(std::io::stdout()).map(|(width, _)| usize::from(width.0));
    said.or_else(seen).filter(|width| *width > 0).unwrap_or(100)
}

pub fn colour_on_stdout() -> bool {
    colour_wanted() && std::io::stdout().is_terminal()
}

pub fn colour_on_stderr() -> bool {
    colour_wanted() && std::io::stderr().is_terminal()
}

/// <https://no-color.org>: present and not empty.
fn colour_wanted() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Prints a value as JSON.
pub fn json(value: &impl serde::Serialize) {
    let mut text = serde_json::to_string_pretty(value).expect("reports of our own serialise");
    text.push('\n');
    out(&text);
}

/// Events of the program go to stderr; `MULTILITH_LOG` chooses which (`debug`, `multilith=debug,pingora_core=info`).
pub fn init_logging() {
    warn_unless(telemetry::init_logging(colour_on_stderr()));
}

/// The same, kept until what is returned is dropped.
pub fn init_held_logging() -> HeldLog {
    let (understood, held) = telemetry::init_held_logging(colour_on_stderr());
    warn_unless(understood);
    held
}

fn warn_unless(understood: bool) {
    if !understood {
        tracing::warn!("`MULTILITH_LOG` could not be understood; `info` holds");
    }
}
