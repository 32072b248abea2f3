//! Lines of the access log, also when they cannot be written.

use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use super::super::record::Timings;
use super::super::trace::{RequestId, TraceContext};
use super::*;
use crate::compile::LogOutput;
use crate::message::Fields;
use crate::migration::Percent;
use crate::telemetry::DEFAULT_BUCKETS;

fn with_record(change: impl FnOnce(&mut ExchangeRecord<'_>), use_it: impl FnOnce(&ExchangeRecord<'_>)) {
    let request_id = RequestId::continue_or_make(Some(b"abc-1"), 0);
    let trace = TraceContext::continue_or_start(&Fields::new(), 0xa, 0xb);
    let mut record = ExchangeRecord {
        method: "GET",
        scheme: "https",
        path: b"/api/users/7",
        query: Some(b"page=2&token=s3cret"),
        hidden: &[],
        protocol: "1.1",
        host: "shop.example:8443",
        user_agent: b"curl/8",
        referer: b"",
        client: Some("203.0.113.9".parse().unwrap()),
        status: 200,
        grpc: None,
        route: "read-user",
        stage: "canary",
        side: "service",
        reason: "bucket",
        upstream: "users",
        endpoint: "10.0.0.5:7001",
        attempts: 1,
        fallback: None,
        fallback_status: None,
        shadow: None,
        error: None,
        bytes_in: 0,
        bytes_out: 512,
        timings: Timings {
            queue: Some(Duration::from_micros(120)),
            queue_wait: None,
            connect: None,
            first_byte: Some(Duration::from_millis(12)),
            total: Duration::from_micros(13_250),
        },
        request_id: &request_id,
        trace: &trace,
        generation: 4,
    };
    change(&mut record);
    use_it(&record);
}

fn moment() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_micros(1_700_000_000_013_250)
}

#[test]
fn the_json_line_says_everything_under_opentelemetrys_names() {
    with_record(
        |_| {},
        |record| {
            let mut line = Vec::new();
            line::json(&mut line, record, moment());
            let wanted = "{\"timestamp\":\"2023-11-14T22:13:20.000Z\",\"request_id\":\"abc-1\",\
                \"trace_id\":\"0000000000000000000000000000000a\",\"span_id\":\"000000000000000b\",\
                \"client.address\":\"203.0.113.9\",\"http.request.method\":\"GET\",\"url.scheme\":\"https\",\
                \"server.address\":\"shop.example\",\"server.port\":8443,\"url.path\":\"/api/users/7\",\
                \"url.query\":\"page=2&token=REDACTED\",\"network.protocol.version\":\"1.1\",\
                \"user_agent.original\":\"curl/8\",\"http.response.status_code\":200,\
                \"http.request.body.size\":0,\"http.response.body.size\":512,\"route\":\"read-user\",\
                \"stage\":\"canary\",\"side\":\"service\",\"reason\":\"bucket\",\"upstream\":\"users\",\
                \"endpoint\":\"10.0.0.5:7001\",\"attempts\":1,\"queue_seconds\":0.000120,\
                \"first_byte_seconds\":0.012000,\"duration_seconds\":0.013250,\"generation\":4}";
            assert_eq!(String::from_utf8(line).unwrap(), wanted);
        },
    );
}

#[test]
fn a_failure_says_whose_fault_it_was_and_what_was_done() {
    with_record(
        |record| {
            record.error = Some(("upstream", "connect"));
            record.fallback = Some("connect");
            record.shadow = Some("sampled_out");
        },
        |record| {
            let mut line = Vec::new();
            line::json(&mut line, record, moment());
            let line: serde_json::Value = serde_json::from_slice(&line).unwrap();
            assert_eq!((&line["error.type"], &line["error.fault"]), (&"connect".into(), &"upstream".into()));
            assert_eq!((&line["fallback"], &line["shadow"]), (&"connect".into(), &"sampled_out".into()));
        },
    );
}

