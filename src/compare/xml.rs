//! Reads XML with quick-xml into the small tree of `tree`. No entity is fetched or expanded but the five of XML and numbers.

use html5ever::tendril::StrTendril;
use html5ever::{Attribute, LocalName, QualName, ns};
use quick_xml::XmlVersion;
use quick_xml::events::{BytesStart, Event};
use quick_xml::name::ResolveResult;
use quick_xml::reader::NsReader;

use super::tree::{Builder, Node};

/// `None`: it is not well-formed, or larger than any document.
pub(super) fn parse(text: &str) -> Option<Vec<Node>> {
    let mut reader = NsReader::from_str(text.trim_start_matches('\u{feff}'));
    let mut builder = Builder::default();
    let mut open: Vec<LocalName> = Vec::new();
    let mut seen = false;
    loop {
        if !builder.has_room() {
            return None;
        }
        let (resolved, event) = reader.read_resolved_event().ok()?;
        let namespace = match &resolved {
            ResolveResult::Bound(namespace) => namespace.0.to_owned(),
            ResolveResult::Unbound => String::new(),
            ResolveResult::Unknown(prefix) => prefix.clone(),
        };
        match event {
            Event::Start(start) => {
                seen = true;
                let tag = LocalName::from(local(start.name().0));
                builder.open(&namespace, tag.clone(), attributes(&start)?);
                open.push(tag);
            }
            Event::Empty(start) => {
                seen = true;
                builder.leaf(&namespace, local(start.name().0).into(), attributes(&start)?);
            }
            Event::End(_) => builder.close(&open.pop()?),
            Event::Text(text) => builder.text((*text).into()),
            Event::CData(text) => builder.text((*text.into_inner()).into()),
            Event::GeneralRef(entity) => match entity.resolve_char_ref().ok()? {
                Some(c) => builder.text(StrTendril::from_char(c)),
                None => builder.text(named(&entity).unwrap_or("\u{fffd}").into()),
            },
            Event::Eof => return (seen && open.is_empty()).then(|| builder.finish()),
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) => {}
        }
    }
}

fn local(name: &str) -> &str {
    name.rsplit(':').next().unwrap_or(name)
}

fn named(entity: &str) -> Option<&'static str> {
    Some(match entity {
        "amp" => "&",
        "lt" => "<",
        "gt" => ">",
        "quot" => "\"",
        "apos" => "'",
        _ => return None,
    })
}

/// Declarations of namespaces are no attributes: what they say is in the names.
fn attributes(start: &BytesStart<'_>) -> Option<Vec<Attribute>> {
    let mut out = Vec::new();
    for attribute in start.attributes() {
        let attribute = attribute.ok()?;
        let name = attribute.key.0;
        if name != "xmlns" && !name.starts_with("xmlns:") {
            let value = attribute.normalized_value(XmlVersion::Implicit1_0);
            let value = value.map_or_else(|_| (*attribute.value).into(), |value| (*value).into());
            out.push(Attribute { name: QualName::new(None, ns!(), name.into()), value });
        }
    }
    Some(out)
}
