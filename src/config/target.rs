//! `lambda`, `nameko` and `credentials` of a service, and the `call` of a route, as written.

use std::path::PathBuf;

use serde_json::json;
use toml::de::DeValue;

use super::list::Item;
use super::reader::{Decode, Reader, Value};
use super::table::table;
use super::{BrokerUrl, LambdaEvent, Named};
use crate::diagnostic::Code;

table! {
    /// A function of AWS Lambda, called by Invoke.
    pub struct Lambda {
        /// Name, `name:alias` or the whole ARN.
        function: String = required,
        /// The region, such as `eu-central-1`. Default: that of the ARN.
        region: String,
        /// The form of the event: `"2.0"` (HTTP API, function URL) or `"1.0"` (REST API, for Zappa, Slam and older adapters, and where
        /// several headers of one name matter). Default: `"2.0"`.
        event: LambdaEvent,
        /// The URL of the service, for emulators. Default: AWS's in the region.
        endpoint: String,
    }
}

table! {
    /// A service of Nameko, called over a bus of AMQP (`RabbitMQ`). A call carries the trace: the worker's context has `traceparent` and
    /// `tracestate`, as the instrumentation of Nameko for OpenTelemetry looks for them.
    pub struct Nameko {
        /// `amqp://user:password@host:5672/vhost`, or `amqps`; `{ env = "NAME" }` keeps it out of the file.
        broker: BrokerUrl = required,
        /// The service's name: its queue is `rpc-NAME`.
        service: String = required,
        /// The exchange of calls. Default: `"nameko-rpc"`.
        exchange: String,
    }
}

table! {
    /// The method that a request calls, and its arguments.
    pub struct CallTable {
        /// The method's name.
        method: String = required,
        /// Arguments by position, each as in `kwargs`. Default: none.
        args: Vec<Item<CallArgument>>,
        /// Arguments by name: `"{id}"` or `"{id:int}"` from the path, `"query:x"`, `"header:x"`, `"json"` (the whole body),
        /// `"json:a.b"`, or a number, `true` or `false` itself. One that the request does not have is left out. Default: none.
        kwargs: Named<CallArgument>,
        /// Names of `kwargs` that are whole numbers: text is text to Python. Default: none.
        int: Vec<Item<String>>,
    }
}

/// Where an argument comes from, or what it is.
#[derive(Debug)]
pub enum CallArgument {
    From(String),
    Literal(serde_json::Value),
}

impl Decode for CallArgument {
    const EXPECTED: &'static str = "a place in the request, or a number";
    const EXAMPLE: &'static str = "\"{name}\"";

    fn decode(value: &Value<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        match value.get_ref() {
            DeValue::String(_) => reader.string::<Self>(value).map(|text| Self::From(text.into_owned())),
            DeValue::Boolean(_) => bool::decode(value, reader).map(|value| Self::Literal(value.into())),
            DeValue::Integer(_) => i64::decode(value, reader).map(|value| Self::Literal(value.into())),
            DeValue::Float(_) => f64::decode(value, reader).map(|value| Self::Literal(value.into())),
            _ => {
                reader.wrong_type::<Self>(value);
                None
            }
        }
    }

    fn schema() -> serde_json::Value {
        json!({ "type": ["string", "number", "boolean"] })
    }
}

/// `credentials = "environment"` or a table.
#[derive(Debug)]
pub enum Credentials {
    Environment,
    Table(Box<CredentialsTable>),
}

table! {
    /// Where credentials of AWS come from: exactly one of `file`, `container` and `imds`.
    pub struct CredentialsTable {
        /// A file in the form of `~/.aws/credentials`, read again when it changes. Required, unless `container` or `imds` is true.
        file: PathBuf,
        /// The profile in that file. Default: `"default"`.
        profile: String,
        /// From the agent of the container (ECS, EKS Pod Identity). Default: false.
        container: bool,
        /// From the metadata service of the instance, version 2. Default: false.
        imds: bool,
    }
}

impl Decode for Credentials {
    const EXPECTED: &'static str = "`environment` or a table";
    const EXAMPLE: &'static str = "\"environment\"";

    fn decode(value: &Value<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        if value.get_ref().is_table() {
            return Box::decode(value, reader).map(Self::Table);
        }
        let text = reader.string::<Self>(value)?;
        if text == "environment" {
            return Some(Self::Environment);
        }
        let help =
            "write `credentials = \"environment\"`, `{ file = \"…\" }`, `{ container = true }` or `{ imds = true }`";
        let message = format!("`{text}` is no place of credentials");
        reader.invalid(Code::InvalidValue, value.span(), message, "not known", help.to_owned());
        None
    }

    fn schema() -> serde_json::Value {
        json!({ "anyOf": [{ "const": "environment" }, CredentialsTable::schema()] })
    }
}
