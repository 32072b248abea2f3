//! Compares two bodies by the tree that fits them: JSON, pages, XML, forms, parts, tables, gRPC, lines of text.
//!
//! Bytes are one field, `body`; what claims to have fields and cannot be read is a text.

use std::borrow::Cow;

use http::HeaderMap;

use super::charset;
use super::coding::{self, CodingError};
use super::difference::{Findings, Found, Kind};
use super::incomparable::Incomparable;
use super::json::Json;
use super::media::Media;
use super::path::FieldPath;
use super::place::{MAX_KEYS, looks_like_data};
use super::redact::REDACTED;
use super::response::{Body, ComparedResponse};
use super::{html, lines, markup, multipart, protobuf, table, walk, xml};
use crate::message::form_pairs;

/// Compares the bodies as far as they are known; the error says why nothing can be said.
pub(super) fn bodies(
    control: &ComparedResponse,
    candidate: &ComparedResponse,
    findings: &mut Findings<'_>,
) -> Result<(), Incomparable> {
    if findings.rules().ignores(&FieldPath::Body) || findings.rules().ignores_json(&[]) {
        return Ok(());
    }
    let media = (Media::of(&control.headers), Media::of(&candidate.headers));
    if [media.0, media.1].contains(&Media::Stream)
        || matches!((&control.body, &candidate.body), (Body::Streamed, _) | (_, Body::Streamed))
    {
        return Err(Incomparable::Streamed);
    }
    if matches!((&control.body, &candidate.body), (Body::Cut, _) | (_, Body::Cut)) {
        return Err(Incomparable::Truncated);
    }
    let same_codings = coding::codings(&control.headers) == coding::codings(&candidate.headers);
    if same_codings && control.body.digest() == candidate.body.digest() {
        findings.same();
        return Ok(());
    }
    let (Some(a), Some(b)) = (whole(&control.body), whole(&candidate.body)) else {
        return hashed(control, candidate, media, findings);
    };
    let limit = findings.rules().body_limit();
    let a = coding::decode(a, &control.headers, limit).map_err(undecoded)?;
    let b = coding::decode(b, &candidate.headers, limit).map_err(undecoded)?;
    if a == b {
        findings.same();
    } else {
        decoded([&a, &b], [&control.headers, &candidate.headers], media, findings);
    }
    Ok(())
}

fn undecoded(error: CodingError) -> Incomparable {
    match error {
        CodingError::TooLarge => Incomparable::TooLarge,
        CodingError::Undecodable => Incomparable::Undecodable,
    }
}

fn whole(body: &Body) -> Option<&[u8]> {
    match body {
        Body::Whole(bytes) => Some(bytes),
        Body::None => Some(&[]),
        _ => None,
    }
}

/// At least one body was too large to keep and the bytes differ, which settles it only where bytes are all that counts.
fn hashed(
    control: &ComparedResponse,
    candidate: &ComparedResponse,
    media: (Media, Media),
    findings: &mut Findings<'_>,
) -> Result<(), Incomparable> {
    let coded = [&control.headers, &candidate.headers].into_iter().any(|headers| !coding::codings(headers).is_empty());
    if coded || media.0.has_several_spellings() || media.1.has_several_spellings() {
        return Err(Incomparable::TooLarge);
    }
    let length = |body: &Body| Found::Bytes { length: body.digest().map_or(0, |(length, _)| length) };
    differ(findings, length(&control.body), length(&candidate.body));
    Ok(())
}

fn decoded([a, b]: [&[u8]; 2], headers: [&HeaderMap; 2], media: (Media, Media), findings: &mut Findings<'_>) {
    let agreed = agreed(media);
    if agreed == Media::Multipart
        && let (Some(a), Some(b)) = (multipart::parse(a, headers[0]), multipart::parse(b, headers[1]))
    {
        return multipart::compare(&a, &b, findings);
    }
    let messages = match agreed {
        Media::Grpc => protobuf::frames(a).zip(protobuf::frames(b)),
        Media::Protobuf => protobuf::message(a).zip(protobuf::message(b)),
        _ => None,
    };
    if let Some((a, b)) = messages {
        return findings.below("#".to_owned(), |findings| walk::numbered(&a, &b, findings));
    }
    let (Some(text_a), Some(text_b)) = (charset::text(a, headers[0]), charset::text(b, headers[1])) else {
        return differ(findings, as_found(a), as_found(b));
    };
    let (text_a, text_b) = (&*text_a, &*text_b);
    match agreed {
        Media::Json | Media::Unknown => {
            if let (Some(a), Some(b)) = (Json::parse(text_a), Json::parse(text_b)) {
                return walk::documents(&a, &b, findings);
            }
            if html::looks_like(text_a) && html::looks_like(text_b) {
                return pages(text_a, text_b, findings);
            }
        }
        Media::JsonLines => {
            if let (Some(a), Some(b)) = (Json::parse_lines(text_a), Json::parse_lines(text_b)) {
                return walk::documents(&a, &b, findings);
            }
        }
        Media::Form => return forms(a, b, findings),
        Media::Html => return pages(text_a, text_b, findings),
        Media::Xml => {
            if let (Some(a), Some(b)) = (xml::parse(text_a), xml::parse(text_b)) {
                return markup::documents(&a, &b, findings);
            }
        }
        Media::Csv => {
            if let (Some(a), Some(b)) = (table::parse(text_a), table::parse(text_b))
                && a.mark == b.mark
            {
                if a.has_columns_in_another_order(&b) {
                    findings.add("csv header order".to_owned(), Kind::Order, Found::Nothing, Found::Nothing);
                }
                return findings.below("csv".to_owned(), |findings| walk::documents(&a.rows, &b.rows, findings));
            }
        }
        Media::Bytes | Media::Stream | Media::Grpc | Media::Protobuf => {
            return differ(findings, as_found(a), as_found(b));
        }
        Media::Text | Media::Multipart => {}
    }
    lines::texts(text_a, text_b, findings);
}

