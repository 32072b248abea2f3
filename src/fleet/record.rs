//! The fleet's records in etcd: keys below the prefix, and their values as JSON. Pure.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::config::read_percent;
use crate::migration::dial::{By, Standing};
use crate::migration::gate::Pause;
use crate::migration::{Dial, Percent, Stage};

/// The layout that this program writes, and the newest that it reads.
pub const LAYOUT: u32 = 1;
/// Values of the file that a route had before: one of these is never proposed again.
const MOST_BEFORE: usize = 8;

/// The keys of one fleet.
#[derive(Debug, Clone)]
pub struct FleetKeys {
    prefix: Box<str>,
}

impl FleetKeys {
    pub fn below(prefix: &str) -> Self {
        Self { prefix: prefix.into() }
    }

    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    pub fn key(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    pub fn dial(&self, route: &str) -> String {
        self.key(&format!("dial/{route}"))
    }

    pub fn journal(&self, route: &str, seq: u64) -> String {
        self.key(&format!("journal/{route}/{seq:010}"))
    }

    pub fn sealed(&self, name: &str) -> String {
        self.key(&format!("sealed/{name}"))
    }

    /// The name behind `sealed/`.
    pub fn sealed_name<'k>(&self, key: &'k str) -> Option<&'k str> {
        self.name(key)?.strip_prefix("sealed/")
    }

    /// The name behind the prefix.
    pub fn name<'k>(&self, key: &'k str) -> Option<&'k str> {
        key.strip_prefix(&*self.prefix)
    }
}

/// Stage and weight, as the journal writes them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DialText {
    pub stage: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<String>,
}

impl From<Dial> for DialText {
    fn from(dial: Dial) -> Self {
        let weight = dial.own_weight().map(|weight| weight.to_string());
        Self { stage: dial.stage.as_str().to_owned(), weight }
    }
}

impl DialText {
    /// `None`: a stage or a weight that this program does not know.
    pub fn dial(&self) -> Option<Dial> {
        let stage = Stage::ALL.into_iter().find(|stage| stage.as_str() == self.stage)?;
        let weight = match (&self.weight, stage) {
            (Some(text), Stage::Canary) => Percent::from_hundredths(read_percent(text)?.0)?,
            (_, Stage::Migrated | Stage::Retired) => Percent::EVERYBODY,
            _ => Percent::NOBODY,
        };
        Some(Dial { stage, weight })
    }
}

/// `dial/ROUTE`, and, as it was written, `journal/ROUTE/SEQ`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DialRecord {
    pub v: u32,
    #[serde(flatten)]
    pub to: DialText,
    /// Of the route's last entry, from 1 without gaps; 0: what the first replica's file said.
    pub seq: u64,
    pub by: String,
    /// The author of the dial; without it, the author of the entry.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub dial_by: String,
    pub who: String,
    /// Under which leader it was written; 0: none was known.
    #[serde(default)]
    pub term: i64,
    /// The dial in the file.
    pub file: DialText,
    #[serde(default)]
    pub version: String,
    #[serde(default)]
    pub latched: bool,
    #[serde(default)]
    pub paused: bool,
    /// The roll-backs of the gate, too. Without `paused` it says nothing: an older program ends a pause and leaves it here.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub paused_all: bool,
    #[serde(default)]
    pub approved: bool,
    pub at: String,
    pub action: String,
    pub from: DialText,
    #[serde(default)]
    pub reason: String,
    #[serde(default)]
    pub generation: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Value>,
    /// Values of `file` that were replaced, the last one first.
    #[serde(default)]
    pub was: Vec<DialText>,
    /// A hash of the file's settings for the route beside its dial, and the earlier hashes.
    #[serde(default)]
    pub subject: String,
    #[serde(default)]
    pub subjects: Vec<String>,
    /// Tells one writing from another whose answer was lost.
    pub nonce: String,
    /// Keys that a newer program wrote.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

impl DialRecord {
    pub fn read(text: &str) -> Option<Self> {
        let record: Self = serde_json::from_str(text).ok()?;
        (record.to.dial().is_some() && record.v >= 1).then_some(record)
    }

    pub fn text(&self) -> String {
        serde_json::to_string(self).expect("a record serialises")
    }

    /// The standing by this record; `None`: a dial that this program does not know.
    pub fn standing(&self) -> Option<Standing> {
        Some(Standing {
            dial: self.to.dial()?,
            by: By::read(&self.dial_by).or_else(|| By::read(&self.by)).unwrap_or(By::File),
            seq: self.seq,
            latched: self.latched,
            pause: Pause::read(self.paused, self.paused_all),
            approved: self.approved,
        })
    }

    /// The file now says this.
    pub fn put_file(&mut self, file: Dial) {
        let file = DialText::from(file);
        if self.file != file {
            remember(&mut self.was, std::mem::replace(&mut self.file, file.clone()));
            self.was.retain(|before| *before != file);
        }
    }

