//! `multilith man`: the manual page, one section a verb.

use clap::CommandFactory as _;

use super::{Cli, Exit, term};

pub fn man() -> Exit {
    let mut page = Vec::new();
    let mut command = Cli::command();
    command.build();
    let rendered = clap_mangen::Man::new(command.clone()).render(&mut page).and_then(|()| {
        command.get_subcommands().filter(|verb| verb.get_name() != "help").try_for_each(|verb| {
            let verb = verb.clone();
            let man = clap_mangen::Man::new(verb.clone());
            page.extend_from_slice(format!(".SH {}\n", verb.get_name().to_uppercase()).as_bytes());
            man.render_description_section(&mut page)?;
            man.render_synopsis_section(&mut page)?;
            man.render_options_section(&mut page)
        })
    });
    if let Err(error) = rendered {
        term::fail(&format!("cannot render the manual page: {error}"), None);
        return Exit::Failed;
    }
    term::out(&String::from_utf8_lossy(&page));
    Exit::Fine
}
