//! The walk through two pages or XML documents.
//!
//! A path has a step an element: `#id` where there is one, else tag and first class, else the tag; `[*]` where siblings
//! share it. Comments, the order of attributes and of classes, and white space beside tags do not count.

use html5ever::{Attribute, local_name};

use super::align::align;
use super::anchors;
use super::difference::{Findings, Found, Kind};
use super::json::Json;
use super::redact::Redactor;
use super::tree::{Content, Element, Label, Node, Subtree, children};
use super::walk;

/// Siblings among which a repeated step is looked for.
const MAX_SIBLINGS: usize = 2000;

/// Bytes of a field's name; longer ones lose their middle.
const MAX_NAME: usize = 200;

/// Compares two documents from their roots.
pub(super) fn documents(control: Subtree<'_>, candidate: Subtree<'_>, findings: &mut Findings<'_>) {
    Walk { at: Vec::new(), findings }.children(control, candidate);
}

struct Walk<'v, 'f, 'r> {
    /// The elements on the way, each with its parents on both sides.
    at: Vec<(&'v Element, Parents<'v>)>,
    findings: &'f mut Findings<'r>,
}

impl<'v> Walk<'v, '_, '_> {
    fn attributes(&mut self, control: &'v Element, candidate: &'v Element) {
        if control.attributes == candidate.attributes {
            if !control.attributes.is_empty() {
                self.findings.same();
            }
            return;
        }
        let (mut a, mut b) = (control.attributes.iter().peekable(), candidate.attributes.iter().peekable());
        let is_secret = self.is_secret(control) || self.is_secret(candidate);
        loop {
            let (left, right) = match (a.peek(), b.peek()) {
                (None, None) => return,
                (Some(x), Some(y)) if x.name == y.name => (a.next(), b.next()),
                (Some(x), Some(y)) if x.name.local < y.name.local => (a.next(), None),
                (Some(_), None) => (a.next(), None),
                (_, Some(_)) => (None, b.next()),
            };
            if left == right {
                self.findings.same();
                continue;
            }
            let Some(Attribute { name, .. }) = left.or(right) else { return };
            let name = &*name.local;
            let hidden = is_secret && matches!(name, "value" | "content")
                || self.findings.rules().redactor().hides_parameter(name);
            let field = format!("{}@{name}", self.name());
            match (left, right) {
                (Some(a), Some(b)) => self.findings.texts(field, &a.value, &b.value, hidden),
                (Some(_), None) => self.alone(field, Kind::Missing, left.map(|left| &*left.value), hidden),
                _ => self.alone(field, Kind::Extra, right.map(|right| &*right.value), hidden),
            }
        }
    }

