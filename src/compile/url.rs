//! The URLs of upstreams, and of servers that the proxy itself asks.

use std::path::PathBuf;

use super::address::{AddressError, host_port, without_user};
use super::draft::Draft;
use crate::diagnostic::{Code, Span};
use crate::endpoint::Address;
use crate::endpoint::{Scheme, Url};

/// The parts of a URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct UpstreamUrl {
    pub(super) tls: bool,
    pub(super) address: Address,
}

/// Reads `http://host[:port]`, `https://host[:port]` or `unix:/path`.
pub(super) fn upstream_url(text: &str) -> Result<UpstreamUrl, (Code, AddressError)> {
    let invalid = |part, message, help: &str| (Code::InvalidUrl, AddressError { part, message, help: help.to_owned() });
    if let Some(path) = text.strip_prefix("unix:") {
        let path = path.strip_prefix("//").unwrap_or(path);
        if !path.starts_with('/') || path.contains('\0') {
            let message = format!("`{text}` does not name a socket");
            return Err(invalid(0..text.len(), message, "write `unix:/run/app.sock`, with the whole path"));
        }
        return Ok(UpstreamUrl { tls: false, address: Address::Unix(PathBuf::from(path)) });
    }
    let Some((scheme, rest)) = text.split_once("://") else {
        // `http:/host`, `http//host` and the like lost a part of `://`.
        let scheme = ["https", "http"].into_iter().find(|scheme| text.starts_with(scheme));
        let bare = scheme.map_or(text, |scheme| &text[scheme.len()..]).trim_start_matches([':', '/']);
        let bare = without_user(bare);
        let help = format!("write `{}://{bare}`; `unix:/…` is possible too", scheme.unwrap_or("http"));
        return Err(invalid(0..text.len(), format!("`{text}` is not a URL"), &help));
    };
    let (tls, port) = match scheme.to_ascii_lowercase().as_str() {
        "http" => (false, 80),
        "https" => (true, 443),
        _ => {
            let near = crate::diagnostic::nearest(scheme, ["http", "https", "unix"]).unwrap_or("http");
            let help = match near {
                "unix" => "write `unix:/path`".to_owned(),
                _ => format!("write `{near}://{}`", without_user(rest)),
            };
            return Err(invalid(0..scheme.len(), format!("`{scheme}` is not a scheme that is known here"), &help));
        }
    };
    let start = scheme.len() + 3;
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = (&rest[..end], &rest[end..]);
    if !matches!(path, "" | "/") {
        let bare = format!("{scheme}://{}", without_user(authority));
        let literal = path.split(['?', '#']).next().unwrap_or("").trim_end_matches('/');
        let help = if literal.is_empty() {
            format!("write `{bare}`")
        } else {
            format!("write `{bare}` here and `rewrite = {{ path = \"{literal}/…\" }}` in the routes")
        };
        let error = AddressError {
            part: start + end..text.len(),
            message: format!("the path `{path}` does not belong into an upstream's URL"),
            help,
        };
        return Err((Code::UrlWithPath, error));
    }
    if let Some(at) = authority.rfind('@') {
        return Err(invalid(
            start..start + at + 1,
            "a URL with a user name is not possible here".to_owned(),
            "set the header in the routes: `rewrite = { set = { authorization = \"Basic …\" } }`",
        ));
    }
    let address = host_port(authority, Some(port)).map_err(|mut error| {
        error.part = error.part.start + start..error.part.end + start;
        (Code::InvalidUrl, error)
    })?;
    if address.port == 0 {
        return Err(invalid(start..text.len(), "nothing can listen on port 0".to_owned(), "write the port it has"));
    }
    Ok(UpstreamUrl {
        tls,
        address: Address::Tcp { host: address.host.to_ascii_lowercase().into(), port: address.port },
    })
}

/// The URL of a server that the proxy itself asks. False: it was reported.
pub(super) fn server_url(text: &str, span: &Span, example: &str, draft: &mut Draft<'_>) -> bool {
    let read: Option<Url> = text.parse().ok();
    let read = read.filter(|url| matches!(url.scheme(), Scheme::Http | Scheme::Https) && !text.contains('#'));
    if read.as_ref().is_some_and(|url| url.userinfo().is_none()) {
        return true;
    }
    let message = match read {
        Some(_) => "user and password in the URL would not be sent".to_owned(),
        None => format!("`{text}` is not the URL of a server"),
    };
    draft.say(Code::InvalidUrl, span.clone(), message, "not a URL", format!("write it like `{example}`"));
    false
}
