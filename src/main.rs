//! The program. Everything is in the library; this is the allocator and the door.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    multilith::cli::main()
}
