//! A report of counts as series of one metric, for Prometheus, and whole reports made of such series again. Pure.
//!
//! A series has one number: a cell of the counts, or the report's `life`, `tick` and `check`, or the `seq` of a route. A response
//! may be mixed of two scrapes, cut short, or have them twice from two jobs. So `check` is a hash of everything else: a report is
//! used only if all of it is of one piece.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use xxhash_rust::xxh3::Xxh3;

use super::counts;
use super::sums::{EvidenceRecord, RouteCounts};
use crate::client::prometheus::PrometheusSample;
use crate::migration::gate::{Discordant, SideCounts, Tick};

const METRIC: &str = "multilith_fleet_evidence";
const HELP: &str = "What this replica counted for the gates, cumulative, for the replica that judges; by `count`: `life`, `tick` and `check` of the report, `seq` of a route's dial, and the cells.";
/// The largest number below which a float holds every whole number.
pub const LARGEST: u64 = (1 << 53) - 1;
/// The labels of the metric; all others come from the scrape.
const OWN: [&str; 7] = ["__name__", "fleet", "member", "route", "side", "count", "cell"];
const SIDES: [&str; 2] = ["monolith", "service"];

/// The report as the end of the page that Prometheus scrapes.
pub fn page(fleet: &str, member: &str, record: &EvidenceRecord) -> String {
    let mut page = format!("# HELP {METRIC} {HELP}\n# TYPE {METRIC} gauge\n");
    let own = format!("{METRIC}{{fleet=\"{}\",member=\"{}\"", escaped(fleet), escaped(member));
    let mut line = |labels: &str, number: u64| {
        writeln!(page, "{own}{labels}}} {number}").expect("a string takes everything");
    };
    let Ok(life) = u64::from_str_radix(&record.life, 16) else { return String::new() };
    for (count, number) in [("life", life), ("tick", record.tick), ("check", check(record))] {
        line(&format!(",count=\"{count}\""), number);
    }
    for (route, counted) in &record.routes {
        let Some(tick) = counts::decode(&counted.counts) else { continue };
        let route = escaped(route);
        line(&format!(",route=\"{route}\",count=\"seq\""), counted.seq);
        for (side, count, cell, number) in cells(&tick) {
            let side = if side.is_empty() { String::new() } else { format!(",side=\"{side}\"") };
            line(&format!(",route=\"{route}\"{side},count=\"{count}\",cell=\"{cell}\""), number);
        }
    }
    page
}

/// Asks for the reports of one member, or for the ticks of all.
pub fn query(fleet: &str, member: Option<&str>) -> String {
    let more = member.map_or_else(|| "count=\"tick\"".to_owned(), |member| format!("member=\"{}\"", escaped(member)));
    format!("{METRIC}{{fleet=\"{}\",{more}}}", escaped(fleet))
}

/// The ticks of each member, by the job and the instance that scraped them.
pub fn ticks(samples: &[PrometheusSample]) -> BTreeMap<String, BTreeMap<String, u64>> {
    let mut found = BTreeMap::<String, BTreeMap<String, u64>>::new();
    for sample in samples {
        if let (Some(member), Some(tick)) = (sample.labels.get("member"), whole_number(sample.value)) {
            found.entry(member.clone()).or_default().insert(scraped_by(sample), tick);
        }
    }
    found
}

/// The report in the series of one member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rebuilt {
    /// The newest that is of one piece.
    Whole(EvidenceRecord),
    /// There is a report of this life, and none of one piece.
    Broken,
    /// This life has not been scraped yet.
    Nothing,
}

