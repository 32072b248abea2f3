//! A page or an XML document as a small tree, and the walk through two of them.
//!
//! A path has a step an element: `#id` where there is one, else tag and first class, else the tag; `[*]` where siblings
//! share it. Comments, the order of attributes and of classes, and white space beside tags do not count.

use std::borrow::Cow;

use xxhash_rust::xxh3::xxh3_64;

use super::align::align;
use super::difference::{Findings, Found, Kind};
use super::json::Json;
use super::place::looks_like_data;
use super::walk;

/// Elements and texts of one document.
const MAX_NODES: usize = 60_000;

/// Elements in elements; what lies deeper is taken as lying here.
const MAX_DEPTH: usize = 200;

/// Children that are aligned; of more, places decide.
const MAX_CHILDREN: usize = 2000;

/// Bytes of a field's name; longer ones lose their middle.
const MAX_NAME: usize = 200;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Element {
    label: Box<str>,
    /// Of namespace, tag, id and class.
    signature: u64,
    attributes: Vec<(Box<str>, Box<str>)>,
    children: Vec<Node>,
    /// Of everything inside.
    hash: u64,
    tag: Box<str>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Node {
    Element(Element),
    Text(Box<str>, u64),
    /// JSON in a script.
    Data(Box<str>, u64),
}

impl Node {
    const fn hash(&self) -> u64 {
        match self {
            Self::Element(element) => element.hash,
            Self::Text(_, hash) | Self::Data(_, hash) => *hash,
        }
    }

    const fn signature(&self) -> u64 {
        match self {
            Self::Element(element) => element.signature,
            Self::Text(..) => 1,
            Self::Data(..) => 2,
        }
    }
}

/// Builds a tree from what a parser reads.
#[derive(Debug)]
pub(super) struct Builder {
    stack: Vec<Element>,
    text: String,
    nodes: usize,
    /// White space counts, as in `pre`.
    verbatim: bool,
}

impl Builder {
    pub(super) fn new() -> Self {
        Self { stack: vec![element("", "", Vec::new())], text: String::new(), nodes: 0, verbatim: false }
    }

    /// False: there is too much of it.
    pub(super) const fn has_room(&self) -> bool {
        self.nodes < MAX_NODES
    }

    /// The tag of the innermost open element.
    pub(super) fn innermost(&self) -> &str {
        self.stack.last().map_or("", |element| &element.tag)
    }

    pub(super) fn open(&mut self, namespace: &str, tag: &str, attributes: Vec<(Box<str>, Box<str>)>) {
        self.flush();
        self.nodes += 1;
        let opened = element(namespace, tag, attributes);
        if self.stack.len() > MAX_DEPTH {
            return self.push(Node::Element(closed(opened)));
        }
        self.verbatim |= matches!(tag, "pre" | "textarea");
        self.stack.push(opened);
    }

    /// Closes the innermost element of this tag and what is open in it; an end without a begin is ignored.
    pub(super) fn close(&mut self, tag: &str) {
        self.flush();
        let Some(at) = self.stack.iter().rposition(|element| &*element.tag == tag).filter(|at| *at > 0) else { return };
        while self.stack.len() > at {
            self.pop();
        }
        self.verbatim = self.stack.iter().any(|element| matches!(&*element.tag, "pre" | "textarea"));
    }

    pub(super) fn text(&mut self, text: &str) {
        self.text.push_str(text);
    }

    pub(super) fn finish(mut self) -> Element {
        self.flush();
        while self.stack.len() > 1 {
            self.pop();
        }
        closed(self.stack.pop().expect("the root stays until the end"))
    }

    fn pop(&mut self) {
        if let Some(element) = self.stack.pop() {
            self.push(Node::Element(closed(element)));
        }
    }

    fn push(&mut self, node: Node) {
        if let Some(parent) = self.stack.last_mut() {
            parent.children.push(node);
        }
    }

    fn flush(&mut self) {
        if self.text.is_empty() {
            return;
        }
        let text = std::mem::take(&mut self.text);
        let text: Cow<'_, str> = if self.verbatim { Cow::Borrowed(text.trim_end()) } else { without_layout(&text) };
        if !text.is_empty() {
            self.nodes += 1;
            let hash = xxh3_64(text.as_bytes());
            let is_data = self.stack.last().is_some_and(|parent| {
                let json = |(name, value): &(Box<str>, Box<str>)| &**name == "type" && value.contains("json");
                &*parent.tag == "script" && parent.attributes.iter().any(json)
            });
            self.push(if is_data { Node::Data(text.into(), hash) } else { Node::Text(text.into(), hash) });
        }
    }
}

/// Runs of white space are one space, and none is left at the ends.
fn without_layout(text: &str) -> Cow<'_, str> {
    let trimmed = text.trim_matches([' ', '\t', '\n', '\r', '\u{c}']);
    let bytes = trimmed.as_bytes();
    let is_space = |byte: u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0xc);
    let untidy = bytes.iter().zip(bytes.iter().skip(1)).any(|(a, b)| is_space(*a) && (*a != b' ' || is_space(*b)));
    if untidy {
        Cow::Owned(
            trimmed
                .split([' ', '\t', '\n', '\r', '\u{c}'])
                .filter(|word| !word.is_empty())
                .collect::<Vec<_>>()
                .join(" "),
        )
    } else {
        Cow::Borrowed(trimmed)
    }
}

