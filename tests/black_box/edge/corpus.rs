//! Raw requests between a client that says anything and an upstream that records everything.
//!
//! Each line of the tables in `corpus/` is a case: its name, what must become of it, and its bytes. `⏎` is CR LF, `\r`, `\n`,
//! `\t`, `\\` and `\x00` are what they are elsewhere, and `\{ab*3}` is `ababab`. What must become of it is one of
//! - `refused`, or with a status `refused 431`: an answer of 4xx or 501 and the end of the connection, or the end alone, and the
//!   upstream hears nothing;
//! - `GET /x "body"`: exactly this reaches the upstream, once and well-formed; several, with commas between, in this order;
//! - `cut`: the client breaks off or the body turns out broken; no whole request reaches the upstream, and no answer but an error
//!   the client.

use std::sync::{Arc, Mutex};

use crate::harness::{Client, Edge, Origin, Reply, Request};

#[test]
fn a_message_has_one_length() {
    run(include_str!("corpus/length.txt"));
}

#[test]
fn a_transfer_coding_is_chunked_and_alone() {
    run(include_str!("corpus/transfer_encoding.txt"));
}

#[test]
fn chunks_are_framed_anew_or_not_passed_on() {
    run(include_str!("corpus/chunks.txt"));
}

#[test]
fn lines_names_and_values_are_what_the_grammar_says() {
    run(include_str!("corpus/lines.txt"));
}

#[test]
fn a_request_line_has_a_method_a_target_and_a_version() {
    run(include_str!("corpus/request_line.txt"));
}

#[test]
fn a_target_goes_on_as_one_path() {
    run(include_str!("corpus/target.txt"));
}

#[test]
fn there_is_one_host() {
    run(include_str!("corpus/host.txt"));
}

#[test]
fn what_belongs_to_a_connection_ends_with_it() {
    run(include_str!("corpus/connection.txt"));
}

#[test]
fn what_is_too_large_is_refused_and_what_is_large_passes() {
    run(include_str!("corpus/sizes.txt"));
}

#[test]
fn of_several_requests_each_stands_alone() {
    run(include_str!("corpus/pipelining.txt"));
}

struct Case {
    name: String,
    want: Want,
    bytes: Vec<u8>,
}

#[derive(Debug)]
enum Want {
    Refused(Option<u16>),
    Forwarded(Vec<Message>),
    Cut,
}

/// A request as it should reach the upstream.
#[derive(Debug, PartialEq, Eq)]
struct Message {
    method: String,
    target: Vec<u8>,
    body: Vec<u8>,
}

/// Runs every case of a table and then says which failed.
fn run(table: &str) {
    let whole = Arc::new(Mutex::new(Vec::new()));
    let record = Arc::clone(&whole);
    let origin = Origin::start(move |request| {
        record.lock().expect("no panic while held").push(request.clone());
        Reply::ok("answered")
    });
    let whole = || whole.lock().expect("no panic while held").clone();
    let edge = Edge::before(&origin).start();
    let mut cases: Vec<_> = table.lines().filter(|line| line.contains(" | ")).map(parse).collect();
    assert!(!cases.is_empty(), "a table without a case");
    // Half a request may reach the upstream after the case that sent it; so these come last.
    cases.sort_by_key(|case| matches!(case.want, Want::Cut));

    let mut failures = Vec::new();
    for case in &cases {
        let (heard, complete) = (origin.requests().len(), whole().len());
        let outcome = match &case.want {
            Want::Refused(status) => refused(&edge, &case.bytes, *status),
            Want::Forwarded(messages) => forwarded(&edge, &case.bytes, messages.len()),
            Want::Cut => cut(&edge, &case.bytes),
        };
        let arrived = whole().split_off(complete);
        let outcome = outcome.and_then(|()| match &case.want {
            Want::Refused(_) if origin.requests().len() > heard => Err("the upstream heard of it".to_owned()),
            Want::Refused(_) | Want::Cut => as_wanted(&arrived, &[]),
            Want::Forwarded(messages) => as_wanted(&arrived, messages),
        });
        if let Err(why) = outcome {
            failures.push(format!("{}: {why}", case.name));
        }
    }
    // What was smuggled might arrive late, but not after this.
    assert_eq!(edge.get("/last").status(), 200);
    if let Some(found) = origin.requests().iter().find(|request| request.target().starts_with(b"/smuggled")) {
        failures.push(format!("a request that nobody sent: {:?}", String::from_utf8_lossy(&found.head.raw)));
    }
    assert!(failures.is_empty(), "{} of {} cases:\n{}", failures.len(), cases.len(), failures.join("\n"));
}

