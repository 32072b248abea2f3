//! Rules that a person writes into the file: what of a route is not compared, which path is no template.
//!
//! There is no other place for rules. The file on the disk must be the one in force, and its new text must compile; then the
//! journal has the rule, then the file, then it is in force.

use std::path::Path;
use std::sync::Arc;

use super::source::part_about;
use super::turn::Author;
use super::write::{NewText, NotWritten, may_write};
use super::{ConfigSource, ReloadOutcome, ReloadResult, Reloader, State, environment};
use crate::compile::{Compiled, compile_all};
use crate::config::{FileRule, RuleUnwritable, changed_lines, rule_to_paste, with_rule};
use crate::diagnostic::{Entry, Sources, report_all};
use crate::gate::JournalError;
use crate::live::Held;
use crate::migration::dial::{Action, By};
use crate::proxy::Generation;

/// A rule that a person wants in the file.
#[derive(Debug, Clone)]
pub struct RuleAsked<'a> {
    /// Empty: the rule is about no route.
    pub route: &'a str,
    pub rule: FileRule<'a>,
}

/// The file as it would be.
#[derive(Debug, Clone)]
pub struct RuleEdit {
    /// The file in force that this was made of.
    pub generation: u64,
    pub file: String,
    /// Lines that go, and those that come.
    pub before: Vec<String>,
    pub after: Vec<String>,
    /// Why it cannot be written from here; the lines are to be pasted then.
    pub not_writable: Option<String>,
}

/// A rule that was written and is in force.
#[derive(Debug, Clone)]
pub struct RuleMade {
    pub file: String,
    pub generation: u64,
}

/// Why a rule was not written.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RuleNotMade {
    #[error("{0}")]
    Unwritable(RuleUnwritable),
    #[error("the file would be refused with it: {}", first(.0))]
    Invalid(Vec<Entry>),
    #[error("a new file came in force meanwhile: look again before you write anything")]
    Overtaken,
    #[error("{0}")]
    NotWritten(String),
    #[error("{0}")]
    Journal(JournalError),
}

fn first(entries: &[Entry]) -> &str {
    entries.first().map_or("it has a mistake", |entry| &entry.message)
}

impl RuleAsked<'_> {
    /// The text to paste where the file cannot be edited.
    #[must_use]
    pub fn to_paste(&self) -> String {
        rule_to_paste(self.route, &self.rule)
    }

    /// The journal's reason: the rule, then the person's words.
    fn reason(&self, reason: &str) -> String {
        let rule = match &self.rule {
            FileRule::Ignore(field) => format!("ignore {field}"),
            FileRule::Unordered(field) => format!("unordered {field}"),
            FileRule::Mask { field, pattern } => format!("mask {field} = {pattern}"),
            FileRule::Literal(path) => format!("literal {path}"),
        };
        if reason.is_empty() { rule } else { format!("{rule}: {reason}") }
    }
}

impl Reloader {
    /// The changes of a rule, without making them. It is tried among the tables that are about no other route: a person waits for it. A
    /// rule that is written is tried in the whole file.
    pub fn rule_edit(&self, asked: &RuleAsked<'_>) -> Result<RuleEdit, RuleNotMade> {
        let generation = self.app.in_force.load();
        let sources = &generation.snapshot.sources;
        let part = part_about(sources, asked.route);
        let found = match self.edit(&generation, &part, asked) {
            Ok((edit, _)) => return Ok(edit),
            Err(why) => why,
        };
        // Such as a header within a text of several lines, which is none.
        let may_be_of_the_part = match &found {
            RuleNotMade::Unwritable(RuleUnwritable::NotToml | RuleUnwritable::NoRoute) => true,
            RuleNotMade::Invalid(_) => compiled(&part).is_err(),
            _ => false,
        };
        if may_be_of_the_part { self.edit(&generation, sources, asked).map(|(edit, _)| edit) } else { Err(found) }
    }

    /// The change of a file, and its whole text with it. `sources`: what it is tried in.
    fn edit(
        &self,
        generation: &Generation,
        sources: &Sources,
        asked: &RuleAsked<'_>,
    ) -> Result<(RuleEdit, String), RuleNotMade> {
        let (file, text) = edited(sources, asked).map_err(RuleNotMade::Unwritable)?;
        compiled(&Arc::new(sources.with_text(&file, &text))).map_err(RuleNotMade::Invalid)?;
        let old = sources.files().iter().find(|known| *known.name == *file).map_or("", |known| sources.text_of(known));
        let (before, after) = changed_lines(old, &text);
        let owned = |lines: Vec<(usize, &str)>| lines.into_iter().map(|(_, line)| line.to_owned()).collect();
        let (before, after) = (owned(before), owned(after));
        let not_writable = self.not_writable(&generation.snapshot.sources, &file);
        Ok((RuleEdit { generation: generation.number, file, before, after, not_writable }, text))
    }

