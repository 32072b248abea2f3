//! A service that is not a server of HTTP: `lambda` or `nameko` in the place of `url`.

use std::time::Duration;

use super::super::draft::Draft;
use super::super::url::upstream_url;
use super::nameko;
use super::parts::Parts;
use crate::config::{self, Credentials, Field, Given, LambdaEvent};
use crate::diagnostic::{Code, Span};
use crate::endpoint::{
    Address, CredentialsSource, EventVersion, Health, HealthCheck, LambdaSpec, Source, TargetSpec, Timeouts,
    UpstreamSpec,
};

/// The kind of a service, which a route has to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in super::super) enum TargetKind {
    #[default]
    Http,
    Lambda,
    Nameko,
}

pub(super) fn kind(service: &config::Service) -> TargetKind {
    match (service.lambda.is_absent(), service.nameko.is_absent()) {
        (false, _) => TargetKind::Lambda,
        (true, false) => TargetKind::Nameko,
        (true, true) => TargetKind::Http,
    }
}

/// `None`: it is a server of HTTP.
pub(super) fn compile(
    service: &config::Service,
    parts: &Parts<'_>,
    base: Timeouts,
    draft: &mut Draft<'_>,
) -> Option<UpstreamSpec> {
    let sandbox = service.sandbox.or(false);
    if let (Field::Given(given), Field::Given(_)) = (&service.nameko, &service.lambda) {
        let message = format!("`{}` says twice what it is", parts.name);
        draft.say(Code::UpstreamSource, given.key.clone(), message, "and here", "keep one of `lambda` and `nameko`");
    }
    if let Field::Given(given) = &service.lambda {
        refuse_keys(parts, "lambda", "a function of Lambda", draft);
        let (spec, source, secure) = lambda(given, &service.credentials, draft);
        let mut upstream = parts.compile_from(source, secure.as_deref(), base, sandbox, draft);
        upstream.target = spec.map_or(TargetSpec::Http, |spec| TargetSpec::Lambda(Box::new(spec)));
        return Some(upstream);
    }
    if let Field::Given(given) = &service.nameko {
        refuse_keys(parts, "nameko", "a service of Nameko", draft);
        let (spec, source, secure) = nameko::compile(given, draft);
        let mut upstream = parts.compile_from(source, secure.as_deref(), base, sandbox, draft);
        if upstream.timeouts.answer.is_none() {
            let help = "write how long is waited: `timeouts = { answer = \"5s\" }`";
            let message = "a call without a limit would run long after its client left";
            draft.say(Code::TargetCannot, given.key.clone(), message, "needs `timeouts.answer`", help);
        }
        upstream.target = spec.map_or(TargetSpec::Http, |spec| TargetSpec::Nameko(Box::new(spec)));
        // The bus itself says whether the queue has a consumer.
        upstream.health = Some(LISTENERS);
        return Some(upstream);
    }
    if let Some(given) = service.credentials.given() {
        let help = "remove it, or call a function: `lambda = { function = \"shop-quote\", region = \"eu-central-1\" }`";
        draft.say(
            Code::UselessSetting,
            given.key.clone(),
            "`credentials` are those of AWS, and only `lambda` uses them",
            "not used",
            help,
        );
    }
    // A fault there was reported.
    (matches!(service.lambda, Field::Wrong) || matches!(service.nameko, Field::Wrong))
        .then(|| parts.compile_from(Source::Fixed(Vec::new()), None, base, sandbox, draft))
}

const LISTENERS: Health = Health {
    check: HealthCheck::Target,
    interval: Duration::from_secs(1),
    timeout: Duration::from_secs(3),
    healthy: 1,
    unhealthy: 1,
};

/// Keys of servers of HTTP, each with the reason why it means nothing here.
fn refuse_keys(parts: &Parts<'_>, word: &str, what: &str, draft: &mut Draft<'_>) {
    let own: [(&str, Option<Span>); 3] =
        [("url", parts.url.key()), ("endpoints", parts.endpoints.key()), ("discover", parts.discover.key())];
    for (name, key) in own.into_iter().filter_map(|(name, key)| Some((name, key?))) {
        let message = format!("`{}` says twice what it is", parts.name);
        draft.say(Code::UpstreamSource, key, message, "and here", format!("keep one of `{name}` and `{word}`"));
    }
    let others = [
        ("health", parts.health.key(), "what is known of it without calling it is looked at already"),
        ("http", parts.http.key(), "it is not asked by HTTP as the client asks"),
        ("host", parts.host.key(), "requests keep the client's Host inside of what it is called with"),
        ("proxy_protocol", parts.proxy_protocol.key(), "its connections carry the calls of all clients"),
        ("balance", parts.balance.key(), "it balances by itself"),
    ];
    for (name, key, why) in others.into_iter().filter_map(|(name, key, why)| Some((name, key?, why))) {
        let message = format!("`{name}` is not possible for {what}: {why}");
        draft.say(Code::TargetCannot, key, message, "not possible", "remove it");
    }
}

