//! A page or an XML document as a small tree.
//!
//! The nodes lie in the order in which they begin, so a subtree is a slice, and reading a document moves none of them. Names are
//! the parser's own interned words, texts are parts of what it read: an element copies nothing. Every node knows a hash of all
//! that it holds, so that equal parts of two documents are found at once.

use html5ever::tendril::StrTendril;
use html5ever::{Attribute, LocalName, local_name};
use xxhash_rust::xxh3::xxh3_64;

use super::place::looks_like_data;

/// Elements and texts of one document.
const MAX_NODES: usize = 60_000;

/// Elements in elements; what lies deeper is taken as lying here.
const MAX_DEPTH: usize = 200;

/// White space of HTML and XML.
const SPACES: [char; 5] = [' ', '\t', '\n', '\r', '\u{c}'];

/// A node and behind it what it holds; never empty.
pub(super) type Subtree<'t> = &'t [Node];

#[derive(Debug, PartialEq)]
pub(super) struct Node {
    pub(super) content: Content,
    /// Of namespace, tag, id and class; a text has that of all texts.
    pub(super) signature: u64,
    /// Of everything inside.
    pub(super) hash: u64,
    /// Nodes of the subtree.
    length: usize,
}

#[derive(Debug, PartialEq)]
pub(super) enum Content {
    Element(Element),
    Text(StrTendril),
    /// JSON in a script.
    Data(StrTendril),
}

#[derive(Debug, PartialEq)]
pub(super) struct Element {
    pub(super) tag: LocalName,
    pub(super) label: Label,
    /// Sorted by name.
    pub(super) attributes: Vec<Attribute>,
}

/// The name of an element in a path, beside its tag.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Label {
    Tag,
    Class(StrTendril),
    Id(StrTendril),
}

impl Element {
    /// The step of a path: `#id`, `tag.class` or `tag`.
    pub(super) fn step(&self) -> String {
        match &self.label {
            Label::Tag => (*self.tag).to_owned(),
            Label::Class(class) => format!("{}.{class}", &*self.tag),
            Label::Id(id) => format!("#{id}"),
        }
    }

    /// Whether both have the same step in a path.
    pub(super) fn is_called_as(&self, other: &Self) -> bool {
        self.label == other.label && (self.tag == other.tag || matches!(self.label, Label::Id(_)))
    }
}

/// The children of the node that a subtree begins with.
pub(super) fn children(subtree: Subtree<'_>) -> impl Iterator<Item = Subtree<'_>> {
    let mut rest = subtree.get(1..).unwrap_or_default();
    std::iter::from_fn(move || {
        let (child, behind) = rest.split_at_checked(rest.first()?.length)?;
        rest = behind;
        Some(child)
    })
}

/// Builds a tree from what a parser reads.
#[derive(Debug)]
pub(super) struct Builder {
    nodes: Vec<Node>,
    /// Places of the open elements, the root first.
    open: Vec<usize>,
    text: StrTendril,
    /// Open elements in which white space counts.
    verbatim: usize,
}

impl Default for Builder {
    fn default() -> Self {
        let root = element("", local_name!(""), Vec::new());
        Self { nodes: vec![root], open: vec![0], text: StrTendril::new(), verbatim: 0 }
    }
}

impl Builder {
    /// False: there is too much of it.
    pub(super) const fn has_room(&self) -> bool {
        self.nodes.len() <= MAX_NODES
    }

    /// The tag of the innermost open element.
    pub(super) fn innermost(&self) -> Option<&LocalName> {
        self.open.last().and_then(|at| self.tag(*at))
    }

    fn tag(&self, at: usize) -> Option<&LocalName> {
        match &self.nodes.get(at)?.content {
            Content::Element(element) => Some(&element.tag),
            Content::Text(_) | Content::Data(_) => None,
        }
    }

    pub(super) fn open(&mut self, namespace: &str, tag: LocalName, attributes: Vec<Attribute>) {
        if self.open.len() > MAX_DEPTH {
            return self.leaf(namespace, tag, attributes);
        }
        self.flush();
        self.verbatim += usize::from(is_verbatim(&tag));
        self.open.push(self.nodes.len());
        self.nodes.push(element(namespace, tag, attributes));
    }

    /// An element that holds nothing.
    pub(super) fn leaf(&mut self, namespace: &str, tag: LocalName, attributes: Vec<Attribute>) {
        self.flush();
        self.push(element(namespace, tag, attributes));
    }

    /// Closes the innermost element of this tag and what is open in it; an end without a begin is ignored.
    pub(super) fn close(&mut self, tag: &LocalName) {
        self.flush();
        let last = self.open.iter().rposition(|at| self.tag(*at) == Some(tag));
        if let Some(depth) = last.filter(|depth| *depth > 0) {
            self.close_to(depth);
        }
    }

    /// Closes the innermost element, unless it is the root.
    pub(super) fn close_innermost(&mut self) {
        self.flush();
        self.close_to(self.open.len().saturating_sub(1).max(1));
    }

    fn close_to(&mut self, depth: usize) {
        while self.open.len() > depth
            && let Some(at) = self.open.pop()
        {
            self.verbatim -= usize::from(self.tag(at).is_some_and(is_verbatim));
            let end = self.nodes.len();
            if let Some(node) = self.nodes.get_mut(at) {
                node.length = end - at;
                let hash = node.hash;
                self.tell_parent(hash);
            }
        }
    }

    pub(super) fn text(&mut self, text: StrTendril) {
        if self.text.is_empty() {
            self.text = text;
        } else {
            self.text.push_tendril(&text);
        }
    }

    /// The nodes, of which the first is the document.
    pub(super) fn finish(mut self) -> Vec<Node> {
        self.flush();
        self.close_to(0);
        self.nodes
    }

    /// A node that is whole.
    fn push(&mut self, node: Node) {
        self.tell_parent(node.hash);
        self.nodes.push(node);
    }

    fn tell_parent(&mut self, hash: u64) {
        if let Some(parent) = self.open.last().and_then(|at| self.nodes.get_mut(*at)) {
            parent.hash = mixed(parent.hash, hash);
        }
    }

    fn flush(&mut self) {
        if self.text.is_empty() {
            return;
        }
        let mut text = std::mem::take(&mut self.text);
        if self.verbatim > 0 {
            let length = text.trim_end().len();
            cut(&mut text, 0, length);
        } else {
            remove_layout(&mut text);
        }
        if !text.is_empty() {
            let hash = xxh3_64(text.as_bytes());
            let parent = self.open.last().and_then(|at| self.nodes.get(*at)).map(|parent| &parent.content);
            let is_data = matches!(parent, Some(Content::Element(element)) if holds_json(element));
            let (content, signature) = if is_data { (Content::Data(text), 2) } else { (Content::Text(text), 1) };
            self.push(Node { content, signature, hash, length: 1 });
        }
    }
}

const fn is_verbatim(tag: &LocalName) -> bool {
    matches!(*tag, local_name!("pre") | local_name!("textarea"))
}

fn holds_json(element: &Element) -> bool {
    let json = |attribute: &Attribute| attribute.name.local == local_name!("type") && attribute.value.contains("json");
    element.tag == local_name!("script") && element.attributes.iter().any(json)
}

/// Runs of white space become one space, and none is left at the ends.
fn remove_layout(text: &mut StrTendril) {
    let begin = text.len() - text.trim_start_matches(SPACES).len();
    let length = text.trim_matches(SPACES).len();
    cut(text, begin, length);
    let is_space = |byte: u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0xc);
    let mut behind_space = false;
    let tidy = text.bytes().all(|byte| {
        let behind = std::mem::replace(&mut behind_space, is_space(byte));
        !behind_space || (byte == b' ' && !behind)
    });
    if !tidy {
        *text = text.split(SPACES).filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ").into();
    }
}

