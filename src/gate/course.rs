//! One route's way under its gate: ticks, intervals, settling, and what comes of them. Time is an argument.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::live::{GateCounters, Held};
use crate::migration::dial::{By, Standing, Wish, promoted};
use crate::migration::gate::{
    Circumstances, Gate, HandedOn, Judge, Needs, Obstacle, QUANTILES, QuantileLimit, Rates, Ruling, Scene, Tick,
    Verdict, words,
};
use crate::migration::{Dial, Percent, Policy, Stage};

/// The longest tick.
const TICK: Duration = Duration::from_secs(10);
const SECOND: Duration = Duration::from_secs(1);
/// From this many requests a second on, a tick is a second.
const BUSY: u64 = 10_000;
/// The time over which the rate of requests is measured.
const RATE_OVER: Duration = Duration::from_secs(60);

/// The state of a gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    Off,
    Hold,
    Settling,
    Latched,
    Waiting,
    Paused {
        /// Its roll-backs, too.
        all: bool,
    },
}

impl State {
    pub const ALL: [Self; 6] =
        [Self::Off, Self::Hold, Self::Settling, Self::Latched, Self::Waiting, Self::Paused { all: false }];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Hold => "hold",
            Self::Settling => "settling",
            Self::Latched => "latched",
            Self::Waiting => "waiting",
            Self::Paused { .. } => "paused",
        }
    }

    /// Where nothing that a look finds makes a difference.
    fn whatever_is_found(standing: &Standing) -> Option<Self> {
        if standing.latched {
            return Some(Self::Latched);
        }
        if !is_judged(standing.dial) {
            return Some(Self::Off);
        }
        standing.pause.is_on().then_some(Self::Paused { all: standing.pause.is_all() })
    }

    /// Before the first look.
    pub(super) fn unlooked(standing: &Standing, gate: &Gate) -> Self {
        let begins = if gate.settle.is_zero() { Self::Hold } else { Self::Settling };
        Self::whatever_is_found(standing).unwrap_or(begins)
    }
}

/// A move that the gate wants; the loop makes it.
#[derive(Debug, Clone, PartialEq)]
pub struct Wanted {
    pub verdict: Verdict,
    pub to: Dial,
    pub ruling: Arc<Ruling>,
}

/// The finding of one look.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    pub state: State,
    /// `None`: the stage is not one that a gate moves, or another replica judges.
    pub ruling: Option<Arc<Ruling>>,
    /// The ruling is not that of the look before.
    pub is_new: bool,
    pub wanted: Option<Wanted>,
    /// An interval ended: the verdict is counted.
    pub interval: bool,
}

/// The input of a course at each look.
#[derive(Clone, Copy)]
pub struct RouteNow<'a> {
    pub now: Instant,
    pub held: &'a Held,
    pub policy: &'a Policy,
    pub gate: &'a Arc<Gate>,
    pub counters: &'a GateCounters,
    pub breaker_open: bool,
    pub obstacle: Option<Obstacle>,
    /// Everything that was counted so far: here, or by all replicas of the fleet whose leader this one is.
    pub totals: &'a dyn Fn() -> Tick,
    /// Whether anything was counted since these totals; where that is not known, it was.
    pub counted: &'a dyn Fn(&Tick) -> bool,
    /// Another replica judges: nothing is weighed here.
    pub elsewhere: bool,
}

/// A ruling, and all that it was made from beside the evidence.
#[derive(Debug)]
struct Ruled {
    standing: Circumstances,
    by: By,
    ruling: Arc<Ruling>,
}

