//! A kept request that was asked once more at both sides, and how they answered.

use std::fmt::Write;

use serde::{Deserialize, Serialize};

use super::difference::{Difference, Kind};
use super::incomparable::Incomparable;
use super::report::{shown, status_word};
use super::text::{WIDTH, cut, duration, side_lines};
use super::token::Hunk;
use super::verdict::Outcome;

/// The report of `diff ROUTE --replay N` and of the API.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AgainReport {
    pub route: String,
    pub number: u64,
    pub method: String,
    pub target: String,
    /// The first request carried credentials, and this one did not.
    pub without_credentials: bool,
    pub monolith: SideReport,
    pub service: SideReport,
    /// `None`: a side did not answer, or the answers cannot be compared.
    pub differs: Option<bool>,
    pub incomparable: Option<Incomparable>,
    pub differences: Vec<DifferenceReport>,
}

/// How one side answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SideReport {
    /// A status; of a call of gRPC `"grpc-5"`.
    pub status: Option<serde_json::Value>,
    /// To the head of its answer.
    pub seconds: Option<f64>,
    /// Why there is no answer.
    pub error: Option<String>,
}

/// One field, as far as the rules allow to show it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DifferenceReport {
    pub field: String,
    pub kind: Kind,
    pub control: Option<String>,
    pub candidate: Option<String>,
    /// The monolith disagrees with itself there: it does not count.
    pub noise: bool,
}

impl SideReport {
    /// An answer, with its status as `ResultCode::number` gives it.
    #[must_use]
    pub fn answered(status: u16, seconds: f64) -> Self {
        Self { status: Some(shown(status)), seconds: Some(seconds), error: None }
    }

    #[must_use]
    pub const fn silent(why: String) -> Self {
        Self { status: None, seconds: None, error: Some(why) }
    }
}

impl AgainReport {
    /// The report with the comparison of the two answers.
    #[must_use]
    pub fn with(mut self, outcome: Outcome, is_noise: impl Fn(&Difference) -> bool) -> Self {
        let report = |found: Difference| {
            let noise = is_noise(&found);
            let of_part = |part: &Hunk| !is_noise(&Difference { hunks: vec![*part], ..found.with_examples(0) });
            let example = found.example(of_part).cloned();
            let (control, candidate) = example.map_or((None, None), |(_, shown)| (shown.control, shown.candidate));
            DifferenceReport { noise, field: found.field, kind: found.kind, control, candidate }
        };
        self.differences = outcome.differences.into_iter().map(report).collect();
        let counts = self.differences.iter().any(|difference| !difference.noise);
        self.incomparable = outcome.unknown.filter(|_| !counts);
        self.differs = if self.incomparable.is_some() { None } else { Some(counts) };
        self
    }

    /// For a person. `colour`: the parts that differ are coloured instead of put in brackets.
    #[must_use]
    pub fn to_text(&self, colour: bool) -> String {
        let mut out = String::new();
        let mut line = |text: &str| writeln!(out, "{}", text.trim_end()).expect("writing to a String cannot fail");
        line(&cut(&format!("{} #{}  {} {}", self.route, self.number, self.method, self.target), WIDTH));
        for (name, side) in [("monolith", &self.monolith), ("service", &self.service)] {
            let said = match (&side.status, &side.error) {
                (Some(status), _) => format!("{}  {}", status_word(status), duration(side.seconds)),
                (None, Some(why)) => format!("no answer: {why}"),
                (None, None) => "no answer".to_owned(),
            };
            line(&format!("  {name:<10}{}", cut(&said, WIDTH - 12)));
        }
        if self.without_credentials {
            line("  asked without credentials, which are not kept: give them with -H");
        }
        line(&match (self.differs, self.incomparable) {
            (Some(true), _) => "  they differ:".to_owned(),
            (Some(false), _) if self.differences.is_empty() => "  they answer alike".to_owned(),
            (Some(false), _) => "  they differ in what the monolith disagrees with itself in:".to_owned(),
            (None, Some(why)) => format!("  they cannot be compared: {why}"),
            (None, None) => "  there is nothing to compare".to_owned(),
        });
        for found in &self.differences {
            let noise = if found.noise { "  (noise)" } else { "" };
            line(&format!("    {}  {}{noise}", cut(&found.field, WIDTH - 24), found.kind.as_str()));
            for text in side_lines(found.control.as_deref(), found.candidate.as_deref(), colour) {
                line(&text);
            }
        }
        out
    }
}
