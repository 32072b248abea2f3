//! How many requests an upstream gets at once, and where the others wait.

use std::time::Duration;

use super::super::draft::Draft;
use crate::config::{Field, Limit, Queue};
use crate::diagnostic::Code;
use crate::endpoint::InFlightLimit;

const LENGTH: u32 = 100;
const TIMEOUT: Duration = Duration::from_secs(5);

pub(super) fn compile(most: &Field<Limit<u32>>, queue: &Field<Queue>, draft: &mut Draft<'_>) -> Option<InFlightLimit> {
    let timeout = queue.get().map_or(TIMEOUT, |queue| queue.timeout.or(TIMEOUT));
    if let Some(given) = queue.get().and_then(|queue| queue.timeout.given()).filter(|given| given.value.is_zero()) {
        let help = "write it like `queue = { length = 100, timeout = \"5s\" }`; with `length = 0` no request waits";
        draft.say(Code::OutOfRange, given.span.clone(), "a wait of nothing", "must be above 0", help);
    }
    let most = match most {
        Field::Given(given) => given.value.0,
        Field::Wrong => return None,
        Field::Absent => None,
    };
    if let (None, Some(given)) = (most, queue.given()) {
        let help = "add `max_in_flight = 32`, or remove `queue`";
        draft.say(Code::UselessSetting, given.span.clone(), "nothing waits without `max_in_flight`", "no effect", help);
    }
    let length = queue.get().map_or(LENGTH, |queue| queue.length.or(LENGTH));
    Some(InFlightLimit { most: most?, length, timeout })
}
