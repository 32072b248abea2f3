//! `[server.cookies]` as written.

use std::time::Duration;

use serde_json::json;

use super::SameSite;
use super::reader::{Decode, Reader, Value};
use super::table::table;
use crate::diagnostic::Code;

table! {
    /// Attributes of the cookies that the proxy issues: `multilith_id` and those of pins.
    pub struct Cookies {
        /// Whether pages of other sites send them, in frames and in requests of their own. Default: `"lax"`.
        same_site: SameSite,
        /// For TLS alone; `"auto"`: where the client came with TLS, here or to a proxy in `trusted`. Default: `"auto"`.
        secure: CookieSecure,
        /// For this domain and the hosts below it. Default: for the host that was asked.
        domain: String,
        /// How long `multilith_id` is kept; a pin's is as long as its `pin` says. Default: `"365d"`.
        max_age: Duration,
        /// Kept apart for each site whose page shows this one in a frame (CHIPS): all that a browser without third-party cookies keeps
        /// there. Default: false.
        partitioned: bool,
    }
}

/// `secure = "auto"` or a switch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CookieSecure {
    Auto,
    Always,
    Never,
}

impl Decode for CookieSecure {
    const EXPECTED: &'static str = "`auto`, true or false";
    const EXAMPLE: &'static str = "\"auto\"";

    fn decode(value: &Value<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        match value.get_ref().as_bool() {
            Some(true) => return Some(Self::Always),
            Some(false) => return Some(Self::Never),
            None => {}
        }
        let text = reader.string::<Self>(value)?;
        if text != "auto" {
            let message = format!("`{text}` is not {}", Self::EXPECTED);
            let help = format!("write `{key} = \"auto\"`, or `{key} = true`", key = reader.key());
            reader.invalid(Code::InvalidValue, value.span(), message, "not a known word", help);
            return None;
        }
        Some(Self::Auto)
    }

    fn schema() -> serde_json::Value {
        json!({ "anyOf": [{ "const": "auto" }, bool::schema()] })
    }
}
