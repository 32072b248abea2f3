//! The unit that is assigned to a side: what stays the same for one client from request to request.

use std::borrow::Cow;
use std::fmt;

use crate::route::Facts;

/// The cookie that a client without any unit is given.
pub const ISSUED_COOKIE: &str = "multilith_id";

/// Where a unit is looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UnitSource {
    Header(http::HeaderName),
    Cookie(Box<str>),
    /// A claim of the bearer token, read without checking its signature: it only chooses a side.
    Jwt(Box<str>),
    Query(Box<str>),
    Ip,
}

impl fmt::Display for UnitSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header(name) => write!(f, "header:{name}"),
            Self::Cookie(name) => write!(f, "cookie:{name}"),
            Self::Jwt(claim) => write!(f, "jwt:{claim}"),
            Self::Query(name) => write!(f, "query:{name}"),
            Self::Ip => f.write_str("ip"),
        }
    }
}

/// The unit of a request and where it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unit<'a> {
    pub value: Cow<'a, [u8]>,
    /// Index in `Policy::sticky`; `None` for the issued cookie.
    pub source: Option<usize>,
}

impl<'a> Unit<'a> {
    /// The first source that is present and not empty, the issued cookie last.
    #[must_use]
    pub fn of(sources: &[UnitSource], facts: &Facts<'a>) -> Option<Self> {
        let named = sources.iter().enumerate().find_map(|(index, source)| {
            read(source, facts).filter(|value| !value.is_empty()).map(|value| Self { value, source: Some(index) })
        });
        named.or_else(|| {
            facts
                .cookie(ISSUED_COOKIE)
                .filter(|value| !value.is_empty())
                .map(|value| Self { value: Cow::Borrowed(value.as_bytes()), source: None })
        })
    }
}

fn read<'a>(source: &UnitSource, facts: &Facts<'a>) -> Option<Cow<'a, [u8]>> {
    match source {
        UnitSource::Header(name) => facts.headers.get(name).map(Cow::Borrowed),
        UnitSource::Cookie(name) => facts.cookie(name).map(|value| Cow::Borrowed(value.as_bytes())),
        UnitSource::Query(name) => facts.query_value(name).map(|value| match value {
            Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
            Cow::Owned(text) => Cow::Owned(text.into_bytes()),
        }),
        UnitSource::Jwt(claim) => facts.jwt_claim(claim).map(|value| Cow::Owned(value.into_bytes())),
        UnitSource::Ip => facts.client.map(|address| Cow::Owned(address.to_canonical().to_string().into_bytes())),
    }
}
