//! Keeps this replica listed by a lease, and stands for election whenever there is no leader.

use std::sync::Arc;
use std::sync::atomic::Ordering::{AcqRel, Release};
use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::Shared;
use super::record::LAYOUT;
use crate::client::FetchError;
use crate::client::etcd::{KeyAction, KeyIs};

/// etcd that does not answer is asked again after this long, one that refuses the password after one to thirty seconds.
const AGAIN: Duration = Duration::from_millis(500);
const REFUSED: [u64; 6] = [1, 2, 4, 8, 16, 30];
/// The metrics are as old as this at most.
const SHOWN: Duration = Duration::from_millis(500);
/// A leader that vanished is followed after a random part of this, so that not all stand at once.
const JITTER_MILLIS: u64 = 1000;
/// This replica's record is written again this often.
const SAID_AGAIN: Duration = Duration::from_secs(10);

pub(super) async fn keep_listed(shared: Arc<Shared>) {
    let mut refused = 0;
    let mut said = None;
    let mut due = Instant::now();
    loop {
        let pause = match step(&shared, &mut due, &mut said).await {
            Ok(()) => {
                refused = 0;
                shared.fine();
                tell_what_is_unsent(&shared);
                due.saturating_duration_since(Instant::now())
            }
            Err(error) => {
                shared.trouble("this replica cannot be listed", &error);
                if matches!(error, FetchError::Status(400 | 401 | 403)) {
                    let pause = REFUSED[refused.min(REFUSED.len() - 1)];
                    refused += 1;
                    Duration::from_secs(pause)
                } else {
                    AGAIN
                }
            }
        };
        tokio::select! {
            () = sleep(pause.min(Duration::from_secs(1))) => {}
            () = shared.publish.notified() => said = None,
            () = shared.leaderless.notified() => sleep(Duration::from_millis(fastrand::u64(..JITTER_MILLIS))).await,
        }
    }
}

/// The metrics follow from this replica's own clock, also while it waits for etcd.
pub(super) async fn show_again_and_again(shared: Arc<Shared>) {
    loop {
        shared.show();
        sleep(SHOWN).await;
    }
}

/// Tells of acts without etcd as soon as it answers: a wait that outlasted the outage lists nothing anew.
fn tell_what_is_unsent(shared: &Arc<Shared>) {
    let Some(follower) = shared.follower() else { return };
    if shared.unsent.lock().is_empty() || shared.telling.swap(true, AcqRel) {
        return;
    }
    let task = Arc::clone(shared);
    shared.control.spawn_blocking(move || {
        follower.connected();
        task.telling.store(false, Release);
    });
}

/// Prolongs the lease if that is due, says what is new, stands for election.
async fn step(shared: &Shared, due: &mut Instant, said: &mut Option<Instant>) -> Result<(), FetchError> {
    let now = Instant::now();
    if shared.held.lock().left {
        return Ok(());
    }
    if now >= *due {
        let id = shared.held.lock().id.clone();
        let is_alive = match &id {
            Some(id) => shared.etcd.keep_alive(id).await?,
            None => false,
        };
        if !is_alive {
            if id.is_some() {
                tracing::warn!("this replica's lease had ended: it is listed anew");
            }
            {
                let mut held = shared.held.lock();
                held.lease.ended();
                held.id = None;
            }
            let lease = shared.etcd.grant(shared.ttl.as_secs().max(1)).await?;
            shared.held.lock().id = Some(lease);
            *said = None;
        }
        shared.held.lock().lease.prolonged(now);
        *due = now + shared.ttl / 3;
    }
    if said.is_none_or(|at| now.saturating_duration_since(at) >= SAID_AGAIN) {
        say(shared).await?;
        *said = Some(now);
    }
    stand(shared).await
}

/// Writes `members/NAME`.
async fn say(shared: &Shared) -> Result<(), FetchError> {
    let Some(id) = shared.held.lock().id.clone() else { return Ok(()) };
    let text = serde_json::to_string(&*shared.own.lock()).expect("a record serialises");
    shared.etcd.put(&shared.keys.key(&format!("members/{}", shared.name)), &text, &id).await
}

/// Becomes the leader if there is none: the key is made, or it is there already, in one transaction.
async fn stand(shared: &Shared) -> Result<(), FetchError> {
    let id = {
        let held = shared.held.lock();
        if held.lease.term().is_some() {
            return Ok(());
        }
        held.id.clone()
    };
    {
        let seen = shared.seen.lock();
        // Before the first list it is not known which layout the others write.
        if seen.leader.is_some() || seen.too_new || !seen.listed {
            return Ok(());
        }
    }
    let Some(id) = id else { return Ok(()) };
    let key = shared.keys.key("leader");
    let put = KeyAction::Put { key: &key, value: &shared.name, lease: Some(&id.id) };
    let outcome = shared.etcd.transaction(&[KeyIs::Created(&key, 0)], &[put], &[KeyAction::Get(&key)]).await?;
    if outcome.succeeded {
        shared.held.lock().lease.won(outcome.revision);
        let mut seen = shared.seen.lock();
        seen.leader = Some((shared.name.clone(), outcome.revision));
        *shared.sums.lock() = super::Sums::after(seen.gates.values().map(|gate| &**gate));
        drop(seen);
        tracing::info!(term = outcome.revision, "this replica leads the fleet");
    } else if let Some(other) = outcome.found.into_iter().flatten().next() {
        shared.seen.lock().leader = Some((other.value.into(), other.created));
    }
    Ok(())
}

/// Leads no more, and lets another replica lead at once although the lease of this one goes on.
pub(super) fn resign(shared: &Arc<Shared>) {
    let term = {
        let mut held = shared.held.lock();
        let term = held.lease.term();
        held.lease.lost();
        term
    };
    let Some(term) = term else { return };
    let task = Arc::clone(shared);
    shared.spawn(async move {
        let key = task.keys.key("leader");
        let is_ours = [KeyIs::Created(&key, term)];
        if let Err(error) = task.etcd.transaction(&is_ours, &[KeyAction::Delete(&key)], &[]).await {
            task.trouble("no other replica can lead until this one's lease ends", &error);
        }
    });
}

/// Makes `format` if this is the first replica.
pub(super) async fn agree_on_format(shared: &Shared) -> Result<(), FetchError> {
    let key = shared.keys.key("format");
    let text = serde_json::json!({ "v": LAYOUT, "min_reader": LAYOUT }).to_string();
    let put = KeyAction::Put { key: &key, value: &text, lease: None };
    shared.etcd.transaction(&[KeyIs::Created(&key, 0)], &[put], &[]).await.map(drop)
}

impl Shared {
    /// In the metrics.
    pub(super) fn show(&self) {
        let members = self.seen.lock().members.len();
        let leads = matches!(self.role(), super::FleetRole::Leads(_));
        self.metrics.edge().fleet(members, leads, self.is_up());
    }
}
