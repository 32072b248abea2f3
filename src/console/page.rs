//! The frame of every page: head, navigation, the visitor, the big red button, keys.

use std::sync::LazyLock;

use maud::{DOCTYPE, Markup, html};
use xxhash_rust::xxh3::xxh3_64;

use super::form::Form;
use super::shown::{code, plain, span};
use super::visitor::{How, Visitor};
use crate::admin::Parts;
use crate::message::percent_encoded;

pub const CSS: &str = include_str!("console.css");
pub const SCRIPT: &str = include_str!("console.js");
pub const ICON: &str = include_str!("icon.svg");

/// Of all assets: their address changes when one of them does.
pub static ASSETS: LazyLock<String> = LazyLock::new(|| {
    let all = [CSS, SCRIPT, ICON].concat();
    format!("{:016x}", xxh3_64(all.as_bytes()))
});

/// The pages of the navigation: path and word.
pub const PAGES: [(&str, &str); 6] = [
    ("", "Board"),
    ("inventory", "Inventory"),
    ("requests", "Requests"),
    ("journal", "Journal"),
    ("upstreams", "Upstreams"),
    ("file", "File"),
];

/// The place of a page, and its visitor.
#[derive(Clone, Copy)]
pub struct Layout<'a> {
    pub parts: &'a Parts,
    pub visitor: &'a Visitor,
    /// From this page to the console's root: empty, `../` …
    pub root: &'static str,
    /// The path in `PAGES` that it belongs to; `None`: it stands alone, without navigation.
    pub here: Option<&'static str>,
    /// Its own address gives another page, or none: what is live is drawn anew from the page that it belongs to.
    pub elsewhere: bool,
    /// The message of the act that led here.
    pub made: Option<&'a str>,
    /// Without a script it loads itself anew.
    pub by_itself: bool,
}

