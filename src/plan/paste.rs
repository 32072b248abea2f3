//! Proposals as lines to paste into the routes file.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::words::methods;
use crate::compile::Route;
use crate::inventory::{LearnedEndpoint, route_name, unique_route_name};
use crate::migration::{Answers, Dial};

/// A route of the same resource: a client that it takes to the service must find the rest of the resource there.
pub(super) struct Neighbour<'a> {
    pub name: &'a str,
    dial: Dial,
    written: &'a Route,
}

impl<'a> Neighbour<'a> {
    pub const fn of(name: &'a str, dial: Dial, written: &'a Route) -> Self {
        Self { name, dial, written }
    }

    /// Its cohort and its units, as far as the route `than` does not have them.
    fn lines(&self, than: Option<&Route>) -> String {
        let (own, than) = (&self.written.policy, than.map(|route| &route.policy));
        let mut text = String::new();
        if than.is_none_or(|than| than.cohort != own.cohort) {
            let _ = writeln!(text, "cohort = {}", quoted(&own.cohort));
        }
        if than.map_or(&[][..], |than| &than.sticky[..]) != &own.sticky[..] {
            let units: Vec<String> = own.sticky.iter().map(|unit| quoted(&unit.to_string()).to_string()).collect();
            let _ = writeln!(text, "sticky = [{}]", units.join(", "));
        }
        text + &self.weight()
    }

    /// A comment for the person that lets the route into canary: only a person knows when.
    fn weight(&self) -> String {
        match self.dial.stage.answers() {
            Answers::ByWeight => format!(
                "# `{}` stands at {}: in canary give this one the same weight, or some clients read on one side and write on the other\n",
                self.name, self.dial.weight
            ),
            Answers::ByVariant => {
                format!("# `{}` is split: give this one the same variants and weights\n", self.name)
            }
            Answers::Monolith | Answers::Service => String::new(),
        }
    }
}

/// As the file has it, where `${` would name a variable.
fn quoted(text: &str) -> toml::Value {
    toml::Value::String(text.replace("${", "$${"))
}

/// The first step of a route that is there and has a service: a shadow, in one cohort with the route beside it.
pub(super) fn stage_to_paste(name: &str, written: Option<&Route>, neighbour: Option<&Neighbour<'_>>) -> String {
    let more = written.and_then(|written| Some(neighbour?.lines(Some(written)))).unwrap_or_default();
    format!("# in [routes.{name}]:\n{more}stage = \"shadow\"\n")
}

/// One route a path. With a service beside it the first step is a shadow, else the route is only named.
pub(super) fn routes_to_paste(
    group: &[&LearnedEndpoint],
    service: Option<&str>,
    neighbour: Option<&Neighbour<'_>>,
    names: &mut BTreeSet<String>,
) -> String {
    let mut paths: BTreeMap<&str, Vec<&LearnedEndpoint>> = BTreeMap::new();
    for endpoint in group {
        paths.entry(&endpoint.path).or_default().push(endpoint);
    }
    let together = match neighbour {
        Some(neighbour) => neighbour.lines(None),
        None if paths.len() > 1 => {
            format!("cohort = \"{}\"\n", route_name(group[0].path.split('{').next().unwrap_or("/")))
        }
        None => String::new(),
    };
    let mut text = String::new();
    for (path, endpoints) in paths {
        let methods: Vec<String> = methods(&endpoints)
            .into_iter()
            .filter(|method| method != "OTHER")
            .map(|method| format!("\"{method}\""))
            .collect();
        if methods.is_empty() {
            let _ = writeln!(text, "# {path}: no route, since the inventory does not name its methods\n");
            continue;
        }
        let _ = writeln!(text, "[routes.{}]\npath = {}", unique_route_name(names, path), quoted(path));
        let _ = writeln!(text, "methods = [{}]", methods.join(", "));
        text.push_str(&together);
        match service {
            // Writes are copied to a sandbox alone: a shadow would prove nothing.
            Some(service) if endpoints.iter().all(|endpoint| endpoint.writes) => {
                let _ = writeln!(
                    text,
                    "service = \"{service}\"\nstage = \"monolith\"   # writes are not copied: it begins with `canary`\n"
                );
            }
            Some(service) => {
                let _ = writeln!(text, "service = \"{service}\"\nstage = \"shadow\"\n");
            }
            None => text.push_str("stage = \"monolith\"\n\n"),
        }
    }
    text.trim_end().to_owned() + "\n"
}
