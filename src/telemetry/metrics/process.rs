//! The process metrics that every Prometheus client exports; the crate's collector, whose processor time has whole seconds only.

use std::fs;

use prometheus::core::{Collector, Desc};
use prometheus::process_collector::ProcessCollector;
use prometheus::proto::{Counter, MetricFamily};

const CPU: &str = "process_cpu_seconds_total";
/// Linux tells processes their times in hundredths of a second, whatever its own clock is.
const TICKS: f64 = 100.0;

pub(super) struct Process {
    rest: ProcessCollector,
}

impl Default for Process {
    fn default() -> Self {
        Self { rest: ProcessCollector::for_self() }
    }
}

impl Collector for Process {
    fn desc(&self) -> Vec<&Desc> {
        self.rest.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let mut families = self.rest.collect();
        let seconds = fs::read_to_string("/proc/self/stat").ok().and_then(|stat| cpu_seconds(&stat));
        for family in families.iter_mut().filter(|family| family.name() == CPU) {
            if let (Some(seconds), Some(metric)) = (seconds, family.mut_metric().first_mut()) {
                let mut counter = Counter::default();
                counter.set_value(seconds);
                metric.set_counter(counter);
            }
        }
        families
    }
}

/// User and system time of `/proc/PID/stat` (proc(5): fields 14 and 15).
fn cpu_seconds(stat: &str) -> Option<f64> {
    // The name before may hold blanks and parentheses.
    let (_, after) = stat.rsplit_once(')')?;
    let ticks = after.split_whitespace().skip(11).take(2).map(|field| field.parse::<f64>().ok());
    Some(ticks.sum::<Option<f64>>()? / TICKS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_has_hundredths_of_a_second() {
        let stat = "7 (a ) b) S 1 2 3 0 -1 4194560 900 0 1 0 1234 56 0 0 20 0 9 0 100 200 300";
        assert_eq!(cpu_seconds(stat), Some(12.9));
        assert_eq!(cpu_seconds("nonsense"), None);
    }

    #[test]
    fn the_process_says_how_much_processor_and_memory_it_takes() {
        let families = Process::default().collect();
        let cpu = families.iter().find(|family| family.name() == CPU).expect("processor time is exported");
        let stat = cpu_seconds(&fs::read_to_string("/proc/self/stat").unwrap()).unwrap();
        let told = cpu.get_metric()[0].get_counter().get_value();
        assert!(told > 0.0 && told <= stat, "{told} of {stat}");
        assert!(families.iter().any(|family| family.name() == "process_resident_memory_bytes"));
    }
}
