//! Reads HTML with Servo's tokenizer into the small tree of `markup`.
//!
//! Ends that a page may leave out are added for the elements of text, lists and tables; `tbody` is never named, since
//! browsers add it.

use std::cell::RefCell;

use html5ever::buffer_queue::BufferQueue;
use html5ever::tendril::StrTendril;
use html5ever::tokenizer::states::RawKind;
use html5ever::tokenizer::{TagKind, Token, TokenSink, TokenSinkResult, Tokenizer, TokenizerOpts};

use super::markup::{Builder, Element};

/// `None`: it is larger than any page.
pub(super) fn parse(text: &str) -> Option<Element> {
    let queue = BufferQueue::default();
    queue.push_back(StrTendril::from_slice(text));
    let tokenizer = Tokenizer::new(Sink(RefCell::new(Builder::new())), TokenizerOpts::default());
    // Scripts are not run: the tokenizer never waits for one.
    let _ = tokenizer.feed(&queue);
    tokenizer.end();
    let builder = tokenizer.sink.0.into_inner();
    builder.has_room().then(|| builder.finish())
}

/// Whether a text begins like a page or a part of one.
pub(super) fn looks_like(text: &str) -> bool {
    let text = text.trim_start();
    let name = text.strip_prefix('<').unwrap_or_default().trim_start_matches('!');
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '-') && text.contains('>')
}

struct Sink(RefCell<Builder>);

impl TokenSink for Sink {
    type Handle = ();

    fn process_token(&self, token: Token, _line: u64) -> TokenSinkResult<()> {
        let mut builder = self.0.borrow_mut();
        if !builder.has_room() {
            return TokenSinkResult::Continue;
        }
        match token {
            Token::CharacterTokens(text) => builder.text(&text),
            Token::TagToken(tag) => {
                let name: &str = &tag.name;
                if name == "tbody" {
                    return TokenSinkResult::Continue;
                }
                if tag.kind == TagKind::EndTag {
                    builder.close(name);
                    return TokenSinkResult::Continue;
                }
                while ends(builder.innermost(), name) {
                    let open = builder.innermost().to_owned();
                    builder.close(&open);
                }
                let attributes = tag.attrs.iter().map(|attribute| {
                    let name: &str = &attribute.name.local;
                    (Box::from(name), Box::from(&*attribute.value))
                });
                builder.open("", name, attributes.collect());
                if tag.self_closing || is_void(name) {
                    builder.close(name);
                    return TokenSinkResult::Continue;
                }
                return match name {
                    "script" => TokenSinkResult::RawData(RawKind::ScriptData),
                    "style" | "xmp" | "iframe" | "noembed" | "noframes" => TokenSinkResult::RawData(RawKind::Rawtext),
                    "textarea" | "title" => TokenSinkResult::RawData(RawKind::Rcdata),
                    _ => TokenSinkResult::Continue,
                };
            }
            _ => {}
        }
        TokenSinkResult::Continue
    }
}

fn is_void(tag: &str) -> bool {
    matches!(
        tag,
        "area"
            | "base"
            | "br"
            | "col"
            | "embed"
            | "hr"
            | "img"
            | "input"
            | "link"
            | "meta"
            | "source"
            | "track"
            | "wbr"
    )
}

/// Whether an element that is open ends where this one begins.
fn ends(open: &str, begins: &str) -> bool {
    match open {
        "p" => matches!(
            begins,
            "address"
                | "article"
                | "aside"
                | "blockquote"
                | "div"
                | "dl"
                | "fieldset"
                | "footer"
                | "form"
                | "h1"
                | "h2"
                | "h3"
                | "h4"
                | "h5"
                | "h6"
                | "header"
                | "hr"
                | "main"
                | "nav"
                | "ol"
                | "p"
                | "pre"
                | "section"
                | "table"
                | "ul"
        ),
        "li" => begins == "li",
        "dt" | "dd" => matches!(begins, "dt" | "dd"),
        "td" | "th" => matches!(begins, "td" | "th" | "tr" | "tfoot" | "thead"),
        "tr" => matches!(begins, "tr" | "tfoot" | "thead"),
        "thead" | "tfoot" => matches!(begins, "tfoot" | "thead"),
        "option" => matches!(begins, "option" | "optgroup"),
        "head" => begins == "body",
        _ => false,
    }
}
