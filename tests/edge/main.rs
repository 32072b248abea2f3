//! Black-box tests of the binary: raw sockets on both sides of it, and only what the contract promises in between.

#![allow(clippy::print_stderr, reason = "a failing test prints what the proxy logged")]

mod harness;

mod access;
mod access_log;
mod admin;
mod admin_access;
mod answers;
mod buffering;
mod connections;
mod console;
mod corpus;
mod descriptors;
mod disk;
mod failures;
mod farewell;
mod finding;
mod forwarding;
mod framing;
mod http2;
mod identity;
mod inventory;
mod keepalive;
mod lifecycle;
mod limits;
mod live_stream;
mod observing;
mod passthrough;
mod planning;
mod proxy_protocol;
mod queueing;
mod rehearsal;
mod reload;
mod reload_under_load;
mod route_settings;
mod routing;
mod several_files;
mod sign_in;
mod startup;
mod streams;
mod tls;
mod upgrade;
mod uploads;
mod watching;
mod websockets;
