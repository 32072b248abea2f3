//! Where a move would lead, before it is made: a person waits for this.

use std::sync::Arc;

use super::Reloader;
use super::asked::RequestedMove;
use super::source::part_about;
use super::turn::{NO_SERVICE, NotInFile, NotMoved, has_service, leads_to};
use crate::compile::Route;
use crate::diagnostic::Sources;
use crate::live::Held;
use crate::migration::{Dial, Stage};

/// Where an act would lead, and the place in the journal that it would follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Preview {
    pub generation: u64,
    pub seq: u64,
    pub from: Dial,
    pub to: Dial,
}

impl Reloader {
    /// Where an act would lead, without doing it.
    pub fn preview(&self, route: &str, asked: RequestedMove) -> Result<Preview, NotMoved> {
        let generation = self.app.in_force.load();
        let entry = generation.named(route).ok_or(NotMoved::NoRoute)?;
        let held = entry.state.held().unwrap_or_else(|| Held::of_file(entry.policy.dial));
        let (_, to) = leads_to(&generation, entry, &held.standing, asked)?;
        if !matches!(to.stage, Stage::Monolith | Stage::Split) && !has_service(entry) {
            return Err(NotMoved::Nothing(NO_SERVICE));
        }
        Ok(Preview { generation: generation.number, seq: held.standing.seq, from: held.standing.dial, to })
    }

    /// The route as it would be under that dial, tried among the tables that are about no other route: whether a dial is allowed
    /// depends on none. A move itself is tried in the whole file.
    pub fn route_under(&self, route: &str, to: Dial) -> Result<Arc<Route>, NotMoved> {
        let generation = self.app.in_force.load();
        let entry = generation.named(route).ok_or(NotMoved::NoRoute)?;
        if entry.dial.stage == to.stage {
            return entry.route.clone().ok_or(NotMoved::NoRoute);
        }
        let sources = &generation.snapshot.sources;
        let under = |sources: &Arc<Sources>| {
            let snapshot = self.recompiled(sources, &|name| (name == route).then_some(to))?;
            snapshot.routes.into_iter().find(|known| &*known.name == route).ok_or(NotMoved::NoRoute)
        };
        let part = part_about(sources, route);
        match under(&part) {
            Err(NotMoved::Invalid(found)) if self.recompiled(&part, &|_| None).is_ok() => Err(NotMoved::Invalid(found)),
            Err(_) => under(sources),
            found => found,
        }
    }

    /// Why a dial could not be written into the file, before a move asks for it; `None`: it could.
    pub fn not_in_file(&self, route: &str, to: Dial) -> Option<NotInFile> {
        self.source.takes_dial(route, to).err().map(|why| NotInFile::because(&why, route, to))
    }
}