/// The course of one route.
#[derive(Debug)]
pub struct Course {
    judge: Judge,
    /// The last ruling; `None`: the evidence is another one since.
    ruled: Option<Ruled>,
    dial: Dial,
    /// Where the route goes after this step.
    next: Option<Dial>,
    resets: u64,
    before: Tick,
    /// Nothing was counted in the last tick. A request that was being counted at its end stands in the tick behind it: that one is
    /// read in any case.
    was_quiet: bool,
    moved: Instant,
    ticked: Instant,
    interval: Instant,
    /// A tick that began while settling is a settling tick.
    settling: bool,
    /// Requests of the service and comparisons of each tick.
    rate: VecDeque<(Instant, u64, u64)>,
    /// Another replica judged until now.
    elsewhere: bool,
}

impl Course {
    pub fn new(seen: &RouteNow<'_>) -> Self {
        let judge = Judge::new(seen.gate, scene(seen), step_of(seen.held.standing.dial, seen.gate));
        seen.counters.set_limits(None);
        Self {
            judge,
            ruled: None,
            dial: seen.held.standing.dial,
            next: next(seen),
            resets: seen.held.resets,
            before: (seen.totals)(),
            was_quiet: false,
            moved: seen.now,
            ticked: seen.now,
            interval: seen.now,
            settling: !seen.gate.settle.is_zero(),
            rate: VecDeque::new(),
            elsewhere: seen.elsewhere,
        }
    }

    /// One look, to be taken about once a second.
    pub fn look(&mut self, seen: &RouteNow<'_>) -> Finding {
        self.follow(seen);
        if seen.elsewhere {
            self.elsewhere = true;
            let (ruling, is_new) = self.ruling(seen);
            return Finding { state: self.state(seen, &ruling), ruling: None, is_new, wanted: None, interval: false };
        }
        let due = seen.now.saturating_duration_since(self.ticked) >= self.tick_length(seen.gate);
        if due {
            self.tick(seen);
        }
        let interval = seen.now.saturating_duration_since(self.interval) >= seen.gate.interval;
        let (ruling, is_new) = self.ruling(seen);
        let state = self.state(seen, &ruling);
        let wanted = (due || interval).then(|| self.wanted(seen, &ruling, interval)).flatten();
        if interval {
            self.interval = seen.now;
        }
        Finding {
            state,
            ruling: (state != State::Off).then_some(ruling),
            is_new,
            wanted,
            interval: interval && state != State::Off,
        }
    }

    /// A move, or a reset, begins the evidence anew.
    fn follow(&mut self, seen: &RouteNow<'_>) {
        let dial = seen.held.standing.dial;
        let gate = self.judge.gate();
        let anew = self.resets != seen.held.resets || !Arc::ptr_eq(gate, seen.gate) && gate != seen.gate;
        if anew {
            *self = Self::new(seen);
        } else if dial != self.dial {
            self.judge.next_step(scene(seen), step_of(dial, seen.gate));
            self.ruled = None;
            seen.counters.set_limits(None);
            self.dial = dial;
            self.next = next(seen);
            self.before = (seen.totals)();
            self.was_quiet = false;
            self.moved = seen.now;
            self.ticked = seen.now;
            self.interval = seen.now;
            self.settling = !seen.gate.settle.is_zero();
            self.rate.clear();
        }
    }

    /// This replica judges from now on, and another one did until now: it goes on with what that one gathered, and counts from here.
    pub fn takes_over(&self, seen: &RouteNow<'_>) -> bool {
        self.elsewhere && !seen.elsewhere
    }

    pub fn take_over(&mut self, seen: &RouteNow<'_>, gathered: Option<&HandedOn>) {
        self.elsewhere = false;
        self.follow(seen);
        self.judge = Judge::new(seen.gate, scene(seen), step_of(self.dial, seen.gate));
        if let Some(gathered) = gathered {
            self.judge.go_on(gathered);
        }
        self.ruled = None;
        seen.counters.set_limits(self.judge.limits());
        self.before = (seen.totals)();
        self.was_quiet = false;
        self.ticked = seen.now;
        self.interval = seen.now;
        self.rate.clear();
    }

    /// The evidence that the next leader goes on with.
    pub fn hand_on(&self) -> HandedOn {
        self.judge.hand_on()
    }

