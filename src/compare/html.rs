//! Reads HTML with Servo's tokenizer into the small tree of `tree`.
//!
//! Most of a page are texts and tags in plain spelling, which need no tokenizer: it gets what is not, and what stands between such
//! and the next plain tag that it finds to be one. So comments, scripts and odd spellings are its alone.
//!
//! Ends that a page may leave out are added for the elements of text, lists and tables; `tbody` is never named, since
//! browsers add it.

use std::cell::{Cell, RefCell};

use html5ever::buffer_queue::BufferQueue;
use html5ever::tendril::StrTendril;
use html5ever::tokenizer::states::RawKind;
use html5ever::tokenizer::{TagKind, Token, TokenSink, TokenSinkResult, Tokenizer, TokenizerOpts};
use html5ever::{Attribute, LocalName, local_name};

use super::plain_tag::{self, PlainTag};
use super::tree::{Builder, Node};

/// `None`: it is larger than any page.
pub(super) fn parse(text: &str) -> Option<Vec<Node>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let options = TokenizerOpts { discard_bom: false, ..TokenizerOpts::default() };
    let reader = Reader {
        text,
        whole: StrTendril::from_slice(text),
        tokenizer: Tokenizer::new(Sink::default(), options),
        queue: BufferQueue::default(),
    };
    let (mut at, mut between_tags) = (0, true);
    while let Some(next) = reader.tag_behind(at) {
        let read = if between_tags { reader.plainly(at, next) } else { None };
        (at, between_tags) = read.map_or_else(|| reader.by_tokenizer(at, next), |at| (at, true));
        if !reader.sink().builder.borrow().has_room() {
            return None;
        }
    }
    reader.feed(at, text.len());
    reader.tokenizer.end();
    let builder = reader.tokenizer.sink.builder.into_inner();
    builder.has_room().then(|| builder.finish())
}

struct Reader<'t> {
    text: &'t str,
    whole: StrTendril,
    tokenizer: Tokenizer<Sink>,
    queue: BufferQueue,
}

impl Reader<'_> {
    const fn sink(&self) -> &Sink {
        &self.tokenizer.sink
    }

    /// The next place at which a tag may begin.
    fn tag_behind(&self, at: usize) -> Option<usize> {
        memchr::memchr(b'<', self.text.as_bytes().get(at..)?).map(|length| at + length)
    }

    /// Reads a text without references and the plain tag behind it, where the tokenizer would begin a text. Returns the tag's
    /// end; `None`: the tokenizer must read them.
    fn plainly(&self, at: usize, tag: usize) -> Option<usize> {
        let text = self.text.get(at..tag)?;
        if text.bytes().any(|byte| matches!(byte, b'&' | b'\r' | 0)) {
            return None;
        }
        let PlainTag { name, is_end, closes_itself, attributes, length } = plain_tag::read(self.text.get(tag..)?)?;
        if !is_end && raw(&name).is_some() {
            return None;
        }
        let mut builder = self.sink().builder.borrow_mut();
        if tag > at {
            builder.text(self.part(at, tag));
        }
        if is_end {
            end(&mut builder, &name);
        } else {
            begin(&mut builder, name, attributes, closes_itself);
        }
        Some(tag + length)
    }

    /// Gives the tokenizer what lies before a plain tag, and the tag. Returns its end, and whether it was read as a tag behind
    /// which a text begins: in a comment or a script it is none.
    fn by_tokenizer(&self, at: usize, tag: usize) -> (usize, bool) {
        let Some(PlainTag { length, .. }) = self.text.get(tag..).and_then(plain_tag::read) else {
            self.feed(at, tag + 1);
            return (tag + 1, false);
        };
        self.feed(at, tag);
        self.sink().behind_tag.set(false);
        self.feed(tag, tag + length);
        (tag + length, self.sink().behind_tag.get())
    }

    fn feed(&self, from: usize, to: usize) {
        if to > from {
            self.queue.push_back(self.part(from, to));
            // Scripts are not run: the tokenizer never waits for one.
            let _ = self.tokenizer.feed(&self.queue);
        }
    }

    fn part(&self, from: usize, to: usize) -> StrTendril {
        let bytes = |count: usize| u32::try_from(count).expect("a body has less than 4 GiB");
        self.whole.subtendril(bytes(from), bytes(to - from))
    }
}

/// Whether a text begins like a page or a part of one.
pub(super) fn looks_like(text: &str) -> bool {
    let text = text.trim_start();
    let name = text.strip_prefix('<').unwrap_or_default().trim_start_matches('!');
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '-') && text.contains('>')
}

