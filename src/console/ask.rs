//! The page that asks before something is done: what it is, why, and the one button.

use maud::{Markup, html};

use super::page::Layout;
use super::shown::plain;
use super::visitor::LONGEST;

/// What a page asks before an act.
pub struct Question<'a> {
    pub title: &'a str,
    pub button: &'a str,
    pub class: &'a str,
    /// What the form carries along.
    pub hidden: &'a [(&'a str, &'a str)],
    pub why: Why,
}

/// Whether a person has to say why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    Needed,
    Free,
    /// Nothing is written down; what is said of that instead.
    Unasked(&'static str),
}

impl Why {
    pub const fn needed_if(needed: bool) -> Self {
        if needed { Self::Needed } else { Self::Free }
    }
}

pub fn question(frame: &Layout<'_>, word: &str, asked: &Question<'_>, what: &Markup) -> Markup {
    let Question { title, button, class, hidden, why } = *asked;
    html! {
        section.card.narrow data-ask aria-labelledby="ask" {
            div.h { h1 #ask { (plain(title)) } }
            form.pad.ask method="post" action={ (frame.root) "console/act" } {
                input type="hidden" name="word" value=(word);
                @for (name, value) in hidden.iter().filter(|(_, value)| !value.is_empty()) { input type="hidden" name=(name) value=(value); }
                (what)
                @if let Why::Unasked(instead) = why { p.lab { (instead) } } @else {
                    label.f {
                        @if why == Why::Needed { "Why?" } @else { span { "Why? " span.dim { "may be left empty" } } }
                        input type="text" name="reason" maxlength=(LONGEST) required[why == Why::Needed] autocomplete="off";
                    }
                    p.lab { "It is written to the journal with your name, " b { (plain(&frame.visitor.name)) } "." }
                }
                div.acts {
                    a.btn href={ (frame.root) "./" } data-cancel autofocus { "Leave it" }
                    button class=(class) { (button) }
                }
            }
        }
    }
}
