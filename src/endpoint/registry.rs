//! Registries: clusters and container engines.

use std::path::PathBuf;

/// A service of Kubernetes. Fields that are `None` are taken from the pod that the proxy runs in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KubernetesService {
    pub service: Box<str>,
    pub namespace: Option<Box<str>>,
    /// `None`: the only one there is.
    pub port: Option<ServicePort>,
    /// `None`: IPv4 where there is any, else IPv6.
    pub family: Option<AddressFamily>,
    /// URL of the API server.
    pub api: Option<Box<str>>,
    /// File with a bearer token.
    pub token: Option<PathBuf>,
    /// The API server's authorities, PEM.
    pub ca: Option<PathBuf>,
}

/// A port of a service, as its endpoints have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServicePort {
    Named(Box<str>),
    Number(u16),
}

/// Of a service that has both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressFamily {
    Ipv4,
    Ipv6,
}

/// Containers of Docker or Podman.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DockerContainers {
    /// `NAME=VALUE`, or `NAME` alone.
    pub label: Box<str>,
    pub socket: PathBuf,
    /// `None`: the only one that a container has.
    pub network: Option<Box<str>>,
    /// `None`: the only one that a container exposes.
    pub port: Option<u16>,
}