    /// The limits of time that answers are counted by.
    pub const fn limits(&self) -> Option<&[QuantileLimit; QUANTILES.len()]> {
        self.judge.limits()
    }

    /// How often counts are looked at.
    pub fn tick_length(&self, gate: &Gate) -> Duration {
        let shortest = shortest_tick(gate);
        if self.rate.iter().map(|(_, requests, compared)| requests.max(compared)).sum::<u64>()
            >= BUSY * RATE_OVER.as_secs()
        {
            SECOND
        } else {
            shortest
        }
    }

    fn tick(&mut self, seen: &RouteNow<'_>) {
        let is_quiet = !(seen.counted)(&self.before);
        let (mut requests, mut compared) = (0, 0);
        let is_evidence = if is_quiet && self.was_quiet {
            self.judge.observe_nothing(!self.settling)
        } else {
            let totals = (seen.totals)();
            let tick = totals.since(&self.before);
            self.before = totals;
            (requests, compared) = (tick.service.requests(), tick.copies.compared);
            self.judge.observe(&tick, !self.settling);
            true
        };
        self.was_quiet = is_quiet;
        if is_evidence {
            self.ruled = None;
            seen.counters.set_limits(self.judge.limits());
        }
        // The next tick settles if it begins within the time.
        self.settling = seen.now.saturating_duration_since(self.moved) < seen.gate.settle;
        self.ticked = seen.now;
        self.rate.push_back((seen.now, requests, compared));
        while self.rate.front().is_some_and(|(at, ..)| seen.now.saturating_duration_since(*at) > RATE_OVER) {
            self.rate.pop_front();
        }
    }

    pub fn rates(&self, now: Instant) -> Rates {
        let Some((first, ..)) = self.rate.front() else { return Rates::default() };
        // The first count came in over the tick before it.
        let since = now.saturating_duration_since(*first) + SECOND;
        #[expect(clippy::cast_precision_loss, reason = "requests of a minute")]
        let a_second = |counts: u64| counts as f64 / since.as_secs_f64();
        Rates {
            requests: a_second(self.rate.iter().map(|(_, requests, _)| requests).sum()),
            comparisons: a_second(self.rate.iter().map(|(.., compared)| compared).sum()),
        }
    }

    /// A person has to let the route go on after this step.
    fn waits(&self, seen: &RouteNow<'_>) -> bool {
        let new_stage = self.next.map(|next| next.stage).filter(|stage| *stage != self.dial.stage);
        new_stage.is_some_and(|stage| seen.gate.approve.contains(&stage)) && !seen.held.standing.approved
    }

    fn is_active(&self) -> bool {
        is_judged(self.dial)
    }

    /// The ruling, and whether it was made just now: without other evidence or circumstances the last one holds.
    fn ruling(&mut self, seen: &RouteNow<'_>) -> (Arc<Ruling>, bool) {
        let (standing, by) = (self.circumstances(seen), seen.held.standing.by);
        if let Some(ruled) = self.ruled.as_ref().filter(|ruled| ruled.standing == standing && ruled.by == by) {
            return (Arc::clone(&ruled.ruling), false);
        }
        let ruling = Arc::new(self.rule(seen, standing));
        self.ruled = Some(Ruled { standing, by, ruling: Arc::clone(&ruling) });
        (ruling, true)
    }

    fn circumstances(&self, seen: &RouteNow<'_>) -> Circumstances {
        Circumstances {
            obstacle: seen.obstacle,
            pause: seen.held.standing.pause,
            waiting: self.waits(seen),
            settling: self.settling,
            breaker_open: seen.breaker_open,
            without_copies: self.dial.stage == Stage::Shadow && !scene(seen).compared,
        }
    }

