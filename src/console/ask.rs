//! The page that asks before something is done: what it is, why, and the one button.

use maud::{Markup, html};

use super::form::Form;
use super::page::Layout;
use super::shown::{cut, plain};
use super::visitor::LONGEST;

/// The question before an act.
pub struct Question<'a> {
    pub title: &'a str,
    pub button: &'a str,
    pub class: &'a str,
    /// The hidden fields of the form.
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

/// The text of the reason box.
pub fn reason(form: &Form) -> String {
    cut(form.get("reason").trim(), LONGEST).to_owned()
}

/// Where a person says why.
pub fn reason_box(is_needed: bool) -> Markup {
    html! {
        label.f {
            @if is_needed { "Why?" } @else { span { "Why? " span.dim { "may be left empty" } } }
            input type="text" name="reason" maxlength=(LONGEST) required[is_needed] autocomplete="off";
        }
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
                    (reason_box(why == Why::Needed))
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
