//! The open connections of clients: how many there are, in all and of each client.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering::Relaxed};

use parking_lot::Mutex;
use prometheus::IntGauge;
use tokio::sync::watch;

use crate::guard::rate::client_unit;

/// The open connections of the whole process.
#[derive(Debug)]
pub struct Connections {
    /// The number for which there are descriptors, whatever the file says.
    room: u64,
    open: AtomicI64,
    /// A successor has the listeners.
    handed_over: AtomicBool,
    /// The connections of each client, counted only where they are limited.
    clients: Mutex<HashMap<[u8; 16], u64>>,
    /// Tells tunnels that the server goes. Each of them listens.
    going_away: watch::Sender<bool>,
}

impl Connections {
    pub fn new(room: u64) -> Self {
        Self {
            room,
            open: AtomicI64::new(0),
            handed_over: AtomicBool::new(false),
            clients: Mutex::default(),
            going_away: watch::Sender::new(false),
        }
    }

    /// There are more than the file allows, or than there is room for.
    pub(super) fn are_too_many(&self, limit: Option<u64>) -> bool {
        let most = limit.map_or(self.room, |most| most.min(self.room));
        u64::try_from(self.open()).unwrap_or(0) > most
    }

    pub fn open(&self) -> i64 {
        self.open.load(Relaxed)
    }

    pub fn successor_serves(&self) {
        self.handed_over.store(true, Relaxed);
    }

    pub fn has_successor(&self) -> bool {
        self.handed_over.load(Relaxed)
    }

    pub const fn going_away(&self) -> &watch::Sender<bool> {
        &self.going_away
    }

    /// Tells every tunnel that the server goes; gives how many there are.
    pub fn say_going_away(&self) -> usize {
        let listening = self.going_away.receiver_count();
        self.going_away.send_replace(true);
        listening
    }

    /// Another connection of this client, if it may have one.
    pub(super) fn admit(&self, client: IpAddr, most: u64) -> Option<ClientSlot<'_>> {
        let unit = client_unit(client);
        let mut clients = self.clients.lock();
        let open = clients.entry(unit).or_default();
        (*open < most).then(|| {
            *open += 1;
            ClientSlot { connections: self, unit }
        })
    }
}

/// Counts a connection of one client as long as it lives.
pub(super) struct ClientSlot<'a> {
    connections: &'a Connections,
    unit: [u8; 16],
}

impl Drop for ClientSlot<'_> {
    fn drop(&mut self) {
        let mut clients = self.connections.clients.lock();
        if let Some(open) = clients.get_mut(&self.unit) {
            *open -= 1;
            if *open == 0 {
                clients.remove(&self.unit);
            }
        }
    }
}

/// Counts a connection as long as it lives.
pub(super) struct ConnectionSlot<'a> {
    connections: &'a Connections,
    gauge: &'a IntGauge,
}

impl<'a> ConnectionSlot<'a> {
    pub(super) fn new(connections: &'a Connections, gauge: &'a IntGauge) -> Self {
        connections.open.fetch_add(1, Relaxed);
        gauge.inc();
        Self { connections, gauge }
    }
}

impl Drop for ConnectionSlot<'_> {
    fn drop(&mut self) {
        self.connections.open.fetch_sub(1, Relaxed);
        self.gauge.dec();
    }
}
