//! One timer for all deadlines of a connection.

use std::future::Future as _;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Instant;

use tokio::task::unconstrained;
use tokio::time::{Sleep, sleep_until};

/// Deadlines move with each byte, so the timer is armed anew only when the next one comes nearer than the one that it waits for;
/// on a busy connection that is about once a minute.
#[derive(Debug, Default)]
pub struct Timer {
    sleep: Option<Pin<Box<Sleep>>>,
    /// It wakes the task that polls it.
    wakes: bool,
}

impl Timer {
    /// The timer for another task. Its deadline stays.
    #[must_use]
    pub fn hand_over(self) -> Self {
        Self { wakes: false, ..self }
    }

    /// Ready: `due` has passed. Otherwise the task is woken then, or earlier. One task only may poll it.
    pub fn poll(&mut self, cx: &mut Context<'_>, due: Option<Instant>) -> Poll<()> {
        let Some(due) = due else { return Poll::Pending };
        let at = tokio::time::Instant::from_std(due);
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep_until(at)));
        let is_armed = !sleep.is_elapsed() && sleep.deadline() <= at;
        if is_armed && self.wakes {
            return Poll::Pending;
        }
        if !is_armed {
            if tokio::time::Instant::now() >= at {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(at);
        }
        self.wakes = true;
        // A task that has done much already would be put off, and the timer would have no waker.
        match pin!(unconstrained(sleep.as_mut())).poll(cx) {
            // It was armed for an earlier moment, which has passed since.
            Poll::Ready(()) if sleep.deadline() < at => self.poll(cx, Some(due)),
            polled => polled,
        }
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

    #[tokio::test]
    async fn a_task_that_has_done_much_is_woken_all_the_same() {
        let near = Instant::now() + Duration::from_millis(20);
        let (mut timer, mut polls) = (Timer::default(), 0);
        let fired = poll_fn(|cx| {
            polls += 1;
            while polls == 1
                && let Poll::Ready(budget) = tokio::task::coop::poll_proceed(cx)
            {
                budget.made_progress();
            }
            timer.poll(cx, Some(near))
        });
        assert!(tokio::time::timeout(Duration::from_secs(10), fired).await.is_ok());
    }

    #[tokio::test]
    async fn a_timer_that_another_task_had_wakes_the_one_that_has_it() {
        let began = Instant::now();
        let (near, far) = (began + Duration::from_millis(20), began + Duration::from_millis(60));
        let mut timer = Timer::default();
        let armed = poll_fn(|cx| Poll::Ready(timer.poll(cx, Some(near)).is_pending())).await;
        assert!(armed);
        for due in [far, far + Duration::from_millis(20)] {
            let mut handed = timer.hand_over();
            let task = tokio::spawn(async move {
                poll_fn(|cx| handed.poll(cx, Some(due))).await;
                handed
            });
            let woken = tokio::time::timeout(Duration::from_secs(10), task).await;
            timer = woken.expect("the task is woken").expect("it does not panic");
            assert!(Instant::now() >= due);
        }
    }
}
