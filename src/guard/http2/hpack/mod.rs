//! Header blocks of HTTP/2 (HPACK, RFC 7541): read, and written.

mod decoder;
mod encoder;
mod huffman;
mod static_table;

pub use decoder::{Decoder, NotHpack};
pub use encoder::Encoder;

/// The size of a dynamic table in bytes: the default of the standard, which needs no announcement.
const TABLE: usize = 4096;
/// Overhead of an entry in the size of the table (RFC 7541, 4.1).
const OVERHEAD: usize = 32;
