//! The file in force and the one that is tried.

use super::replay::{DialOf, NamedValues};
use crate::compile::Snapshot;

pub(super) struct Files<'a> {
    pub old: &'a Snapshot,
    pub dials: DialOf<'a>,
    pub new: &'a Snapshot,
    pub new_dials: DialOf<'a>,
    pub named: &'a NamedValues,
}
