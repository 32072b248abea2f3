//! One authority's account in a fleet: one replica orders, all answer its challenges and load what it issues.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};

use super::files::{Files, KeptAccount};
use super::order::{self, OrderError};
use super::{Acme, serial};
use crate::fleet::{Fleet, FleetTurn, NotShared, SharedWhile};
use crate::listener::tls::{Certificates, ChallengeGuard, Pair};
use crate::live::{Expected, Live};

/// A replica that does not show a proof by then is not waited for: the authority may not ask it.
const SHOWN: Duration = Duration::from_secs(10);
/// The interval at which this replica looks for items that it has and the others lack, also where nothing changes.
const LOOK: Duration = Duration::from_secs(60);

/// One authority's account, certificates and challenges in a fleet. Everything lies sealed in etcd.
#[derive(Clone)]
pub(super) struct FleetShare {
    fleet: Arc<Fleet>,
    /// `acme/AUTHORITY`.
    below: String,
}

/// A challenge as all replicas answer it.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct SharedProof {
    /// The replica that ordered: it answers without this.
    by: String,
    host: String,
    /// Of http-01; none: of tls-alpn-01.
    token: Option<String>,
    /// The key authorization (RFC 8555, 8.1).
    answer: String,
}

impl FleetShare {
    pub(super) fn of(fleet: &Arc<Fleet>, files: &Files) -> Self {
        Self { fleet: Arc::clone(fleet), below: format!("acme/{}", files.authority()) }
    }

    /// The right to order at this authority, which one replica has at a time.
    pub(super) async fn turn(&self) -> Result<Option<FleetTurn>, NotShared> {
        self.fleet.turn(&self.below).await
    }

    pub(super) async fn account(&self) -> Result<Option<KeptAccount>, OrderError> {
        let kept = self.fleet.sealed(&self.account_name()).await?;
        Ok(kept.map(|text| serde_json::from_slice(&text)).transpose().map_err(std::io::Error::from)?)
    }

    pub(super) async fn keep_account(&self, turn: &FleetTurn, account: &KeptAccount) -> Result<(), OrderError> {
        let text = serde_json::to_vec(account).map_err(std::io::Error::from)?;
        Ok(turn.put(&self.account_name(), &text).await?)
    }

    pub(super) async fn forget_account(&self, turn: &FleetTurn) -> Result<(), NotShared> {
        turn.remove(&self.account_name()).await
    }

    /// The certificate of a host with its key, as etcd has it now.
    pub(super) async fn certificate(&self, host: &str) -> Result<Option<Vec<u8>>, NotShared> {
        self.fleet.sealed(&self.certificate_name(host)).await
    }

    pub(super) async fn keep_certificate(&self, turn: &FleetTurn, host: &str, text: &[u8]) -> Result<(), NotShared> {
        turn.put(&self.certificate_name(host), text).await
    }

    /// Shows a proof on all replicas, and waits until they do.
    pub(super) async fn show(
        &self,
        turn: &FleetTurn,
        host: &str,
        token: Option<&str>,
        answer: &str,
    ) -> Result<SharedWhile, NotShared> {
        let proof = SharedProof {
            by: self.fleet.name().to_owned(),
            host: host.to_owned(),
            token: token.map(str::to_owned),
            answer: answer.to_owned(),
        };
        let text = serde_json::to_vec(&proof).expect("a proof serialises");
        let shown = turn.put_while(&format!("{}/{CHALLENGE}/{host}", self.below), &text).await?;
        let (fleet, revision) = (Arc::clone(&self.fleet), shown.revision);
        let waited = tokio::task::spawn_blocking(move || fleet.until_sealed(revision, SHOWN)).await;
        let (have, of) = waited.unwrap_or((0, 0));
        if have < of {
            tracing::warn!(
                host,
                have,
                of,
                "not every replica shows the proof: the authority may ask one that does not"
            );
        }
        Ok(shown)
    }

    fn account_name(&self) -> String {
        format!("{}/account", self.below)
    }

    fn certificate_name(&self, host: &str) -> String {
        format!("{}/certificate/{host}", self.below)
    }

    /// Logs a failure to share once, not at each try.
    pub(super) fn say(&self, error: &NotShared) {
        self.fleet.say_not_shared("certificates are not shared", error);
    }
}

const CHALLENGE: &str = "challenge";

/// A proof can be had as long as it is held.
#[expect(dead_code, reason = "held until they are dropped")]
enum ShownProof {
    Http(Expected),
    Tls(ChallengeGuard),
}

