//! A WebSocket hears of the end of the process.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Poll, ready};

use tokio::sync::watch::Sender;

use crate::proxy::Watch;

type Heard = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Runs an exchange. If it becomes a WebSocket it hears of the farewell; every other one costs a look at a flag.
pub async fn until_farewell<F: Future>(watch: &Watch, farewell: &Sender<bool>, exchange: F) -> F::Output {
    let mut exchange = pin!(exchange);
    let mut heard: Option<Heard> = None;
    poll_fn(|cx| {
        loop {
            if let Poll::Ready(output) = exchange.as_mut().poll(cx) {
                return Poll::Ready(output);
            }
            if !watch.tunnel.is_websocket() || watch.tunnel.takes_leave() {
                return Poll::Pending;
            }
            let heard = heard.get_or_insert_with(|| {
                let mut farewell = farewell.subscribe();
                // An error says that the server is gone, and this task with it.
                Box::pin(async move { drop(farewell.wait_for(|said| *said).await) })
            });
            ready!(heard.as_mut().poll(cx));
            // The wire sees it at its next turn, which is now.
            watch.tunnel.take_leave();
        }
    })
    .await
}
