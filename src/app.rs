//! The parts that the rooms of a running proxy share.

use std::sync::Arc;

use tokio::runtime::Handle;

use crate::fleet::Fleet;
use crate::learn::Learner;
use crate::live::{AdminKeys, InForce, Live};
use crate::notify::Notifier;
use crate::proxy::{Access, Generation};
use crate::shadow::ShadowTraffic;
use crate::store::Store;
use crate::telemetry::Telemetry;
use crate::upstream::Upstreams;

/// One handle for the rooms that operate the proxy, instead of an `Arc` for each part in every constructor.
pub struct App {
    pub in_force: Arc<InForce<Generation>>,
    pub live: Arc<Live>,
    pub access: Arc<Access>,
    pub admin_keys: AdminKeys,
    pub telemetry: Arc<Telemetry>,
    pub upstreams: Arc<Upstreams>,
    pub shadow: Arc<ShadowTraffic>,
    pub learner: Arc<Learner>,
    pub store: Arc<Store>,
    pub notifier: Arc<Notifier>,
    /// `None`: this proxy is alone.
    pub fleet: Option<Arc<Fleet>>,
    /// The runtime of everything that is not a request: admin, health, discovery, reloads.
    pub control: Handle,
}
