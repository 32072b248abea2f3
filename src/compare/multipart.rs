//! Bodies of several parts (RFC 2046, RFC 7578), compared part by part: by name, and those of one name in their order.

use std::collections::BTreeSet;

use http::HeaderMap;
use http::header::CONTENT_TYPE;
use memchr::memmem;

use super::difference::{Findings, Found, Kind};
use super::place::looks_like_data;

/// Parts of one body; of more only the text or the bytes are compared.
const MAX_PARTS: usize = 1000;

/// Lines of the head of a part.
const MAX_LINES: usize = 32;

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Part<'b> {
    /// Empty: it has none.
    name: String,
    file_name: Option<String>,
    kind: Option<String>,
    body: &'b [u8],
}

/// The parts between the boundary that the headers name. `None`: there is no boundary, or the last one is missing.
pub(super) fn parse<'b>(body: &'b [u8], headers: &HeaderMap) -> Option<Vec<Part<'b>>> {
    let kind = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    let boundary = parameter(kind, "boundary").filter(|boundary| !boundary.is_empty())?;
    let delimiter = format!("--{boundary}");
    let mut parts = Vec::new();
    let (_, mut rest) = cut(body, delimiter.as_bytes())?;
    loop {
        if rest.starts_with(b"--") {
            return Some(parts);
        }
        let (part, behind) = cut(line_behind(rest)?, delimiter.as_bytes())?;
        parts.push(read(part)?);
        if parts.len() > MAX_PARTS {
            return None;
        }
        rest = behind;
    }
}

/// Compares two such bodies.
pub(super) fn compare<'b>(control: &[Part<'b>], candidate: &[Part<'b>], findings: &mut Findings<'_>) {
    let names = |parts: &[Part<'b>]| parts.iter().map(|part| part.name.clone()).collect::<Vec<_>>();
    let (a, b) = (names(control), names(candidate));
    let sorted = |mut names: Vec<String>| {
        names.sort_unstable();
        names
    };
    if a != b && sorted(a.clone()) == sorted(b.clone()) {
        findings.add("part order".to_owned(), Kind::Order, Found::Nothing, Found::Nothing);
    }
    for name in a.iter().chain(&b).collect::<BTreeSet<_>>() {
        let field = if name.is_empty() {
            "part[*]".to_owned()
        } else if looks_like_data(name) || findings.is_secret(name) {
            "part.*".to_owned()
        } else {
            format!("part.{name}")
        };
        let hidden = findings.rules().redactor().hides_parameter(name);
        let mut of_name = [control, candidate].map(|parts| parts.iter().filter(|part| part.name == *name));
        loop {
            match (of_name[0].next(), of_name[1].next()) {
                (None, None) => break,
                (Some(a), Some(b)) => part(&field, a, b, hidden, findings),
                (Some(a), None) => findings.add(field.clone(), Kind::Missing, found(a.body, hidden), Found::Nothing),
                (None, Some(b)) => findings.add(field.clone(), Kind::Extra, Found::Nothing, found(b.body, hidden)),
            }
        }
    }
}

fn part(field: &str, control: &Part<'_>, candidate: &Part<'_>, hidden: bool, findings: &mut Findings<'_>) {
    let attributes =
        [("filename", &control.file_name, &candidate.file_name), ("content-type", &control.kind, &candidate.kind)];
    for (name, a, b) in attributes {
        let (kind, a, b) = match (a, b) {
            (Some(a), Some(b)) if a != b => {
                findings.texts(format!("{field}@{name}"), a, b, false);
                continue;
            }
            (Some(a), None) => (Kind::Missing, Found::Text(a), Found::Nothing),
            (None, Some(b)) => (Kind::Extra, Found::Nothing, Found::Text(b)),
            _ => continue,
        };
        findings.add(format!("{field}@{name}"), kind, a, b);
    }
    if control.body == candidate.body {
        return findings.same();
    }
    match (std::str::from_utf8(control.body), std::str::from_utf8(candidate.body)) {
        (Ok(a), Ok(b)) => findings.texts(field.to_owned(), a, b, hidden),
        _ => findings.add(field.to_owned(), Kind::Value, found(control.body, hidden), found(candidate.body, hidden)),
    }
}

fn found(body: &[u8], hidden: bool) -> Found<'_> {
    match std::str::from_utf8(body) {
        _ if hidden => Found::Secret,
        Ok(text) => Found::Text(text),
        Err(_) => Found::Bytes { length: body.len() as u64 },
    }
}

/// The text before the first line that begins with a delimiter, and the text behind the delimiter.
fn cut<'b>(body: &'b [u8], delimiter: &[u8]) -> Option<(&'b [u8], &'b [u8])> {
    let begins_a_line = |at: &usize| *at == 0 || body.get(at - 1) == Some(&b'\n');
    let at = memmem::find_iter(body, delimiter).find(begins_a_line)?;
    let before = body.get(..at).unwrap_or_default();
    let before = before.strip_suffix(b"\n").unwrap_or(before);
    Some((before.strip_suffix(b"\r").unwrap_or(before), body.get(at + delimiter.len()..).unwrap_or_default()))
}

/// The text behind the end of this line; `None`: it holds more than white space.
fn line_behind(text: &[u8]) -> Option<&[u8]> {
    let end = memchr::memchr(b'\n', text)?;
    let (line, rest) = text.split_at(end + 1);
    line.iter().all(u8::is_ascii_whitespace).then_some(rest)
}

