//! Upstreams as the file describes them, compiled: addresses, protocol, balance, health, timeouts. Pools of live endpoints are above, in `upstream`.

mod spec;

pub use spec::{
    Address, Balance, Ejection, Health, HealthCheck, HttpVersions, Source, Timeouts, TlsIdentity, UpstreamId,
    UpstreamSpec,
};
