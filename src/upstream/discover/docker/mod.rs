//! Endpoints from Docker or Podman: running containers with a label. Events say that something changed; a list says what.

mod container;

use std::ops::ControlFlow;
use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep_until, timeout};

use super::sink::Sink;
use super::{ANSWER, Patience, SECOND_LOOK};
use crate::client::JsonLines;
use crate::client::{FetchError, fetch};
use crate::endpoint::Url;
use crate::endpoint::{DockerContainers, Look};
use crate::message::percent_encoded;
use container::Container;

/// Without an event the list is looked at this often.
const QUIET: Duration = Duration::from_secs(30);

/// How a round ended.
enum End {
    Gone,
    Trouble(FetchError),
}

impl From<FetchError> for End {
    fn from(error: FetchError) -> Self {
        Self::Trouble(error)
    }
}

pub(super) async fn follow(sink: Sink, of: &DockerContainers) {
    let url: Url = match format!("unix:{}", of.socket.display()).parse() {
        Ok(url) => url,
        Err(error) => {
            let _ = sink.trouble(&error);
            return;
        }
    };
    let mut patience = Patience::new();
    let mut follower = Follower { sink, of, url };
    loop {
        match follower.list_and_watch(&mut patience).await {
            Err(End::Trouble(error)) => {
                let place = of.socket.display();
                if follower.sink.trouble(&format!("containers at `{place}`: {error}")).is_break() {
                    return;
                }
                patience.pause().await;
            }
            Ok(()) => patience.pause().await,
            Err(End::Gone) => return,
        }
    }
}

struct Follower<'a> {
    sink: Sink,
    of: &'a DockerContainers,
    url: Url,
}

impl Follower<'_> {
    /// Ends with the events.
    async fn list_and_watch(&mut self, patience: &mut Patience) -> Result<(), End> {
        // The events first: what happens while the list is made is in one of the two.
        let mut events = self.events().await?;
        self.list(Look::Afresh).await?;
        patience.reset();
        loop {
            let (pause, look) =
                if self.sink.in_doubt() { (SECOND_LOOK, Look::Afresh) } else { (QUIET, Look::Continuous) };
            tokio::select! {
                event = events.next() => match event? {
                    Some(event) if !changes_something(&event) => {}
                    Some(_) => self.list(Look::Continuous).await?,
                    None => return Err(End::Trouble(FetchError::Broken("the events ended".to_owned()))),
                },
                () = sleep_until(Instant::now() + pause) => self.list(look).await?,
            }
        }
    }

    async fn events(&self) -> Result<JsonLines, FetchError> {
        // Of networks the label is not the container's: all are heard.
        let filters = json!({ "type": ["container", "network"] }).to_string();
        let (head, _) = fetch::json_request(
            &self.url,
            Method::GET,
            &format!("/events?filters={}", percent_encoded(&filters)),
            None,
        );
        let asked = fetch::fetch(&self.url, &head, None);
        let response = timeout(ANSWER, asked).await.map_err(|_| FetchError::TooSlow(ANSWER))??;
        match response.head.status.as_u16() {
            200 => Ok(JsonLines::new(response)),
            status => Err(FetchError::Status(status)),
        }
    }

    async fn list(&mut self, look: Look) -> Result<(), End> {
        let filters = json!({ "label": [&*self.of.label] }).to_string();
        let path = format!("/containers/json?filters={}", percent_encoded(&filters));
        let (_, response) = fetch::json(&self.url, Method::GET, &path, None, ANSWER).await?;
        let not_understood = || FetchError::NotUnderstood("a list of containers was expected".to_owned());
        let containers: Option<Vec<_>> =
            response.as_array().ok_or_else(not_understood)?.iter().map(Container::read).collect();
        let mut list = Vec::new();
        for container in containers.ok_or_else(not_understood)?.iter().filter(|container| container.serves()) {
            match container.listing(self.of) {
                Ok(listing) => list.push(listing),
                // It runs nevertheless: it must not be missing from the list.
                Err(why) => match self.sink.unreadable(container.name(), &why) {
                    ControlFlow::Continue(known) => list.extend(known),
                    ControlFlow::Break(()) => return Err(End::Gone),
                },
            }
        }
        if self.sink.listed(list, look).is_break() { Err(End::Gone) } else { Ok(()) }
    }
}

/// Podman says `Status` where Docker says `Action`, too.
fn changes_something(event: &Value) -> bool {
    const WORDS: [&str; 14] = [
        "start",
        "stop",
        "die",
        "died",
        "kill",
        "pause",
        "unpause",
        "destroy",
        "remove",
        "rename",
        "restart",
        "update",
        "connect",
        "disconnect",
    ];
    let action = ["Action", "status", "Status"].iter().find_map(|key| event[key].as_str());
    action.is_none_or(|action| WORDS.contains(&action) || action.starts_with("health_status"))
}
