//! Which answers prove that a path exists, where the answer alone does not say so.

use super::exchange::Observation;
use super::node::{NodeId, SegmentRole};
use super::shape;
use super::tree::{ROOT, Tree, VERSION_PLACES};
use super::unproven::{EMPTY, Proof, REFUSED, path_hash};

impl Tree {
    /// Whether a redirect or a demand for credentials proves a path that is not known.
    pub(super) fn is_proven(&mut self, exchange: &Observation<'_>, path: &str, client: u16) -> bool {
        let answer = match exchange.status {
            301 | 302 | 307 | 308 if exchange.location > 0 => exchange.location,
            401 => REFUSED,
            _ => return false,
        };
        if self.knows(path) {
            return false;
        }
        let hash = path.split('/').enumerate().fold(EMPTY, |hash, (place, segment)| {
            let (stem, _) = shape::split_last(segment);
            let is_version = place < VERSION_PLACES && shape::is_version(segment);
            path_hash(hash, Some(segment).filter(|_| is_version || shape::value(stem).is_none()))
        });
        match self.unproven.see(answer, hash, client) {
            Proof::Yes => true,
            Proof::No => false,
            Proof::ForAny(paths) => {
                self.forget_unproven(ROOT, EMPTY, &paths);
                false
            }
        }
    }

    /// Whether an exchange for the path would make no node.
    fn knows(&self, path: &str) -> bool {
        let mut at = ROOT;
        let mut segments = path.split('/').peekable();
        while let Some(segment) = segments.next() {
            let last = segments.peek().is_none();
            let (stem, format) = if last { shape::split_last(segment) } else { shape::split_format(segment) };
            let parameter = || {
                let parameter = self.child(at, SegmentRole::Parameter, format)?;
                (self.node(at).open || shape::value(stem).is_some()).then_some(parameter)
            };
            if self.child(at, SegmentRole::Rest, "").is_some() {
                return true;
            }
            let Some(next) = self.child(at, SegmentRole::Word, segment).or_else(parameter) else { return false };
            at = next;
        }
        true
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
