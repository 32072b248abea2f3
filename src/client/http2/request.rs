//! A request's head as the library takes it, if it can hold it.

use http::uri::{Authority, Parts, PathAndQuery, Scheme};
use http::{Method, Request, Uri, Version, header};

use super::super::UpstreamFault;
use super::header_map;
use crate::message::{Framing, Name, RequestHead};

const TARGET: UpstreamFault = UpstreamFault::Unwritable("The target cannot be sent over HTTP/2.");
const HOST: UpstreamFault = UpstreamFault::Unwritable("The host cannot be sent over HTTP/2.");

/// # Errors
/// A target with bytes that a `http::Uri` does not take (`"` in a query, `<`, what is no UTF-8), or a host like that. It is
/// never escaped: the upstream would see another target.
pub fn request(head: &RequestHead, framing: Framing, scheme: &Scheme) -> Result<Request<()>, UpstreamFault> {
    if head.method == Method::CONNECT {
        return Err(UpstreamFault::Unwritable("CONNECT is not sent over HTTP/2."));
    }
    let host = head.fields.get(Name::Host).or_else(|| head.authority());
    let target = head.target();
    // This type drops a fragment (`#…`) without a word.
    let path = PathAndQuery::try_from(target).ok().filter(|path| path.as_str().as_bytes() == target);
    let mut parts = Parts::default();
    parts.scheme = Some(scheme.clone());
    parts.authority = Some(host.and_then(|host| Authority::try_from(host).ok()).ok_or(HOST)?);
    parts.path_and_query = Some(path.ok_or(TARGET)?);
    let mut request = Request::new(());
    *request.method_mut() = head.method.clone();
    *request.version_mut() = Version::HTTP_2;
    *request.uri_mut() = Uri::from_parts(parts).map_err(|_| TARGET)?;
    let open = matches!(framing, Framing::Open | Framing::Close);
    *request.headers_mut() = header_map(&head.fields, |name| name == Name::Host || name == Name::ContentLength && open);
    if let Framing::Length(length) = framing {
        request.headers_mut().insert(header::CONTENT_LENGTH, length.into());
    }
    Ok(request)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(target: &[u8]) -> Result<Request<()>, UpstreamFault> {
        let mut head = RequestHead::new(Method::OPTIONS, Version::HTTP_11, target);
        head.fields =
            [("Host", "edge.test:81"), ("X-A", "1"), ("Connection", "x"), ("TE", "trailers")].into_iter().collect();
        head.set_target(target);
        request(&head, Framing::Length(3), &Scheme::HTTP)
    }

    #[test]
    fn a_target_passes_as_it_is_or_not_at_all() {
        for target in
            [&b"/"[..], b"/a?b=%20c", b"*", b"/caf\xc3\xa9", b"/a\"b", b"/a^b|c\\d{e}", b"//a", b"/a?", b"/a?b?c"]
        {
            let request = with(target).unwrap_or_else(|_| panic!("{}", target.escape_ascii()));
            let path = request.uri().path_and_query().map_or("", PathAndQuery::as_str);
            assert_eq!(path.as_bytes(), target);
            assert_eq!(request.uri().authority().map(Authority::as_str), Some("edge.test:81"));
            let names: Vec<_> = request.headers().keys().map(header::HeaderName::as_str).collect();
            assert_eq!(names, ["x-a", "te", "content-length"]);
        }
        for target in [&b"/a?q={\"a\":1}&b=\""[..], b"/a<b>", b"/a`", b"/\xe9", b"/a#b", b"/a b", b"", b"http://a/"] {
            assert!(matches!(with(target), Err(UpstreamFault::Unwritable(_))), "{}", target.escape_ascii());
        }
        let head = RequestHead::new(Method::GET, Version::HTTP_11, b"/");
        assert!(matches!(request(&head, Framing::None, &Scheme::HTTP), Err(UpstreamFault::Unwritable(_))), "no host");
    }
}
