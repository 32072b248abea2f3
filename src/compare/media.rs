//! Which way of comparing fits a body, from what its headers say.

use http::HeaderMap;
use http::header::CONTENT_TYPE;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Media {
    Json,
    JsonLines,
    Form,
    Html,
    Xml,
    Csv,
    /// Parts with heads of their own.
    Multipart,
    /// gRPC: frames of protobuf messages.
    Grpc,
    /// One protobuf message.
    Protobuf,
    Text,
    /// Never ends.
    Stream,
    Bytes,
    /// No header says.
    Unknown,
}

impl Media {
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let Some(value) = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()) else { return Self::Unknown };
        let essence = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match essence.as_str() {
            "" => Self::Unknown,
            "application/json" | "text/json" => Self::Json,
            "application/x-ndjson"
            | "application/ndjson"
            | "application/jsonl"
            | "application/x-jsonlines"
            | "application/json-seq"
            | "application/json-lines" => Self::JsonLines,
            "application/x-www-form-urlencoded" => Self::Form,
            "text/html" | "application/xhtml+xml" => Self::Html,
            "text/xml" | "application/xml" => Self::Xml,
            "text/csv" | "text/tab-separated-values" | "application/csv" => Self::Csv,
            "application/protobuf" | "application/x-protobuf" => Self::Protobuf,
            essence if essence.starts_with("application/grpc") && !essence.ends_with("+json") => Self::Grpc,
            "text/event-stream" | "multipart/x-mixed-replace" => Self::Stream,
            essence if essence.starts_with("multipart/") => Self::Multipart,
            "application/javascript" | "application/graphql" | "application/yaml" | "application/toml" => Self::Text,
            essence if essence.ends_with("+json") => Self::Json,
            essence if essence.ends_with("+xml") => Self::Xml,
            essence if essence.starts_with("text/") => Self::Text,
            _ => Self::Bytes,
        }
    }

    /// Whether equal meaning can be written in different bytes.
    pub(super) const fn has_several_spellings(self) -> bool {
        !matches!(self, Self::Bytes | Self::Text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_content_type_decides() {
        for (value, media) in [
            ("application/json; charset=utf-8", Media::Json),
            ("Application/Problem+JSON", Media::Json),
            ("application/x-ndjson", Media::JsonLines),
            ("application/x-www-form-urlencoded", Media::Form),
            ("application/xhtml+xml", Media::Html),
            ("image/svg+xml", Media::Xml),
            ("application/grpc+proto", Media::Grpc),
            ("text/csv; header=present", Media::Csv),
            ("text/plain", Media::Text),
            ("text/event-stream", Media::Stream),
            ("multipart/form-data; boundary=x", Media::Multipart),
            ("multipart/x-mixed-replace; boundary=x", Media::Stream),
            ("image/png", Media::Bytes),
            ("", Media::Unknown),
        ] {
            let headers = HeaderMap::from_iter([(CONTENT_TYPE, value.parse().expect("a header"))]);
            assert_eq!(Media::of(&headers), media, "{value}");
        }
        assert_eq!(Media::of(&HeaderMap::new()), Media::Unknown);
    }
}
