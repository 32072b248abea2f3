//! The process metrics that every Prometheus client exports, from /proc. The collector of the crate has whole seconds of processor time
//! only, and brings four crates.

use std::fs;

use prometheus::core::{Collector, Desc};
use prometheus::proto::{self, MetricFamily};
use prometheus::{Counter, IntGauge};
use rustix::param::page_size;
use rustix::process::{Resource, getrlimit};

/// Linux tells processes their times in hundredths of a second, whatever its own clock is.
const TICKS: u64 = 100;

pub(super) struct Process {
    cpu: Counter,
    open_fds: IntGauge,
    max_fds: IntGauge,
    virtual_memory: IntGauge,
    resident_memory: IntGauge,
    start_time: IntGauge,
    threads: IntGauge,
}

impl Default for Process {
    fn default() -> Self {
        let gauge = |name, help| IntGauge::new(name, help).expect("the name of a metric");
        let cpu = Counter::new("process_cpu_seconds_total", "Total user and system CPU time spent in seconds.");
        Self {
            cpu: cpu.expect("the name of a metric"),
            open_fds: gauge("process_open_fds", "Number of open file descriptors."),
            max_fds: gauge("process_max_fds", "Maximum number of open file descriptors."),
            virtual_memory: gauge("process_virtual_memory_bytes", "Virtual memory size in bytes."),
            resident_memory: gauge("process_resident_memory_bytes", "Resident memory size in bytes."),
            start_time: gauge("process_start_time_seconds", "Start time of the process since unix epoch in seconds."),
            threads: gauge("process_threads", "Number of OS threads in the process."),
        }
    }
}

impl Collector for Process {
    fn desc(&self) -> Vec<&Desc> {
        let gauges = [
            &self.open_fds,
            &self.max_fds,
            &self.virtual_memory,
            &self.resident_memory,
            &self.start_time,
            &self.threads,
        ];
        self.cpu.desc().into_iter().chain(gauges.into_iter().flat_map(Collector::desc)).collect()
    }

    /// What cannot be read is left out.
    fn collect(&self) -> Vec<MetricFamily> {
        let stat = fs::read_to_string("/proc/self/stat").ok().and_then(|stat| Stat::read(&stat));
        let started = fs::read_to_string("/proc/stat").ok().and_then(|system| boot_time(&system)).zip(stat.as_ref());
        let known = [
            // The descriptor that reads the folder is not counted.
            (&self.open_fds, fs::read_dir("/proc/self/fd").ok().map(|open| open.count().saturating_sub(1) as u64)),
            (&self.max_fds, getrlimit(Resource::Nofile).current),
            (&self.virtual_memory, stat.as_ref().map(|stat| stat.virtual_bytes)),
            (&self.resident_memory, stat.as_ref().map(|stat| stat.resident_pages * page_size() as u64)),
            (&self.start_time, started.map(|(boot, stat)| boot + stat.start_ticks / TICKS)),
            (&self.threads, stat.as_ref().map(|stat| stat.threads)),
        ];
        let mut families = stat.map_or_else(Vec::new, |stat| self.cpu_family(stat.cpu_ticks));
        for (gauge, value) in known {
            let Some(value) = value.and_then(|value| i64::try_from(value).ok()) else { continue };
            gauge.set(value);
            families.extend(gauge.collect());
        }
        families
    }
}

impl Process {
    /// Of a counter that is set and not added to: the kernel counts.
    fn cpu_family(&self, ticks: u64) -> Vec<MetricFamily> {
        let mut families = self.cpu.collect();
        for metric in families.iter_mut().flat_map(MetricFamily::mut_metric) {
            let mut counter = proto::Counter::default();
            counter.set_value(seconds(ticks));
            metric.set_counter(counter);
        }
        families
    }
}

#[expect(clippy::cast_precision_loss, reason = "hundredths of a second below 2^52")]
fn seconds(ticks: u64) -> f64 {
    ticks as f64 / TICKS as f64
}

/// Fields of `/proc/PID/stat` (proc(5)).
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    /// User and system time (14, 15).
    cpu_ticks: u64,
    /// 20
    threads: u64,
    /// Since the system's start (22).
    start_ticks: u64,
    /// 23
    virtual_bytes: u64,
    /// 24
    resident_pages: u64,
}

impl Stat {
    fn read(stat: &str) -> Option<Self> {
        // The name before, field 2, may hold blanks and parentheses.
        let (_, after) = stat.rsplit_once(')')?;
        let fields: Vec<_> = after.split_whitespace().collect();
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        Some(Self {
            cpu_ticks: field(14)? + field(15)?,
            threads: field(20)?,
            start_ticks: field(22)?,
            virtual_bytes: field(23)?,
            resident_pages: field(24)?,
        })
    }
}

/// Seconds since the epoch at which the system started, of `/proc/stat`.
fn boot_time(system: &str) -> Option<u64> {
    system.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_of_a_process_are_read_behind_its_name() {
        let stat = "7 (a ) b) S 1 2 3 0 -1 4194560 900 0 1 0 1234 56 0 0 20 0 9 0 100 200 300";
        let expected = Stat { cpu_ticks: 1290, threads: 9, start_ticks: 100, virtual_bytes: 200, resident_pages: 300 };
        assert_eq!(Stat::read(stat), Some(expected));
        assert_eq!(Stat::read("nonsense"), None);
        assert_eq!(Stat::read("7 (short) S 1 2"), None);
        assert_eq!(boot_time("cpu 1 2\nbtime 1764500000\nprocesses 7\n"), Some(1_764_500_000));
        assert_eq!(boot_time("cpu 1 2\n"), None);
    }

    #[test]
    fn the_process_says_what_it_takes() {
        let process = Process::default();
        let families = process.collect();
        let names: Vec<_> = families.iter().map(|family| family.name().to_owned()).collect();
        let all = [
            "process_cpu_seconds_total",
            "process_open_fds",
            "process_max_fds",
            "process_virtual_memory_bytes",
            "process_resident_memory_bytes",
            "process_start_time_seconds",
            "process_threads",
        ];
        assert_eq!(names, all);
        assert_eq!(process.desc().len(), all.len());
        let gauge = |name: &str| {
            let family = families.iter().find(|family| family.name() == name).expect("a family of the list");
            family.get_metric()[0].get_gauge().get_value()
        };
        let cpu = families[0].get_metric()[0].get_counter().get_value();
        let later = Stat::read(&fs::read_to_string("/proc/self/stat").unwrap()).unwrap().cpu_ticks;
        assert!(cpu >= 0.0 && cpu <= seconds(later), "{cpu} of {later} ticks");
        assert!(gauge("process_open_fds") >= 3.0 && gauge("process_open_fds") <= gauge("process_max_fds"));
        assert!(gauge("process_resident_memory_bytes") > 1_000_000.0);
        assert!(gauge("process_resident_memory_bytes") < gauge("process_virtual_memory_bytes"));
        assert!(gauge("process_threads") >= 1.0);
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
        let started = gauge("process_start_time_seconds");
        assert!(started > now - 86_400.0 && started <= now + 1.0, "{started}, now {now}");
    }
}
