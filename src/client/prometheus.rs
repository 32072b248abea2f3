//! Prometheus by its HTTP API: the series that a query finds now, each with its last value.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use serde::Deserialize;

use super::{FetchError, fetch};
use crate::endpoint::{BadUrl, Url};
use crate::message::{Name, percent_encoded};

/// The longest that an answer may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// Some hundred thousand series: more than this is a mistake.
const LARGEST: usize = 64 << 20;

/// A client of one server, or of another program that speaks its API.
#[derive(Debug)]
pub struct Prometheus {
    url: Url,
}

/// One series, and its last value.
#[derive(Debug, Clone, PartialEq)]
pub struct PrometheusSample {
    pub labels: BTreeMap<String, String>,
    pub value: f64,
}

#[derive(Deserialize)]
struct QueryResponse {
    #[serde(default)]
    error: String,
    /// Reasons to doubt an answer: a part of the stores did not answer.
    #[serde(default)]
    warnings: Vec<String>,
    data: Option<Data>,
}

#[derive(Deserialize)]
struct Data {
    result: Vec<Series>,
}

#[derive(Deserialize)]
struct Series {
    metric: BTreeMap<String, String>,
    /// When it was asked for, and the number as text.
    value: (f64, String),
}

impl Prometheus {
    pub fn new(url: &str) -> Result<Self, BadUrl> {
        Ok(Self { url: url.parse()? })
    }

    /// The samples of a query now. An answer with a warning is none: a part may be missing.
    pub async fn instant(&self, query: &str) -> Result<Vec<PrometheusSample>, FetchError> {
        let target = format!("{}/api/v1/query", self.url.base());
        let mut head = fetch::request(&self.url, Method::POST, &target);
        head.fields.append(Name::ContentType, b"application/x-www-form-urlencoded");
        let form = Bytes::from(format!("query={}", percent_encoded(query)));
        let (_, text) = fetch::whole(&self.url, &head, Some(form), LARGEST, PATIENCE).await?;
        read(&text)
    }
}

fn read(text: &[u8]) -> Result<Vec<PrometheusSample>, FetchError> {
    let response: QueryResponse =
        serde_json::from_slice(text).map_err(|error| FetchError::NotUnderstood(error.to_string()))?;
    if let Some(warning) = response.warnings.into_iter().next() {
        return Err(FetchError::Refused(200, warning));
    }
    let Some(data) = response.data else { return Err(FetchError::Refused(200, response.error)) };
    let sample = |series: Series| {
        let value = series.value.1.parse().map_err(|_| FetchError::NotUnderstood("not a number".to_owned()))?;
        Ok(PrometheusSample { labels: series.metric, value })
    };
    data.result.into_iter().map(sample).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As Prometheus 2.42 answers, shortened.
    const ANSWER: &str = r#"{"status":"success","data":{"resultType":"vector","result":[
        {"metric":{"__name__":"multilith_fleet_evidence","count":"life","fleet":"/multilith/shop/","instance":"127.0.0.1:9901",
         "job":"edge","member":"edge-1"},"value":[1764440000.123,"9007199254740991"]}]}}"#;

    #[test]
    fn an_answer_is_read_as_it_comes_and_a_doubtful_one_is_none() {
        let read = |text: &str| read(text.as_bytes());
        let found = read(ANSWER).unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].value.to_string(), "9007199254740991");
        assert_eq!(found[0].labels["instance"], "127.0.0.1:9901");
        let table = [
            (
                ANSWER.replacen('{', r#"{"warnings":["a store did not answer"],"#, 1),
                "status 200: a store did not answer",
            ),
            (
                r#"{"status":"error","errorType":"timeout","error":"query timed out"}"#.to_owned(),
                "status 200: query timed out",
            ),
            (ANSWER.replace("\"9007199254740991\"", "\"many\""), "the answer was not understood: not a number"),
        ];
        for (text, expected) in table {
            assert_eq!(read(&text).unwrap_err().to_string(), expected);
        }
        for text in ["", "<html>", r#"{"data":{"resultType":"scalar","result":[1,"2"]}}"#] {
            assert!(matches!(read(text), Err(FetchError::NotUnderstood(_))), "{text}");
        }
    }
}