#[test]
fn nobody_can_forge_a_line() {
    let forged = b"/a\r\n{\"route\":\"admin\"}\" 200 0 \"-\" \"\x1b]0;title\x07";
    with_record(
        |record| {
            record.path = forged;
            record.user_agent = forged;
            record.referer = forged;
            record.host = "evil\"\n";
            record.query = Some("x=\"\n\u{2028}".as_bytes());
            record.method = "GET\"\n";
        },
        |record| {
            let mut json = Vec::new();
            line::json(&mut json, record, moment());
            assert!(!json.iter().any(u8::is_ascii_control));
            let parsed: serde_json::Value = serde_json::from_slice(&json).unwrap();
            assert_eq!(parsed["url.path"].as_str().unwrap().as_bytes(), forged);
            assert_eq!(parsed["route"], "read-user");
            let mut combined = Vec::new();
            line::common(&mut combined, record, moment(), true);
            assert!(combined.iter().all(|byte| (b' '..=b'~').contains(byte)));
            assert_eq!(
                String::from_utf8(combined).unwrap().matches('"').count(),
                6,
                "three quoted fields, and no more"
            );
        },
    );
}

#[test]
fn common_and_combined_are_what_other_tools_read() {
    with_record(
        |record| record.referer = b"https://a.example/x?code=1",
        |record| {
            let (mut common, mut combined) = (Vec::new(), Vec::new());
            line::common(&mut common, record, moment(), false);
            line::common(&mut combined, record, moment(), true);
            let wanted = "203.0.113.9 - - [14/Nov/2023:22:13:20 +0000] \
                \"GET /api/users/7?page=2&token=REDACTED HTTP/1.1\" 200 512";
            assert_eq!(String::from_utf8(common).unwrap(), wanted);
            let more = format!("{wanted} \"https://a.example/x?code=REDACTED\" \"curl/8\"");
            assert_eq!(String::from_utf8(combined).unwrap(), more);
        },
    );
}

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("multilith-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn settings(format: LogFormat, output: LogOutput, sample: u16) -> Settings {
    Settings { format, output, sample: Percent::from_hundredths(sample).unwrap() }
}

fn metrics() -> Arc<Meters> {
    Meters::new(&DEFAULT_BUCKETS).unwrap()
}

fn dropped(metrics: &Meters) -> u64 {
    let page = String::from_utf8(metrics.encode().0).unwrap();
    let line = page.lines().find_map(|line| line.strip_prefix("multilith_log_lines_dropped_total "));
    line.unwrap().parse().unwrap()
}

fn write_many(log: &AccessLogger, count: u32, status: u16) {
    for number in 0..count {
        let id = RequestId::continue_or_make(None, u128::from(number));
        with_record(
            |record| record.status = status,
            |record| log.write(&ExchangeRecord { request_id: &id, ..*record }, moment()),
        );
    }
}

fn wait_for(what: &str, condition: impl Fn() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(began.elapsed() < Duration::from_secs(20), "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

const LONG: Duration = Duration::from_secs(20);

#[test]
fn every_line_arrives_whole_when_many_threads_write() {
    let folder = Folder::new("threads");
    let path = folder.0.join("access.log");
    let metrics = metrics();
    let log =
        AccessLogger::start(&settings(LogFormat::Json, LogOutput::File(path.clone()), 10_000), Arc::clone(&metrics))
            .unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| write_many(&log, 500, 200));
        }
    });
    assert!(log.close(LONG));
    let text = fs::read_to_string(path).unwrap();
    let good = text.lines().filter(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()).count();
    assert_eq!((good, dropped(&metrics)), (2000, 0));
}

#[test]
fn the_sample_is_of_good_answers_only_and_the_same_everywhere() {
    let folder = Folder::new("sample");
    let mut written = Vec::new();
    for replica in ["a", "b"] {
        let path = folder.0.join(replica);
        let log =
            AccessLogger::start(&settings(LogFormat::Json, LogOutput::File(path.clone()), 1000), metrics()).unwrap();
        write_many(&log, 2000, 200);
        assert!(log.close(LONG));
        written.push(fs::read_to_string(path).unwrap());
    }
    let kept = written[0].lines().count();
    assert!((140..260).contains(&kept), "10 % of 2000 are about 200, not {kept}");
    assert_eq!(written[0], written[1]);
    let path = folder.0.join("bad");
    let log = AccessLogger::start(&settings(LogFormat::Common, LogOutput::File(path.clone()), 0), metrics()).unwrap();
    write_many(&log, 10, 200);
    write_many(&log, 10, 404);
    assert!(log.close(LONG));
    assert_eq!(fs::read_to_string(path).unwrap().lines().count(), 10, "400 and above are always written");
}