    /// Why the file cannot be written from here.
    fn not_writable(&self, in_force: &Sources, file: &str) -> Option<String> {
        if matches!(self.source, ConfigSource::CommandLine(_)) {
            return Some(NotWritten::NoFile.message(""));
        }
        if let Err(why) = may_write(Path::new(file)) {
            return Some(why.message(""));
        }
        match self.source.read() {
            Err(error) => Some(format!("the file cannot be read: {}", std::io::Error::from(error))),
            Ok(read) if *read.sources.text() != *in_force.text() => {
                Some("the file on the disk is not the one in force".to_owned())
            }
            Ok(_) => None,
        }
    }

    /// Writes a rule into the file and puts it in force.
    pub fn write_rule(
        &self,
        asked: &RuleAsked<'_>,
        (who, reason): (&str, &str),
        expected: u64,
    ) -> Result<RuleMade, RuleNotMade> {
        let mut state = self.state.lock();
        if state.generation != expected {
            return Err(RuleNotMade::Overtaken);
        }
        let generation = self.app.in_force.load();
        let (edit, text) = self.edit(&generation, &generation.snapshot.sources, asked)?;
        if let Some(why) = edit.not_writable {
            return Err(RuleNotMade::NotWritten(why));
        }
        let not_written = |why: NotWritten| RuleNotMade::NotWritten(why.message(asked.route));
        let new = NewText::beside(Path::new(&edit.file), &text).map_err(not_written)?;
        self.keep_rule(&state, asked, who, &asked.reason(reason))?;
        new.put().map_err(not_written)?;
        let read =
            self.source.read().map_err(|error| RuleNotMade::NotWritten(std::io::Error::from(error).to_string()))?;
        let outcome = self.take(&mut state, &read.sources);
        self.app.live.set_file_refused(outcome.result == ReloadResult::Refused);
        self.report(&outcome);
        let ReloadOutcome { result, generation, diagnostics, .. } = outcome;
        if result == ReloadResult::Refused {
            return Err(RuleNotMade::Invalid(diagnostics));
        }
        Ok(RuleMade { file: edit.file, generation })
    }

    /// The journal has it before the file does: what cannot be written down is not done.
    fn keep_rule(&self, state: &State, asked: &RuleAsked<'_>, who: &str, reason: &str) -> Result<(), RuleNotMade> {
        if asked.route.is_empty() {
            return self.journal.append_rule(who, state.generation, reason).map_err(|why| {
                self.app.telemetry.metrics.edge().journal_error();
                RuleNotMade::Journal(why)
            });
        }
        let generation = self.app.in_force.load();
        let entry = generation.named(asked.route);
        let entry = entry.ok_or(RuleNotMade::Unwritable(RuleUnwritable::NoRoute))?;
        let held = entry.state.held().unwrap_or_else(|| Held::of_file(entry.policy.dial));
        let author = Author { by: By::Person, who, reason, verdict: None };
        let version: &str = entry.policy.gate.as_deref().map_or("", |gate| &gate.version);
        let stays = held.standing.dial;
        let kept = self.write(asked.route, &author, &held, (Action::Rule, stays), (version, state.generation));
        let (held, _) = kept.map_err(|why| match why {
            super::NotMoved::Journal(why) => RuleNotMade::Journal(why),
            other => RuleNotMade::NotWritten(other.to_string()),
        })?;
        entry.state.hold(held);
        Ok(())
    }
}

/// The mistakes of these files, if they have any.
fn compiled(sources: &Arc<Sources>) -> Result<(), Vec<Entry>> {
    let Compiled { snapshot, diagnostics } = compile_all(sources, &environment, &|_| None);
    if snapshot.is_some() {
        return Ok(());
    }
    let entries = report_all(&diagnostics, sources).diagnostics;
    Err(entries.into_iter().filter(|entry| entry.severity == "error").collect())
}

/// The file that takes the rule, and its text with it: the one that has the route; for the inventory the one that has its table,
/// else the first.
fn edited(sources: &Sources, asked: &RuleAsked<'_>) -> Result<(String, String), RuleUnwritable> {
    let files = sources.files();
    if asked.route.is_empty() {
        let has_table = |text: &str| text.parse::<toml::Table>().is_ok_and(|table| table.contains_key("inventory"));
        let file = files.iter().find(|file| has_table(sources.text_of(file))).or(files.first());
        let file = file.ok_or(RuleUnwritable::NotToml)?;
        return Ok((file.name.to_string(), with_rule(sources.text_of(file), "", &asked.rule)?));
    }
    let mut why = RuleUnwritable::NoRoute;
    for file in files {
        match with_rule(sources.text_of(file), asked.route, &asked.rule) {
            Ok(text) => return Ok((file.name.to_string(), text)),
            Err(RuleUnwritable::NoRoute) => {}
            Err(other) => why = other,
        }
    }
    Err(why)
}
