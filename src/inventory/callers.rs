//! The callers of an endpoint: an estimate of their number, and their User-Agents.

use serde::{Deserialize, Serialize};

use super::sketch::Sketch;
use super::values::finished;

/// User agents that are kept of one endpoint.
const AGENTS: usize = 8;
/// Bytes of one.
const LONGEST: usize = 40;

/// The callers of one endpoint.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Callers {
    pub clients: Sketch,
    /// With exchanges learned from; those that were seen most. A newcomer takes the place of the rarest and inherits its
    /// count (Metwally et al. 2005, "Space-Saving"), so that a caller that stays is never pushed out by many that come once.
    agents: Vec<Agent>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agent {
    pub name: Box<str>,
    /// With the inherited count: no agent that is not kept was seen more often than the least of these.
    count: u32,
    pub inherited: u32,
}

impl Agent {
    /// How often, since it is kept.
    pub const fn seen(&self) -> u32 {
        self.count - self.inherited
    }
}

impl Callers {
    pub fn add(&mut self, client: u32, agent: &str) {
        self.clients.see(spread(client));
        let agent = shortened(agent);
        if !agent.is_empty() {
            self.count(agent, 1, 0);
        }
    }

    /// Takes an agent in that was seen `seen` times, and had inherited `inherited` where it was kept.
    pub fn count(&mut self, agent: &str, seen: u32, inherited: u32) {
        let with = |before: u32, inherited: u32, seen: u32| {
            let inherited = before.saturating_add(inherited).min(u32::MAX - seen);
            (inherited + seen, inherited)
        };
        if let Some(known) = self.agents.iter_mut().find(|known| *known.name == *agent) {
            let seen = known.seen().saturating_add(seen);
            (known.count, known.inherited) = with(known.inherited, inherited, seen);
            return;
        }
        if self.agents.len() < AGENTS {
            self.agents.reserve_exact(1);
            let (count, inherited) = with(0, inherited, seen);
            self.agents.push(Agent { name: agent.into(), count, inherited });
            return;
        }
        let rarest = self.agents.iter_mut().min_by_key(|agent| agent.count).expect("there are eight");
        let (count, inherited) = with(rarest.count, inherited, seen);
        *rarest = Agent { name: agent.into(), count, inherited };
    }

    pub fn merge(&mut self, other: &Self) {
        self.clients.merge(&other.clients);
        for agent in &other.agents {
            self.count(&agent.name, agent.seen(), agent.inherited);
        }
    }

    pub fn kept(&self) -> &[Agent] {
        &self.agents
    }

    /// Which agents are not kept.
    #[must_use]
    pub fn others(&self) -> OtherAgents {
        match &self.agents[..] {
            agents if agents.iter().all(|agent| agent.inherited == 0) => OtherAgents::None,
            agents if agents.iter().all(|agent| agent.inherited > agent.seen()) => OtherAgents::Many,
            _ => OtherAgents::Some,
        }
    }

    /// The most frequent first, with how often each was seen at least, since it was kept.
    #[must_use]
    pub fn agents(&self) -> Vec<(&str, u32)> {
        let mut agents: Vec<(&str, u32)> = self.agents.iter().map(|agent| (&*agent.name, agent.seen())).collect();
        agents.sort_by(|one, other| other.1.cmp(&one.1).then(one.0.cmp(other.0)));
        agents
    }

    /// Bytes that it takes, with what the allocator adds to small blocks.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let names: usize = self.agents.iter().map(|agent| agent.name.len().next_multiple_of(8)).sum();
        size_of::<Self>() + self.agents.capacity() * size_of::<Agent>() + names
    }
}

/// Agents beside those that are kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OtherAgents {
    #[default]
    None,
    /// There are some, and each of them asked seldom.
    Some,
    /// The agents are many and each asks seldom, so that the kept ones are only the last that came.
    Many,
}

/// At most 40 bytes, cut where a character ends: product and version stand in front.
fn shortened(agent: &str) -> &str {
    if agent.len() <= LONGEST {
        return agent.trim();
    }
    let end = (0..=LONGEST).rev().find(|end| agent.is_char_boundary(*end)).unwrap_or(0);
    agent[..end].trim_end()
}

/// A hash of 32 bits as one of 64.
fn spread(client: u32) -> u64 {
    finished(u64::from(client).wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_that_stays_is_not_pushed_out_by_many_that_come_once() {
        let mut callers = Callers::default();
        for number in 0..1_000_u32 {
            callers.add(number % 3, "billing-batch/1.2 (contact: ops)");
            callers.add(number % 3, &format!("bot-{number}"));
        }
        assert_eq!(callers.agents().len(), AGENTS);
        assert_eq!(callers.agents()[0], ("billing-batch/1.2 (contact: ops)", 1_000));
        assert_eq!(callers.clients.kinds(), 3);
    }

    #[test]
    fn a_newcomer_is_not_said_to_have_asked_what_others_did() {
        let mut callers = Callers::default();
        for number in 0..12_000_u32 {
            callers.add(1, &format!("agent-{}", number % 12));
        }
        callers.add(1, "once/1.0");
        let agents = callers.agents();
        assert!(agents.contains(&("once/1.0", 1)), "{agents:?}");
        assert!(agents.iter().all(|(_, count)| *count <= 1_000), "{agents:?}");
    }

    #[test]
    fn it_is_known_whether_there_are_others() {
        let of = |kinds: u32, frequent: u32| {
            let mut callers = Callers::default();
            for number in 0..3_000 {
                callers.add(1, &format!("agent-{}", number % kinds));
                (0..frequent).for_each(|_| callers.add(1, "frequent"));
            }
            callers
        };
        let found = [of(7, 1), of(9, 9), of(100, 9), of(100, 0)].map(|callers| callers.others());
        assert_eq!(found, [OtherAgents::None, OtherAgents::Some, OtherAgents::Some, OtherAgents::Many]);
        // Also where counts were added up.
        let mut sum = of(7, 1);
        sum.merge(&of(100, 0));
        assert_ne!(sum.others(), OtherAgents::None);
    }

    #[test]
    fn a_long_name_is_cut_where_a_character_ends() {
        let mut callers = Callers::default();
        callers.add(1, &"é".repeat(40));
        assert_eq!(callers.agents()[0].0, "é".repeat(20));
    }
}