fn pages(a: &str, b: &str, findings: &mut Findings<'_>) {
    match (html::parse(a), html::parse(b)) {
        (Some(a), Some(b)) => markup::documents(&a, &b, findings),
        _ => lines::texts(a, b, findings),
    }
}

/// Two answers that call the same thing by different names are still compared by what they hold.
fn agreed(media: (Media, Media)) -> Media {
    match media {
        (a, b) if a == b => a,
        (Media::Unknown, known)
        | (known, Media::Unknown)
        | (Media::Text, known @ (Media::Json | Media::Html | Media::Xml | Media::Csv))
        | (known @ (Media::Json | Media::Html | Media::Xml | Media::Csv), Media::Text) => known,
        (Media::Html | Media::Xml, Media::Html | Media::Xml) => Media::Html,
        _ => Media::Text,
    }
}

fn as_found(bytes: &[u8]) -> Found<'_> {
    if bytes.is_empty() { Found::Nothing } else { Found::Bytes { length: bytes.len() as u64 } }
}

fn differ(findings: &mut Findings<'_>, control: Found<'_>, candidate: Found<'_>) {
    let kind = match (control, candidate) {
        (_, Found::Nothing) => Kind::Missing,
        (Found::Nothing, _) => Kind::Extra,
        _ => Kind::Value,
    };
    findings.add(FieldPath::Body.to_string(), kind, control, candidate);
}

/// Forms by name; a name that is repeated is compared occurrence by occurrence.
fn forms(a: &[u8], b: &[u8], findings: &mut Findings<'_>) {
    let rules = findings.rules();
    let (mut a, mut b) = (form_pairs(a).collect::<Vec<_>>(), form_pairs(b).collect::<Vec<_>>());
    a.sort_by(|(x, _), (y, _)| x.cmp(y));
    b.sort_by(|(x, _), (y, _)| x.cmp(y));
    let mut names = a.iter().chain(&b).map(|(name, _)| &**name).collect::<Vec<_>>();
    names.sort_unstable();
    names.dedup();
    let all_data = names.len() > MAX_KEYS;
    for name in names {
        if rules.ignores(&FieldPath::Form(name.into())) {
            continue;
        }
        let (left, right) = (under(&a, name), under(&b, name));
        let kind = match (left.is_empty(), right.is_empty()) {
            (false, true) => Kind::Missing,
            (true, false) => Kind::Extra,
            _ if left == right => {
                findings.same();
                continue;
            }
            _ => Kind::Value,
        };
        let shown_name = match name {
            // `form.*` is every field, which a name that repeats a secret is not.
            name if all_data || looks_like_data(name) => "*",
            name if findings.is_secret(name) => REDACTED,
            name => name,
        };
        let field = FieldPath::Form(shown_name.into()).to_string();
        let hidden = rules.redactor().hides_parameter(name);
        let single = left.len() == 1 && right.len() == 1;
        let (left, right) = (listed(left), listed(right));
        if kind == Kind::Value && single {
            findings.texts(field, &left, &right, hidden);
            continue;
        }
        let shown = |text, there| match (there, hidden) {
            (false, _) => Found::Nothing,
            (true, true) => Found::Secret,
            (true, false) => Found::Text(text),
        };
        findings.add(field, kind, shown(&left, kind != Kind::Extra), shown(&right, kind != Kind::Missing));
    }
}

/// The pairs of a name, in the order they came, out of pairs that are sorted by name.
fn under<'p, 'a>(pairs: &'p [(Cow<'a, str>, Cow<'a, str>)], name: &str) -> &'p [(Cow<'a, str>, Cow<'a, str>)] {
    let start = pairs.partition_point(|(key, _)| **key < *name);
    let length = pairs[start..].partition_point(|(key, _)| key == name);
    &pairs[start..start + length]
}

fn listed(pairs: &[(Cow<'_, str>, Cow<'_, str>)]) -> String {
    pairs.iter().map(|(_, value)| &**value).collect::<Vec<_>>().join(", ")
}

/// The decoded text of an answer, for what is kept of it.
pub(super) fn text_of<'a>(body: &'a Body, headers: &HeaderMap, limit: u64) -> Option<Cow<'a, str>> {
    match coding::decode(whole(body)?, headers, limit).ok()? {
        Cow::Borrowed(bytes) => std::str::from_utf8(bytes).ok().map(Cow::Borrowed),
        Cow::Owned(bytes) => String::from_utf8(bytes).ok().map(Cow::Owned),
    }
}
