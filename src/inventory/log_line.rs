//! Reads one line of an access log: common, combined, or JSON as nginx, Caddy, Traefik and multilith itself write it.

use std::net::{IpAddr, SocketAddr};

use serde_json::Value;

/// The parts of a line that the inventory takes.
#[derive(Debug, Clone, PartialEq)]
pub struct LogLine {
    pub method: String,
    /// As sent, without its query.
    pub path: String,
    pub status: u16,
    pub client: String,
    /// Minutes since 1970; 0 where the line has no time that can be read.
    pub minute: u32,
    pub micros: Option<u32>,
    /// The client's User-Agent; empty where the line has none.
    pub agent: String,
}

/// `None` for a line that is none of the formats.
#[must_use]
pub fn read(line: &str) -> Option<LogLine> {
    let line = line.trim();
    if line.starts_with('{') { json(line) } else { combined(line) }
}

/// `client ident user [time] "METHOD target HTTP/1.1" status bytes …`, as NCSA httpd introduced it.
fn combined(line: &str) -> Option<LogLine> {
    let (who, behind) = line.split_once(" [")?;
    let (time, behind) = behind.split_once(']')?;
    let request = behind.trim_start().strip_prefix('"')?;
    let end = closing_quote(request)?;
    let (method, path) = request_line(&request[..end])?;
    let behind = &behind.trim_start()[1 + end + 1..];
    let status = behind.split_ascii_whitespace().next()?.parse().ok()?;
    valid(LogLine {
        method: method.to_owned(),
        path: path.to_owned(),
        status,
        client: client(who)?,
        minute: written_time(time).unwrap_or(0),
        micros: None,
        agent: agent(behind).unwrap_or("").to_owned(),
    })
}

/// The first of `client ident user`. Apache's `vhost_combined` has the virtual host in front, mostly with its port; other
/// programs have the proxies behind it that the request came through.
fn client(who: &str) -> Option<String> {
    let mut words = who.split_ascii_whitespace();
    let (first, second) = (words.next()?, words.next().unwrap_or(""));
    let has_port = first.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    let is_host = ip(first).is_none() && (ip(second).is_some() || has_port && second != "-");
    Some(address(if is_host { second } else { first }))
}

/// The first of a list, without the port, by which each connection would be a client of its own.
fn address(clients: &str) -> String {
    ip(clients).map_or_else(|| first(clients).to_owned(), |ip| ip.to_string())
}

fn ip(clients: &str) -> Option<IpAddr> {
    let client = first(clients);
    client.parse().ok().or_else(|| client.parse::<SocketAddr>().ok().map(|address| address.ip()))
}

fn first(clients: &str) -> &str {
    clients.split(',').next().unwrap_or(clients).trim()
}

/// The second quoted text behind the status: the first is the referer.
fn agent(behind: &str) -> Option<&str> {
    let referer = behind.split_once('"')?.1;
    let agent = referer[closing_quote(referer)? + 1..].trim_start().strip_prefix('"')?;
    Some(&agent[..closing_quote(agent)?]).filter(|agent| *agent != "-")
}

fn closing_quote(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.bytes().position(|byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    })
}

/// The method, and the target up to the version, which HTTP/0.9 does not send: some servers log a target with its spaces.
fn request_line(text: &str) -> Option<(&str, &str)> {
    let (method, behind) = text.split_once(' ')?;
    let target = behind.rsplit_once(" HTTP/").map_or(behind, |(target, _)| target);
    Some((method, path_of(target)?))
}

/// Also of an absolute target.
fn path_of(target: &str) -> Option<&str> {
    let target = target.split(['?', '#']).next()?;
    match target.split_once("://") {
        Some((_, behind)) if !target.starts_with('/') => Some(behind.find('/').map_or("/", |at| &behind[at..])),
        _ => target.starts_with('/').then_some(target),
    }
}

/// `12/Nov/2026:13:55:36 +0100`, RFC 3339, or a number; without a zone it is UTC.
fn written_time(text: &str) -> Option<u32> {
    if text.bytes().take(3).any(|byte| byte == b'/') {
        let time = jiff::fmt::strtime::parse("%d/%b/%Y:%H:%M:%S%.f %z", text)
            .or_else(|_| jiff::fmt::strtime::parse("%d/%b/%Y:%H:%M:%S%.f %z", format!("{text} +0000")));
        return minute(time.ok()?.to_timestamp().ok()?.as_second());
    }
    if let Ok(number) = text.parse() {
        return numbered_time(number);
    }
    let time = text.parse::<jiff::Timestamp>();
    let time = time.or_else(|_| {
        text.parse::<jiff::civil::DateTime>()?.to_zoned(jiff::tz::TimeZone::UTC).map(|time| time.timestamp())
    });
    minute(time.ok()?.as_second())
}