type Lambda = (Option<LambdaSpec>, Source, Option<String>);

fn lambda(given: &Given<config::Lambda>, credentials: &Field<Credentials>, draft: &mut Draft<'_>) -> Lambda {
    let nothing = (None, Source::Fixed(Vec::new()), None);
    let table = &given.value;
    let credentials = source(credentials, draft);
    let Some(function) = table.function.given() else { return nothing };
    if !is_function(&function.value) {
        let message = format!("`{}` cannot be the name of a function", function.value);
        let help = "write its name, `name:alias` or its ARN: letters, digits, `-`, `_` and `:`";
        draft.say(Code::InvalidValue, function.span.clone(), message, "not a function", help);
        return nothing;
    }
    let region = match &table.region {
        Field::Given(region) => region.value.as_str(),
        Field::Wrong => return nothing,
        // arn:aws:lambda:REGION:ACCOUNT:function:NAME
        Field::Absent => {
            let Some(region) = function.value.strip_prefix("arn:").and_then(|rest| rest.split(':').nth(2)) else {
                let help = "add it: `region = \"eu-central-1\"`";
                let message = "`lambda` needs `region`: the function's name does not say it";
                draft.say(Code::MissingKey, given.span.clone(), message, "`region` is missing", help);
                return nothing;
            };
            region
        }
    };
    let fine = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if region.is_empty() || !region.chars().all(fine) {
        let span = table.region.given().map_or_else(|| function.span.clone(), |given| given.span.clone());
        let message = format!("`{region}` is not a region of AWS");
        draft.say(Code::InvalidValue, span, message, "not a region", "write it like `region = \"eu-central-1\"`");
        return nothing;
    }
    let Some((address, authority, secure)) = endpoint(table, region, draft) else { return nothing };
    let spec = LambdaSpec {
        function: function.value.as_str().into(),
        region: region.into(),
        event: match table.event.or(LambdaEvent::V2) {
            LambdaEvent::V1 => EventVersion::V1,
            LambdaEvent::V2 => EventVersion::V2,
        },
        authority: authority.into(),
        credentials,
    };
    (Some(spec), Source::Fixed(vec![(address, 1)]), secure)
}

fn is_function(name: &str) -> bool {
    const LONGEST: usize = 170;
    let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | ':' | '$' | '.');
    !name.is_empty() && name.len() <= LONGEST && name.chars().all(fine)
}

/// Where it listens, what it is asked under, and with TLS the name that its certificate has.
fn endpoint(table: &config::Lambda, region: &str, draft: &mut Draft<'_>) -> Option<(Address, String, Option<String>)> {
    let Some(given) = table.endpoint.given() else {
        if matches!(table.endpoint, Field::Wrong) {
            return None;
        }
        let domain = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
        let host = format!("lambda.{region}.{domain}");
        return Some((Address::Tcp { host: host.as_str().into(), port: 443 }, host.clone(), Some(host)));
    };
    match upstream_url(&given.value) {
        Ok(read) => {
            let (authority, host) = match &read.address {
                Address::Tcp { host, .. } => {
                    let written = given.value.split("://").nth(1).unwrap_or_default().trim_end_matches('/');
                    (written.to_owned(), read.tls.then(|| host.to_string()))
                }
                // A socket has no name that could be signed.
                Address::Unix(_) => ("localhost".to_owned(), None),
            };
            Some((read.address, authority, host))
        }
        Err((code, error)) => {
            let at = draft.part(given, error.part);
            draft.say(code, at, error.message, "not a URL of the service", error.help);
            None
        }
    }
}

fn source(field: &Field<Credentials>, draft: &mut Draft<'_>) -> CredentialsSource {
    let Some(given) = field.given() else { return CredentialsSource::Environment };
    let Credentials::Table(table) = &given.value else { return CredentialsSource::Environment };
    let container = table.container.or(false);
    let imds = table.imds.or(false);
    match (table.file.get(), container, imds) {
        (Some(path), false, false) => CredentialsSource::File {
            path: path.clone(),
            profile: table.profile.get().map_or("default", String::as_str).into(),
        },
        (None, true, false) => CredentialsSource::Container,
        (None, false, true) => CredentialsSource::Imds,
        _ => {
            if !matches!(table.file, Field::Wrong) {
                let help = "write `\"environment\"`, `{ file = \"…\" }`, `{ container = true }` or `{ imds = true }`";
                let message = "`credentials` come from exactly one place";
                draft.say(Code::InvalidValue, given.span.clone(), message, "none, or more than one", help);
            }
            CredentialsSource::Environment
        }
    }
}
