//! The promises of the table: precedence, backtracking, ambiguity, and agreement with a linear search.

mod agreement;
mod ambiguous;
mod near;
mod precedence;
mod world;