    /// The file now says this of the route beside its dial.
    pub fn put_subject(&mut self, subject: &str) {
        if self.subject != subject {
            remember(&mut self.subjects, std::mem::replace(&mut self.subject, subject.to_owned()));
            self.subjects.retain(|before| before != subject && !before.is_empty());
        }
    }
}

fn remember<T: PartialEq>(before: &mut Vec<T>, value: T) {
    before.retain(|known| *known != value);
    before.insert(0, value);
    before.truncate(MOST_BEFORE);
}

/// `members/NAME`: there as long as its lease.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct MemberRecord {
    /// Another process has another one.
    pub life: String,
    pub version: String,
    /// Where its admin listener is.
    pub address: String,
    pub generation: u64,
    /// Of the stages and weights in its file.
    pub file: String,
    /// The last entry that is in force there, by route.
    pub seq: BTreeMap<String, u64>,
    /// Requests a minute, by route whose `rate_limit` the replicas share.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub asked: BTreeMap<String, u64>,
    /// The last revision of `sealed/` that is in force there.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub sealed: i64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
const fn is_zero(revision: &i64) -> bool {
    *revision == 0
}

/// `button`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ButtonRecord {
    pub on: bool,
    pub who: String,
    #[serde(default)]
    pub reason: String,
    pub at: String,
    pub nonce: String,
}

/// `format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FormatRecord {
    pub v: u32,
    /// Programs that read less obey what they understand, and write nothing.
    pub min_reader: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(crate) fn canary(hundredths: u16) -> Dial {
        Dial { stage: Stage::Canary, weight: Percent::from_hundredths(hundredths).expect("at most 100 %") }
    }

    const RECORD: &str = r#"{"v":1,"stage":"canary","weight":"5%","seq":3,"by":"gate","who":"gate@a","term":7,
        "file":{"stage":"canary","weight":"1%"},"at":"2026-11-28T09:43:03.120Z","action":"advance",
        "from":{"stage":"canary","weight":"1%"},"nonce":"x","region":"eu-1"}"#;

    #[test]
    fn a_record_of_a_newer_program_is_obeyed_and_written_back_whole() {
        let record = DialRecord::read(RECORD).expect("read");
        let standing = record.standing().expect("a dial");
        assert_eq!((standing.dial, standing.by, standing.seq), (canary(500), By::Gate, 3));
        assert_eq!(record.more.get("region"), Some(&Value::from("eu-1")));
        assert_eq!(DialRecord::read(&record.text()), Some(record));
        assert_eq!(
            DialRecord::read(&RECORD.replace("\"stage\":\"canary\",\"weight\":\"5%\"", "\"stage\":\"new\"")),
            None
        );
    }

    #[test]
    fn a_pause_of_the_roll_backs_reads_as_none_where_an_older_program_wrote_the_record() {
        let mut record = DialRecord::read(RECORD).expect("read");
        let pause = |record: &DialRecord| {
            DialRecord::read(&record.text()).and_then(|read| read.standing()).expect("read").pause
        };
        assert_eq!(pause(&record), Pause::No);
        assert!(!record.text().contains("paused_all"), "an older program reads what it always read");
        record.paused = true;
        assert_eq!(pause(&record), Pause::Advances);
        record.paused_all = true;
        assert_eq!(pause(&record), Pause::All);
        // Resumed by an older program, which keeps what it does not know.
        record.paused = false;
        assert_eq!(pause(&record), Pause::No);
    }

    #[test]
    fn every_dial_is_read_as_it_was_written() {
        let whole = |stage, weight| Dial { stage, weight };
        let mut dials: Vec<Dial> = [0, 1, 37, 100, 1234, 9999, 10_000].map(canary).to_vec();
        dials.extend([Stage::Monolith, Stage::Shadow].map(|stage| whole(stage, Percent::NOBODY)));
        dials.extend([Stage::Migrated, Stage::Retired].map(|stage| whole(stage, Percent::EVERYBODY)));
        for dial in dials {
            assert_eq!(DialText::from(dial).dial(), Some(dial), "{dial:?}");
        }
    }

    #[test]
    fn the_last_eight_values_of_the_file_are_remembered_and_none_twice() {
        let mut record = DialRecord::read(RECORD).expect("read");
        for hundredths in [200, 100, 300, 400, 500, 600, 700, 800, 900, 1000, 1100] {
            record.put_file(canary(hundredths));
        }
        assert_eq!(record.file, canary(1100).into());
        assert_eq!(record.was.len(), 8);
        assert_eq!(record.was[0], canary(1000).into());
        record.put_file(canary(900));
        assert!(!record.was.contains(&canary(900).into()), "what is in the file is not of the past");
    }
}
