//! Which answers prove that a path exists, where the answer alone does not say so.

use super::exchange::Observation;
use super::node::{NodeId, SegmentRole};
use super::tree::{ROOT, Tree};
use super::unproven::{EMPTY, Proof, REFUSED, path_hash};

impl Tree {
    /// Whether a redirect or a demand for credentials proves a path that is not known.
    pub(super) fn is_proven(&mut self, exchange: &Observation<'_>, path: &str, client: u16) -> bool {
        let answer = match exchange.status {
            301 | 302 | 307 | 308 if exchange.location > 0 => exchange.location,
            401 => REFUSED,
            _ => return false,
        };
        let Some(hash) = self.unknown(path) else { return false };
        match self.unproven.see(answer, hash, client) {
            Proof::Yes => true,
            Proof::No => false,
            Proof::ForAny(paths) => {
                self.forget_unproven(ROOT, EMPTY, &paths);
                false
            }
        }
    }

    /// The hash of the nodes that an exchange for the path would end at; `None`: it would make none of them.
    fn unknown(&self, path: &str) -> Option<u32> {
        let (mut at, mut hash) = (Some(ROOT), EMPTY);
        let mut segments = path.split('/').enumerate().peekable();
        while let Some((place, segment)) = segments.next() {
            let last = segments.peek().is_none();
            let (read, known) = self.find(at, segment, place, last);
            let role = known.map(|known| self.node(known).role);
            if role == Some(SegmentRole::Rest) {
                return None;
            }
            let is_word = role == Some(SegmentRole::Word) || role.is_none() && read.kind.is_none();
            hash = path_hash(hash, is_word.then_some(segment));
            at = known;
        }
        at.is_none().then_some(hash)
    }

    /// Forgets what only an answer made that any path gets. Whether something was forgotten.
    fn forget_unproven(&mut self, at: NodeId, hash: u32, paths: &[u32]) -> bool {
        let children: Vec<NodeId> = self.node(at).children().collect();
        let mut forgotten = false;
        for child in children {
            let node = self.node(child);
            let hash = path_hash(hash, (node.role == SegmentRole::Word).then_some(&*node.name));
            let below = self.forget_unproven(child, hash, paths);
            let node = self.node(child);
            let is_empty = node.children().next().is_none() && !node.fixed;
            if is_empty && (node.unproven && paths.contains(&hash) || below && node.counts.is_empty()) {
                self.detach(at, child);
                self.drop_below(child);
                forgotten = true;
            }
        }
        forgotten
    }
}
