//! Certificates that an authority issues (RFC 8555): ordered, proved, kept and renewed beside the requests, none of which waits.
//!
//! One certificate for each host: what one host cannot prove does not stand in another's way. Until a host has its first one,
//! handshakes for it are refused: a certificate that no client trusts would only teach people to click through.

mod files;
mod http;
mod order;
mod schedule;
mod shared;

pub use shared::answer;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use instant_acme::Account;
use jiff::Timestamp;
use tokio::sync::{Mutex, watch};

use crate::client::task;
use crate::compile;
use crate::fleet::{Fleet, NotShared};
use crate::listener::tls::{Certificates, Pair, Validity};
use crate::live::Live;
use files::Files;
use order::OrderError;
use shared::FleetShare;

/// All of one order, with its waits for the authority.
const LONGEST_ORDER: Duration = Duration::from_secs(240);
/// Sleeps are cut, because the clock may be set and a machine may be suspended.
const NAP: Duration = Duration::from_secs(600);
/// Another process orders: what it gets is read from its file.
const OTHERS_TURN: Duration = Duration::from_secs(5);

/// The orders at one authority.
struct Acme {
    settings: compile::Acme,
    files: Files,
    certificates: Arc<Certificates>,
    live: Arc<Live>,
    /// `None`: this proxy is alone.
    share: Option<FleetShare>,
    account: Mutex<Option<Account>>,
    /// One order at a time: authorities count them.
    turn: Mutex<()>,
}

/// Shows the certificates that are kept, before the first request.
pub fn restore(settings: &compile::Acme, state_dir: &Path, certificates: &Certificates) {
    let files = Files::of(state_dir, &settings.directory);
    certificates.keep_issued(&settings.hosts);
    for host in &settings.hosts {
        if let Some(pair) = files.certificate(host) {
            certificates.issue(host, pair);
        }
    }
}

