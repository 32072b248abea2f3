//! The call of a service that is asked by method and arguments: where its arguments come from, what its errors mean.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::captures::Captures;
use crate::message::{RequestHead, form_value, percent_decoded};

/// `call` and `answer.status`, `answer.errors` of a route, compiled.
#[derive(Debug, Clone, PartialEq)]
pub struct RemoteCall {
    pub method: Box<str>,
    pub args: Vec<Argument>,
    pub kwargs: Vec<(Box<str>, Argument)>,
    /// Of a call that succeeded.
    pub status: u16,
    /// By the path of the exception's class.
    pub errors: Vec<(Box<str>, u16)>,
}

/// Where one argument comes from.
#[derive(Debug, Clone, PartialEq)]
pub struct Argument {
    pub from: ArgumentSource,
    pub kind: ArgumentKind,
}

#[derive(Debug, Clone, PartialEq)]
pub enum ArgumentSource {
    /// A parameter of the path.
    Parameter(Box<str>),
    Query(Box<str>),
    Header(Box<str>),
    /// The body, or what stands under these names in it.
    Json(Vec<Box<str>>),
    Literal(Value),
}

/// The type that a text is read as: Python takes no "7" for 7.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArgumentKind {
    AsItIs,
    Integer,
    Float,
    Boolean,
}

/// A request that the call cannot be made of: the client's mistake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadArguments;

/// The arguments of one call, but for those that stand in its body.
#[derive(Debug, Clone)]
pub struct Arguments {
    args: Vec<Slot>,
    kwargs: Vec<(Box<str>, Slot)>,
}

#[derive(Debug, Clone)]
enum Slot {
    /// `None`: the request does not have it.
    Given(Option<Value>),
    InBody(Vec<Box<str>>, ArgumentKind),
}

impl RemoteCall {
    /// The arguments that this request names.
    ///
    /// # Errors
    /// A text is not of the kind that the route asks for.
    pub fn arguments(&self, parameters: &Captures<'_>, head: &RequestHead) -> Result<Arguments, BadArguments> {
        let slot = |argument: &Argument| argument.slot(parameters, head);
        Ok(Arguments {
            args: self.args.iter().map(slot).collect::<Result<_, _>>()?,
            kwargs: self
                .kwargs
                .iter()
                .map(|(name, argument)| Ok((name.clone(), slot(argument)?)))
                .collect::<Result<_, _>>()?,
        })
    }

    /// The status for an exception of this class.
    #[must_use]
    pub fn status_of(&self, exception: &str) -> Option<u16> {
        self.errors.iter().find(|(path, _)| **path == *exception).map(|(_, status)| *status)
    }
}

impl Argument {
    fn slot(&self, parameters: &Captures<'_>, head: &RequestHead) -> Result<Slot, BadArguments> {
        let text: Option<Cow<'_, str>> = match &self.from {
            ArgumentSource::Literal(value) => return Ok(Slot::Given(Some(value.clone()))),
            ArgumentSource::Json(names) => return Ok(Slot::InBody(names.clone(), self.kind)),
            ArgumentSource::Parameter(name) => parameters.get(name).map(|text| percent_decoded(text.as_bytes())),
            ArgumentSource::Query(name) => head.query().and_then(|query| form_value(query, name)),
            ArgumentSource::Header(name) => head.fields.text(&**name).map(Cow::Borrowed),
        };
        text.map(|text| self.kind.read(&text)).transpose().map(Slot::Given)
    }
}

impl ArgumentKind {
    fn read(self, text: &str) -> Result<Value, BadArguments> {
        match self {
            Self::AsItIs => Ok(text.into()),
            Self::Integer => text.parse::<i64>().map(Value::from).map_err(|_| BadArguments),
            Self::Float => {
                let number = text.parse::<f64>().ok().filter(|number| number.is_finite());
                number.and_then(serde_json::Number::from_f64).map(Value::Number).ok_or(BadArguments)
            }
            Self::Boolean => match text {
                "true" | "1" => Ok(true.into()),
                "false" | "0" => Ok(false.into()),
                _ => Err(BadArguments),
            },
        }
    }

    /// A value of the body is of its own kind; a text in it may have to be read.
    fn convert(self, value: Value) -> Result<Value, BadArguments> {
        match (self, value) {
            (Self::Integer | Self::Float | Self::Boolean, Value::String(text)) => self.read(&text),
            (_, value) => Ok(value),
        }
    }
}

impl Arguments {
    /// Some of them stand in the body.
    #[must_use]
    pub fn need_body(&self) -> bool {
        self.args.iter().chain(self.kwargs.iter().map(|(_, slot)| slot)).any(|slot| matches!(slot, Slot::InBody(..)))
    }

