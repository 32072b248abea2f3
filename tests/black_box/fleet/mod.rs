//! Black-box tests of fleets: several proxies that share one etcd. `tests/fleet/run` has the long ones, by hand.

mod away;
mod judged;
mod moved;
mod newer;
mod rates;
mod regions;
mod scraped;
mod signed_in;
mod world;