/// One report of the series of one member: of this life, of one scrape, the one of the highest tick.
pub fn newest(samples: &[PrometheusSample], life: &str) -> Rebuilt {
    let mut reports = BTreeMap::<String, Parts>::new();
    for sample in samples {
        reports.entry(scraped_by(sample)).or_default().take(sample);
    }
    let of_life = reports.into_values().filter(|parts| parts.life.as_deref() == Some(life));
    let mut found = Rebuilt::Nothing;
    for parts in of_life {
        match (parts.whole(), &found) {
            (Some(record), Rebuilt::Whole(newer)) if newer.tick >= record.tick => {}
            (Some(record), _) => found = Rebuilt::Whole(record),
            (None, Rebuilt::Nothing) => found = Rebuilt::Broken,
            (None, _) => {}
        }
    }
    found
}

/// A process's life as text, of a number that a float holds.
pub fn life(number: u64) -> String {
    format!("{:016x}", number & LARGEST)
}

/// The series of one report, as they were scraped.
#[derive(Debug, Default)]
struct Parts {
    life: Option<String>,
    tick: Option<u64>,
    check: Option<u64>,
    routes: BTreeMap<String, (Option<u64>, Tick)>,
    /// Something in it is not known here.
    strange: bool,
}

impl Parts {
    fn take(&mut self, sample: &PrometheusSample) {
        let label = |name: &str| sample.labels.get(name).map_or("", String::as_str);
        let Some(number) = whole_number(sample.value) else {
            self.strange = true;
            return;
        };
        match (label("route"), label("count")) {
            ("", "life") => self.life = Some(life(number)),
            ("", "tick") => self.tick = Some(number),
            ("", "check") => self.check = Some(number),
            ("", _) => self.strange = true,
            (route, count) => {
                let (seq, tick) = self.routes.entry(route.to_owned()).or_default();
                if count == "seq" {
                    *seq = Some(number);
                } else {
                    let cell = label("cell").parse().ok();
                    let is_put = cell.is_some_and(|cell| put(tick, (label("side"), count, cell), number));
                    self.strange |= !is_put;
                }
            }
        }
    }

    /// `None`: something is missing, or of another report.
    fn whole(self) -> Option<EvidenceRecord> {
        if self.strange {
            return None;
        }
        let route = |(route, (seq, tick)): (String, (Option<u64>, Tick))| Some((route, RouteCounts::of(seq?, &tick)));
        let routes = self.routes.into_iter().map(route).collect::<Option<_>>()?;
        let record = EvidenceRecord { life: self.life?, tick: self.tick?, routes };
        (check(&record) == self.check?).then_some(record)
    }
}

/// A hash of the whole report, as far as a float holds it.
fn check(record: &EvidenceRecord) -> u64 {
    let mut hash = Xxh3::new();
    let mut add = |part: &[u8]| {
        hash.update(part);
        hash.update(&[0]);
    };
    add(record.life.as_bytes());
    add(&record.tick.to_le_bytes());
    for (route, counted) in &record.routes {
        add(route.as_bytes());
        add(&counted.seq.to_le_bytes());
        add(counted.counts.as_bytes());
    }
    hash.digest() & LARGEST
}

/// All labels that are not the metric's own: job, instance and what else a scrape adds.
fn scraped_by(sample: &PrometheusSample) -> String {
    let mut text = String::new();
    for (name, value) in sample.labels.iter().filter(|(name, _)| !OWN.contains(&name.as_str())) {
        write!(text, "{name}\0{value}\0").expect("a string takes everything");
    }
    text
}

fn whole_number(value: f64) -> Option<u64> {
    #[expect(clippy::cast_precision_loss, reason = "a float holds it exactly")]
    let largest = LARGEST as f64;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is whole, and between the bounds")]
    ((0.0..=largest).contains(&value) && value.fract() == 0.0).then_some(value as u64)
}