fn refused(edge: &Edge, bytes: &[u8], status: Option<u16>) -> Result<(), String> {
    let mut client = edge.client();
    // A proxy that has read enough may close before everything is sent.
    drop(client.try_send(bytes));
    let answer = until_closed(&mut client)?;
    let said = status_of(&answer);
    match (said, status) {
        (Some(said), Some(status)) if said == status => Ok(()),
        (Some(400..=499 | 501 | 505) | None, None) => Ok(()),
        _ => Err(format!("answered {:?}", String::from_utf8_lossy(&answer))),
    }
}

fn forwarded(edge: &Edge, bytes: &[u8], count: usize) -> Result<(), String> {
    let mut client = edge.client();
    client.try_send(bytes).map_err(|error| format!("could not send: {error}"))?;
    for number in 1..=count {
        let response = client.try_response(false).map_err(|error| format!("answer {number}: {error}"))?;
        if response.status() != 200 {
            return Err(format!("answer {number} is {}", response.status()));
        }
    }
    client.finish_writing();
    let rest = until_closed(&mut client)?;
    // What is left over may be refused, but not answered.
    match status_of(&rest) {
        None if rest.is_empty() => Ok(()),
        Some(400..=499) => Ok(()),
        _ => Err(format!("then came {:?}", String::from_utf8_lossy(&rest))),
    }
}

fn cut(edge: &Edge, bytes: &[u8]) -> Result<(), String> {
    let mut client = edge.client();
    drop(client.try_send(bytes));
    client.finish_writing();
    let answer = until_closed(&mut client)?;
    match status_of(&answer) {
        None if answer.is_empty() => Ok(()),
        Some(400..=599) => Ok(()),
        _ => Err(format!("answered {:?}", String::from_utf8_lossy(&answer))),
    }
}

/// Whether the upstream got this, whole and nothing else, since the case began.
fn as_wanted(requests: &[Request], messages: &[Message]) -> Result<(), String> {
    let got: Vec<_> = requests
        .iter()
        .map(|request| Message {
            method: request.method(),
            target: request.target().to_vec(),
            body: request.body.clone(),
        })
        .collect();
    if got != *messages {
        let said: Vec<_> = got
            .iter()
            .map(|message| (&message.method, String::from_utf8_lossy(&message.target), message.body.len()))
            .collect();
        return Err(format!("the upstream got {said:?}"));
    }
    requests.iter().try_for_each(|request| well_formed(&request.head.raw))
}

/// What any server, however simple, reads in one way only.
fn well_formed(raw: &[u8]) -> Result<(), String> {
    let text = String::from_utf8_lossy(raw);
    let bad = |what: &str| Err(format!("sent on with {what}: {text:?}"));
    let stray = text.replace("\r\n", "");
    if stray.contains(|c: char| c != '\t' && c.is_ascii_control()) {
        return bad("a control character");
    }
    let mut lines = text.trim_end_matches("\r\n").split("\r\n");
    let words: Vec<_> = lines.next().unwrap_or_default().split(' ').collect();
    if !matches!(words[..], [method, target, "HTTP/1.1"] if !method.is_empty() && (target.starts_with('/') || target == "*"))
    {
        return bad("a bad request line");
    }
    let (mut lengths, mut codings, mut hosts) = (0, 0, 0);
    for line in lines {
        let Some((name, value)) = line.split_once(':') else { return bad("a field without a colon") };
        let name = name.to_ascii_lowercase();
        match name.as_str() {
            "content-length" if value.trim().bytes().all(|byte| byte.is_ascii_digit()) => lengths += 1,
            "transfer-encoding" if value.trim() == "chunked" => codings += 1,
            "content-length" | "transfer-encoding" => return bad("a bad framing"),
            "host" => hosts += 1,
            "proxy"
            | "keep-alive"
            | "proxy-connection"
            | "proxy-authorization"
            | "te"
            | "http2-settings"
            | "trailer" => {
                return bad("a field that should have stayed behind");
            }
            name if name.starts_with("x-multilith-") => return bad("a field of the proxy's own"),
            name if name.contains('_') && is_forged(&name.replace('_', "-")) => return bad("an ambiguous field"),
            _ => {}
        }
        if name.is_empty() || name.contains(' ') || name.contains('\t') {
            return bad("a bad name");
        }
    }
    if lengths + codings > 1 {
        bad("two framings")
    } else if hosts > 1 {
        bad("two hosts")
    } else {
        Ok(())
    }
}

