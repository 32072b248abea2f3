//! `discover.kubernetes` and `discover.docker`.

use std::path::PathBuf;

use super::super::draft::Draft;
use super::registry_url::registry_url;
use crate::config::{self, Field, Given, IpFamily, PortChoice};
use crate::diagnostic::Code;
use crate::endpoint::{AddressFamily, DockerContainers, KubernetesService, ServicePort, Source};

const DOCKER_SOCKET: &str = "/var/run/docker.sock";

pub(super) fn from_kubernetes(kubernetes: &config::Kubernetes, draft: &mut Draft<'_>) -> Option<Source> {
    let service = kubernetes.service.given()?;
    for given in [Some(service), kubernetes.namespace.given()].into_iter().flatten() {
        check_name(given, draft);
    }
    if let Some(api) = kubernetes.api.given() {
        registry_url(&api.value, &api.span, 6443, draft);
        if kubernetes.namespace.is_absent() {
            let help = "write the service's: `namespace = \"shop\"`";
            draft.say(
                Code::MissingKey,
                api.key.clone(),
                "outside of a cluster there is no namespace of its own",
                "needs `namespace`",
                help,
            );
        }
    }
    let port = match kubernetes.port.given() {
        None => None,
        Some(Given { value: PortChoice::Number(0), span, .. }) => {
            let help = "name the port, as in `port = \"http\"`, or leave it out where there is only one";
            draft.say(Code::OutOfRange, span.clone(), "no endpoint listens on port 0", "not a port", help);
            None
        }
        Some(given) => Some(match &given.value {
            PortChoice::Number(number) => ServicePort::Number(*number),
            PortChoice::Named(name) => ServicePort::Named(name.as_str().into()),
        }),
    };
    let text = |field: &Field<String>| field.get().map(|text| text.as_str().into());
    Some(Source::Kubernetes(Box::new(KubernetesService {
        service: service.value.as_str().into(),
        namespace: text(&kubernetes.namespace),
        port,
        family: kubernetes.family.get().map(|family| match family {
            IpFamily::Ipv4 => AddressFamily::Ipv4,
            IpFamily::Ipv6 => AddressFamily::Ipv6,
        }),
        api: text(&kubernetes.api),
        token: kubernetes.token_file.get().cloned(),
        ca: kubernetes.ca.get().cloned(),
    })))
}

/// Names stand in the path of a request: they are labels of DNS, as Kubernetes wants them.
fn check_name(given: &Given<String>, draft: &mut Draft<'_>) {
    let good = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if given.value.is_empty() || !given.value.bytes().all(good) {
        let message = format!("`{}` is not a name that Kubernetes takes", given.value);
        draft.say(
            Code::InvalidName,
            given.span.clone(),
            message,
            "not a name",
            "names have small letters, digits and `-`",
        );
    }
}

pub(super) fn from_docker(docker: &config::Docker, draft: &mut Draft<'_>) -> Option<Source> {
    let label = docker.label.given()?;
    if label.value.is_empty() || label.value.starts_with('=') {
        let help = "write it like `label = \"multilith.service=users\"`";
        let message = "a label without a name takes every container, or none";
        draft.say(Code::InvalidValue, label.span.clone(), message, "not a label", help);
    }
    let socket = docker.socket.given();
    if let Some(given) = socket.filter(|given| !given.value.is_absolute()) {
        let message = format!("`{}` is not the path of a socket", given.value.display());
        let help = format!("write it like `socket = \"{DOCKER_SOCKET}\"`");
        draft.say(Code::InvalidValue, given.span.clone(), message, "not a path", help);
    }
    if let Some(given) = docker.port.given().filter(|given| given.value == 0) {
        let help = "write the port inside of the containers, or leave it out where they expose only one";
        draft.say(Code::OutOfRange, given.span.clone(), "no container listens on port 0", "not a port", help);
    }
    Some(Source::Docker(DockerContainers {
        label: label.value.as_str().into(),
        socket: socket.map_or_else(|| PathBuf::from(DOCKER_SOCKET), |given| given.value.clone()),
        network: docker.network.get().map(|network| network.as_str().into()),
        port: docker.port.get().copied(),
    }))
}