fn element(namespace: &str, tag: &str, mut attributes: Vec<(Box<str>, Box<str>)>) -> Element {
    attributes.sort();
    let mut label = None;
    let mut signature = xxh3_64(tag.as_bytes()) ^ xxh3_64(namespace.as_bytes()).rotate_left(1);
    for (name, value) in &mut attributes {
        if &**name == "class" {
            let mut classes: Vec<_> = value.split_ascii_whitespace().collect();
            if label.is_none() {
                label = classes.iter().find(|class| !looks_like_data(class)).map(|class| format!("{tag}.{class}"));
            }
            // A class that is made up anew each time cannot tell what belongs together.
            let stable =
                classes.iter().find(|class| !looks_like_data(class)).map_or(0, |class| xxh3_64(class.as_bytes()));
            signature ^= stable.rotate_left(7);
            classes.sort_unstable();
            classes.dedup();
            *value = classes.join(" ").into();
        } else if &**name == "id" && !looks_like_data(value) && !value.contains(' ') {
            label = Some(format!("#{value}"));
            signature ^= xxh3_64(value.as_bytes()).rotate_left(13);
        }
    }
    // There is one of each, whatever its classes say of the page.
    let label = label.filter(|_| !matches!(tag, "html" | "head" | "body"));
    let label = label.unwrap_or_else(|| tag.to_owned()).into();
    Element { label, signature, attributes, children: Vec::new(), hash: 0, tag: tag.into() }
}

fn closed(mut element: Element) -> Element {
    let mut hash = element.signature;
    let mut add = |part: u64| hash = (hash.rotate_left(5) ^ part).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    for (name, value) in &element.attributes {
        add(xxh3_64(name.as_bytes()));
        add(xxh3_64(value.as_bytes()));
    }
    element.children.iter().for_each(|child| add(child.hash()));
    element.hash = hash;
    element
}

/// Compares two documents from their roots.
pub(super) fn documents(control: &Element, candidate: &Element, findings: &mut Findings<'_>) {
    Walk { at: Vec::new(), findings }.children(control, candidate);
}

struct Walk<'v, 'f, 'r> {
    at: Vec<(&'v str, bool)>,
    findings: &'f mut Findings<'r>,
}

impl<'v> Walk<'v, '_, '_> {
    fn elements(&mut self, control: &'v Element, candidate: &'v Element) {
        if control.hash == candidate.hash {
            return self.findings.same();
        }
        if self.findings.is_settled() {
            return;
        }
        self.attributes(control, candidate);
        self.children(control, candidate);
    }

