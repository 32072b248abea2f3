//! Black-box tests of upstreams that are not servers of HTTP.

mod aws;
mod explained;
mod lambda;
mod moved;