/// Seconds since 1970, or thousandths, millionths or billionths of them: a count of one is none of another since 1973.
fn numbered_time(number: f64) -> Option<u32> {
    let a_second = match number {
        1e17.. => 1e9,
        1e14.. => 1e6,
        1e11.. => 1e3,
        _ => 1.0,
    };
    minute((number / a_second) as i64)
}

fn minute(second: i64) -> Option<u32> {
    u32::try_from(second / 60).ok()
}

/// Names by which programs write the same thing; a dot goes into an object where there is no such key.
const METHOD: &[&str] = &[
    "http.request.method",
    "request_method",
    "request.method",
    "RequestMethod",
    "method",
    "verb",
    "httpRequest.requestMethod",
];
const PATH: &[&str] = &[
    "url.path",
    "request_uri",
    "request.uri",
    "RequestPath",
    "uri",
    "path",
    "url",
    "requestUrl",
    "httpRequest.requestUrl",
];
const STATUS: &[&str] = &[
    "http.response.status_code",
    "status",
    "status_code",
    "statusCode",
    "DownstreamStatus",
    "response.status",
    "code",
    "httpRequest.status",
];
const CLIENT: &[&str] = &[
    "client.address",
    "client.ip",
    "source.address",
    "source.ip",
    "remote_addr",
    "request.remote_ip",
    "request.client_ip",
    "ClientHost",
    "client_ip",
    "clientip",
    "remote_ip",
    "ip",
    "client",
    "remote_host",
    "httpRequest.remoteIp",
];
const TIME: &[&str] = &["timestamp", "@timestamp", "time", "ts", "time_iso8601", "StartUTC", "time_local", "msec"];
const AGENT: &[&str] = &[
    "user_agent.original",
    "http_user_agent",
    "request_User-Agent",
    "user_agent",
    "userAgent",
    "request.headers.User-Agent",
    "agent",
    "httpRequest.userAgent",
];
/// In seconds, `0.043` or `"0.043s"`.
const SECONDS: &[&str] = &["request_time", "duration_seconds", "http.server.request.duration", "httpRequest.latency"];

fn json(line: &str) -> Option<LogLine> {
    let value: Value = serde_json::from_str(line).ok()?;
    let request = field(&value, &["request", "request_line"], |value| request_line(value.as_str()?));
    let method = field(&value, METHOD, Value::as_str).or(request.map(|(method, _)| method))?;
    let path = field(&value, PATH, |value| path_of(value.as_str()?)).or(request.map(|(_, path)| path))?;
    let status = field(&value, STATUS, |value| value.as_u64().or_else(|| value.as_str()?.parse().ok()))?;
    let client = field(&value, CLIENT, |value| value.as_str().filter(|client| !matches!(*client, "" | "-")));
    let seconds =
        field(&value, SECONDS, |value| value.as_f64().or_else(|| value.as_str()?.trim_end_matches('s').parse().ok()));
    valid(LogLine {
        method: method.to_owned(),
        path: path.to_owned(),
        status: u16::try_from(status).ok()?,
        client: address(client.unwrap_or("-")),
        minute: field(&value, TIME, time).unwrap_or(0),
        micros: seconds.filter(|seconds| (0.0..4_000.0).contains(seconds)).map(|seconds| (seconds * 1e6) as u32),
        agent: field(&value, AGENT, |agent| agent.as_str().or_else(|| agent.get(0)?.as_str())).unwrap_or("").to_owned(),
    })
}

/// The value of the first of these names that can be read so: `client` is an address in one log, and a table with one in another.
fn field<'a, T>(value: &'a Value, names: &[&str], read: impl Fn(&'a Value) -> Option<T>) -> Option<T> {
    names.iter().find_map(|name| {
        let found = value.get(name).or_else(|| name.split('.').try_fold(value, |value, part| value.get(part)));
        found.and_then(&read)
    })
}