    fn attributes(&mut self, control: &'v Element, candidate: &'v Element) {
        let (mut a, mut b) = (control.attributes.iter().peekable(), candidate.attributes.iter().peekable());
        let hidden = self.is_secret(control) || self.is_secret(candidate);
        loop {
            let (left, right) = match (a.peek(), b.peek()) {
                (None, None) => return,
                (Some(x), Some(y)) if x.0 == y.0 => (a.next(), b.next()),
                (Some(x), Some(y)) if x.0 < y.0 => (a.next(), None),
                (Some(_), None) => (a.next(), None),
                (_, Some(_)) => (None, b.next()),
            };
            let Some((name, _)) = left.or(right) else { return };
            let hidden =
                hidden && matches!(&**name, "value" | "content") || self.findings.rules().redactor().hides(name);
            let field = |walk: &Self| format!("{}@{name}", walk.name());
            match (left, right) {
                (Some((_, a)), Some((_, b))) if a == b => self.findings.same(),
                (Some((_, a)), Some((_, b))) => self.findings.texts(field(self), a, b, hidden),
                (Some(_), None) => self.alone(field(self), Kind::Missing, left.map(|pair| &*pair.1), hidden),
                _ => self.alone(field(self), Kind::Extra, right.map(|pair| &*pair.1), hidden),
            }
        }
    }

    /// `<input name="password" value="…">` holds a secret in its value.
    fn is_secret(&self, element: &Element) -> bool {
        let redactor = self.findings.rules().redactor();
        element
            .attributes
            .iter()
            .any(|(name, value)| matches!(&**name, "name" | "id" | "property") && redactor.hides_parameter(value))
    }

    fn alone(&mut self, field: String, kind: Kind, text: Option<&str>, hidden: bool) {
        let found = match text {
            Some(_) if hidden => Found::Secret,
            Some(text) => Found::Text(text),
            None => Found::Nothing,
        };
        let (control, candidate) =
            if kind == Kind::Missing { (found, Found::Nothing) } else { (Found::Nothing, found) };
        self.findings.add(field, kind, control, candidate);
    }

    fn children(&mut self, control: &'v Element, candidate: &'v Element) {
        let (a, b) = (&control.children, &candidate.children);
        if a.len() > MAX_CHILDREN || b.len() > MAX_CHILDREN {
            for pair in a.iter().zip(b) {
                self.nodes(pair.0, pair.1, (a, b));
            }
            let more =
                a.get(b.len()).map(|node| (node, Kind::Missing)).or(b.get(a.len()).map(|node| (node, Kind::Extra)));
            return more.into_iter().for_each(|(node, kind)| self.lonely(node, kind, (a, b)));
        }
        let hashes = |nodes: &[Node]| nodes.iter().map(Node::hash).collect::<Vec<_>>();
        let equal = align(&hashes(a), &hashes(b));
        if equal.moved {
            let field = format!("{} order", self.name());
            self.findings.add(field, Kind::Order, Found::Nothing, Found::Nothing);
        }
        if !equal.pairs.is_empty() {
            self.findings.same();
        }
        let signatures = |nodes: &[Node], places: &[usize]| {
            places.iter().filter_map(|at| nodes.get(*at)).map(Node::signature).collect::<Vec<_>>()
        };
        let left = align(&signatures(a, &equal.only_control), &signatures(b, &equal.only_candidate));
        let of = |nodes: &'v [Node], places: &[usize], at: usize| places.get(at).and_then(|at| nodes.get(*at));
        for (x, y) in &left.pairs {
            if let (Some(a_node), Some(b_node)) = (of(a, &equal.only_control, *x), of(b, &equal.only_candidate, *y)) {
                self.nodes(a_node, b_node, (a, b));
            }
        }
        // An element whose class or id is another is still the same element where it stands alone.
        let mut others = left.only_candidate.clone();
        for x in &left.only_control {
            let Some(a_node) = of(a, &equal.only_control, *x) else { continue };
            let same_tag = others.iter().position(|y| match (a_node, of(b, &equal.only_candidate, *y)) {
                (Node::Element(a), Some(Node::Element(b))) => {
                    a.tag == b.tag && place(&equal.only_control, *x) == place(&equal.only_candidate, *y)
                }
                _ => false,
            });
            match same_tag.map(|at| others.remove(at)).and_then(|y| of(b, &equal.only_candidate, y)) {
                Some(b_node) => self.nodes(a_node, b_node, (a, b)),
                None => self.lonely(a_node, Kind::Missing, (a, b)),
            }
        }
        for y in others {
            if let Some(node) = of(b, &equal.only_candidate, y) {
                self.lonely(node, Kind::Extra, (a, b));
            }
        }
    }

