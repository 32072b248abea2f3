//! The file: the text in force, what is wrong with a newer one, and a box in which a text is checked before it is saved.

use std::sync::Arc;

use maud::{Markup, html};

use super::form::Form;
use super::page::{Layout, page_number, pages, prose, strings, toml};
use super::planned;
use super::shown::{ago, count, plain};
use super::text::{PAGE, Part, Redacted};
use crate::admin::{Parts, Tried, learned_report, next_steps, tried, tried_all};
use crate::compile::redacted;
use crate::diagnostic::{Entry, Sources, plural};
use crate::proxy::Generation;
use crate::reload::LastError;

/// The name of a file with the lines of a proposal, beside the existing files.
const NEW_FILE: &str = "the lines to add";

/// A text in force of more bytes is not put into the box: the page would have them all.
const LARGEST: usize = 64 * 1024;

/// The result of trying a text in the box.
pub struct Checked {
    /// Empty where it was more than one file.
    text: String,
    /// Lines that were tried as one more file of several.
    added: Option<String>,
    found: Tried,
}

/// Looks at a text without files, environment or network, away from the listener's threads. `None`: that ended in a panic.
pub async fn check(parts: &Arc<Parts>, text: &str) -> Option<Checked> {
    let (parts, text) = (Arc::clone(parts), text.to_owned());
    look_at(move || Checked { found: tried(&parts, &text), text, added: None }).await
}

async fn look_at(look: impl FnOnce() -> Checked + Send + 'static) -> Option<Checked> {
    tokio::task::spawn_blocking(look).await.ok()
}

/// The text in force with the lines of one proposal behind it, tried at once; of several files, with one more that has the lines.
/// `None`: none was asked for.
pub async fn proposed(
    parts: &Arc<Parts>,
    generation: &Generation,
    frame: &Layout<'_>,
    query: &Form,
) -> Option<Checked> {
    let (path, method) = (query.some("take")?, query.get("method"));
    if !frame.visitor.operates() {
        return None;
    }
    let in_force = &generation.snapshot.sources;
    let steps = next_steps(parts, generation, &learned_report(parts, generation, frame.visitor.role));
    let is_it = |step: &crate::plan::NextStep| {
        step.kind == "take" && step.route.is_none() && step.path == path && step.method == method
    };
    let lines = steps.into_iter().find(is_it)?.toml;
    let parts = Arc::clone(parts);
    if let ([file], ..=LARGEST) = (in_force.files(), in_force.text().len()) {
        let text = in_force.text_of(file);
        let with_lines = |text: &str| format!("{}\n\n{lines}", text.trim_end());
        let (whole, shown) = (with_lines(text), with_lines(&redacted(text)));
        return look_at(move || Checked { found: tried(&parts, &whole), text: shown, added: None }).await;
    }
    let mut sources = Sources::default();
    for file in in_force.files() {
        sources.push(&file.name, in_force.text_of(file), false);
    }
    sources.push(NEW_FILE, &lines, false);
    let sources = Arc::new(sources);
    look_at(move || Checked { found: tried_all(&parts, &sources), text: String::new(), added: Some(lines) }).await
}

