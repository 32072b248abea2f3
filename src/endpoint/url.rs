//! Reads the URL of a server: the one parser for everything that the proxy asks by a URL.

use std::net::IpAddr;
use std::path::Path;
use std::str::FromStr;

use http::Uri;

use crate::diagnostic::without_logins;

/// The part before the colon.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scheme {
    Http,
    Https,
    /// gRPC without TLS.
    Grpc,
    /// gRPC over TLS.
    Grpcs,
    /// A Unix socket: `unix:/run/app.sock`.
    Unix,
}

impl Scheme {
    #[must_use]
    pub const fn is_tls(self) -> bool {
        matches!(self, Self::Https | Self::Grpcs)
    }

    #[must_use]
    pub const fn is_grpc(self) -> bool {
        matches!(self, Self::Grpc | Self::Grpcs)
    }
}

/// A text that is no URL to ask.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is no http(s) URL with a host", without_logins(.0))]
pub struct BadUrl(pub String);

/// `SCHEME://[USERINFO@]HOST[:PORT][/PATH][?QUERY]`, or `unix:/PATH`. A fragment is dropped.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Url {
    scheme: Scheme,
    userinfo: Option<Box<str>>,
    /// Without the brackets of an IPv6 address. The path of a Unix socket.
    host: Box<str>,
    port: Option<u16>,
    /// Path and query; begins with a slash.
    target: Box<str>,
}

impl Url {
    #[must_use]
    pub const fn scheme(&self) -> Scheme {
        self.scheme
    }

    #[must_use]
    pub const fn is_tls(&self) -> bool {
        self.scheme.is_tls()
    }

    /// `NAME[:PASSWORD]` as it was written, escapes included.
    #[must_use]
    pub fn userinfo(&self) -> Option<&str> {
        self.userinfo.as_deref()
    }

    /// A name or an address, an IPv6 address without its brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The path of a Unix socket.
    #[must_use]
    pub fn socket(&self) -> Option<&Path> {
        (self.scheme == Scheme::Unix).then(|| Path::new(&*self.host))
    }

    /// The port that was written.
    #[must_use]
    pub const fn explicit_port(&self) -> Option<u16> {
        self.port
    }

    /// The port that was written, or else the scheme's: 80 or 443.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port.unwrap_or(self.default_port())
    }

    const fn default_port(&self) -> u16 {
        if self.scheme.is_tls() { 443 } else { 80 }
    }

    /// The Host of a request: without userinfo, the port only where it is not the scheme's.
    #[must_use]
    pub fn authority(&self) -> String {
        self.authority_at(self.port())
    }

    /// The same with another port than the URL's.
    #[must_use]
    pub fn authority_at(&self, port: u16) -> String {
        if self.scheme == Scheme::Unix {
            return "localhost".to_owned();
        }
        let host = match self.host.parse() {
            Ok(IpAddr::V6(address)) => format!("[{address}]"),
            _ => self.host.to_string(),
        };
        if port == self.default_port() { host } else { format!("{host}:{port}") }
    }

    /// The path without slashes at its end: what the paths of an API are appended to.
    #[must_use]
    pub fn base(&self) -> &str {
        let path = self.target.find('?').map_or(&*self.target, |query| &self.target[..query]);
        path.trim_end_matches('/')
    }

    /// Path and query, as a request of HTTP/1 names them.
    #[must_use]
    pub fn target(&self) -> &str {
        &self.target
    }
}

impl FromStr for Url {
    type Err = BadUrl;

    fn from_str(url: &str) -> Result<Self, BadUrl> {
        read(url).ok_or_else(|| BadUrl(url.to_owned()))
    }
}

fn read(url: &str) -> Option<Url> {
    if let Some(path) = url.strip_prefix("unix:") {
        let path = path.strip_prefix("//").unwrap_or(path);
        return path.starts_with('/').then(|| Url {
            scheme: Scheme::Unix,
            userinfo: None,
            host: path.into(),
            port: None,
            target: "/".into(),
        });
    }
    let uri: Uri = url.parse().ok()?;
    let scheme = match uri.scheme_str()? {
        "http" => Scheme::Http,
        "https" => Scheme::Https,
        "grpc" => Scheme::Grpc,
        "grpcs" => Scheme::Grpcs,
        _ => return None,
    };
    let authority = uri.authority()?;
    let host = authority.host();
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    // The parser takes a port of no digits for none, and one that is too large, too.
    let behind = authority.as_str().rsplit('@').next()?.rsplit(']').next()?;
    if host.is_empty() || (behind.contains(':') && authority.port_u16().is_none()) {
        return None;
    }
    let target = match uri.path_and_query().map(http::uri::PathAndQuery::as_str) {
        None | Some("") => "/".to_owned(),
        Some(query) if query.starts_with('?') => format!("/{query}"),
        Some(target) => target.to_owned(),
    };
    Some(Url {
        scheme,
        userinfo: authority.as_str().rsplit_once('@').map(|(userinfo, _)| userinfo.into()),
        host: host.into(),
        port: authority.port_u16(),
        target: target.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_apart() {
        for (url, tls, authority, base, target) in [
            ("http://127.0.0.1:2379", false, "127.0.0.1:2379", "", "/"),
            ("https://etcd.internal", true, "etcd.internal", "", "/"),
            ("https://etcd.internal:443/", true, "etcd.internal", "", "/"),
            ("https://etcd.internal:80", true, "etcd.internal:80", "", "/"),
            ("http://[::1]:8500/consul/", false, "[::1]:8500", "/consul", "/consul/"),
            ("http://[::1]", false, "[::1]", "", "/"),
            ("http://user:a%40b@host:1/x?y=/z/#f", false, "host:1", "/x", "/x?y=/z/"),
            ("http://host?y", false, "host", "", "/?y"),
            ("grpcs://collector:4317", true, "collector:4317", "", "/"),
            ("unix:/run/a.sock", false, "localhost", "", "/"),
        ] {
            let read: Url = url.parse().unwrap();
            assert_eq!(
                (read.is_tls(), &*read.authority(), read.base(), read.target()),
                (tls, authority, base, target),
                "{url}"
            );
        }
        let read: Url = "http://user:a%40b@host".parse().unwrap();
        assert_eq!(
            (read.userinfo(), read.host(), read.port(), read.explicit_port()),
            (Some("user:a%40b"), "host", 80, None)
        );
        let read: Url = "unix:///run/a.sock".parse().unwrap();
        assert_eq!(read.socket(), Some(Path::new("/run/a.sock")));
        assert_eq!("http://host".parse::<Url>().unwrap().socket(), None);
    }

    #[test]
    fn what_is_no_url_is_refused() {
        for url in [
            "",
            "127.0.0.1:2379",
            "ftp://a",
            "http://",
            "http://:80",
            "http://a:99999",
            "http://a:",
            "/a",
            "unix:a",
            "a",
        ] {
            assert_eq!(url.parse::<Url>(), Err(BadUrl(url.to_owned())), "{url}");
        }
    }
}
