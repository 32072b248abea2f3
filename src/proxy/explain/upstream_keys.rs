//! The keys of an upstream that bear on what it is asked, as `explain` names them.

use crate::compile::Snapshot;
use crate::endpoint::{HealthCheck, HealthRequest, Keepalive, Source, TlsIdentity, UpstreamId, UpstreamSpec, Verify};

/// `host`: what the client asked.
pub(super) fn push(snapshot: &Snapshot, upstream: UpstreamId, host: &str, say: &mut impl FnMut(&str, String)) {
    let Some(spec) = snapshot.upstreams.get(upstream.index()) else { return };
    let table =
        if upstream == UpstreamId::MONOLITH { "monolith".to_owned() } else { format!("services.{}", spec.name) };
    let mut say = |key: &str, effect: String| say(&format!("{table}.{key}"), effect);
    if let Some(own) = &spec.host {
        say(
            "host",
            format!("it is asked as {own}; addresses and cookies of {own} in its answer become those of {host}"),
        );
    }
    if let Some((kind, what)) = registry(&spec.source) {
        say(kind, format!("the endpoints are those of {what}"));
    }
    if let Some(tls) = &spec.tls {
        say("tls", identity(tls));
    }
    health(spec, &mut say);
    if let Keepalive::For(time) = spec.keepalive {
        say("keepalive", format!("an idle connection is used again for {time:?}"));
    }
}

/// The key, and what it names.
fn registry(source: &Source) -> Option<(&'static str, String)> {
    Some(match source {
        Source::Fixed(_) => return None,
        Source::Dns { name, port } => ("discover.dns", format!("{name}, port {port}")),
        Source::Srv { name } => ("discover.srv", name.to_string()),
        Source::File { path } => ("discover.file", path.display().to_string()),
        Source::Etcd { prefix, .. } => ("discover.etcd", format!("keys below {prefix}")),
        Source::Consul { service, tag, .. } => {
            let tag = tag.as_ref().map(|tag| format!(" with the tag {tag}")).unwrap_or_default();
            ("discover.consul", format!("the service {service}{tag}"))
        }
        Source::Kubernetes(service) => {
            let namespace = service.namespace.as_deref().unwrap_or("the proxy's own namespace");
            ("discover.kubernetes", format!("the service {} in {namespace}", service.service))
        }
        Source::Docker(containers) => ("discover.docker", format!("containers with the label {}", containers.label)),
    })
}

fn identity(tls: &TlsIdentity) -> String {
    let by = tls.ca.as_ref().map_or_else(|| "an authority of this machine".to_owned(), |ca| ca.display().to_string());
    let mut said = match tls.verify {
        Verify::Full => format!("its certificate is for {} and trusted by {by}", tls.server_name),
        Verify::Chain => format!("its certificate is trusted by {by}, whatever name it is for"),
        Verify::Off => "its certificate is not checked".to_owned(),
    };
    match tls.pins.len() {
        0 => {}
        1 => said.push_str("; its key is the one of `pin`"),
        _ => said.push_str("; its key is one of those of `pin`"),
    }
    if tls.client.is_some() {
        said.push_str("; it is shown a certificate");
    }
    said
}

/// Values of headers may be secrets: only names are said.
fn health(spec: &UpstreamSpec, say: &mut impl FnMut(&str, String)) {
    let Some(health) = &spec.health else { return };
    let (interval, healthy, unhealthy) = (health.interval, health.healthy, health.unhealthy);
    let asked = match &health.check {
        HealthCheck::Connect => "a connection".to_owned(),
        HealthCheck::Target => "whether the target has who answers".to_owned(),
        HealthCheck::Http(HealthRequest { method, path, host, headers, statuses: (low, high) }) => {
            let host = host.as_ref().map(|host| format!(" of {}", String::from_utf8_lossy(host.as_bytes())));
            let names: Vec<_> = headers.iter().map(|(name, _)| name.as_str()).collect();
            let with = if names.is_empty() { String::new() } else { format!(" with {}", names.join(", ")) };
            format!("{method} {path}{}{with}, answered {low} to {high}", host.unwrap_or_default())
        }
    };
    say(
        "health",
        format!(
            "{asked}, every {interval:?}; {unhealthy} failures in a row take an endpoint out, {healthy} successes bring it back"
        ),
    );
}