/// Cuts the text to `length` bytes from `begin` on, both at borders of characters.
fn cut(text: &mut StrTendril, begin: usize, length: usize) {
    let all = text.len();
    let bytes = |count: usize| u32::try_from(count).expect("a tendril has less than 4 GiB");
    if begin + length < all {
        text.pop_back(bytes(all - begin - length));
    }
    if begin > 0 {
        text.pop_front(bytes(begin));
    }
}

/// An element that holds nothing yet.
fn element(namespace: &str, tag: LocalName, mut attributes: Vec<Attribute>) -> Node {
    if attributes.len() > 1 {
        attributes.sort_by(|a, b| a.name.local.cmp(&b.name.local));
    }
    let mut label = Label::Tag;
    let mut signature = mixed(tag.get_hash(), if namespace.is_empty() { 0 } else { xxh3_64(namespace.as_bytes()) });
    for Attribute { name, value } in &mut attributes {
        match name.local {
            local_name!("class") => {
                // A class that is made up anew each time cannot tell what belongs together.
                if let Some(class) = value.split_ascii_whitespace().find(|class| !looks_like_data(class)) {
                    signature = mixed(signature, xxh3_64(class.as_bytes()));
                    label = Label::Class(class.into());
                }
                sort_words(value);
            }
            local_name!("id") if !value.contains(' ') && !looks_like_data(value) => {
                signature = mixed(signature, xxh3_64(value.as_bytes()).rotate_left(13));
                label = Label::Id(value.clone());
            }
            _ => {}
        }
    }
    // There is one of each, whatever its classes say of the page.
    if matches!(tag, local_name!("html") | local_name!("head") | local_name!("body")) {
        label = Label::Tag;
    }
    let hash = attributes.iter().fold(signature, |hash, Attribute { name, value }| {
        mixed(mixed(hash, name.local.get_hash()), xxh3_64(value.as_bytes()))
    });
    Node { content: Content::Element(Element { tag, label, attributes }), signature, hash, length: 1 }
}

/// The words of a text are a set.
fn sort_words(text: &mut StrTendril) {
    let words = || text.split(' ');
    let rises = words().zip(words().skip(1)).all(|(a, b)| a < b);
    if rises && !text.starts_with(' ') && !text.contains(['\t', '\n', '\r', '\u{c}']) {
        return;
    }
    let mut words: Vec<_> = text.split_ascii_whitespace().collect();
    words.sort_unstable();
    words.dedup();
    *text = words.join(" ").into();
}

const fn mixed(hash: u64, part: u64) -> u64 {
    (hash.rotate_left(5) ^ part).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}