#[derive(Default)]
struct Sink {
    builder: RefCell<Builder>,
    /// The last token was a tag, and the next one is a text or a tag.
    behind_tag: Cell<bool>,
}

impl TokenSink for Sink {
    type Handle = ();

    fn process_token(&self, token: Token, _line: u64) -> TokenSinkResult<()> {
        let mut builder = self.builder.borrow_mut();
        self.behind_tag.set(false);
        if !builder.has_room() {
            return TokenSinkResult::Continue;
        }
        match token {
            Token::CharacterTokens(text) => builder.text(text),
            Token::TagToken(tag) if tag.kind == TagKind::EndTag => {
                end(&mut builder, &tag.name);
                self.behind_tag.set(true);
            }
            Token::TagToken(tag) => {
                let raw = raw(&tag.name).filter(|_| !tag.self_closing);
                begin(&mut builder, tag.name, tag.attrs, tag.self_closing);
                match raw {
                    Some(kind) => return TokenSinkResult::RawData(kind),
                    None => self.behind_tag.set(true),
                }
            }
            _ => {}
        }
        TokenSinkResult::Continue
    }
}

fn begin(builder: &mut Builder, name: LocalName, attributes: Vec<Attribute>, closes_itself: bool) {
    if name == local_name!("tbody") {
        return;
    }
    while builder.innermost().is_some_and(|open| ends(open, &name)) {
        builder.close_innermost();
    }
    if closes_itself || is_void(&name) {
        builder.leaf("", name, attributes);
    } else {
        builder.open("", name, attributes);
    }
}

fn end(builder: &mut Builder, name: &LocalName) {
    if *name != local_name!("tbody") {
        builder.close(name);
    }
}

/// How the text of an element is read in which no other element begins.
const fn raw(name: &LocalName) -> Option<RawKind> {
    match *name {
        local_name!("script") => Some(RawKind::ScriptData),
        local_name!("style")
        | local_name!("xmp")
        | local_name!("iframe")
        | local_name!("noembed")
        | local_name!("noframes") => Some(RawKind::Rawtext),
        local_name!("textarea") | local_name!("title") => Some(RawKind::Rcdata),
        _ => None,
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

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::sample::select;

    use super::*;

    fn by_tokenizer_alone(text: &str) -> Vec<Node> {
        let tokenizer = Tokenizer::new(Sink::default(), TokenizerOpts::default());
        let queue = BufferQueue::default();
        queue.push_back(StrTendril::from_slice(text));
        let _ = tokenizer.feed(&queue);
        tokenizer.end();
        tokenizer.sink.builder.into_inner().finish()
    }

    /// Where a tag begins and ends, and where it seems to.
    const PARTS: &[&str] = &[
        "<",
        ">",
        "/",
        "</",
        "/>",
        "<!--",
        "-->",
        "--",
        "!",
        "<!doctype html>",
        "<![CDATA[",
        "]]>",
        "<?x",
        "=",
        "=\"",
        "\"",
        "'",
        " ",
        "\n",
        "\r\n",
        "\0",
        "\u{feff}",
        "é",
        "a",
        "b",
        "&",
        "&amp;",
        "&amp",
        "&#x41;",
        "&nope;",
        "<p>",
        "</p>",
        "<p class=\"b a\">",
        "<P>",
        "<a href=\"/x?a=1\">",
        "<a href=\"/x?a=1&amp;b\">",
        "<a href='/'>",
        "<a b b=\"c\" b>",
        "<a title=\"x>y\">",
        "<a title=\"<b>\">",
        "<a\nid=\"i\"\thidden>",
        "<a b=c\"d\">",
        "<br/>",
        "<br>",
        "<img src=\"a\"/>",
        "<script>",
        "<script type=\"application/json\">",
        "<script/>",
        "</script>",
        "</script >",
        "<style>",
        "</style>",
        "<title>",
        "</title>",
        "<textarea>",
        "</textarea>",
        "<iframe>",
        "</iframe>",
        "<pre>",
        "</pre>",
        "<table><tbody>",
        "</tbody></table>",
        "<li>",
        "<tr><td>",
        "<x-y data-z=\"1\">",
        "</x-y>",
        "<plaintext>",
        "<b",
        "<b x",
        "<b x=\"",
    ];

    proptest::proptest! {
        #![proptest_config(proptest::test_runner::Config::with_cases(2000))]

        #[test]
        fn a_page_is_read_as_the_tokenizer_alone_reads_it(parts in vec(select(PARTS), 0..40)) {
            let text = parts.concat();
            proptest::prop_assert_eq!(parse(&text), Some(by_tokenizer_alone(&text)), "{}", text);
        }
    }
}
