//! Endpoints of a service of Kubernetes: its `EndpointSlices`, listed once and watched from there on, over all connections.
//!
//! A watch ends by itself every few minutes and is taken up where it was: nothing is missed in between. When that point is too old
//! (410 Gone), a list is asked for again.

mod api;
mod slice;

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, sleep_until, timeout};

use super::sink::Sink;
use super::{ANSWER, Patience, SECOND_LOOK};
use crate::client::FetchError;
use crate::endpoint::{KubernetesService, Look};
use api::{Api, ApiError, WATCH};
use slice::Slice;

/// A watch that ended sooner than this did so for a reason: the next one waits.
const SOON: Duration = Duration::from_secs(1);

/// How a round ended.
enum End {
    Gone,
    /// The watch is over; the next one goes on from there.
    Over,
    /// The point from which to watch is too old, or an endpoint was missing from the last list.
    ListAgain,
    Trouble(ApiError),
}

pub(super) async fn follow(sink: Sink, of: &KubernetesService) {
    let mut patience = Patience::new();
    let mut follower = Follower { sink, of, api: None, slices: BTreeMap::new(), version: None };
    loop {
        let began = Instant::now();
        match follower.list_and_watch(&mut patience).await {
            End::Gone => return,
            End::Over if began.elapsed() < SOON => patience.pause().await,
            End::Over => {}
            End::ListAgain => follower.version = None,
            End::Trouble(error) => {
                if follower.sink.trouble(&format!("Kubernetes: {error}")).is_break() {
                    return;
                }
                patience.pause().await;
            }
        }
    }
}

struct Follower<'a> {
    sink: Sink,
    of: &'a KubernetesService,
    /// `None`: what the pod knows could not be read yet.
    api: Option<Api>,
    slices: BTreeMap<String, Slice>,
    /// Everything up to here is known; `None`: a list is needed.
    version: Option<String>,
}

impl Follower<'_> {
    async fn list_and_watch(&mut self, patience: &mut Patience) -> End {
        match self.round(patience).await {
            Ok(end) | Err(end) => end,
        }
    }

    async fn round(&mut self, patience: &mut Patience) -> Result<End, End> {
        let api = match self.api.take() {
            Some(api) => api,
            None => Api::of(self.of).await.map_err(End::Trouble)?,
        };
        let api = self.api.insert(api).clone();
        if self.version.is_none() {
            self.list(&api).await?;
        }
        let mut events = match api.watch(self.version.as_deref().unwrap_or("0")).await {
            Ok(events) => events,
            Err(ApiError::TooOld) => return Err(End::ListAgain),
            Err(error) => return Err(End::Trouble(error)),
        };
        patience.reset();
        let second_look = Instant::now() + SECOND_LOOK;
        loop {
            tokio::select! {
                event = timeout(WATCH + ANSWER, events.next()) => match event {
                    Ok(Ok(Some(event))) => self.hear(&event)?,
                    // The server ends the watch; a server that is silent until this timeout is gone.
                    Ok(Ok(None)) | Err(_) => return Ok(End::Over),
                    Ok(Err(error)) => return Err(End::Trouble(error.into())),
                },
                () = sleep_until(second_look), if self.sink.in_doubt() => return Err(End::ListAgain),
            }
        }
    }

    async fn list(&mut self, api: &Api) -> Result<(), End> {
        let response = api.list().await.map_err(End::Trouble)?;
        let not_understood = |why: &str| End::Trouble(FetchError::NotUnderstood(why.to_owned()).into());
        let version = version_of(&response).ok_or_else(|| not_understood("the list has no version"))?;
        let items = response["items"].as_array().ok_or_else(|| not_understood("the list has no items"))?;
        // One that cannot be read makes the list useless: half a list would take endpoints away.
        let slices: Option<BTreeMap<_, _>> = items.iter().map(Slice::read).collect();
        self.slices = slices.ok_or_else(|| not_understood("an EndpointSlice has no name or type"))?;
        self.version = Some(version);
        self.publish(Look::Afresh)
    }

    fn hear(&mut self, event: &Value) -> Result<(), End> {
        let object = &event["object"];
        let kind = event["type"].as_str().unwrap_or_default();
        if kind == "ERROR" {
            if object["code"].as_u64() == Some(410) {
                return Err(End::ListAgain);
            }
            let why = object["message"].as_str().unwrap_or("the watch reported an error").to_owned();
            // For any other error, list anew: a list is complete.
            self.version = None;
            return Err(End::Trouble(ApiError::Said(why)));
        }
        if let Some(version) = version_of(object) {
            self.version = Some(version);
        }
        match (kind, Slice::read(object)) {
            ("ADDED" | "MODIFIED", Some((name, slice))) => drop(self.slices.insert(name, slice)),
            ("DELETED", Some((name, _))) => drop(self.slices.remove(&name)),
            // A bookmark says how far the watch is, and nothing else.
            _ => return Ok(()),
        }
        self.publish(Look::Continuous)
    }

    fn publish(&mut self, look: Look) -> Result<(), End> {
        let carried = match slice::endpoints(&self.slices, self.of.port.as_ref(), self.of.family) {
            Ok(list) => self.sink.listed(list, look),
            Err(why) => self.sink.trouble(&format!("Kubernetes: service `{}`: {why}", self.of.service)),
        };
        if let ControlFlow::Break(()) = carried { Err(End::Gone) } else { Ok(()) }
    }
}

fn version_of(object: &Value) -> Option<String> {
    object["metadata"]["resourceVersion"].as_str().filter(|version| !version.is_empty()).map(str::to_owned)
}
