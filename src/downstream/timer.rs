//! One timer for all deadlines of a connection.

use std::future::Future as _;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use tokio::time::{Sleep, sleep_until};

/// Deadlines move with each byte, so the timer is armed anew only when the next one comes nearer than the one that it waits for;
/// on a busy connection that is about once a minute.
#[derive(Debug, Default)]
pub struct Timer(Option<Pin<Box<Sleep>>>);

impl Timer {
    /// Ready: `due` has passed. Otherwise the task is woken then, or earlier. One task only may poll it.
    pub fn poll(&mut self, cx: &mut Context<'_>, due: Option<Instant>) -> Poll<()> {
        let Some(due) = due else { return Poll::Pending };
        let at = tokio::time::Instant::from_std(due);
        let sleep = match &mut self.0 {
            Some(sleep) if !sleep.is_elapsed() && sleep.deadline() <= at => return Poll::Pending,
            Some(sleep) => {
                if tokio::time::Instant::now() >= at {
                    return Poll::Ready(());
                }
                sleep.as_mut().reset(at);
                sleep
            }
            None => self.0.insert(Box::pin(sleep_until(at))),
        };
        sleep.as_mut().poll(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn a_deadline_that_moves_away_is_met_when_it_comes() {
        let began = Instant::now();
        let mut timer = Timer::default();
        let near = began + Duration::from_millis(20);
        let far = began + Duration::from_millis(60);
        let mut polls = 0;
        poll_fn(|cx| {
            polls += 1;
            timer.poll(cx, Some(if polls == 1 { near } else { far }))
        })
        .await;
        assert!(Instant::now() >= far && polls >= 2, "{polls} polls");
        poll_fn(|cx| {
            assert!(timer.poll(cx, None).is_pending(), "without a deadline it never fires");
            timer.poll(cx, Some(near))
        })
        .await;
    }
}
