//! Black-box tests of gates: routes that move by themselves, and persons that move them.

mod kills;
mod moves;
mod notices;
mod roll_outs;
pub(crate) mod traffic;
