//! `multilith completions SHELL`.

use clap::CommandFactory as _;
use clap_complete::Shell;

use super::{Cli, Exit, term};

pub fn completions(shell: Shell) -> Exit {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "multilith", &mut script);
    term::out(&String::from_utf8_lossy(&script));
    Exit::Fine
}
