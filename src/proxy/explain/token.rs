//! Explains the token that a route asks for. The token itself is not checked: that takes keys from elsewhere.

use serde::Serialize;

use crate::guard::{forged, jwt};
use crate::message::RequestHead;
use crate::route::JwtRule;

/// The token of a request, and what the upstream learns of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ExplainedToken {
    /// Without one the request is refused. Preflights never need one.
    pub required: bool,
    /// The request has one.
    pub shown: bool,
    /// Headers that its claims fill.
    pub headers: Vec<String>,
}

const FROM_A_CLAIM: &[u8] = b"(from auth.jwt)";

/// Removes what the client sent under the names that carry claims, and puts in what the upstream would be told.
pub fn apply(request: &mut RequestHead, rule: &JwtRule, preflight: bool) -> ExplainedToken {
    let names: Vec<_> = rule.forward.iter().map(|(_, name)| name.clone()).collect();
    let shown = !preflight && jwt::is_shown(&request.fields);
    forged::remove(&mut request.fields, &names);
    if shown {
        for name in &names {
            request.fields.push_raw(name.as_str().as_bytes(), FROM_A_CLAIM);
        }
    }
    let headers = names.iter().map(ToString::to_string).collect();
    ExplainedToken { required: rule.required && !preflight, shown, headers }
}
