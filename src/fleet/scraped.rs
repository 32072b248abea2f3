//! Reads by Prometheus what the replicas counted, while this one leads.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use super::series::{self, Rebuilt};
use super::{Fleet, Shared};
use crate::client::FetchError;
use crate::client::prometheus::Prometheus;

/// The reports from Prometheus in one term.
#[derive(Debug, Default)]
pub(super) struct Scrapes {
    term: i64,
    /// The ticks that were there when a member's report was taken: as long as they stay, there is nothing new.
    taken: BTreeMap<Box<str>, BTreeMap<String, u64>>,
    /// The last error, said once.
    trouble: Option<String>,
}

impl Fleet {
    /// The end of the page that Prometheus scrapes: what was counted here, as it was reported last; empty where etcd has it.
    pub fn page(&self) -> String {
        let shared = &self.shared;
        let shown = shared.shown.lock().clone();
        shown.map_or_else(String::new, |record| series::page(shared.keys.prefix(), &shared.name, &record))
    }
}

impl Scrapes {
    /// Takes in what is new.
    pub(super) async fn look(&mut self, shared: &Arc<Shared>, prometheus: &Prometheus, term: i64) {
        if self.term != term {
            *self = Self { term, trouble: self.trouble.take(), ..Self::default() };
        }
        let said = match self.take(shared, prometheus).await {
            Ok(None) => None,
            Ok(Some(broken)) => Some(format!("the series of `{broken}` are not those of one report")),
            Err(error) => Some(error.to_string()),
        };
        match &said {
            Some(said) if self.trouble.as_ref() != Some(said) => {
                tracing::warn!("Prometheus of the fleet: what the replicas counted is not known: {said}");
            }
            None if self.trouble.is_some() => {
                tracing::info!("Prometheus of the fleet has what the replicas counted again");
            }
            _ => {}
        }
        self.trouble = said;
    }

    /// One question for the ticks of all, one for each member that has another tick than before. Gives a member whose report is
    /// not of one piece.
    async fn take(&mut self, shared: &Arc<Shared>, prometheus: &Prometheus) -> Result<Option<String>, FetchError> {
        let fleet = shared.keys.prefix();
        let ticks = series::ticks(&prometheus.instant(&series::query(fleet, None)).await?);
        // Only a process that is listed counts: a series stays in Prometheus for minutes after its process.
        let members: Vec<(Box<str>, String)> = {
            let seen = shared.seen.lock();
            seen.members.iter().map(|(name, member)| (name.clone(), member.life.clone())).collect()
        };
        self.taken.retain(|name, _| members.iter().any(|(member, _)| member == name));
        let mut broken = None;
        for (name, life) in members {
            let Some(there) = ticks.get(&*name) else { continue };
            if self.taken.get(&name) == Some(there) {
                continue;
            }
            match series::newest(&prometheus.instant(&series::query(fleet, Some(&name))).await?, &life) {
                Rebuilt::Whole(record) => shared.take(&name, &record, Instant::now()),
                Rebuilt::Nothing => {}
                // Perhaps it is of one piece at the next look.
                Rebuilt::Broken => {
                    broken = Some(name.into());
                    continue;
                }
            }
            self.taken.insert(name, there.clone());
        }
        Ok(broken)
    }
}
