//! The program. Everything is in the library; this is the entry point.

use std::process::ExitCode;

use multilith_allocator as _;

fn main() -> ExitCode {
    multilith::cli::main()
}
