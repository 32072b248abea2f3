//! `lambda` and `credentials` of a service, as written.

use std::path::PathBuf;

use serde_json::json;

use super::LambdaEvent;
use super::reader::{Decode, Reader, Value};
use super::table::table;
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

/// `credentials = "environment"` or a table.
#[derive(Debug)]
pub enum Credentials {
    Environment,
    Table(Box<CredentialsTable>),
}

table! {
    /// Where credentials of AWS come from: exactly one of `file`, `container` and `imds`.
    pub struct CredentialsTable {
        /// A file in the form of `~/.aws/credentials`, read again when it changes.
        file: PathBuf,
        /// The profile in that file. Default: `"default"`.
        profile: String,
        /// From the agent of the container (ECS, EKS Pod Identity).
        container: bool,
        /// From the metadata service of the instance, version 2.
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
