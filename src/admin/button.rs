//! The big red button: pressed first, kept and written down afterwards.

use std::sync::Arc;

use super::Parts;
use crate::fleet::{ButtonRecord, Fleet};
use crate::live::keep_pressed;

/// Presses or releases it. It is in force at once; a disk that fails only leaves it unknown to the next start.
pub async fn press(parts: &Arc<Parts>, on: bool, who: &str, reason: &str) {
    parts.app.live.set_monolith_only(on);
    parts.app.telemetry.metrics.edge().monolith_only(on);
    tracing::warn!(on, by = who, reason, "the big red button was set");
    if let Some(fleet) = &parts.app.fleet {
        // In force here already: the others are told when they can be.
        fleet.press(ButtonRecord {
            on,
            who: who.to_owned(),
            reason: reason.to_owned(),
            at: crate::gate::now(),
            nonce: Fleet::nonce(),
        });
    }
    let generation = parts.app.in_force.load();
    let (state_dir, generation) = (generation.snapshot.server.state_dir.clone(), generation.number);
    let (store, telemetry) = (Arc::clone(&parts.app.store), Arc::clone(&parts.app.telemetry));
    let (who, reason) = (who.to_owned(), reason.to_owned());
    // A disk may take its time, which is not this runtime's.
    let keep = move || {
        if let Err(error) = keep_pressed(&state_dir, on) {
            tracing::error!(%error, dir = %state_dir.display(), on, "the big red button is in force, but a restart will not know of it");
        }
        if let Err(error) = store.keep_button(on, &who, &reason, generation) {
            telemetry.metrics.edge().journal_error();
            tracing::error!(%error, on, "the big red button is in force, but the journal does not have it");
        }
    };
    if tokio::task::spawn_blocking(keep).await.is_err() {
        tracing::error!("the big red button is in force, but was not kept: its thread ended in a panic");
    }
}
