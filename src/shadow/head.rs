//! The head of a copy: the client's, cleaned as for any upstream, with the route's changes and the marker.

use http::{Version, header};
use pingora::http::RequestHeader;
use pingora::protocols::http::client::HttpSession;
use pingora::{Error, ErrorType, OrErr, Result};

use super::Translate;
use crate::endpoint::UpstreamId;
use crate::guard;
use crate::route::HeaderEdits;

/// Says that the answer goes to nobody. Clients cannot send it: it is removed from every request first.
const MARKER: &str = "X-Multilith-Shadow";

/// Makes the client's cleaned head the copy's. `edits`: what the copy alone is to say. `body`: one follows.
pub(super) fn write(
    head: &mut RequestHeader,
    route: &str,
    edits: Option<&HeaderEdits>,
    translate: &dyn Translate,
    to: UpstreamId,
    body: bool,
) -> Result<()> {
    guard::headers::without_hop_by_hop(head);
    if head.version == Version::HTTP_2 {
        to_http1(head)?;
    }
    head.set_version(Version::HTTP_11);
    translate.request(head, to)?;
    if let Some(edits) = edits {
        for name in &edits.remove {
            head.remove_header(name);
        }
        for (name, value) in &edits.set {
            head.insert_header(name.clone(), value.clone())?;
        }
        for (name, value) in &edits.add {
            head.append_header(name.clone(), value.clone())?;
        }
    }
    head.insert_header(MARKER, route)?;
    if body && !head.headers.contains_key(header::CONTENT_LENGTH) {
        head.insert_header("Transfer-Encoding", "chunked")?;
    }
    Ok(())
}

/// HTTP/2 names the host in its target, HTTP/1 in a header.
fn to_http1(head: &mut RequestHeader) -> Result<()> {
    let authority = head.uri.authority().map(|authority| authority.as_str().to_owned());
    if let Some(authority) = authority
        && !head.headers.contains_key(header::HOST)
    {
        head.insert_header("Host", authority)?;
    }
    let target = head.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    let target = target.parse().or_err(ErrorType::InvalidHTTPHeader, "the path of a request is a target")?;
    head.set_uri(target);
    Ok(())
}

/// The same head as the connection's version of HTTP writes it.
pub(super) fn for_session(head: &mut RequestHeader, session: &HttpSession, tls: bool) -> Result<()> {
    if !matches!(session, HttpSession::H2(_)) {
        return Ok(());
    }
    let host = head.headers.get(header::HOST).cloned();
    let host = host.ok_or_else(|| Error::explain(ErrorType::InvalidHTTPHeader, "HTTP/2 needs a host"))?;
    let target = head.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    let uri = http::Uri::builder()
        .scheme(if tls { "https" } else { "http" })
        .authority(host.as_bytes())
        .path_and_query(target)
        .build()
        .or_err(ErrorType::InvalidHTTPHeader, "a host and a path make a URI")?;
    head.set_uri(uri);
    head.remove_header(&header::HOST);
    head.remove_header(&header::TRANSFER_ENCODING);
    Ok(())
}