    /// `<input name="password" value="…">` holds a secret in its value.
    fn is_secret(&self, element: &Element) -> bool {
        let redactor = self.findings.rules().redactor();
        element.attributes.iter().any(|Attribute { name, value }| {
            matches!(&*name.local, "name" | "id" | "property") && redactor.hides_parameter(value)
        })
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

    fn children(&mut self, control: Subtree<'v>, candidate: Subtree<'v>) {
        let parents = [control, candidate];
        let [a, b] = parents.map(|parent| children(parent).collect::<Vec<_>>());
        let hashes = |nodes: &[Subtree<'_>]| nodes.iter().map(|node| hash(node)).collect::<Vec<_>>();
        let equal = align(&hashes(&a), &hashes(&b));
        if !equal.pairs.is_empty() {
            self.findings.same();
        }
        // The unmatched nodes of both sides, with their places.
        let rest = |nodes: &[Subtree<'v>], places: &[usize]| {
            places.iter().filter_map(|at| nodes.get(*at).map(|node| (*at, *node))).collect::<Vec<_>>()
        };
        let (a, b) = (rest(&a, &equal.only_control), rest(&b, &equal.only_candidate));
        let nodes = |list: &[(usize, Subtree<'v>)]| list.iter().map(|(_, node)| *node).collect::<Vec<_>>();
        let known = anchors::pairs(&nodes(&a), &nodes(&b));
        if equal.moved || !known.is_sorted_by(|a, b| a.1 < b.1) {
            let field = format!("{} order", self.name());
            self.findings.add(field, Kind::Order, Found::Nothing, Found::Nothing);
        }
        for (x, y) in &known {
            if let (Some((_, a)), Some((_, b))) = (a.get(*x), b.get(*y)) {
                self.nodes(a, b, parents);
            }
        }
        let (a, b) =
            (anchors::without(a, known.iter().map(|(x, _)| *x)), anchors::without(b, known.iter().map(|(_, y)| *y)));
        let signatures =
            |nodes: &[(usize, Subtree<'_>)]| nodes.iter().map(|(_, node)| signature(node)).collect::<Vec<_>>();
        let left = align(&signatures(&a), &signatures(&b));
        for (x, y) in &left.pairs {
            if let (Some((_, a)), Some((_, b))) = (a.get(*x), b.get(*y)) {
                self.nodes(a, b, parents);
            }
        }
        // An element whose class or id is another is still the same element where it stands alone.
        let others: Vec<_> = left.only_candidate.iter().filter_map(|at| b.get(*at)).collect();
        let mut taken = vec![false; others.len()];
        for (place, node) in left.only_control.iter().filter_map(|at| a.get(*at)) {
            let same_place = others.binary_search_by_key(place, |(at, _)| *at).ok();
            let same_tag =
                same_place.and_then(|at| Some((others.get(at)?, taken.get_mut(at)?))).filter(|(other, _)| {
                    let tags = [node, &other.1].map(|node| element(node).map(|element| &element.tag));
                    tags[0].is_some() && tags[0] == tags[1]
                });
            match same_tag {
                Some(((_, other), taken)) => {
                    *taken = true;
                    self.nodes(node, other, parents);
                }
                None => self.lonely(node, Kind::Missing, parents),
            }
        }
        for ((_, node), _) in others.iter().zip(taken).filter(|(_, taken)| !taken) {
            self.lonely(node, Kind::Extra, parents);
        }
    }

    fn nodes(&mut self, control: Subtree<'v>, candidate: Subtree<'v>, parents: Parents<'v>) {
        let ([a, ..], [b, ..]) = (control, candidate) else { return };
        if a.hash == b.hash {
            return self.findings.same();
        }
        match (&a.content, &b.content) {
            (Content::Element(a), Content::Element(b)) => {
                if self.findings.is_settled() {
                    return;
                }
                self.at.push((a, parents));
                self.attributes(a, b);
                self.children(control, candidate);
                self.at.pop();
            }
            (Content::Text(a), Content::Text(b)) => {
                let hidden = self.in_secret();
                self.findings.texts(self.name(), a, b, hidden);
            }
            (Content::Data(a), Content::Data(b)) => match (Json::parse(a), Json::parse(b)) {
                (Some(a), Some(b)) => {
                    let field = self.name();
                    self.findings.below(field, |findings| walk::documents(&a, &b, findings));
                }
                _ => self.findings.texts(self.name(), a, b, false),
            },
            _ => {
                self.lonely(control, Kind::Missing, parents);
                self.lonely(candidate, Kind::Extra, parents);
            }
        }
    }

    /// The text of an element that has the name of a secret.
    fn in_secret(&self) -> bool {
        let redactor = self.findings.rules().redactor();
        self.at.last().is_some_and(|(element, _)| {
            let named = |Attribute { name, value }: &Attribute| {
                name.local == local_name!("name") && redactor.hides_parameter(value)
            };
            redactor.hides(&element.step())
                || Redactor::hides_texts(&element.tag)
                || element.attributes.iter().any(named)
        })
    }

    fn lonely(&mut self, node: Subtree<'v>, kind: Kind, parents: Parents<'v>) {
        let Some(Node { content, .. }) = node.first() else { return };
        match content {
            Content::Element(element) => {
                self.at.push((element, parents));
                let hidden = self.in_secret();
                self.alone(self.name(), kind, Some(&inner_text(element, node)), hidden);
                self.at.pop();
            }
            Content::Text(text) | Content::Data(text) => {
                let hidden = self.in_secret();
                self.alone(self.name(), kind, Some(text), hidden);
            }
        }
    }

    /// From the innermost element with an id on; of a page without `html` and `body` where more follows.
    fn name(&self) -> String {
        let from = self.at.iter().rposition(|(element, _)| matches!(element.label, Label::Id(_))).unwrap_or(0);
        let mut steps = self.at.get(from..).unwrap_or_default();
        while let [(element, _), rest @ ..] = steps
            && rest.len() > 1
            && matches!(element.tag, local_name!("html") | local_name!("body"))
        {
            steps = rest;
        }
        let written = |(element, parents): &(&Element, Parents<'_>)| {
            format!("{}{}", element.step(), if repeats(element, *parents) { "[*]" } else { "" })
        };
        let mut texts: Vec<_> = steps.iter().map(written).collect();
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

type Parents<'v> = [Subtree<'v>; 2];

fn hash(node: Subtree<'_>) -> u64 {
    node.first().map_or(0, |node| node.hash)
}

fn signature(node: Subtree<'_>) -> u64 {
    node.first().map_or(0, |node| node.signature)
}

fn element(node: Subtree<'_>) -> Option<&Element> {
    match &node.first()?.content {
        Content::Element(element) => Some(element),
        Content::Text(_) | Content::Data(_) => None,
    }
}

fn repeats(wanted: &Element, parents: Parents<'_>) -> bool {
    parents.into_iter().any(|parent| {
        let same = |node: &Subtree<'_>| element(node).is_some_and(|other| other.is_called_as(wanted));
        children(parent).take(MAX_SIBLINGS).filter(same).nth(1).is_some()
    })
}

/// The beginning of what can be read in an element.
fn inner_text(element: &Element, node: Subtree<'_>) -> String {
    const MOST: usize = 200;
    let mut out = format!("<{}>", &*element.tag);
    for Node { content, .. } in node.iter().skip(1) {
        if out.len() >= MOST {
            break;
        }
        if let Content::Text(text) | Content::Data(text) = content {
            out.push(' ');
            out.push_str(text);
        }
    }
    out
}
