//! Upstreams as the file describes them, compiled: addresses, protocol, balance, health, timeouts; and the pure rules of
//! balancing, health and membership. Pools of live endpoints are above, in `upstream`.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod buffering;
mod checkup;
mod ejection;
mod in_flight_limit;
mod keepalive;
mod least_busy;
mod membership;
mod notation;
mod registry;
mod retry_budget;
mod ring;
mod round_robin;
mod slow_start;
mod spec;
mod target;
mod url;

pub use buffering::{Buffering, RequestBuffer};
pub use checkup::{CheckState, Checkup};
pub use ejection::EjectionRecord;
pub use in_flight_limit::InFlightLimit;
pub use keepalive::{IdleCloses, Keepalive};
pub use least_busy::{draw_two, second_is_freer};
pub use membership::{Listing, Look, Membership};
pub use notation::{BadNotation, read_line, read_value};
pub use registry::{AddressFamily, DockerContainers, KubernetesService, ServicePort};
pub use retry_budget::RetryBudget;
pub use ring::Ring;
pub use round_robin::Turn;
pub use slow_start::{RAMP, tenths};
pub use spec::{
    Address, Balance, Eject, Ejection, Health, HealthCheck, HealthRequest, HttpVersions, KeyPin, OwnTimeout,
    OwnTimeouts, Source, Timeouts, TlsIdentity, UpstreamId, UpstreamSpec, Verify,
};
pub use target::{
    BrokerSpec, CredentialsSource, EventVersion, LambdaSpec, NamekoSpec, NatsServer, Password, PublishSpec, TargetSpec,
};
pub use url::{BadUrl, Scheme, Url};
