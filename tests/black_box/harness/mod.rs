//! The two ends of a black-box test, and the program between them.
//!
//! [`Origin`] is a scripted upstream, [`Client`] writes and reads raw bytes, [`Edge`] is the program as a child process
//! with its own routes.toml and ports. Everything waits for a condition with a deadline; nothing sleeps.

mod client;
mod edge;
mod gate;
mod http2;
mod message;
mod origin;
mod process;
mod reply;
mod waiting;
mod wire;

pub(crate) use client::{Client, Response};
pub(crate) use edge::{Edge, EdgePlan, PORT_TAKEN};
pub(crate) use gate::Gate;
pub(crate) use http2::{http2_server, http2_service, read_body, runtime, say};
pub(crate) use origin::{Origin, Request};
pub(crate) use process::{Process, binary, free_address, is_administrator, run_to_exit, without_file};
pub(crate) use reply::{Reply, pattern};
pub(crate) use waiting::{PATIENCE, eventually, within};