#[test]
fn a_file_that_was_moved_away_is_opened_anew() {
    let folder = Folder::new("reopen");
    let (path, moved) = (folder.0.join("access.log"), folder.0.join("access.log.1"));
    let log =
        AccessLogger::start(&settings(LogFormat::Json, LogOutput::File(path.clone()), 10_000), metrics()).unwrap();
    write_many(&log, 3, 200);
    wait_for("the first lines", || fs::read_to_string(&path).unwrap().lines().count() == 3);
    fs::rename(&path, &moved).unwrap();
    log.reopen();
    wait_for("the new file", || path.exists());
    write_many(&log, 2, 200);
    assert!(log.close(LONG));
    assert_eq!(fs::read_to_string(&moved).unwrap().lines().count(), 3);
    assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 2);
}

#[test]
fn settings_change_without_losing_what_was_accepted() {
    let folder = Folder::new("configure");
    let (first, second) = (folder.0.join("first"), folder.0.join("second"));
    let log =
        AccessLogger::start(&settings(LogFormat::Json, LogOutput::File(first.clone()), 10_000), metrics()).unwrap();
    write_many(&log, 3, 200);
    let unreachable = LogOutput::File(folder.0.join("no/such/folder/log"));
    assert!(log.configure(&settings(LogFormat::Json, unreachable, 10_000)).is_err());
    log.configure(&settings(LogFormat::Common, LogOutput::File(second.clone()), 10_000)).unwrap();
    wait_for("the first file", || fs::read_to_string(&first).unwrap().lines().count() == 3);
    wait_for("the second file to take over", || {
        write_many(&log, 1, 200);
        fs::read_to_string(&second).unwrap().lines().count() > 0
    });
    log.configure(&settings(LogFormat::Off, LogOutput::File(second), 10_000)).unwrap();
    assert!(log.close(LONG));
}

#[test]
fn a_pipe_that_nobody_reads_drops_lines_counts_them_and_stops_no_one() {
    let (reader, writer) = io::pipe().unwrap();
    let metrics = metrics();
    let log = AccessLogger::over(writer.into(), Arc::clone(&metrics), 64 * 1024);
    write_many(&log, 5000, 200);
    wait_for("dropped lines", || {
        write_many(&log, 100, 200);
        dropped(&metrics) > 0
    });
    assert!(!log.close(Duration::from_millis(20)), "the thread is stuck, and closing does not wait for it");
    drop(reader);
}

#[test]
fn a_closed_pipe_drops_lines_and_counts_them_all() {
    let (reader, writer) = io::pipe().unwrap();
    drop(reader);
    let metrics = metrics();
    let log = AccessLogger::over(writer.into(), Arc::clone(&metrics), 1024 * 1024);
    write_many(&log, 100, 200);
    assert!(log.close(LONG));
    assert_eq!(dropped(&metrics), 100);
}

#[test]
fn a_full_disk_is_survived_and_the_log_goes_on_afterwards() {
    let folder = Folder::new("full");
    let path = folder.0.join("access.log");
    let metrics = metrics();
    // Every write to it fails as on a full disk.
    let full = LogOutput::File(PathBuf::from("/dev/full"));
    let log = AccessLogger::start(&settings(LogFormat::Json, full, 10_000), Arc::clone(&metrics)).unwrap();
    write_many(&log, 10, 200);
    wait_for("the loss to be counted", || dropped(&metrics) == 10);
    log.configure(&settings(LogFormat::Json, LogOutput::File(path.clone()), 10_000)).unwrap();
    wait_for("the log to go on", || {
        write_many(&log, 1, 200);
        fs::read_to_string(&path).is_ok_and(|text| !text.is_empty())
    });
    assert!(log.close(LONG));
}
