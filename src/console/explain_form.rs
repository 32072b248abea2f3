//! The question which route takes a request, as boxes and links ask it, and an example of what a route takes.

use super::form::Form;
use crate::message::percent_encoded;
use crate::proxy::{ExplainError, ExplainRequest};
use crate::route::{ConditionKind, ConditionOn, HostPattern, Rule, Segment, Template};

/// The value in the place of a parameter.
const VALUE: &str = "1";

/// The question, as it stands in the boxes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExplainQuestion {
    pub method: String,
    pub url: String,
    /// One a line.
    pub headers: String,
    pub cookie: String,
    pub client: String,
}

impl ExplainQuestion {
    /// The question of a form or a link.
    pub fn read(query: &Form) -> Self {
        let text = |name| query.get(name).trim().to_owned();
        Self {
            method: query.some("method").map_or_else(|| "GET".to_owned(), |method| method.trim().to_uppercase()),
            url: text("url"),
            headers: text("headers"),
            cookie: text("cookie"),
            client: text("client"),
        }
    }

    pub fn request(&self) -> Result<ExplainRequest, NotAsked> {
        let mut headers = ExplainRequest::headers(&self.headers)?;
        if !self.cookie.is_empty() {
            headers.push(("Cookie".to_owned(), self.cookie.clone()));
        }
        let client = Some(&*self.client).filter(|client| !client.is_empty());
        let client = client.map(str::parse).transpose().map_err(|_| NotAsked::Client(self.client.clone()))?;
        Ok(ExplainRequest { method: self.method.clone(), url: self.url.clone(), headers, client })
    }

    /// An example of what a rule takes, as far as it says so: a person puts in what a regex asks for.
    pub fn of_rule(rule: &Rule) -> Self {
        let methods = rule.methods.as_ref().map(|methods| methods.names()).unwrap_or_default();
        let method = methods.iter().find(|method| **method == "GET").or(methods.first()).copied().unwrap_or("GET");
        let path = rule.paths.first().map_or_else(|| "/".to_owned(), path);
        let host = match &rule.host {
            HostPattern::Any => String::new(),
            HostPattern::Exact(host) => format!("http://{host}"),
            HostPattern::Wildcard(rest) => format!("http://any{rest}"),
        };
        let query = written(rule, ConditionOn::Query, |name, value| {
            format!("{}={}", percent_encoded(name), percent_encoded(value))
        });
        let query = if query.is_empty() { String::new() } else { format!("?{}", query.join("&")) };
        Self {
            method: method.to_owned(),
            url: format!("{host}{path}{query}"),
            headers: written(rule, ConditionOn::Header, |name, value| format!("{name}: {value}")).join("\n"),
            cookie: written(rule, ConditionOn::Cookie, |name, value| format!("{name}={value}")).join("; "),
            client: String::new(),
        }
    }

    /// The question as a form would send it.
    pub fn query(&self) -> String {
        let Self { method, url, headers, cookie, client } = self;
        let given = [("method", method), ("url", url), ("headers", headers), ("cookie", cookie), ("client", client)];
        let given = given.iter().filter(|(_, value)| !value.is_empty());
        given.map(|(name, value)| format!("{name}={}", percent_encoded(value))).collect::<Vec<_>>().join("&")
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum NotAsked {
    #[error("{0}")]
    Request(ExplainError),
    #[error("`{0}` is not the address of a client, such as 10.0.0.7")]
    Client(String),
}

impl From<ExplainError> for NotAsked {
    fn from(why: ExplainError) -> Self {
        Self::Request(why)
    }
}

fn path(template: &Template) -> String {
    let segments = template.segments().iter().map(|segment| match segment {
        Segment::Literal(text) => text.to_string(),
        Segment::Parameter(parameter) => format!("{}{VALUE}{}", parameter.prefix, parameter.suffix),
        Segment::Rest(_) => VALUE.to_owned(),
    });
    segments.fold(String::new(), |path, segment| format!("{path}/{segment}"))
}

/// The conditions that ask for something.
fn written(rule: &Rule, on: ConditionOn, one: impl Fn(&str, &str) -> String) -> Vec<String> {
    let value = |kind: &ConditionKind| match kind {
        ConditionKind::Equal(value) => Some(value.to_string()),
        ConditionKind::Present => Some(VALUE.to_owned()),
        ConditionKind::Regex(regex) => Some(regex.as_str().to_owned()),
        ConditionKind::Absent => None,
    };
    rule.conditions_on(on).filter_map(|condition| Some(one(&condition.name, &value(&condition.kind)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_stands_in_the_address_of_its_page() {
        let question = ExplainQuestion {
            method: "GET".to_owned(),
            url: "/a?b=1&c".to_owned(),
            headers: "X-A: 1\nX-B: 2".to_owned(),
            ..ExplainQuestion::default()
        };
        assert_eq!(question.query(), "method=GET&url=%2Fa%3Fb%3D1%26c&headers=X-A%3A%201%0AX-B%3A%202");
    }

    #[test]
    fn the_example_of_a_template_is_taken_by_it() {
        for (text, example) in [
            ("/", "/"),
            ("/users/{id}", "/users/1"),
            ("/a/v{n}.json", "/a/v1.json"),
            ("/files/{*rest}", "/files/1"),
            ("/list/", "/list/"),
        ] {
            let template = Template::parse(text).expect("a template");
            assert_eq!(path(&template), example);
        }
    }
}
