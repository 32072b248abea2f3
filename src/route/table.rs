//! All routes in one structure whose cost to search does not grow with their number.

use std::sync::Arc;

use super::{Matching, Route, RouteId};

/// The compiled table.
#[derive(Debug, Default)]
pub struct RouteTable {}

/// Two routes that can take the same request and are equally specific.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ambiguity {
    pub first: RouteId,
    pub second: RouteId,
}

impl RouteTable {
    pub fn build(_routes: &[Arc<Route>], _matching: Matching) -> Result<Self, Vec<Ambiguity>> {
        Ok(Self {})
    }
}