    fn rule(&self, seen: &RouteNow<'_>, standing: Circumstances) -> Ruling {
        if self.dial.stage == Stage::Canary && self.dial.weight == Percent::EVERYBODY {
            // Nothing is left to compare with: only a gate that was sure before it came here goes on.
            return self.at_the_end(seen, standing);
        }
        self.judge.rule(standing)
    }

    fn at_the_end(&self, seen: &RouteNow<'_>, standing: Circumstances) -> Ruling {
        let empty = Judge::new(seen.gate, Scene { shadow: false, compared: false, paired: false }, self.judge.step());
        let (verdict, why) = match (standing.obstacle, standing.pause.is_on(), standing.breaker_open, standing.waiting)
        {
            (Some(_), ..) => (Verdict::Hold, empty.rule(standing).why),
            (None, true, breaker_open, _) => {
                let could = !breaker_open && seen.held.standing.by == By::Gate;
                (Verdict::Hold, words::paused(standing.pause, could))
            }
            (None, _, true, _) => (Verdict::Hold, "the breaker is open: the service is not asked".to_owned()),
            _ if seen.held.standing.by != By::Gate => (
                Verdict::Hold,
                "at 100 % no monolith is left to compare with: promote it, or lower the weight".to_owned(),
            ),
            (None, _, _, true) => (Verdict::Hold, words::WAITS.to_owned()),
            _ => (Verdict::Advance, "every client is on the service".to_owned()),
        };
        Ruling { verdict, why, needs: Needs::Nothing, readings: Vec::new() }
    }

    fn state(&self, seen: &RouteNow<'_>, ruling: &Ruling) -> State {
        let found = match (ruling.why == words::WAITS, self.settling) {
            (true, _) => State::Waiting,
            (false, true) => State::Settling,
            (false, false) => State::Hold,
        };
        State::whatever_is_found(&seen.held.standing).unwrap_or(found)
    }

    fn wanted(&self, seen: &RouteNow<'_>, ruling: &Arc<Ruling>, interval: bool) -> Option<Wanted> {
        if !self.is_active() || seen.obstacle.is_some() {
            return None;
        }
        let to = match ruling.verdict {
            Verdict::RollBack if seen.held.standing.pause.is_all() => return None,
            Verdict::RollBack => Dial { stage: Stage::Canary, weight: Percent::NOBODY },
            Verdict::Advance if interval && !seen.held.standing.latched => self.next?,
            _ => return None,
        };
        Some(Wanted { verdict: ruling.verdict, to, ruling: Arc::clone(ruling) })
    }

    /// From 1; the number of steps.
    pub fn step(&self) -> (usize, usize) {
        (self.judge.step() + 1, self.judge.gate().steps.len())
    }

    /// How often limits of time were measured anew in this step.
    pub const fn measured_anew(&self) -> u32 {
        self.judge.measured_anew()
    }

    pub const fn dial(&self) -> Dial {
        self.dial
    }
}

/// How often counts are looked at, and told to the leader of a fleet, unless more comes than that suits.
pub fn shortest_tick(gate: &Gate) -> Duration {
    TICK.min(gate.interval / 2).max(SECOND)
}

/// Whether a gate has something to weigh under this dial.
pub fn is_judged(dial: Dial) -> bool {
    match dial.stage {
        Stage::Shadow => true,
        Stage::Canary => dial.weight > Percent::NOBODY,
        _ => false,
    }
}

/// Where the route goes after this step: no gate leads to `retired`.
fn next(seen: &RouteNow<'_>) -> Option<Dial> {
    let dial = promoted(seen.held.standing.dial, Wish::default(), seen.gate, true).ok()?;
    (dial.stage != Stage::Retired).then_some(dial)
}

/// The kinds of evidence that can judge the step in force.
fn scene(seen: &RouteNow<'_>) -> Scene {
    let shadow = seen.held.standing.dial.stage == Stage::Shadow;
    let compared = seen.policy.shadow.as_ref().is_some_and(|shadow| shadow.compare.is_some());
    Scene { shadow, compared, paired: compared && seen.gate.pairs }
}

