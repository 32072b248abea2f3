//! Turns what the file says into what the proxy runs, gathering every mistake.

mod snapshot;

pub use snapshot::{
    AccessLog, Certificate, ForceRule, Limits, LogFormat, LogOutput, Network, Secret, ServerSettings, Snapshot,
    TlsSettings, TracingSettings,
};

pub use crate::route::Matching;