impl Layout<'_> {
    /// The whole document.
    pub fn page(&self, title: &str, main: &Markup) -> String {
        let assets = format!("{}console/assets/{}", self.root, &*ASSETS);
        let document = html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    title { (plain(title)) " · multilith" }
                    link rel="icon" href={ (assets) "/icon.svg" };
                    link rel="stylesheet" href={ (assets) "/console.css" };
                    script src={ (assets) "/console.js" } defer {}
                    @if self.by_itself { noscript { meta http-equiv="refresh" content="5"; } }
                }
                @let from = self.elsewhere.then(|| format!("{}{}", self.root, self.here.unwrap_or("")));
                body data-base=(self.root) data-from=[from] {
                    a.skip href="#main" { "To the content" }
                    (self.top())
                    main #main tabindex="-1" {
                        @if self.here.is_some() { div #made data-live { @if let Some(made) = self.made { (just_done("g", made)) } } }
                        (main)
                    }
                    @if self.here.is_some() { (self.footer()) }
                }
            }
        };
        document.into_string()
    }

    fn top(&self) -> Markup {
        html! {
            header.top {
                a.brand href={ (self.root) "./" } { (logo()) "multilith" }
                @if let Some(here) = self.here {
                    nav.main aria-label="Pages" {
                        @for (path, word) in PAGES {
                            @let href = if path.is_empty() { format!("{}./", self.root) } else { format!("{}{path}", self.root) };
                            a href=(href) aria-current=[(path == here).then_some("page")] { (word) }
                        }
                    }
                    span.grow {}
                    (self.who())
                }
            }
        }
    }

    /// Whether it is live, the generation in force, the visitor, and the button.
    fn who(&self) -> Markup {
        let generation = self.parts.app.in_force.load();
        let pressed = self.parts.app.live.monolith_only(generation.snapshot.server.monolith_only);
        let role = if self.visitor.operates() { "operate" } else { "read" };
        html! {
            div.who #who data-live {
                span.live { i {} "live" }
                span.gen { "generation " b { (generation.number) } }
                span.pill.n { (plain(&self.visitor.name)) " · " (role) }
                @if self.visitor.how == How::Session {
                    a.sm href={ (self.root) "console/logout" } { "Sign out" }
                }
                @if pressed {
                    span.pill.f.bad { "monolith only" }
                    (self.act("Release", "btn sm", "do=release"))
                } @else {
                    (self.act("Monolith only", "btn sm red", "do=press"))
                }
            }
        }
    }

    /// A link to the page that asks before it acts; drawn only for roles that may press it.
    pub fn act(&self, word: &str, class: &str, query: &str) -> Markup {
        html! {
            @if self.visitor.operates() {
                a class=(class) href={ (self.root) "console/act?" (query) } data-dialog aria-haspopup="dialog" { (word) "…" }
            }
        }
    }

    pub fn route_link(&self, name: &str) -> Markup {
        html! { a.name href={ (self.root) "route/" (name) } { (plain(name)) } }
    }

    fn footer(&self) -> Markup {
        let up = self.parts.app.live.uptime(std::time::Instant::now()).as_secs_f64();
        html! {
            footer {
                span.keys {
                    span.k-find { kbd { "/" } " filter" }
                    span.k-step { kbd { "j" } " " kbd { "k" } " up and down" }
                    span.k-open { kbd { "Enter" } " open" }
                    span { kbd { "?" } " all keys" }
                }
                span.grow {}
                span { "Times are UTC; it is " time #clock data-live { (jiff::Timestamp::now().strftime("%H:%M").to_string()) } ". Version " (env!("CARGO_PKG_VERSION")) ", up for " span #up data-live { (span(up)) } ". " a href={ (self.root) "api/v1/openapi.json" } { "The API" } }
            }
            dialog #help aria-labelledby="keys" {
                div.h2 { h2 #keys { "Keys" } }
                dl.kv {
                    dt { kbd { "/" } } dd { "to the filter; " kbd { "Esc" } " leaves it" }
                    dt { kbd { "j" } " " kbd { "k" } } dd { "down and up in the list" }
                    dt { kbd { "Enter" } } dd { "open what is chosen" }
                    dt { kbd { "Tab" } } dd { "from one link or button to the next" }
                    dt { kbd { "Esc" } } dd { "close a question without doing anything, choose nothing" }
                }
            }
        }
    }
}

fn logo() -> Markup {
    html! {
        svg width="22" height="22" viewBox="0 0 22 22" aria-hidden="true" {
            rect.mo x="1" y="1" width="9" height="20" rx="2" {}
            @for y in ["1", "8.3", "15.6"] { rect.se x="12" y=(y) width="9" height="5.4" rx="1.6" {} }
        }
    }
}

/// A word of the board with its colour.
pub fn stage_pill(stage: &str) -> Markup {
    html! { span class={ "pill s-" (stage) } { (stage) } }
}

/// A sentence of ours, in which what stands between back-ticks is a word of the file or of a command.
pub fn prose(text: &str) -> Markup {
    // A tick without its partner is a letter like any other.
    let ticks = text.matches('`').count() & !1;
    html! {
        @for (at, part) in text.splitn(ticks + 1, '`').enumerate() {
            @if at % 2 == 1 { code { (plain(part)) } } @else { (plain(part)) }
        }
    }
}

/// Which page of a list is asked for.
pub fn page_number(query: &Form) -> usize {
    query.get("page").parse().unwrap_or(1).clamp(1, 100_000)
}

/// The way to the other pages of a list, if it has more than one.
pub fn pages(list: &str, query: &Form, last: usize) -> Markup {
    let page = page_number(query);
    let to = |page: usize| format!("{list}?q={}&page={page}", percent_encoded(query.get("q")));
    html! {
        @if last > 1 {
            nav.pad.acts aria-label="Pages of the list" {
                @if page > 1 { a.btn.sm href=(to(page - 1)) rel="prev" { "Before" } }
                span.dim { "page " (page) " of " (last) }
                @if page < last { a.btn.sm href=(to(page + 1)) rel="next" { "Next" } }
            }
        }
    }
}

