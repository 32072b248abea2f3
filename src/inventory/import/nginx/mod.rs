//! nginx.conf: locations become routes, upstreams services; what is not taken is said with its line.

mod location;
mod precedence;
mod server;
mod syntax;
mod target;

use std::collections::{BTreeMap, BTreeSet};

use super::{Imported, Includes, NotRead};
use server::ServerBlock;
use syntax::Directive;
use target::Choices;

/// The settings of the whole file, for all its servers.
struct World<'a> {
    upstreams: BTreeMap<&'a str, &'a Directive>,
    choices: Choices,
    /// Services by address and scheme.
    services: BTreeMap<(String, bool), String>,
    /// The address that everything goes to which no other location takes.
    monolith: Option<(String, bool)>,
}

pub fn read(text: &str, includes: Includes<'_>, imported: &mut Imported) -> Result<(), NotRead> {
    let configuration = syntax::read(text, includes)?;
    for (what, why) in configuration.missing {
        imported.skip(what, why);
    }
    let mut world =
        World { upstreams: BTreeMap::new(), choices: Choices::new(), services: BTreeMap::new(), monolith: None };
    let mut servers = Vec::new();
    let mut bare = Vec::new();
    let mut others = BTreeSet::new();
    let top = configuration.directives.iter().flat_map(|directive| match directive.name() {
        "http" => directive.inside().iter().collect::<Vec<_>>(),
        _ => vec![directive],
    });
    for directive in top {
        match (directive.name(), directive.arguments()) {
            ("server", []) => servers.push(directive),
            ("location", _) => bare.push(directive.clone()),
            ("upstream", [name]) => {
                world.upstreams.insert(name, directive);
            }
            ("map" | "split_clients", _) => match target::choice(directive) {
                Ok((name, choice)) => {
                    world.choices.insert(name, choice);
                }
                Err(why) => imported.skip(directive.told(), why),
            },
            ("stream" | "mail", _) => imported.skip(directive.told(), "this is not HTTP"),
            (name, _) => {
                others.insert(name);
            }
        }
    }
    if !others.is_empty() {
        let names: Vec<&str> = others.into_iter().collect();
        imported.skip(names.join(", "), "about nginx itself, outside of servers");
    }
    let mut servers: Vec<ServerBlock> =
        servers.into_iter().map(|server| ServerBlock::of(server.inside(), &server.place)).collect();
    if !bare.is_empty() {
        servers.push(ServerBlock::of(&bare, ""));
    }
    if servers.is_empty() {
        return Err(NotRead("there is no `server` and no `location` in the configuration".to_owned()));
    }
    server::import(&servers, &mut world, imported);
    Ok(())
}
