//! All routes in one structure whose cost to search does not grow with their number.

/// The compiled table.
#[derive(Debug, Default)]
pub struct RouteTable {}