/// `number`: of the generation whose text it is.
pub fn file(
    frame: &Layout<'_>,
    (number, text): (u64, &Redacted),
    query: &Form,
    (checked, word): (Option<&Checked>, &str),
) -> Markup {
    let reloader = &frame.parts.reloader;
    html! {
        div.head {
            div #head data-live {
                h1 { "What is in force" }
                p.dim { "Generation " b { (number) } ", loaded " (ago(&reloader.loaded_at(), jiff::Timestamp::now())) ". Secrets are shown as " code { "REDACTED" } "." }
            }
            span.grow {}
            form role="search" action={ (frame.root) "file" } { input type="search" name="q" value=(query.get("q")) aria-label="Filter tables" placeholder="Filter: routes.orders"; }
            (frame.act("Read it again", "btn", "do=reload"))
        }
        div #mistakes data-live {
            @if let Some(error) = &reloader.last_error() {
                section.card aria-labelledby="mistakes-h" {
                    div.h { h2.bad #mistakes-h { "The file on the disk is refused" } span.dim { (ago(&error.at, jiff::Timestamp::now())) ": what stands below stays in force" } }
                    (mistakes(&error.diagnostics))
                    (refused_lines(error))
                }
            }
        }
        div.two {
            div.stack #texts data-live { (texts(frame, text, query)) }
            div.stack {
                section.card aria-labelledby="box-h" {
                    div.h { h2 #box-h { "Try a text" } span.dim { "nothing is saved" } }
                    @if frame.visitor.operates() {
                        form.pad.ask method="post" action={ (frame.root) "console/check#found" } {
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

/// The lines of a page: a card for each file that has some of them.
fn texts(frame: &Layout<'_>, text: &Redacted, query: &Form) -> Markup {
    let (parts, lines) = text.page(query.get("q"), page_number(query));
    let files: Vec<&[Part<'_>]> = parts.chunk_by(|one, next| one.file == next.file).collect();
    html! {
        @for (at, file) in files.iter().enumerate() {
            section.card aria-labelledby={ "text-" (at) } {
                div.h { h2 id={ "text-" (at) } { (plain(file[0].name)) } span.grow {} span.dim { (which_lines(file)) } }
                @if file[0].of == 0 { p.pad.dim { "It is empty." } } @else { pre tabindex="0" aria-labelledby={ "text-" (at) } {
                    @for (at, part) in file.iter().enumerate() {
                        @if at > 0 && !part.follows(&file[at - 1]) { span.c { "…\n" } }
                        (toml(part.text, &[]))
                    }
                } }
            }
        }
        @if files.is_empty() { div.card { p.pad.dim { "No table is like that." } } }
        (pages(&format!("{}file", frame.root), query, lines.div_ceil(PAGE)))
    }
}

/// `12 lines`, or `lines 401 to 800 of 65 009`.
fn which_lines(parts: &[Part<'_>]) -> String {
    let (first, last) = (parts[0], parts[parts.len() - 1]);
    let shown: usize = parts.iter().map(|part| part.lines).sum();
    if shown == first.of {
        return plural(shown, "line");
    }
    let number = |line: usize| count(line as u64);
    format!("lines {} to {} of {}", number(first.first), number(last.first + last.lines - 1), number(first.of))
}

fn outcome(checked: &Checked) -> Markup {
    let Tried { diagnostics, variables, include, plan } = &checked.found;
    let errors = diagnostics.iter().filter(|entry| entry.severity == "error").count();
    let warnings = diagnostics.len() - errors;
    let lines: Vec<usize> = diagnostics.iter().filter_map(|entry| entry.line).collect();
    html! {
        section.card #found aria-labelledby="found-h" {
            div.h {
                h2 #found-h { "What was found" }
                @if plan.is_some() { span.pill.f.good { "may be put in force" } } @else { span.pill.f.bad { "would be refused" } }
                span.dim { (plural(errors, "error")) ", " (plural(warnings, "warning")) }
            }
            @if !include.is_empty() { p.pad.dim { "No file is read for " code { "include" } " (" (plain(&include.join(", "))) "): where it is as in the file in force, its files are taken as they are in force, else they are left out." } }
            @if !variables.is_empty() { p.pad.dim { "Variables are named here, not read: " (plain(&variables.join(", "))) "." } }
            (mistakes(diagnostics))
            @if let Some(added) = &checked.added {
                p.pad.dim { "Tried as one more file beside those in force; they may as well stand in one of them:" }
                pre tabindex="0" aria-labelledby="found-h" { (toml(added, &[])) }
            } @else if !lines.is_empty() { pre tabindex="0" aria-labelledby="found-h" { (around(&checked.text, &lines)) } }
        }
        @if let Some(plan) = plan { (planned::drawn(plan)) }
    }
}

/// The lines of a refused file that are complained of. Where the text is no TOML it is not known which strings are secrets: none is
/// shown.
fn refused_lines(error: &LastError) -> Markup {
    let sources = &error.sources;
    html! {
        @for file in sources.files() {
            @let lines: Vec<usize> = error.diagnostics.iter().filter(|entry| *entry.file == *file.name).filter_map(|entry| entry.line).collect();
            @let text = sources.text_of(file);
            @let shown = without_secrets(text);
            // A string of several lines may have become one: the numbers would be wrong.
            @if !lines.is_empty() && shown.lines().count() == text.lines().count() {
                pre tabindex="0" aria-label={ "Lines of " (plain(&file.name)) } { (around(&shown, &lines)) }
            }
        }
    }
}

fn without_secrets(text: &str) -> String {
    let shown = redacted(text);
    if text.parse::<toml::Table>().is_ok() {
        return shown.into_owned();
    }
    let line = |line: &str| {
        strings(line).into_iter().map(|(quoted, part)| if quoted { "\"…\"" } else { part }).collect::<String>()
    };
    shown.lines().map(line).collect::<Vec<_>>().join("\n")
}

/// The lines that are complained of, with their numbers and those beside them.
fn around(text: &str, marked: &[usize]) -> Markup {
    let near = |at: usize| marked.iter().any(|line| line.abs_diff(at) <= 2);
    html! {
        @for (at, line) in (1..).zip(text.lines()).filter(|(at, _)| near(*at)) {
            @if at > 1 && !near(at - 1) { span.c { "…\n" } }
            span.c aria-hidden="true" { (format!("{at:>4}  ")) }
            @if line.is_empty() { "\n" } @else { (toml(line, if marked.contains(&at) { &[1] } else { &[] })) }
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
                    b { (prose(&entry.message)) } " " code.dim { (entry.code) }
                    p.dim { code { (plain(&entry.place())) } @if let Some(label) = &entry.label { ": " (prose(label)) } }
                    @for other in &entry.related {
                        p.dim { code { (plain(&other.file)) ":" (other.line) ":" (other.column) } ": " (prose(&other.label)) }
                    }
                    @if let Some(help) = &entry.help { p.dim { (prose(help)) } }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_a_refused_file_hold_no_secret() {
        let whole = "[services.a]\nurl = \"http://me:hidden@a\"\nbalanc = \"x\"\n";
        assert!(!without_secrets(whole).contains("hidden") && without_secrets(whole).contains("\"x\""));
        let broken = "[services.a\nurl = \"http://me:hidden@a\"\nkey = 'hidden' # of a\nother = \"hidden\n";
        let shown = without_secrets(broken);
        assert!(!shown.contains("hidden") && shown.contains("url = \"…\"") && shown.contains("# of a"), "{shown}");
        assert_eq!(shown.lines().count(), broken.lines().count());
    }
}
