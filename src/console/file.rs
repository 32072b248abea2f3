//! The file: the text in force, what is wrong with a newer one, and a box in which a text is checked before it is saved.

use maud::{Markup, html};

use super::page::{Layout, toml};
use super::shown::{ago, plain};
use crate::compile::{Compiled, compile, redacted};
use crate::diagnostic::{Entry, report};
use crate::reload::{Changes, FileText, InForceFile};

/// Lines of the text that are drawn; the rest is downloaded.
const MOST_LINES: usize = 3000;

/// What became of a text in the box.
pub struct Checked {
    pub text: String,
    diagnostics: Vec<Entry>,
    /// What would change, in words; `None`: it cannot be put in force.
    changes: Option<String>,
}

/// Looks at a text without files, environment or network.
pub fn check(frame: &Layout<'_>, text: &str) -> Checked {
    // Variables are named, not read: each stands for an empty text where that is allowed.
    let nothing = |_: &str| Some(String::new());
    let Compiled { snapshot, diagnostics } = compile(text, "routes.toml", &nothing);
    let edition = frame.parts.in_force.load();
    let changes = snapshot.map(|snapshot| Changes::between(&edition.snapshot, &snapshot).to_string());
    Checked { text: text.to_owned(), diagnostics: report(&diagnostics, "routes.toml", text).diagnostics, changes }
}

pub fn file(frame: &Layout<'_>, in_force: &InForceFile, checked: Option<&Checked>, word: &str) -> Markup {
    html! {
        div.head {
            div {
                h1 { "What is in force" }
                p.dim { "Generation " b { (in_force.generation) } ", loaded " (ago(&in_force.loaded_at, jiff::Timestamp::now())) ". Secrets are shown as " code { "REDACTED" } "." }
            }
            span.grow {}
            (frame.act("Read it again", "btn", "do=reload"))
        }
        @if let Some(error) = &in_force.last_error {
            section.card #mistakes data-live aria-labelledby="mistakes-h" {
                div.h { h2.bad #mistakes-h { "The file on the disk is refused" } span.dim { (ago(&error.at, jiff::Timestamp::now())) ": what stands below stays in force" } }
                (mistakes(&error.diagnostics))
            }
        }
        div.two {
            div.stack { @for (at, file) in in_force.files.iter().enumerate() { (text_of(frame, at, file)) } }
            div.stack {
                section.card aria-labelledby="box-h" {
                    div.h { h2 #box-h { "Try a text" } span.dim { "nothing is saved" } }
                    @if frame.visitor.operates() {
                        form.pad.ask method="post" action={ (frame.root) "console/check" } {
                            input type="hidden" name="word" value=(word);
                            label.f { "A whole routes.toml" textarea name="text" rows="14" spellcheck="false" placeholder="Paste the file as it would be." { (checked.map_or("", |checked| &checked.text)) } }
                            div.acts { button.pri { "Check and compare" } }
                        }
                    } @else { p.pad.dim { "Who may only read cannot try a text here; " code { "multilith check" } " does the same." } }
                }
                @if let Some(checked) = checked { (outcome(checked)) }
            }
        }
    }
}

fn text_of(frame: &Layout<'_>, at: usize, file: &FileText) -> Markup {
    let text = redacted(&file.text);
    let lines = text.lines().count();
    let shown: String = text.lines().take(MOST_LINES).flat_map(|line| [line, "\n"]).collect();
    html! {
        section.card aria-labelledby={ "text-" (at) } {
            div.h { h2 id={ "text-" (at) } { (plain(&file.path)) } span.grow {} span.dim { (lines) " lines" } }
            @if lines == 0 { p.pad.dim { "It is empty." } } @else { pre tabindex="0" aria-labelledby={ "text-" (at) } { (toml(&shown, &[])) } }
            @if lines > MOST_LINES { p.pad.dim { (lines - MOST_LINES) " more lines: " a href={ (frame.root) "api/v1/config" } { "all of it as JSON" } } }
        }
    }
}

fn outcome(checked: &Checked) -> Markup {
    let errors = checked.diagnostics.iter().filter(|entry| entry.severity == "error").count();
    let warnings = checked.diagnostics.len() - errors;
    let lines: Vec<usize> = checked.diagnostics.iter().filter_map(|entry| entry.line).collect();
    html! {
        section.card aria-labelledby="found-h" {
            div.h {
                h2 #found-h { "What was found" }
                @match &checked.changes {
                    Some(_) => span.pill.f.good { "may be put in force" },
                    None => span.pill.f.bad { "would be refused" },
                }
                span.dim { (errors) " errors, " (warnings) " warnings" }
            }
            @if let Some(changes) = &checked.changes { p.pad { "Against what is in force: " (plain(changes)) "." } }
            (mistakes(&checked.diagnostics))
            @if !lines.is_empty() { pre tabindex="0" { (toml(&checked.text, &lines)) } }
        }
    }
}

/// Mistakes as `check` prints them: place, sentence, remedy.
fn mistakes(entries: &[Entry]) -> Markup {
    html! {
        @for entry in entries {
            div.note {
                span class={ "pill f " (if entry.severity == "error" { "bad" } else { "warn" }) } { (entry.severity) }
                div.t {
                    b { (plain(&entry.message)) } " " code.dim { (entry.code) }
                    p.dim {
                        @if let Some(line) = entry.line { "line " (line) @if let Some(column) = entry.column { ", column " (column) } ". " }
                        @if let Some(help) = &entry.help { (plain(help)) }
                    }
                }
            }
        }
    }
}
