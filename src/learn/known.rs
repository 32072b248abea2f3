//! The route lists of other programs: their paths are known to the inventory, and not guessed.

use std::collections::BTreeMap;

use super::Learner;
use crate::route::Template;
use crate::store::StoreError;

/// The row of the store.
const KEPT_AS: &str = "known";
/// Paths of one list. The tree has no room for more.
pub const MOST_KNOWN: usize = 10_000;
/// Lists that are kept.
const MOST_LISTS: usize = 16;

/// Paths by what printed the list.
pub(super) type KnownLists = BTreeMap<String, Vec<String>>;

/// Why a list was not taken; what was known before still is.
#[derive(Debug, thiserror::Error)]
pub enum ListRefused {
    #[error("there are {MOST_LISTS} lists already: send one of them without paths, which forgets it")]
    TooMany,
    #[error("it could not be kept: {0}")]
    NotKept(#[from] StoreError),
}

impl Learner {
    /// Takes a list in place of the one of the same name; an empty one forgets that. Gives how many of its paths there was room
    /// for.
    pub fn know(&self, from: &str, mut templates: Vec<Template>) -> Result<usize, ListRefused> {
        // Words before parameters of the same place: a parameter takes what no list names.
        templates.sort_by(|one, other| one.normal().cmp(other.normal()));
        let _telling = self.telling.lock();
        let mut lists = self.learned.lock().known.clone();
        if templates.is_empty() {
            lists.remove(from);
        } else {
            let paths = templates.iter().map(|template| template.normal().to_owned()).collect();
            lists.insert(from.to_owned(), paths);
        }
        if lists.len() > MOST_LISTS {
            return Err(ListRefused::TooMany);
        }
        let text = serde_json::to_vec(&lists).expect("lists of text serialise");
        self.store.keep_learned(KEPT_AS, text)?;
        let mut learned = self.learned.lock();
        learned.known = lists;
        Ok(learned.give_anew(from))
    }

    /// Restores the inventory from before a restart, or after another process let go of the store.
    pub(super) fn restore_known(&self) {
        let lists = match self.store.learned(KEPT_AS) {
            Ok(Some(kept)) => serde_json::from_slice::<KnownLists>(&kept).ok(),
            Ok(None) => return,
            Err(error) => {
                tracing::warn!(%error, "the route lists that the inventory was told are not known");
                return;
            }
        };
        if let Some(lists) = lists {
            self.learned.lock().known = lists;
        } else {
            tracing::warn!("the route lists that the inventory was told are damaged: tell them again");
        }
    }
}

impl super::Learned {
    /// Fixes the paths of the file and of all lists in place of those before; gives how many of the list of this name there was
    /// room for.
    pub(super) fn give_anew(&mut self, from: &str) -> usize {
        self.tree.take_back_given();
        for (template, rest) in &self.given {
            self.tree.give(template, *rest);
        }
        let mut taken = 0;
        for (name, paths) in &self.known {
            let fit = paths.iter().filter(|path| self.tree.give(path, false)).count();
            taken += if name == from { fit } else { 0 };
        }
        taken
    }
}
