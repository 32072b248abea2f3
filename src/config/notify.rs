//! `[notify.NAME]` as written.

use super::list::Item;
use super::reader::{Decode, Reader, Value};
use super::table::table;
use super::{Notice, NotifyFormat, Secret};

table! {
    /// Who hears of moves, and how.
    pub struct Notify {
        /// Where it is sent: `{ env = "NAME" }`, `{ file = "path" }`, or the URL itself, which is shown to nobody.
        url: SecretUrl = required,
        /// What the other end understands. `slack` is understood by Mattermost, Teams workflows and Discord's `/slack`, too.
        /// Default: `"json"`.
        format: NotifyFormat,
        /// What is told. Default: everything.
        on: Vec<Item<Notice>>,
        /// Names of routes; `*` stands for any part of a name. Default: `["*"]`.
        routes: Vec<Item<String>>,
        /// Sent as `Authorization: Bearer`: Grafana's service account, for example. Default: none.
        token: Secret,
    }
}

/// A URL that is a secret in itself, as those of chats are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretUrl(pub Secret);

impl Decode for SecretUrl {
    const EXPECTED: &'static str = "a URL";
    const EXAMPLE: &'static str = "{ env = \"SLACK_URL\" }";

    fn decode(value: &Value<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        if value.get_ref().is_table() {
            return Secret::decode(value, reader).map(Self);
        }
        let text = reader.string::<Self>(value)?;
        Some(Self(Secret::Value(text.into_owned())))
    }

    fn schema() -> serde_json::Value {
        serde_json::json!({ "anyOf": [{ "type": "string" }, Secret::schema()] })
    }
}
