//! Tells people and programs of moves: chats, Alertmanager, Grafana. Each of `[notify.NAME]` has a queue of its own; no caller waits for
//! it, and what finds it full is counted and dropped.

mod message;
mod send;

pub use message::Message;

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use crate::client::task;
use crate::compile::NotifyTarget;
use crate::telemetry::Meters;

/// Messages that wait at one target.
const QUEUE: usize = 100;

/// The queues of all recipients. One for each process.
#[derive(Debug)]
pub struct Notifier {
    runtime: Handle,
    metrics: Arc<Meters>,
    in_force: Mutex<InForce>,
}

#[derive(Debug, Default)]
struct InForce {
    lanes: HashMap<Arc<str>, Lane>,
    /// Where the console is.
    console: String,
}

#[derive(Debug)]
struct Lane {
    target: NotifyTarget,
    queue: mpsc::Sender<Arc<Message>>,
}

impl Notifier {
    /// There is no recipient until [`Notifier::tell_these`].
    #[must_use]
    pub fn new(runtime: Handle, metrics: Arc<Meters>) -> Arc<Self> {
        Arc::new(Self { runtime, metrics, in_force: Mutex::default() })
    }

    /// Puts the targets of a file in force. A target that is as before keeps what waits in its queue; one that is gone sends
    /// what waits and ends. `console`: `host:port` under which people reach the admin listener.
    pub fn tell_these(&self, targets: &[NotifyTarget], console: &str) {
        let InForce { lanes, console: place } = &mut *self.in_force.lock();
        format!("http://{console}/").clone_into(place);
        lanes.retain(|_, lane| targets.contains(&lane.target));
        for target in targets {
            self.metrics.edge().notify_begins(&target.name);
            lanes.entry(Arc::clone(&target.name)).or_insert_with(|| {
                let (queue, waiting) = mpsc::channel(QUEUE);
                self.runtime.spawn(task::boxed(send::deliver(target.clone(), waiting, Arc::clone(&self.metrics))));
                Lane { target: target.clone(), queue }
            });
        }
    }

    /// Puts the message into the queue of each recipient that subscribed to it. Returns at once.
    pub fn tell(&self, mut message: Message) {
        let in_force = self.in_force.lock();
        if !message.route.is_empty() {
            message.link = format!("{}route/{}", in_force.console, message.route);
        }
        let message = Arc::new(message);
        for lane in in_force.lanes.values().filter(|lane| message.is_for(&lane.target)) {
            if lane.queue.try_send(Arc::clone(&message)).is_err() {
                self.metrics.edge().notified(&lane.target.name, "dropped");
            }
        }
    }
}