/// The same for a label and for a string of a query.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// Every number of the counts that is not zero: side, count, cell.
fn cells(tick: &Tick) -> impl Iterator<Item = (&'static str, &'static str, usize, u64)> {
    let sides = SIDES.into_iter().zip([&tick.monolith, &tick.service]).flat_map(|(side, counted)| {
        lists(counted).into_iter().flat_map(move |(count, list)| {
            list.iter().enumerate().map(move |(cell, number)| (side, count, cell, u64::from(*number)))
        })
    });
    let copies = [("compared", tick.copies.compared), ("mismatched", tick.copies.mismatched)];
    let copies = copies.into_iter().map(|(count, number)| ("", count, 0, number));
    let pairs = tick.pairs.iter().enumerate().flat_map(|(cell, pair)| {
        let Discordant { service_alone, kept_waiting, monolith_alone, pairs } = *pair;
        [
            ("service_alone", service_alone),
            ("kept_waiting", kept_waiting),
            ("monolith_alone", monolith_alone),
            ("pairs", pairs),
        ]
        .map(|(count, number)| ("", count, cell, number))
    });
    sides.chain(copies).chain(pairs).filter(|(_, _, _, number)| *number > 0)
}

fn lists(side: &SideCounts) -> [(&'static str, &[u32]); 7] {
    let SideCounts { asked, failed, refused, late, beyond } = side;
    let [p50, p95, p99] = &**beyond;
    [
        ("asked", asked),
        ("failed", failed),
        ("refused", refused),
        ("late", &late[..]),
        ("beyond_p50", p50),
        ("beyond_p95", p95),
        ("beyond_p99", p99),
    ]
}

/// False: there is no such cell, or the number is too large for it.
fn put(tick: &mut Tick, (side, count, cell): (&str, &str, usize), number: u64) -> bool {
    let side = match side {
        "monolith" => &mut tick.monolith,
        "service" => &mut tick.service,
        _ => return put_pair(tick, (side, count, cell), number),
    };
    let SideCounts { asked, failed, refused, late, beyond } = side;
    let [p50, p95, p99] = &mut **beyond;
    let list: &mut [u32] = match count {
        "asked" => asked,
        "failed" => failed,
        "refused" => refused,
        "late" => &mut late[..],
        "beyond_p50" => p50,
        "beyond_p95" => p95,
        "beyond_p99" => p99,
        _ => return false,
    };
    let (Some(slot), Ok(number)) = (list.get_mut(cell), u32::try_from(number)) else { return false };
    *slot = number;
    true
}

fn put_pair(tick: &mut Tick, (side, count, cell): (&str, &str, usize), number: u64) -> bool {
    let slot = match (count, tick.pairs.get_mut(cell)) {
        ("compared", _) => &mut tick.copies.compared,
        ("mismatched", _) => &mut tick.copies.mismatched,
        ("service_alone", Some(pair)) => &mut pair.service_alone,
        ("kept_waiting", Some(pair)) => &mut pair.kept_waiting,
        ("monolith_alone", Some(pair)) => &mut pair.monolith_alone,
        ("pairs", Some(pair)) => &mut pair.pairs,
        _ => return false,
    };
    *slot = number;
    side.is_empty()
}

#[cfg(test)]
#[path = "../telemetry/metrics/tests/promtool.rs"]
mod promtool;

#[cfg(test)]
mod tests {
    use super::super::counts::tests::some;
    use super::super::sums::tests::judged_as_one;
    use super::promtool::promtool;
    use super::*;

    const FLEET: &str = "/multilith/shop/";

    /// The samples in Prometheus of a page that this job scraped.
    fn scraped(page: &str, job: &str) -> Vec<PrometheusSample> {
        let lines = page.lines().filter(|line| !line.starts_with('#'));
        let sample = |line: &str| {
            let (series, value) = line.rsplit_once(' ').expect("a value");
            let (name, labels) = series.strip_suffix('}').expect("labels").split_once('{').expect("labels");
            let pair = |pair: &str| {
                let (name, value) = pair.split_once("=\"").expect("a label");
                (name.to_owned(), value.trim_end_matches('"').to_owned())
            };
            let more = [("__name__", name), ("job", job), ("instance", "10.0.0.1:9901")];
            let more = more.map(|(name, value)| (name.to_owned(), value.to_owned()));
            let labels = labels.split("\",").map(pair).chain(more).collect();
            PrometheusSample { labels, value: value.parse().expect("a number") }
        };
        lines.map(sample).collect()
    }

    fn report(tick: u64, seed: u64) -> EvidenceRecord {
        let mut random = fastrand::Rng::with_seed(seed);
        let route = |name: &str, random: &mut _| (name.to_owned(), RouteCounts::of(3, &some(random, 20)));
        let mut routes = BTreeMap::from([route("read", &mut random), route("list", &mut random)]);
        routes.insert("silent".to_owned(), RouteCounts::of(1, &Tick::default()));
        EvidenceRecord { life: life(LARGEST), tick, routes }
    }

    #[test]
    fn a_report_comes_back_as_it_was_said() {
        for seed in 0..10 {
            // No number here is too large for a float: the counts of copies are not random.
            let mut said = report(7, seed);
            for counted in said.routes.values_mut() {
                let mut tick = counts::decode(&counted.counts).expect("counts");
                tick.copies.compared &= LARGEST;
                *counted = RouteCounts::of(counted.seq, &tick);
            }
            let page = page(FLEET, "edge-1", &said);
            assert_eq!(newest(&scraped(&page, "edge"), &said.life), Rebuilt::Whole(said));
        }
        let none = EvidenceRecord { life: life(1), tick: 1, routes: BTreeMap::new() };
        assert_eq!(newest(&scraped(&page(FLEET, "edge-1", &none), "edge"), &none.life), Rebuilt::Whole(none));
    }

    #[test]
    fn one_whole_report_is_taken_whatever_else_is_there() {
        let (old, new) = (report(7, 1), report(8, 2));
        let series = |record: &EvidenceRecord, job: &str| scraped(&page(FLEET, "edge-1", record), job);
        let together = |parts: [Vec<PrometheusSample>; 2]| newest(&parts.concat(), &new.life);
        // Two jobs scrape one replica: neither summed nor mixed.
        assert_eq!(together([series(&old, "a"), series(&new, "b")]), Rebuilt::Whole(new.clone()));
        assert_eq!(together([series(&new, "a"), series(&old, "b")]), Rebuilt::Whole(new.clone()));
        assert_eq!(together([series(&new, "a"), series(&new, "b")]), Rebuilt::Whole(new.clone()));
        // Of the newer one a part is missing.
        let cut = |mut samples: Vec<PrometheusSample>, at: usize| {
            samples.remove(at);
            samples
        };
        let all = series(&new, "a").len();
        for at in (0..all).step_by(37).chain(0..3) {
            let found = together([cut(series(&new, "a"), at), series(&old, "b")]);
            assert_eq!(found, Rebuilt::Whole(old.clone()), "{at}");
        }
        let alone = newest(&cut(series(&new, "a"), all - 1), &new.life);
        assert_eq!(alone, Rebuilt::Broken);
        // Two scrapes of one job, half of each.
        let mut mixed = series(&new, "a");
        let older = series(&old, "a");
        for sample in &mut mixed[3..] {
            if let Some(other) = older.iter().find(|other| other.labels == sample.labels) {
                sample.value = other.value;
            }
        }
        assert_eq!(newest(&mixed, &new.life), Rebuilt::Broken);
        // The process before this one, which Prometheus still has.
        let before = EvidenceRecord { life: life(4711), tick: 900, ..old };
        assert_eq!(together([series(&before, "a"), series(&new, "b")]), Rebuilt::Whole(new.clone()));
        assert_eq!(newest(&series(&before, "a"), &new.life), Rebuilt::Nothing);
    }

    #[test]
    fn what_no_such_program_wrote_is_not_used() {
        let said = report(7, 1);
        let whole = scraped(&page(FLEET, "edge-1", &said), "edge");
        let with = |change: &dyn Fn(&mut PrometheusSample)| {
            let mut samples = whole.clone();
            change(samples.iter_mut().find(|sample| sample.labels.contains_key("cell")).expect("a cell"));
            newest(&samples, &said.life)
        };
        let set = |name: &'static str, value: &'static str| {
            move |sample: &mut PrometheusSample| drop(sample.labels.insert(name.to_owned(), value.to_owned()))
        };
        assert_eq!(with(&set("cell", "640")), Rebuilt::Broken);
        assert_eq!(with(&set("cell", "-1")), Rebuilt::Broken);
        assert_eq!(with(&set("count", "patience")), Rebuilt::Broken);
        assert_eq!(with(&set("side", "variant")), Rebuilt::Broken);
        assert_eq!(with(&set("route", "another")), Rebuilt::Broken);
        for value in [f64::NAN, f64::INFINITY, -1.0, 0.5, 1e300] {
            assert_eq!(with(&|sample| sample.value = value), Rebuilt::Broken, "{value}");
        }
    }

    #[test]
    fn three_replicas_are_judged_as_one_over_prometheus_too() {
        judged_as_one(|name, record| {
            let record = EvidenceRecord { life: life(1), ..record };
            match newest(&scraped(&page(FLEET, name, &record), "edge"), &record.life) {
                Rebuilt::Whole(record) => record,
                other => panic!("{other:?}"),
            }
        });
    }

    #[test]
    fn a_name_cannot_end_its_label() {
        let page = page("/a\"b\\c/", "edge-1", &report(1, 1));
        assert!(page.contains(r#"{fleet="/a\"b\\c/",member="edge-1",count="tick"} 1"#), "{page}");
        assert_eq!(query("/a\"b/", Some("e")), r#"multilith_fleet_evidence{fleet="/a\"b/",member="e"}"#);
    }

    #[test]
    fn promtool_finds_nothing_to_complain_about() {
        let page = page(FLEET, "edge-1", &report(1, 1));
        let Some((output, said)) = promtool(page.as_bytes()) else { return };
        assert!(output.status.success() && said.is_empty(), "{said}");
    }

    /// The price of a busy route: 200 000 requests to each side, whose times spread as those of a web service.
    #[test]
    fn a_busy_route_has_some_hundred_series_and_never_more_than_this() {
        let mut random = fastrand::Rng::with_seed(22);
        let mut tick = Tick::default();
        for side in [&mut tick.monolith, &mut tick.service] {
            for _ in 0..200_000 {
                let group = random.usize(0..64);
                // Log-normal about 20 ms: the sum of twelve uniform numbers is nearly normal.
                let normal = (0..12).map(|_| random.f64()).sum::<f64>() - 6.0;
                #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a time")]
                let nanoseconds = (20e6 * (0.5 * normal).exp()) as u64;
                let bucket = crate::migration::gate::late_bucket(nanoseconds);
                side.asked[group] += 1;
                side.failed[group] += u32::from(random.u32(0..1000) == 0);
                side.refused[group] += u32::from(random.u32(0..100) == 0);
                side.late[bucket] += 1;
                for (beyond, least) in side.beyond.iter_mut().zip([0.5, 0.05, 0.01]) {
                    beyond[group] += u32::from(random.f64() < least);
                }
            }
        }
        let lines = |tick: &Tick| {
            let record = EvidenceRecord {
                life: life(1),
                tick: 1,
                routes: [("read".to_owned(), RouteCounts::of(1, tick))].into(),
            };
            let page = page(FLEET, "edge-1", &record);
            (page.lines().filter(|line| !line.starts_with('#')).count(), page.len())
        };
        let (series, bytes) = lines(&tick);
        println!("a busy route: {series} series, {bytes} bytes a scrape");
        assert!((800..1200).contains(&series), "{series}");
        let mut random = fastrand::Rng::with_seed(22);
        let mut full = some(&mut random, 100);
        full.copies.mismatched = 1;
        assert!(lines(&full).0 <= 3 + 1 + 2 * (64 * 6 + 640) + 2 + 16);
    }
}
