//! A client's connection from its accept to its end: limits on connections, the addresses a balancer tells, TLS, on which thread it is
//! served, and one request after another.

mod accept;
mod connection;
mod connections;
mod proxied;
mod rebind;
mod threads;
pub mod tls;

pub use accept::AcceptLoops;
pub use connection::HttpListener;
pub use connections::Connections;
pub use threads::Threads;