fn time(value: &Value) -> Option<u32> {
    value.as_f64().map_or_else(|| written_time(value.as_str()?), numbered_time)
}

fn valid(line: LogLine) -> Option<LogLine> {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"-_!#$%&'*+.^`|~".contains(&byte);
    let sane = !line.method.is_empty() && line.method.len() <= 24 && line.method.bytes().all(token);
    (sane && (100..600).contains(&line.status)).then_some(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_format_is_read() {
        for (line, method, path, status, client, minute) in [
            (
                r#"10.0.0.7 - frank [10/Oct/2000:13:55:36 -0700] "GET /apache_pb.gif?x=1 HTTP/1.0" 200 2326"#,
                "GET",
                "/apache_pb.gif",
                200,
                "10.0.0.7",
                16_186_855,
            ),
            (
                r#"::1 - - [10/Oct/2000:20:55:36 +0000] "POST /a HTTP/1.1" 404 0 "http://b/" "Mozilla \"x\"""#,
                "POST",
                "/a",
                404,
                "::1",
                16_186_855,
            ),
            (
                r#"{"request":{"method":"PUT","uri":"/b?c","remote_ip":"1.2.3.4"},"status":204,"ts":971211336.5}"#,
                "PUT",
                "/b",
                204,
                "1.2.3.4",
                16_186_855,
            ),
            (
                r#"{"request":"GET /c HTTP/1.1","status":"200","remote_addr":"1.2.3.4","time_iso8601":"2000-10-10T20:55:36Z"}"#,
                "GET",
                "/c",
                200,
                "1.2.3.4",
                16_186_855,
            ),
            (
                r#"{"http.request.method":"GET","url.path":"/d","http.response.status_code":500,"client.address":"::1"}"#,
                "GET",
                "/d",
                500,
                "::1",
                0,
            ),
            (
                r#"www.example.com:443 10.0.0.7 - - [10/Oct/2000:20:55:36 +0000] "GET /e HTTP/1.1" 200 5"#,
                "GET",
                "/e",
                200,
                "10.0.0.7",
                16_186_855,
            ),
            (
                r#"10.0.0.7, 10.9.9.9 - John Smith [10/Oct/2000:20:55:36 +0000] "GET /f HTTP/1.1" 200 5"#,
                "GET",
                "/f",
                200,
                "10.0.0.7",
                16_186_855,
            ),
            (r#"::1 - - [10/Oct/2000:20:55:36 +0000] "GET /g HTTP/1.1" 200 5"#, "GET", "/g", 200, "::1", 16_186_855),
            (r#"{"method":"GET","path":"/h","status":200,"ip":"[::1]:4711"}"#, "GET", "/h", 200, "::1", 0),
            (
                r#"{"httpRequest":{"requestMethod":"GET","requestUrl":"https://a/i?b","status":200,"remoteIp":"10.0.0.7:80","latency":"0.25s"}}"#,
                "GET",
                "/i",
                200,
                "10.0.0.7",
                0,
            ),
        ] {
            let read = read(line).unwrap_or_else(|| panic!("not read: {line}"));
            let found = (&*read.method, &*read.path, read.status, &*read.client, read.minute);
            assert_eq!(found, (method, path, status, client, minute), "{line}");
        }
    }

    #[test]
    fn the_path_is_all_of_the_target_before_its_query() {
        for (target, path) in [
            ("/a b/7", "/a b/7"),
            ("/a HTTP/2?x=1 2", "/a HTTP/2"),
            ("https://a.example", "/"),
            ("https://a.example?next=/b", "/"),
            ("https://a.example#/b", "/"),
            ("http://a.example/b?next=https://c/", "/b"),
            ("/to?https://c/d", "/to"),
        ] {
            let combined = format!(r#"a - - [x] "GET {target} HTTP/1.1" 200 0"#);
            let request = format!(r#"{{"request":"GET {target} HTTP/1.1","status":200}}"#);
            let json = format!(r#"{{"method":"GET","requestUrl":"{target}","status":200}}"#);
            for line in [combined, request, json] {
                assert_eq!(read(&line).map(|line| line.path).as_deref(), Some(path), "{line}");
            }
        }
        assert_eq!(read(r#"a - - [x] "GET /old" 200 0"#).map(|line| line.path).as_deref(), Some("/old"), "HTTP/0.9");
    }

    #[test]
    fn the_client_is_the_first_address() {
        for (who, client) in [
            ("www.example.com 10.0.0.7 - -", "10.0.0.7"),
            ("www.example.com 10.0.0.7:4711, 10.9.9.9 - -", "10.0.0.7"),
            ("www.example.com:443 ::1 - -", "::1"),
            ("client.example - frank", "client.example"),
            ("client.example:80 - frank", "client.example:80"),
            ("10.0.0.7,10.9.9.9 - -", "10.0.0.7"),
            ("10.0.0.7, 10.9.9.9 - -", "10.0.0.7"),
            ("- - -", "-"),
        ] {
            let line = format!(r#"{who} [x] "GET / HTTP/1.1" 200 0"#);
            assert_eq!(read(&line).map(|line| line.client).as_deref(), Some(client), "{who}");
        }
        for (fields, client) in [
            (r#""client":{"ip":"10.0.0.7"}"#, "10.0.0.7"),
            (r#""client":{"port":80},"source":{"ip":"10.0.0.7"}"#, "10.0.0.7"),
            (r#""remote_addr":"10.0.0.7, 10.9.9.7""#, "10.0.0.7"),
            (r#""remote_addr":"[::1]:80,10.9.9.7""#, "::1"),
            (r#""remote_addr":"-","client_ip":"10.0.0.7""#, "10.0.0.7"),
            (r#""remote_addr":"""#, "-"),
        ] {
            let line = format!(r#"{{"method":"GET","path":"/","status":200,{fields}}}"#);
            assert_eq!(read(&line).map(|line| line.client).as_deref(), Some(client), "{fields}");
        }
    }

    #[test]
    fn times_are_read_in_each_unit_and_without_a_zone() {
        for time in [
            "971211336",
            "971211336.5",
            "971211336500",
            "971211336500000",
            "971211336500000000",
            "2000-10-10 20:55:36",
            "2000-10-10T20:55:36.123",
            "2000-10-10T22:55:36+02:00",
            "2000-10-10T20:55:36Z",
            "10/Oct/2000:13:55:36 -0700",
            "10/Oct/2000:20:55:36.123 +0000",
            "10/Oct/2000:20:55:36",
        ] {
            let numbers =
                time.parse::<f64>().ok().map(|_| format!(r#"{{"uri":"/","method":"GET","status":200,"ts":{time}}}"#));
            let text = format!(r#"{{"uri":"/","method":"GET","status":200,"ts":"{time}"}}"#);
            let common = format!(r#"a - - [{time}] "GET / HTTP/1.1" 200 0"#);
            for line in numbers.into_iter().chain([text, common]) {
                assert_eq!(read(&line).map(|line| line.minute), Some(16_186_855), "{line}");
            }
        }
        for time in ["x", "-1", "nan", "1e300", "2000-13-01 00:00:00"] {
            let line = format!(r#"a - - [{time}] "GET / HTTP/1.1" 200 0"#);
            assert_eq!(read(&line).map(|line| line.minute), Some(0), "{line}");
        }
    }

    #[test]
    fn what_the_client_calls_itself_is_read() {
        for (line, agent) in [
            (r#"a - - [x] "GET / HTTP/1.1" 200 0 "http://b/\"c" "billing/1.2 (\"ops\")""#, r#"billing/1.2 (\"ops\")"#),
            (r#"a - - [x] "GET / HTTP/1.1" 200 0 "-" "-""#, ""),
            (r#"a - - [x] "GET / HTTP/1.1" 200 0"#, ""),
            (r#"{"method":"GET","path":"/","status":200,"user_agent.original":"curl/8"}"#, "curl/8"),
            (r#"{"request":{"method":"GET","uri":"/","headers":{"User-Agent":["curl/8"]}},"status":200}"#, "curl/8"),
        ] {
            assert_eq!(read(line).map(|line| line.agent).as_deref(), Some(agent), "{line}");
        }
    }

    #[test]
    fn garbage_is_none() {
        for line in [
            "",
            "{",
            "{}",
            "hello",
            "x [ ",
            r#"a - - [x] "\x16\x03\x01" 400 0"#,
            r#"a - - [x] "GET" 400"#,
            r#"a - - [x] "GET / HTTP/1.1" abc"#,
            r#"a - - [x] "GET / HTTP/1.1" 999 1"#,
        ] {
            assert_eq!(read(line), None, "{line}");
        }
    }
}