/// A sentence above everything else.
pub fn said(class: &str, text: &str) -> Markup {
    html! { div class={ "say " (class) } role="status" { span { (prose(text)) } } }
}

/// The same of what a press did or did not do: it has the focus, so that it is read out, and Tab goes on from it.
pub fn just_done(class: &str, text: &str) -> Markup {
    html! { div class={ "say " (class) } role="status" tabindex="-1" autofocus { span { (prose(text)) } } }
}

/// A text of TOML with its headers, strings and comments told apart; a line that is complained of is marked.
pub fn toml(text: &str, marked: &[usize]) -> Markup {
    let line = |(at, line): (usize, &str)| {
        let (before, comment) = split_comment(line);
        let header = before.trim_start().starts_with('[') && before.trim_end().ends_with(']') && !before.contains('=');
        let parts = html! {
            @if header { span.k { (code(before)) } } @else {
                @for (quoted, part) in strings(before) {
                    @if quoted { span.s { (code(part)) } } @else { (code(part)) }
                }
            }
            @if !comment.is_empty() { span.c { (code(comment)) } }
        };
        html! { @if marked.contains(&(at + 1)) { span.e { (parts) } } @else { (parts) } "\n" }
    };
    html! { @for each in text.lines().enumerate().map(line) { (each) } }
}

fn split_comment(line: &str) -> (&str, &str) {
    let mut quote = None;
    for (at, c) in line.char_indices() {
        match (quote, c) {
            (None, '#') => return line.split_at(at),
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), c) if open == c => quote = None,
            _ => {}
        }
    }
    (line, "")
}

/// The parts of a line: inside quotes or not.
pub fn strings(code: &str) -> Vec<(bool, &str)> {
    let (mut parts, mut from, mut quote) = (Vec::new(), 0, None);
    for (at, c) in code.char_indices() {
        match (quote, c) {
            (None, '"' | '\'') => {
                parts.push((false, &code[from..at]));
                (from, quote) = (at, Some(c));
            }
            (Some(open), c) if open == c => {
                parts.push((true, &code[from..=at]));
                (from, quote) = (at + 1, None);
            }
            _ => {}
        }
    }
    parts.push((quote.is_some(), &code[from..]));
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_between_ticks_are_code() {
        for (text, drawn) in [
            ("a `b<` c", "a <code>b&lt;</code> c"),
            ("`a` and `b`", "<code>a</code> and <code>b</code>"),
            ("a ` b", "a ` b"),
            ("`a` ` b", "<code>a</code> ` b"),
        ] {
            assert_eq!(prose(text).into_string(), drawn);
        }
    }

    #[test]
    fn a_hostile_line_stays_text() {
        let text = toml("path = \"</pre><script>\" # <b>\n[routes.x]\n", &[1]).into_string();
        assert!(text.contains("<span class=\"s\">&quot;&lt;/pre&gt;&lt;script&gt;&quot;</span>"), "{text}");
        assert!(text.contains("<span class=\"c\"># &lt;b&gt;</span>") && text.contains("<span class=\"e\">"), "{text}");
        assert!(text.contains("<span class=\"k\">[routes.x]</span>"), "{text}");
        assert_eq!(toml("a = 1\n\tb = 2 # \t", &[]).into_string(), "a = 1\n\tb = 2 <span class=\"c\"># \t</span>\n");
    }

    #[test]
    fn the_script_is_small_and_no_asset_asks_anybody_else() {
        assert!(SCRIPT.len() <= 10 * 1024, "{} bytes", SCRIPT.len());
        for asset in [CSS, SCRIPT, ICON] {
            let others = asset.replace("http://www.w3.org/2000/svg", "");
            assert!(!others.contains("//") || asset == SCRIPT, "an address in an asset");
            assert!(!others.contains("http") && !others.contains("eval("));
        }
    }
}
