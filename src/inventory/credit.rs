//! What a client may teach: new words cost credit, exchanges at known places earn it. A scanner runs out of it.

/// A prime, so that hashes spread; the table takes 16 KiB.
const BUCKETS: usize = 4_093;
const START: f32 = 20.0;
const EARNED: f32 = 0.25;
const MOST: f32 = 50.0;

/// Credit by hash of the client's address; clients of one bucket share it.
#[derive(Debug, Clone)]
pub struct Credit(Box<[f32]>);

impl Credit {
    #[must_use]
    pub fn new() -> Self {
        Self(vec![START; BUCKETS].into())
    }

    /// The bucket of a client, which stands for it from here on.
    #[must_use]
    pub const fn bucket(client: u32) -> u16 {
        (client as usize % BUCKETS) as u16
    }

    #[must_use]
    pub fn allows(&self, bucket: u16) -> bool {
        self.0[usize::from(bucket)] >= 1.0
    }

    pub fn spend(&mut self, bucket: u16, nodes: u16) {
        self.0[usize::from(bucket)] -= f32::from(nodes);
    }

    pub fn earn(&mut self, bucket: u16) {
        let credit = &mut self.0[usize::from(bucket)];
        *credit = (*credit + EARNED).min(MOST);
    }
}

impl Default for Credit {
    fn default() -> Self {
        Self::new()
    }
}
