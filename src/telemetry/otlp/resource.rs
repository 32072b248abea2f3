//! The resource of spans and metrics: the attributes of this process, and those that the environment adds.

use super::protobuf::Message;
use super::span::{Attributes, SPANS};
use crate::message::percent_decoded;

/// The part of every batch that does not change: resource and scope.
#[derive(Debug)]
pub(super) struct Origin {
    attributes: Vec<(String, String)>,
}

impl Origin {
    /// `lookup` reads the environment: `OTEL_RESOURCE_ATTRIBUTES` and `OTEL_SERVICE_NAME` mean what they mean everywhere.
    pub(super) fn of_process(lookup: impl Fn(&str) -> Option<String>) -> Self {
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let host = host.trim();
        let mut attributes = vec![
            ("service.name".to_owned(), "multilith".to_owned()),
            ("service.version".to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
            ("service.instance.id".to_owned(), format!("{host}:{}", std::process::id())),
            ("host.name".to_owned(), host.to_owned()),
        ];
        let mut set = |key: &str, value: &str| {
            // Values in that variable are percent-encoded, as baggage is.
            let value = percent_decoded(value.trim().as_bytes()).into_owned();
            match attributes.iter_mut().find(|(known, _)| known == key) {
                Some((_, known)) => *known = value,
                None => attributes.push((key.to_owned(), value)),
            }
        };
        let given = lookup("OTEL_RESOURCE_ATTRIBUTES").unwrap_or_default();
        for (key, value) in given.split(',').filter_map(|pair| pair.split_once('=')) {
            set(key.trim(), value);
        }
        if let Some(name) = lookup("OTEL_SERVICE_NAME").filter(|name| !name.is_empty()) {
            set("service.name", &name);
        }
        Self { attributes }
    }

    /// `ExportTraceServiceRequest` with these spans, each already a field of `ScopeSpans`; with metrics `ExportMetricsServiceRequest`,
    /// whose fields have the same numbers.
    pub(super) fn batch(&self, spans: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(spans.len() + 512);
        Message::new(&mut bytes).message(1, |resource_spans| {
            resource_spans.message(1, |resource| {
                let mut attributes = Attributes { message: resource, field: 1 };
                for (key, value) in &self.attributes {
                    attributes.text(key, value.as_bytes());
                }
            });
            resource_spans.message(SPANS, |scope_spans| {
                scope_spans.message(1, |scope| {
                    scope.text(1, b"multilith");
                    scope.text(2, env!("CARGO_PKG_VERSION").as_bytes());
                });
                scope_spans.fields(spans);
            });
        });
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_adds_to_what_the_process_knows_and_wins() {
        let origin = Origin::of_process(|name| match name {
            "OTEL_RESOURCE_ATTRIBUTES" => {
                Some("deployment.environment=staging%20eu, host.name=edge-1 ,bad,x=%zz".into())
            }
            "OTEL_SERVICE_NAME" => Some("edge".into()),
            _ => None,
        });
        let get = |key: &str| {
            origin
                .attributes
                .iter()
                .filter(|(known, _)| known == key)
                .map(|(_, value)| value.as_str())
                .collect::<Vec<_>>()
        };
        assert_eq!(get("deployment.environment"), ["staging eu"]);
        assert_eq!((get("host.name"), get("service.name"), get("x")), (vec!["edge-1"], vec!["edge"], vec!["%zz"]));
        assert_eq!(get("service.version"), [env!("CARGO_PKG_VERSION")]);
    }
}