/// Keeps the certificates of these settings true, and begins anew when the settings change. Ends when the server stops.
pub async fn run(
    mut settings: watch::Receiver<Option<compile::Acme>>,
    mut stopping: watch::Receiver<bool>,
    (state_dir, certificates, live): (std::path::PathBuf, Arc<Certificates>, Arc<Live>),
    fleet: Option<Arc<Fleet>>,
) {
    loop {
        let now = settings.borrow_and_update().clone();
        let work = async {
            let Some(now) = now else {
                certificates.keep_issued(&[]);
                return std::future::pending::<()>().await;
            };
            restore(&now, &state_dir, &certificates);
            if fleet.as_ref().is_some_and(|fleet| !fleet.is_sealing()) {
                tracing::error!("no certificate is ordered: the `secret` of `[fleet]` is read when multilith starts");
                return std::future::pending::<()>().await;
            }
            let files = Files::of(&state_dir, &now.directory);
            let share = fleet.as_ref().map(|fleet| FleetShare::of(fleet, &files));
            let (certificates, live) = (Arc::clone(&certificates), Arc::clone(&live));
            let acme = Arc::new(Acme {
                settings: now,
                files,
                certificates,
                live,
                share,
                account: Mutex::default(),
                turn: Mutex::default(),
            });
            let mut hosts = tokio::task::JoinSet::new();
            for host in acme.settings.hosts.clone() {
                let acme = Arc::clone(&acme);
                hosts.spawn(task::boxed(async move { acme.keep(&host).await }));
            }
            let follower = Arc::clone(&acme);
            hosts.spawn(task::boxed(async move { follower.follow().await }));
            // They end with this future.
            while let Some(ended) = hosts.join_next().await {
                if let Err(error) = ended {
                    tracing::error!(%error, "a host's certificate is not renewed any more: multilith must be restarted");
                }
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = work => {}
            changed = settings.changed() => if changed.is_err() { return },
            _ = stopping.wait_for(|stopping| *stopping) => return,
        }
    }
}

impl Acme {
    /// Orders and renews the certificate of one host. Never returns.
    async fn keep(&self, host: &str) {
        let mut failures = 0;
        let mut rest = None;
        loop {
            let known = self.files.certificate(host);
            if let Some(pair) = &known {
                self.certificates.issue(host, pair.clone());
                self.wait_until_due(host, pair).await;
            }
            if let Some(until) = rest.take() {
                tokio::time::sleep_until(until).await;
            }
            let turn = self.turn.lock().await;
            // Another process may have had its turn meanwhile.
            let newer = self.files.certificate(host);
            if newer.as_ref().map(serial) != known.as_ref().map(serial) {
                continue;
            }
            let order = self.order(host, known.as_ref(), failures);
            let ordered = tokio::time::timeout(LONGEST_ORDER, order).await;
            drop(turn);
            let error = match ordered.unwrap_or(Err(OrderError::TooSlow(LONGEST_ORDER))) {
                Ok(pair) => {
                    failures = 0;
                    rest = Some(tokio::time::Instant::now() + schedule::shortest(pair.validity));
                    let expires = moment(pair.validity.not_after);
                    tracing::info!(host, expires, renewal = known.is_some(), "a certificate was issued");
                    continue;
                }
                Err(OrderError::Busy | OrderError::Fleet(NotShared::NotListed)) => {
                    tokio::time::sleep(OTHERS_TURN).await;
                    continue;
                }
                Err(OrderError::Fleet(error)) => {
                    // The authority was not asked, or is asked again by the next.
                    if let Some(share) = &self.share {
                        share.say(&error);
                    }
                    tokio::time::sleep(OTHERS_TURN).await;
                    continue;
                }
                Err(error) => error,
            };
            failures += 1;
            let pause = schedule::pause(failures, fastrand::f64());
            let until = known.map_or_else(|| "never had one".to_owned(), |pair| moment(pair.validity.not_after));
            let again_in = pause.as_secs();
            tracing::warn!(host, failures, again_in, valid_until = until, "no certificate was issued: {error}");
            tokio::time::sleep(pause).await;
        }
    }

    /// Until the certificate is to be renewed, as its lifetime says or as the authority does.
    async fn wait_until_due(&self, host: &str, pair: &Pair) {
        let chance = fastrand::f64();
        let mut due = schedule::renewal(pair.validity, chance);
        tracing::info!(
            host,
            renewal = moment(due),
            expires = moment(pair.validity.not_after),
            "a certificate is in force"
        );
        let mut look = Timestamp::now().as_second();
        loop {
            let now = Timestamp::now().as_second();
            if now >= due {
                return;
            }
            if now >= look {
                let (suggested, again) = self.suggestion(host, pair, chance).await;
                look = now.saturating_add_unsigned(again.as_secs());
                due = suggested.unwrap_or(due);
                continue;
            }
            let left = Duration::from_secs((due.min(look) - now).unsigned_abs());
            tokio::time::sleep(left.min(NAP)).await;
        }
    }

    /// When the authority would have the certificate renewed, if it says so, and when to ask again.
    async fn suggestion(&self, host: &str, pair: &Pair, chance: f64) -> (Option<i64>, Duration) {
        let asked = async {
            let account = self.account(None).await?;
            let identifier =
                order::identifier(pair).ok_or(instant_acme::Error::Unsupported("certificates without a name"))?;
            Ok::<_, OrderError>(account.renewal_info(&identifier).await?)
        };
        match asked.await {
            Ok((info, again)) => {
                let window = (info.suggested_window.start.unix_timestamp(), info.suggested_window.end.unix_timestamp());
                let due = schedule::suggested(pair.validity, window, chance);
                let why = info.explanation_url.unwrap_or_default();
                tracing::info!(host, renewal = moment(due), why, "the authority suggests when to renew");
                (Some(due), schedule::next_look(again))
            }
            Err(error) => {
                tracing::debug!(host, %error, "the authority does not say when to renew");
                (None, schedule::next_look(Duration::MAX))
            }
        }
    }
}

/// Tells certificates apart.
fn serial(pair: &Pair) -> (Validity, &[u8]) {
    (pair.validity, pair.key.cert.first().map_or(&[][..], |certificate| certificate.as_ref()))
}

fn moment(seconds: i64) -> String {
    Timestamp::from_second(seconds).map_or_else(|_| seconds.to_string(), |moment| moment.to_string())
}