    /// `{"args": […], "kwargs": {…}}`. A value that the request does not have is `null` among `args`, and left out of `kwargs`.
    ///
    /// # Errors
    /// The body is not JSON, or a text in it is not of the kind that the route asks for.
    pub fn envelope(self, body: &[u8]) -> Result<Vec<u8>, BadArguments> {
        let body: Option<Value> = if self.need_body() && !body.is_empty() {
            Some(serde_json::from_slice(body).map_err(|_| BadArguments)?)
        } else {
            None
        };
        let value = |slot: Slot| match slot {
            Slot::Given(value) => Ok(value),
            Slot::InBody(names, kind) => {
                let whole = body.as_ref();
                let found = whole.and_then(|body| names.iter().try_fold(body, |value, name| value.get(&**name)));
                found.map(|value| kind.convert(value.clone())).transpose()
            }
        };
        let args = self.args.into_iter().map(|slot| Ok(value(slot)?.unwrap_or(Value::Null)));
        let args = args.collect::<Result<Vec<_>, BadArguments>>()?;
        let mut kwargs = Map::new();
        for (name, slot) in self.kwargs {
            if let Some(value) = value(slot)? {
                kwargs.insert(name.into(), value);
            }
        }
        Ok(serde_json::json!({ "args": args, "kwargs": kwargs }).to_string().into_bytes())
    }

    /// For a person: what stands in the body is named.
    #[must_use]
    pub fn shown(self) -> Value {
        let value = |slot: Slot| match slot {
            Slot::Given(value) => value,
            Slot::InBody(names, _) if names.is_empty() => Some("(the body)".into()),
            Slot::InBody(names, _) => Some(format!("({} of the body)", names.join(".")).into()),
        };
        let args: Vec<Value> = self.args.into_iter().map(|slot| value(slot).unwrap_or(Value::Null)).collect();
        let kwargs = self.kwargs.into_iter().filter_map(|(name, slot)| Some((name.into(), value(slot)?)));
        serde_json::json!({ "args": args, "kwargs": kwargs.collect::<Map<_, _>>() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::Template;

    fn call(kwargs: &[(&str, ArgumentSource, ArgumentKind)], args: &[ArgumentSource]) -> RemoteCall {
        let argument = |from: &ArgumentSource, kind| Argument { from: from.clone(), kind };
        RemoteCall {
            method: "hello".into(),
            args: args.iter().map(|from| argument(from, ArgumentKind::AsItIs)).collect(),
            kwargs: kwargs.iter().map(|(name, from, kind)| ((*name).into(), argument(from, *kind))).collect(),
            status: 200,
            errors: Vec::new(),
        }
    }

    fn made(call: &RemoteCall, head: &str, body: &str) -> Result<String, BadArguments> {
        let head = RequestHead::parse(head.as_bytes(), false).expect("a good head");
        let template = Template::parse("/u/{id}").expect("a template");
        let path = String::from_utf8(head.path().to_vec()).expect("text");
        let envelope = call.arguments(&template.captures(&path), &head)?.envelope(body.as_bytes())?;
        Ok(String::from_utf8(envelope).expect("text"))
    }

    #[test]
    fn arguments_come_from_all_parts_of_a_request() {
        use ArgumentKind::{AsItIs, Boolean, Float, Integer};
        use ArgumentSource::{Header, Json, Literal, Parameter, Query};
        let call = call(
            &[
                ("id", Parameter("id".into()), Integer),
                ("name", Query("full name".into()), AsItIs),
                ("gone", Query("gone".into()), AsItIs),
                ("price", Query("price".into()), Float),
                ("fast", Query("fast".into()), Boolean),
                ("who", Header("x-who".into()), AsItIs),
                ("city", Json(vec!["to".into(), "city".into()]), AsItIs),
                ("count", Json(vec!["n".into()]), Integer),
                ("all", Json(Vec::new()), AsItIs),
                ("limit", Literal(10.into()), AsItIs),
            ],
            &[Parameter("id".into()), Query("gone".into())],
        );
        let head = "GET /u/7?full+name=Jan%20%C5%BBak&price=1.5&fast=1 HTTP/1.1\r\nX-Who: me\r\n\r\n";
        let body = r#"{"to":{"city":"Oslo"},"n":"3"}"#;
        assert_eq!(
            made(&call, head, body).expect("arguments"),
            r#"{"args":["7",null],"kwargs":{"id":7,"name":"Jan Żak","price":1.5,"fast":true,"who":"me","city":"Oslo","count":3,"all":{"to":{"city":"Oslo"},"n":"3"},"limit":10}}"#
        );
        assert_eq!(
            made(&call, "GET /u/7 HTTP/1.1\r\n\r\n", "").expect("arguments"),
            r#"{"args":["7",null],"kwargs":{"id":7,"limit":10}}"#,
            "what the request does not have is left out"
        );
        assert_eq!(made(&call, "GET /u/x HTTP/1.1\r\n\r\n", ""), Err(BadArguments), "not a number");
        assert_eq!(made(&call, "GET /u/7 HTTP/1.1\r\n\r\n", "{"), Err(BadArguments), "not JSON");
    }

    #[test]
    fn a_call_without_arguments_has_both_parts() {
        assert_eq!(
            made(&call(&[], &[]), "GET /u/7 HTTP/1.1\r\n\r\n", "ignored").expect("both"),
            r#"{"args":[],"kwargs":{}}"#
        );
    }
}
