//! The head of a copy: the client's, cleaned as for any upstream, with the route's changes and the marker.

use http::Version;

use super::Translate;
use crate::client::UpstreamFault;
use crate::endpoint::UpstreamId;
use crate::guard;
use crate::guard::identity::ClientIdentity;
use crate::message::{Name, RequestHead, is_call};
use crate::route::HeaderEdits;

/// Marks a copy: no client receives its response. The field is removed from every client's request first.
const MARKER: &str = "X-Multilith-Shadow";

/// Makes the client's cleaned head the copy's, with `identity` of the client and the copy's own `edits`. The connection frames the body.
pub(super) fn write(
    head: &mut RequestHead,
    route: &str,
    (identity, edits): (Option<&ClientIdentity>, Option<&HeaderEdits>),
    translate: &dyn Translate,
    to: UpstreamId,
) -> Result<(), UpstreamFault> {
    guard::headers::without_hop_by_hop(&mut head.fields);
    // A copy waits for no interim response and asks for no upgrade; of trailers only those of gRPC are looked at.
    for name in [Name::Expect, Name::Upgrade, Name::Connection, Name::Te] {
        head.fields.remove(name);
    }
    if is_call(&head.fields) {
        // Servers of gRPC reset a call whose client does not say that it takes trailers.
        head.fields.set(Name::Te, b"trailers");
    }
    // HTTP/2 names the host in its target, HTTP/1 in a field.
    head.name_host();
    head.version = Version::HTTP_11;
    translate.request(head, to)?;
    if let Some(identity) = identity {
        identity.write(&mut head.fields);
    }
    if let Some(edits) = edits {
        edits.apply(&mut head.fields);
    }
    head.fields.set(MARKER, route.as_bytes());
    Ok(())
}

/// Whether a field describes the body that was sent, or what the client has already.
pub(super) fn is_about_content(name: &[u8]) -> bool {
    let name = name.to_ascii_lowercase();
    name.starts_with(b"content-")
        || name.starts_with(b"if-")
        || matches!(&*name, b"transfer-encoding" | b"range" | b"te" | b"idempotency-key")
}
