//! `discover.kubernetes` and `discover.docker` as written.

use std::path::PathBuf;

use serde_json::json;

use super::IpFamily;
use super::reader::{Decode, Reader, Value};
use super::table::table;

table! {
    /// A service of Kubernetes, by its `EndpointSlices`, with the pod's own service account. It must be allowed to list and watch
    /// `endpointslices` of the group `discovery.k8s.io`.
    pub struct Kubernetes {
        /// The service's name.
        service: String = required,
        /// The service's namespace. Default: the pod's own.
        namespace: String,
        /// The name of a port, or its number at the endpoints. Default: the only one there is.
        port: PortChoice,
        /// Which addresses of a service that has both, `"ipv4"` or `"ipv6"`. Default: IPv4 where there is any, else IPv6.
        family: IpFamily,
        /// URL of the API server, outside of a cluster. Default: that of the pod's cluster.
        api: String,
        /// File with the token that the API server is shown, read anew for each request. Default: the pod's own; with `api` none.
        token_file: PathBuf,
        /// The API server's authorities, PEM. Default: the pod's own; with `api` those of this machine.
        ca: PathBuf,
    }
}

table! {
    /// Containers of Docker or Podman by a label. A container's labels `multilith.port`, `multilith.network`, `multilith.address`
    /// and `multilith.weight` go before what is found.
    pub struct Docker {
        /// `NAME=VALUE`, or `NAME` alone.
        label: String = required,
        /// The engine's socket. Default: `"/var/run/docker.sock"`.
        socket: PathBuf,
        /// The network in which containers are asked. Default: the only one that a container is in.
        network: String,
        /// The port inside of containers. Default: the only one that a container exposes.
        port: u16,
    }
}

/// `port = "http"` or `port = 8080`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PortChoice {
    Named(String),
    Number(u16),
}

impl Decode for PortChoice {
    const EXPECTED: &'static str = "the name or the number of a port";
    const EXAMPLE: &'static str = "\"http\"";

    fn decode(value: &Value<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        if !value.get_ref().is_str() {
            return u16::decode(value, reader).map(Self::Number);
        }
        let text = reader.string::<Self>(value)?;
        Some(text.parse().map_or_else(|_| Self::Named(text.into_owned()), Self::Number))
    }

    fn schema() -> serde_json::Value {
        json!({ "anyOf": [{ "type": "string" }, u16::schema()] })
    }
}