    fn nodes(&mut self, control: &'v Node, candidate: &'v Node, siblings: (&'v [Node], &'v [Node])) {
        match (control, candidate) {
            (Node::Element(a), Node::Element(b)) => {
                self.at.push((&a.label, repeats(&a.label, siblings)));
                self.elements(a, b);
                self.at.pop();
            }
            (Node::Text(a, _), Node::Text(b, _)) => {
                let hidden = self.in_secret();
                self.findings.texts(self.name(), a, b, hidden);
            }
            (Node::Data(a, _), Node::Data(b, _)) => match (Json::parse(a), Json::parse(b)) {
                (Some(a), Some(b)) => {
                    let field = self.name();
                    self.findings.below(field, |findings| walk::documents(&a, &b, findings));
                }
                _ => self.findings.texts(self.name(), a, b, false),
            },
            (a, b) => {
                self.lonely(a, Kind::Missing, siblings);
                self.lonely(b, Kind::Extra, siblings);
            }
        }
    }

    /// The text of an element whose tag is the name of a secret.
    fn in_secret(&self) -> bool {
        self.at.last().is_some_and(|(label, _)| self.findings.rules().redactor().hides(label))
    }

    fn lonely(&mut self, node: &'v Node, kind: Kind, siblings: (&'v [Node], &'v [Node])) {
        match node {
            Node::Element(element) => {
                self.at.push((&element.label, repeats(&element.label, siblings)));
                let text = inner_text(element);
                let hidden = self.in_secret();
                self.alone(self.name(), kind, Some(&text), hidden);
                self.at.pop();
            }
            Node::Text(text, _) | Node::Data(text, _) => {
                let hidden = self.in_secret();
                self.alone(self.name(), kind, Some(text), hidden);
            }
        }
    }

    /// From the innermost element with an id on; of a page without `html` and `body` where more follows.
    fn name(&self) -> String {
        let from = self.at.iter().rposition(|(label, _)| label.starts_with('#')).unwrap_or(0);
        let mut steps: Vec<_> = self.at.iter().skip(from).collect();
        while steps.len() > 2 && matches!(steps.first(), Some(("html" | "body", _))) {
            steps.remove(0);
        }
        let written = |(label, repeated): &(&str, bool)| format!("{label}{}", if *repeated { "[*]" } else { "" });
        let mut texts: Vec<_> = steps.into_iter().map(written).collect();
        while texts.iter().map(|text| text.len() + 3).sum::<usize>() > MAX_NAME && texts.len() > 3 {
            let middle = texts.len() / 2;
            texts.remove(middle);
            if let Some(text) = texts.get_mut(middle - 1) {
                "…".clone_into(text);
            }
        }
        let joined = texts.join(" > ");
        let inner = match texts.as_slice() {
            _ if self.findings.is_secret(&joined) => "body > *".to_owned(),
            [] => "body".to_owned(),
            // One word alone would not be known again for an element.
            [one] if !one.starts_with('#') => format!("body > {one}"),
            _ => joined,
        };
        self.findings.named_element(inner)
    }
}

fn place(places: &[usize], at: usize) -> Option<usize> {
    places.get(at).copied()
}

fn repeats(label: &str, (a, b): (&[Node], &[Node])) -> bool {
    let count = |nodes: &[Node]| {
        let same = |node: &&Node| matches!(node, Node::Element(element) if &*element.label == label);
        nodes.iter().filter(same).take(2).count()
    };
    count(a) > 1 || count(b) > 1
}

fn inner_text(element: &Element) -> String {
    const MOST: usize = 200;
    let mut out = format!("<{}>", element.tag);
    let mut stack: Vec<&Node> = element.children.iter().rev().collect();
    while let Some(node) = stack.pop()
        && out.len() < MOST
    {
        match node {
            Node::Element(element) => stack.extend(element.children.iter().rev()),
            Node::Text(text, _) | Node::Data(text, _) => {
                out.push(' ');
                out.push_str(text);
            }
        }
    }
    out
}
