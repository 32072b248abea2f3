//! Reads XML with quick-xml into the small tree of `markup`. No entity is fetched or expanded but the five of XML and numbers.

use quick_xml::XmlVersion;
use quick_xml::events::{BytesStart, Event};
use quick_xml::name::ResolveResult;
use quick_xml::reader::NsReader;

use super::markup::{Builder, Element};

/// `None`: it is not well-formed, or larger than any document.
pub(super) fn parse(text: &str) -> Option<Element> {
    let mut reader = NsReader::from_str(text.trim_start_matches('\u{feff}'));
    let mut builder = Builder::new();
    let mut open: Vec<Box<str>> = Vec::new();
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
                let tag: Box<str> = local(start.name().0).into();
                builder.open(&namespace, &tag, attributes(&start)?);
                open.push(tag);
            }
            Event::Empty(start) => {
                seen = true;
                let tag = local(start.name().0).to_owned();
                builder.open(&namespace, &tag, attributes(&start)?);
                builder.close(&tag);
            }
            Event::End(_) => builder.close(&open.pop()?),
            Event::Text(text) => builder.text(&text),
            Event::CData(text) => builder.text(&text.into_inner()),
            Event::GeneralRef(entity) => match entity.resolve_char_ref().ok()? {
                Some(c) => builder.text(c.encode_utf8(&mut [0; 4])),
                None => builder.text(named(&entity).unwrap_or("\u{fffd}")),
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
fn attributes(start: &BytesStart<'_>) -> Option<Vec<(Box<str>, Box<str>)>> {
    let mut out = Vec::new();
    for attribute in start.attributes() {
        let attribute = attribute.ok()?;
        let name = attribute.key.0;
        if name != "xmlns" && !name.starts_with("xmlns:") {
            out.push((
                name.into(),
                attribute
                    .normalized_value(XmlVersion::Implicit1_0)
                    .map_or_else(|_| (*attribute.value).into(), |value| (*value).into()),
            ));
        }
    }
    Some(out)
}