/// Answers the challenges of all replicas' orders, whatever this one orders itself. Without TLS listeners those over HTTP.
pub async fn answer(fleet: Arc<Fleet>, live: Arc<Live>, certificates: Option<Arc<Certificates>>) {
    let mut changes = fleet.sealed_changes();
    let mut answered = HashMap::<String, (SharedProof, Option<ShownProof>)>::new();
    loop {
        changes.borrow_and_update();
        let (revision, all) = fleet.all_sealed();
        let mut wanted = HashMap::new();
        for opened in all.iter().filter(|opened| opened.name.split('/').nth(2) == Some(CHALLENGE)) {
            if let Ok(proof) = serde_json::from_slice::<SharedProof>(&opened.value)
                && proof.by != fleet.name()
            {
                wanted.insert(opened.name.clone(), proof);
            }
        }
        // A proof that goes is dropped before another one of its host comes.
        answered.retain(|name, (shown, _)| wanted.get(name) == Some(shown));
        for (name, proof) in wanted {
            answered.entry(name).or_insert_with(|| {
                let shown = begin(&proof, &live, certificates.as_ref());
                (proof, shown)
            });
        }
        fleet.say_sealed(revision);
        if changes.changed().await.is_err() {
            return;
        }
    }
}

fn begin(proof: &SharedProof, live: &Live, certificates: Option<&Arc<Certificates>>) -> Option<ShownProof> {
    if let Some(token) = &proof.token {
        return Some(ShownProof::Http(live.challenges().expect(token, &proof.answer)));
    }
    let key = order::proof(&proof.host, digest(&SHA256, proof.answer.as_bytes()).as_ref());
    let key = key.inspect_err(|error| tracing::warn!(host = proof.host, %error, "a proof could not be made"));
    Some(ShownProof::Tls(certificates?.challenge(&proof.host, key.ok()?)))
}

/// A certificate is newer by its lifetime.
fn is_newer(one: &Pair, other: &Pair) -> bool {
    let of = |pair: &Pair| (pair.validity.not_before, pair.validity.not_after);
    of(one) > of(other)
}

impl Acme {
    /// Loads what other replicas order, and gives them what they lack. Without end.
    pub(super) async fn follow(&self) {
        let Some(share) = &self.share else { return std::future::pending().await };
        let mut changes = share.fleet.sealed_changes();
        loop {
            changes.borrow_and_update();
            let (revision, all) = share.fleet.all_sealed();
            for host in &self.settings.hosts {
                let name = share.certificate_name(host);
                let there = all.iter().find(|opened| opened.name == name).map(|opened| &*opened.value);
                // The usual case, at every look: nothing is parsed.
                if there.is_some() && self.files.certificate_text(host).as_deref() == there {
                    continue;
                }
                if let Some(text) = there {
                    self.take_over(host, text);
                }
                // Before the first list nothing is known to be missing.
                if revision > 0
                    && let Some(text) = self.lacking(host, there)
                    && let Err(error) = self.give(share, host, &text).await
                {
                    share.say(&error);
                }
            }
            tokio::select! {
                changed = changes.changed() => if changed.is_err() { return },
                () = tokio::time::sleep(LOOK) => {}
            }
        }
    }

    /// Puts a certificate of another replica in force, unless this one has a newer one.
    pub(super) fn take_over(&self, host: &str, text: &[u8]) {
        let Some(pair) = self.files.read(host, text) else { return };
        if let Some(own) = self.files.certificate(host)
            && (serial(&own) == serial(&pair) || is_newer(&own, &pair))
        {
            return;
        }
        if let Err(error) = self.files.keep_text(host, text) {
            tracing::warn!(host, %error, "a certificate of the fleet is in force, but a restart without etcd will not know of it");
        }
        self.certificates.issue(host, pair);
        tracing::info!(host, "a certificate that another replica ordered is in force");
    }

    /// This replica's certificate, if it is newer than the one that the fleet has.
    fn lacking(&self, host: &str, there: Option<&[u8]>) -> Option<Vec<u8>> {
        let text = self.files.certificate_text(host)?;
        let own = self.files.read(host, &text)?;
        let there = there.and_then(|text| self.files.read(host, text));
        there.is_none_or(|there| is_newer(&own, &there)).then_some(text)
    }

    /// Gives the others a certificate that they lack. Another replica that has the turn does so, or orders a newer one.
    async fn give(&self, share: &FleetShare, host: &str, text: &[u8]) -> Result<(), NotShared> {
        // This process's own order has its turn.
        let Ok(_alone) = self.turn.try_lock() else { return Ok(()) };
        let Some(turn) = share.turn().await? else { return Ok(()) };
        let there = share.certificate(host).await?;
        if self.lacking(host, there.as_deref()).is_some() {
            share.keep_certificate(&turn, host, text).await?;
        }
        Ok(())
    }
}
