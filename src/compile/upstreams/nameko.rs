//! `nameko`: the broker, and the service behind it.

use percent_encoding::percent_decode_str;

use super::super::address::with_login;
use super::super::draft::Draft;
use crate::config::{self, Given, Secret};
use crate::diagnostic::{Code, Span};
use crate::endpoint::{Address, BrokerSpec, NamekoSpec, Source};

/// The spec, its broker's address, and with TLS the name that the broker's certificate has.
type Compiled = (Option<NamekoSpec>, Source, Option<String>);

pub(super) fn compile(given: &Given<config::Nameko>, draft: &mut Draft<'_>) -> Compiled {
    let nothing = (None, Source::Fixed(Vec::new()), None);
    let table = &given.value;
    let named =
        [table.service.given(), table.exchange.given()].into_iter().flatten().all(|given| is_bus_name(given, draft));
    let (Some(broker), Some(service), true) = (table.broker.given(), table.service.get(), named) else {
        return nothing;
    };
    let Some(broker) = compile_broker(&broker.value, &broker.span, draft) else { return nothing };
    let address = Address::Tcp { host: broker.host.clone(), port: broker.port };
    let secure = broker.tls.then(|| broker.host.to_string());
    let exchange = table.exchange.get().map_or("nameko-rpc", String::as_str).into();
    let spec = NamekoSpec { broker, exchange, service: service.as_str().into() };
    (Some(spec), Source::Fixed(vec![(address, 1)]), secure)
}

/// Names of AMQP are short.
pub(in super::super) fn is_bus_name(given: &Given<String>, draft: &mut Draft<'_>) -> bool {
    const LONGEST: usize = 100;
    let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | ':');
    let is = !given.value.is_empty() && given.value.len() <= LONGEST && given.value.chars().all(fine);
    if !is {
        let message = format!("`{}` cannot be a name on the bus", given.value);
        let help = "letters, digits, `_`, `-`, `.` and `:`, at most 100";
        draft.say(Code::InvalidValue, given.span.clone(), message, "not a name", help);
    }
    is
}

/// The URL itself is not printed: it may hold a password.
pub(in super::super) fn compile_broker(
    url: &config::BrokerUrl,
    span: &Span,
    draft: &mut Draft<'_>,
) -> Option<BrokerSpec> {
    let Secret::Value(text) = &url.0 else {
        let help = "write `broker = { env = \"NAME\" }`, or the URL itself";
        draft.say(
            Code::InvalidValue,
            span.clone(),
            "the URL of a broker is read when the file is",
            "not from a file",
            help,
        );
        return None;
    };
    let read = read(text);
    if read.is_none() {
        let help = "write `amqp://user:password@host:5672/`, or `amqps` for TLS";
        draft.say(Code::InvalidUrl, span.clone(), "this is not the URL of a broker of AMQP", "not a broker", help);
    }
    read
}

/// A short string of AMQP, in bytes.
const LONGEST_VIRTUAL_HOST: usize = 255;

fn read(url: &str) -> Option<BrokerSpec> {
    let (scheme, rest) = url.split_once("://")?;
    let (tls, port) = match scheme {
        "amqp" => (false, 5672),
        "amqps" => (true, 5671),
        _ => return None,
    };
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let (user, password, address) = with_login(authority, "guest:guest", port)?;
    let virtual_host: Box<str> =
        if path.is_empty() { "/".into() } else { percent_decode_str(path).decode_utf8().ok()?.into() };
    if virtual_host.len() > LONGEST_VIRTUAL_HOST {
        return None;
    }
    Some(BrokerSpec { host: address.host.into(), port: address.port, tls, user, password, virtual_host })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_url_of_a_broker_is_taken_apart() {
        for (url, host, port, user, virtual_host) in [
            ("amqp://guest:guest@127.0.0.1:5672/", "127.0.0.1", 5672, "guest", "/"),
            ("amqp://rabbit", "rabbit", 5672, "guest", "/"),
            ("amqps://a%40b:s3cret@rabbit.internal/shop%2Forders", "rabbit.internal", 5671, "a@b", "shop/orders"),
        ] {
            let broker = read(url).expect(url);
            assert_eq!((&*broker.host, broker.port), (host, port), "{url}");
            assert_eq!((&*broker.user, &*broker.virtual_host), (user, virtual_host), "{url}");
            assert!(!format!("{broker:?} {broker}").contains(&*broker.password.0) || &*broker.password.0 == "guest");
        }
        let long = format!("amqp://rabbit/{}", "v".repeat(256));
        for url in ["http://rabbit", "rabbit:5672", "amqp://", "amqp://rabbit:x/", &long] {
            assert!(read(url).is_none(), "{url}");
        }
    }
}
