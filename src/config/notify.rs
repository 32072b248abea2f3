//! `[notify.NAME]` as written.

use super::list::Item;
use super::reader::{Decode, Reader, Value};
use super::table::table;
use super::{Notice, NotifyFormat, Secret};

table! {
    /// A receiver of notifications.
    pub struct Notify {
        /// Where it is sent: `{ env = "NAME" }`, `{ file = "path" }`, or the URL itself, which is never shown.
        url: SecretUrl = required,
        /// The format of the messages. `slack` is understood by Mattermost, Teams workflows and Discord's `/slack`, too.
        /// Default: `"json"`.
        format: NotifyFormat,
        /// The events that are sent. Default: everything.
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

/// A URL of a broker, which may hold a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerUrl(pub Secret);

impl Decode for SecretUrl {
    const EXPECTED: &'static str = "a URL";
    const EXAMPLE: &'static str = "{ env = \"SLACK_URL\" }";

    fn decode(value: &Value<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        decode::<Self>(value, reader).map(Self)
    }

    fn schema() -> serde_json::Value {
        schema()
    }
}

impl Decode for BrokerUrl {
    const EXPECTED: &'static str = "a URL";
    const EXAMPLE: &'static str = "{ env = \"BROKER_URL\" }";

    fn decode(value: &Value<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        decode::<Self>(value, reader).map(Self)
    }

    fn schema() -> serde_json::Value {
        schema()
    }
}

fn decode<T: Decode>(value: &Value<'_>, reader: &mut Reader<'_>) -> Option<Secret> {
    if value.get_ref().is_table() {
        return Secret::decode(value, reader);
    }
    reader.string::<T>(value).map(|text| Secret::Value(text.into_owned()))
}

fn schema() -> serde_json::Value {
    serde_json::json!({ "anyOf": [{ "type": "string" }, Secret::schema()] })
}