fn read(part: &[u8]) -> Option<Part<'_>> {
    let (mut name, mut file_name, mut kind) = (String::new(), None, None);
    let mut rest = part;
    for _ in 0..MAX_LINES {
        let end = memchr::memchr(b'\n', rest).map_or(rest.len(), |end| end + 1);
        let (line, behind) = rest.split_at(end);
        rest = behind;
        let line = std::str::from_utf8(line).ok()?.trim_end();
        if line.is_empty() {
            return Some(Part { name, file_name, kind, body: rest });
        }
        let (header, value) = line.split_once(':')?;
        if header.eq_ignore_ascii_case("content-disposition") {
            name = parameter(value, "name").unwrap_or_default();
            file_name = parameter(value, "filename");
        } else if header.eq_ignore_ascii_case("content-type") {
            kind = Some(value.trim().to_ascii_lowercase());
        }
    }
    None
}

/// The value of `; name=value` or `; name="value"`.
fn parameter(header: &str, wanted: &str) -> Option<String> {
    let mut rest = header;
    loop {
        let (_, behind) = rest.split_once(';')?;
        let (name, value) = behind.split_once('=')?;
        let value = value.trim_start();
        let mut out = String::new();
        if let Some(quoted) = value.strip_prefix('"') {
            let mut letters = quoted.char_indices();
            let end = loop {
                match letters.next()? {
                    (at, '"') => break at + 1,
                    (_, '\\') => out.push(letters.next()?.1),
                    (_, c) => out.push(c),
                }
            };
            rest = quoted.get(end..).unwrap_or_default();
        } else {
            let end = value.find(';').unwrap_or(value.len());
            value.get(..end).unwrap_or_default().trim_end().clone_into(&mut out);
            rest = value.get(end..).unwrap_or_default();
        }
        if name.trim().eq_ignore_ascii_case(wanted) {
            return Some(out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Rules;
    use super::super::redact::Secrets;
    use super::*;

    fn headers(kind: &str) -> HeaderMap {
        HeaderMap::from_iter([(CONTENT_TYPE, kind.parse().expect("a header"))])
    }

    fn body(boundary: &str, parts: &[(&str, &str)]) -> String {
        let parts = parts.iter().map(|(head, body)| format!("--{boundary}\r\n{head}\r\n\r\n{body}\r\n"));
        format!("preamble\r\n{}--{boundary}--\r\n", parts.collect::<String>())
    }

    const NAME: &str = "Content-Disposition: form-data; name=\"name\"";
    const FILE: &str = "Content-Disposition: form-data; filename=\"a.txt\"; name=file\r\nContent-Type: text/plain";
    const META: &str = "Content-Disposition: form-data; name=\"meta\"\r\nContent-Type: application/json";
    const SECRET: &str = "Content-Disposition: form-data; name=\"password\"";

    #[test]
    fn parts_are_compared_by_name() {
        let other_file = FILE.replace("a.txt", "b.txt");
        for (a, b, expected) in [
            (&[(NAME, "ann"), (FILE, "x\r\ny")][..], &[(NAME, "ann"), (FILE, "x\r\ny")][..], &[][..]),
            (&[(NAME, "ann")], &[(NAME, "bob")], &["part.name value"]),
            (&[(FILE, "x")], &[(&*other_file, "x")], &["part.file@filename value"]),
            (&[(META, r#"{"price":1}"#)], &[(META, r#"{"price":2}"#)], &["part.meta › price value"]),
            (&[(NAME, "ann"), (FILE, "x")], &[(FILE, "x"), (NAME, "ann")], &["part order order"]),
            (&[(NAME, "ann"), (FILE, "x")], &[(NAME, "ann")], &["part.file missing"]),
            (&[(NAME, "a"), (NAME, "b")], &[(NAME, "a"), (NAME, "c")], &["part.name value"]),
            (&[("X: y", "a")], &[("X: y", "b")], &["part[*] value"]),
            (&[(SECRET, "hunter2")], &[(SECRET, "hunter3")], &["part.password value"]),
        ] {
            let rules = Rules::default();
            let mut findings = Findings::new(&rules, Secrets::default());
            let (a, b) = (body("one", a), body("two words", b));
            let one = parse(a.as_bytes(), &headers("multipart/form-data; boundary=one")).expect("parts");
            let kind = headers("multipart/form-data; charset=utf-8; boundary=\"two words\"");
            compare(&one, &parse(b.as_bytes(), &kind).expect("parts"), &mut findings);
            let found =
                findings.into_list().into_iter().map(|found| format!("{} {}", found.field, found.kind.as_str()));
            assert_eq!(found.collect::<Vec<_>>(), expected, "{a} {b}");
        }
    }

    #[test]
    fn what_has_no_end_or_no_boundary_is_not_taken_apart() {
        let whole = body("b", &[(NAME, "ann")]);
        for (kind, text) in [
            ("multipart/mixed", &*whole),
            ("multipart/mixed; boundary=c", &whole),
            ("multipart/mixed; boundary=b", whole.trim_end_matches("--b--\r\n")),
            ("multipart/mixed; boundary=\"b", &whole),
            ("multipart/mixed; boundary=b", ""),
        ] {
            assert_eq!(parse(text.as_bytes(), &headers(kind)), None, "{kind} {text}");
        }
        let inside = "--b\r\n\r\na --b\r\n--b--";
        let parts = parse(inside.as_bytes(), &headers("multipart/mixed; boundary=b")).expect("parts");
        assert_eq!(parts.iter().map(|part| part.body).collect::<Vec<_>>(), [b"a --b"]);
    }
}
