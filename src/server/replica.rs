//! This process as one of several: how it joins a fleet and leaves it, and under which name its gates move dials.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;

use crate::app::App;
use crate::client::task;
use crate::compile::Snapshot;
use crate::fleet::{AskedRate, Fleet, FleetError, FleetRole, NotWrittenToFleet};
use crate::gate::{GateMove, NotMade};
use crate::migration::dial::By;
use crate::proxy::Access;
use crate::reload::{self, NotMoved, Reloader};
use crate::store::Store;
use crate::telemetry::Meters;

/// The others are told that this replica goes; they find out by themselves otherwise.
const LEAVE: Duration = Duration::from_secs(2);

/// `None`: this proxy is alone. Nothing is asked yet.
pub(super) fn join(
    snapshot: &Snapshot,
    admin: &str,
    store: &Arc<Store>,
    metrics: &Arc<Meters>,
    control: &Handle,
) -> Result<Option<Arc<Fleet>>, FleetError> {
    let Some(settings) = &snapshot.fleet else { return Ok(None) };
    let own = (&*host_name(), admin);
    let fleet = Fleet::new(settings, own, Arc::clone(store), Arc::clone(metrics), control.clone());
    fleet.map(Some)
}

/// From now on the fleet's dials are followed; waits at most `first` for those in force.
pub(super) fn begin(app: &App, reloader: &Arc<Reloader>, first: Duration) {
    if let Some(fleet) = &app.fleet {
        let follower: Weak<Reloader> = Arc::downgrade(reloader);
        fleet.start(follower, first);
        app.control.spawn(task::boxed(share_rates(Arc::clone(fleet), Arc::clone(&app.access))));
    }
}

/// Another replica may lead at once.
pub(super) async fn leave(fleet: Option<&Arc<Fleet>>) {
    if let Some(fleet) = fleet
        && tokio::time::timeout(LEAVE, fleet.leave()).await.is_err()
    {
        tracing::warn!("etcd of the fleet did not answer in time: this replica is listed until its lease ends");
    }
}

/// The rates that replicas share are spent by what each was asked for, looked at this often.
const LOOK: Duration = Duration::from_secs(2);

/// Tells the others how often this replica is asked, and spends its share of each rate.
async fn share_rates(fleet: Arc<Fleet>, access: Arc<Access>) {
    let mut paces = HashMap::<Arc<str>, AskedRate>::new();
    let mut before = Instant::now();
    loop {
        tokio::time::sleep(LOOK).await;
        let since = before.elapsed();
        before = Instant::now();
        let budgets = access.budgets();
        paces.retain(|route, _| budgets.iter().any(|(shared, _)| shared == route));
        let is_told = fleet.role() != FleetRole::Cut;
        let mut asked = BTreeMap::new();
        for (route, budget) in &budgets {
            let pace = paces.entry(route.clone()).or_default();
            pace.look(budget.asked(), since);
            // The rates of the others are old news while etcd is away: the share stays.
            if is_told {
                budget.set_share(fleet.share_of(route, pace.per_minute()));
            }
            asked.insert(route.to_string(), pace.per_minute());
        }
        fleet.say_asked(asked);
    }
}

/// How gates move dials: as persons do, through the journal.
pub(super) fn moves_by(reloader: &Arc<Reloader>) -> crate::gate::Mover {
    let who = format!("gate@{}", reloader.fleet_name().map_or_else(host_name, str::to_owned));
    let reloader = Arc::downgrade(reloader);
    Box::new(move |wanted: &GateMove| {
        let Some(reloader) = reloader.upgrade() else { return Err(NotMade::Stopping) };
        let request = reload::MoveRequest {
            route: &wanted.route,
            asked: reload::RequestedMove::Gate { action: wanted.action, from: wanted.from, to: wanted.to },
            author: reload::Author {
                by: By::Gate,
                who: &who,
                reason: &wanted.why,
                verdict: serde_json::to_value(&wanted.numbers).ok(),
            },
            expect_seq: None,
            write: false,
            unasked: false,
        };
        match reloader.turn(&request) {
            // The judged dial is no longer in force: the next look judges the new one.
            Ok(_) | Err(NotMoved::Overtaken { .. }) => Ok(()),
            Err(NotMoved::Fleet(NotWrittenToFleet::RegionBefore(why))) => Err(NotMade::Waits(why)),
            Err(error) => Err(NotMade::Refused(error.to_string())),
        }
    })
}

/// The machine's name, or `multilith`.
fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    if name.trim().is_empty() { "multilith".to_owned() } else { name.trim().to_owned() }
}