fn is_forged(name: &str) -> bool {
    matches!(name, "content-length" | "transfer-encoding" | "host" | "connection" | "forwarded")
        || name.starts_with("x-forwarded-")
        || name.starts_with("x-multilith-")
}

/// A reset is an end like any other: the proxy had no more use for what it was sent.
fn until_closed(client: &mut Client) -> Result<Vec<u8>, String> {
    match client.until_closed() {
        Ok(bytes) => Ok(bytes),
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => Ok(Vec::new()),
        Err(error) => Err(format!("not closed: {error}")),
    }
}

fn status_of(answer: &[u8]) -> Option<u16> {
    let rest = answer.strip_prefix(b"HTTP/1.1 ")?;
    std::str::from_utf8(rest.get(..3)?).ok()?.parse().ok()
}

fn parse(line: &str) -> Case {
    let mut columns = line.splitn(3, " | ");
    let mut column = || columns.next().unwrap_or_else(|| panic!("a case has three columns: {line}"));
    let (name, want, bytes) = (column().trim(), column().trim(), column());
    let want = match want.split_once(' ') {
        None if want == "refused" => Want::Refused(None),
        None if want == "cut" => Want::Cut,
        Some(("refused", status)) => Want::Refused(Some(status.parse().expect("a status is a number"))),
        _ => Want::Forwarded(want.split(", ").map(message).collect()),
    };
    Case { name: name.to_owned(), want, bytes: unescape(bytes) }
}

fn message(text: &str) -> Message {
    let mut words = text.splitn(3, ' ');
    let mut word = || words.next().unwrap_or_else(|| panic!("a message is `METHOD TARGET \"BODY\"`: {text}"));
    let (method, target, body) = (word().to_owned(), unescape(word()), word());
    let body = body.strip_prefix('"').and_then(|body| body.strip_suffix('"')).expect("a body stands in quotes");
    Message { method, target, body: unescape(body) }
}

fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        if c == '⏎' {
            bytes.extend_from_slice(b"\r\n");
        } else if c == '\\' {
            rest = escape(rest, &mut bytes);
        } else {
            bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        }
    }
    bytes
}

/// Takes what stands behind a backslash, and gives what stands behind that.
fn escape<'a>(text: &'a str, bytes: &mut Vec<u8>) -> &'a str {
    let (kind, rest) = text.split_at(1);
    match kind {
        "r" => bytes.push(b'\r'),
        "n" => bytes.push(b'\n'),
        "t" => bytes.push(b'\t'),
        "\\" => bytes.push(b'\\'),
        "x" => {
            bytes.push(u8::from_str_radix(&rest[..2], 16).expect("two hexadecimal digits"));
            return &rest[2..];
        }
        "{" => {
            let (inside, rest) = rest.split_once('}').expect("a repetition ends with `}`");
            let (unit, times) = inside.rsplit_once('*').expect("a repetition has a number");
            bytes.extend(unescape(unit).repeat(times.parse().expect("a repetition has a number")));
            return rest;
        }
        _ => panic!("no escape: \\{text}"),
    }
    rest
}
