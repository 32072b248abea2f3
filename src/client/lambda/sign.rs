//! Signature version 4 of AWS, for Invoke: what is signed is written here, so it need not be parsed.

use std::fmt::Write as _;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use ring::{digest, hmac};

use super::super::aws_keys::AwsKeys;

/// One request that is signed.
pub(super) struct Signed<'a> {
    pub(super) keys: &'a AwsKeys,
    pub(super) region: &'a str,
    pub(super) authority: &'a str,
    /// As the request line has it: percent-encoded once.
    pub(super) path: &'a str,
    pub(super) body: &'a [u8],
    pub(super) now: Timestamp,
}

/// The fields that a signed request has besides `Host` and `Content-Type`.
pub(super) struct SignedFields {
    pub(super) date: String,
    pub(super) authorization: String,
}

const SERVICE: &str = "lambda";
const ALGORITHM: &str = "AWS4-HMAC-SHA256";

impl Signed<'_> {
    pub(super) fn fields(&self) -> SignedFields {
        let date = self.now.to_zoned(TimeZone::UTC).strftime("%Y%m%dT%H%M%SZ").to_string();
        let day = &date[..8];
        let scope = format!("{day}/{}/{SERVICE}/aws4_request", self.region);
        let names = match self.keys.token {
            Some(_) => "content-type;host;x-amz-date;x-amz-invocation-type;x-amz-security-token",
            None => "content-type;host;x-amz-date;x-amz-invocation-type",
        };
        let canonical = self.canonical(&date, names);
        let text = format!(
            "{ALGORITHM}\n{date}\n{scope}\n{}",
            hex(digest::digest(&digest::SHA256, canonical.as_bytes()).as_ref())
        );
        let signature = sign(self.key(day).as_ref(), text.as_bytes());
        let authorization = format!(
            "{ALGORITHM} Credential={}/{scope}, SignedHeaders={names}, Signature={}",
            self.keys.id,
            hex(signature.as_ref())
        );
        SignedFields { date, authorization }
    }

    fn key(&self, day: &str) -> hmac::Tag {
        let day = sign(format!("AWS4{}", self.keys.secret).as_bytes(), day.as_bytes());
        let rest = [self.region, SERVICE, "aws4_request"];
        rest.into_iter().fold(day, |key, part| sign(key.as_ref(), part.as_bytes()))
    }

    /// The request as it is signed. The path is percent-encoded once more: all services but S3 ask for that.
    fn canonical(&self, date: &str, names: &str) -> String {
        let mut text = format!("POST\n{}\n\n", self.path.replace('%', "%25"));
        let _ = write!(text, "content-type:application/json\nhost:{}\nx-amz-date:{date}\n", self.authority);
        text.push_str("x-amz-invocation-type:RequestResponse\n");
        if let Some(token) = &self.keys.token {
            let _ = writeln!(text, "x-amz-security-token:{token}");
        }
        let hash = hex(digest::digest(&digest::SHA256, self.body).as_ref());
        let _ = write!(text, "\n{names}\n{hash}");
        text
    }
}

fn sign(key: &[u8], text: &[u8]) -> hmac::Tag {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(64), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signed(path: &str, body: &[u8]) -> SignedFields {
        let keys = AwsKeys {
            id: "AKIDEXAMPLE".into(),
            secret: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".into(),
            token: Some("TOK".into()),
            until: None,
        };
        let now = "2026-11-28T09:00:00Z".parse().expect("a time");
        let authority = "lambda.us-east-1.amazonaws.com";
        Signed { keys: &keys, region: "us-east-1", authority, path, body, now }.fields()
    }

    /// The vector is botocore's.
    #[test]
    fn a_request_is_signed_as_aws_signs_it() {
        let fields = signed("/2015-03-31/functions/plain/invocations", br#"{"a":1}"#);
        assert_eq!(fields.date, "20261128T090000Z");
        assert_eq!(
            fields.authorization,
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20261128/us-east-1/lambda/aws4_request, \
             SignedHeaders=content-type;host;x-amz-date;x-amz-invocation-type;x-amz-security-token, \
             Signature=ff60c64349943688cc9fc2f4a00e3095f39439815015139b8b77c5a9b51ee2c6"
        );
    }

    #[test]
    fn an_escaped_path_is_escaped_once_more_where_it_is_signed() {
        let keys = AwsKeys { id: "a".into(), secret: "b".into(), token: None, until: None };
        let path = "/2015-03-31/functions/arn%3Aaws/invocations";
        let now = "2026-11-28T09:00:00Z".parse().expect("a time");
        let signed = Signed { keys: &keys, region: "r", authority: "h", path, body: b"", now };
        let canonical = signed.canonical("d", "n");
        assert!(canonical.starts_with("POST\n/2015-03-31/functions/arn%253Aaws/invocations\n\n"), "{canonical}");
    }
}