/// From 0.
pub fn step_of(dial: Dial, gate: &Gate) -> usize {
    dial.own_weight().map_or(0, |weight| gate.step_of(weight))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::migration::SafeCalls;
    use crate::migration::gate::{GROUPS, Pause};

    fn canary(hundredths: u16) -> Dial {
        Dial { stage: Stage::Canary, weight: Percent::from_hundredths(hundredths).expect("at most 100 %") }
    }

    fn policy(dial: Dial) -> Policy {
        Policy {
            dial,
            service: None,
            variants: Vec::new(),
            sticky: Vec::new(),
            issue_cookie: false,
            cohort: "users".into(),
            pin: None,
            fallback: None,
            shadow: None,
            safe_calls: SafeCalls::default(),
            balanced_by_unit: false,
            shared_cache: false,
            gate: None,
        }
    }

    /// `failed` of 64 requests of the service failed, and none of the monolith's.
    fn counted(failed: u32) -> Tick {
        let mut tick = Tick::default();
        for side in [&mut tick.monolith, &mut tick.service] {
            side.asked = [4; GROUPS];
            side.late[100] = 200;
        }
        tick.service.failed = [failed; GROUPS];
        tick
    }

    /// The finding after a tick in which every request of the service failed.
    fn finds((dial, by): (Dial, By), pause: Pause) -> Finding {
        let (policy, gate, counters) = (policy(dial), Arc::new(Gate::default()), GateCounters::default());
        let mut held = Held::of_file(dial);
        (held.standing.by, held.standing.pause) = (by, pause);
        let begin = Instant::now();
        let (before, after) = (Tick::default(), counted(4));
        let (nothing, everything) = (|| before.clone(), || after.clone());
        let seen = |after: Duration, totals| RouteNow {
            now: begin + after,
            held: &held,
            policy: &policy,
            gate: &gate,
            counters: &counters,
            breaker_open: false,
            obstacle: None,
            totals,
            counted: &|_| true,
            elsewhere: false,
        };
        let mut course = Course::new(&seen(Duration::ZERO, &nothing as &dyn Fn() -> Tick));
        course.look(&seen(TICK, &everything))
    }

    #[test]
    fn at_the_end_a_paused_gate_that_was_sure_says_that_it_could_go_on() {
        let all = canary(10_000);
        for (by, pause, why) in [
            (By::Gate, Pause::Advances, "paused; it could go on"),
            (By::File, Pause::Advances, "paused"),
            (By::Gate, Pause::No, words::WAITS),
        ] {
            assert_eq!(finds((all, by), pause).ruling.expect("a canary is judged").why, why, "{by:?} {pause:?}");
        }
    }

    #[test]
    fn a_paused_gate_rolls_back_and_one_whose_roll_backs_are_paused_too_says_that_it_would() {
        for (pause, acts, why) in [
            (Pause::No, true, None),
            (Pause::Advances, true, None),
            (Pause::All, false, Some("paused, roll-backs too: the gate does not take the route back")),
        ] {
            let found = finds((canary(500), By::File), pause);
            let ruling = found.ruling.expect("a canary is judged");
            assert_eq!(ruling.verdict, Verdict::RollBack, "{pause:?}: {}", ruling.why);
            assert!(ruling.why.starts_with("failures: service 100 % of"), "{pause:?}: {}", ruling.why);
            assert_eq!(ruling.why.split_once("; paused").map(|_| ()), why.map(|_| ()), "{pause:?}: {}", ruling.why);
            assert!(why.is_none_or(|why| ruling.why.ends_with(why)), "{pause:?}: {}", ruling.why);
            let to = found.wanted.map(|wanted| (wanted.verdict, wanted.to));
            assert_eq!(to, acts.then_some((Verdict::RollBack, canary(0))), "{pause:?}");
        }
    }
}
