//! Puts what fuzzing starts from and what it has found to the claims of the fuzz targets, with an ordinary compiler.

use std::fs;
use std::panic;
use std::path::{Path, PathBuf};

#[path = "fuzz/claims/answers.rs"]
mod answers;
#[path = "fuzz/claims/bodies.rs"]
mod bodies;
#[path = "fuzz/claims/config.rs"]
mod config;
#[path = "fuzz/claims/connection.rs"]
mod connection;
#[path = "fuzz/claims/framing.rs"]
mod framing;
#[path = "fuzz/claims/headers.rs"]
mod headers;
#[path = "fuzz/claims/http2.rs"]
mod http2;
#[path = "fuzz/claims/json.rs"]
mod json;
#[path = "fuzz/claims/path.rs"]
mod path;
#[path = "fuzz/claims/strict.rs"]
mod strict;

/// The inputs in a folder below tests; in a folder that is not there, none.
fn inputs(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(folder);
    let mut inputs: Vec<_> =
        fs::read_dir(folder).into_iter().flatten().map(|entry| entry.expect("an entry").path()).collect();
    inputs.sort();
    inputs
}

fn replay(target: &str, more: &[&str], hold: fn(&[u8])) {
    let mut cases = inputs(&format!("fuzz/seeds/{target}"));
    cases.extend(more.iter().flat_map(|folder| inputs(folder)));
    assert!(!cases.is_empty(), "{target} has no seeds");
    cases.extend(inputs(&format!("fuzz/findings/{target}")));
    for case in cases {
        let bytes = fs::read(&case).expect("an input can be read");
        // The claim that fails has said what is wrong, but not with which input.
        let outcome = panic::catch_unwind(|| hold(&bytes));
        assert!(outcome.is_ok(), "{}", case.display());
    }
}

#[test]
fn every_text_is_read_and_every_mistake_is_explained() {
    replay("config", &["golden/right", "golden/wrong"], config::hold);
}

#[test]
fn an_upstream_gets_what_a_strict_reader_finds_in_a_connection() {
    replay("connection", &[], connection::hold);
}

#[test]
fn paths_are_read_as_a_second_reader_reads_them() {
    replay("path", &[], path::hold);
}

#[test]
fn nobody_speaks_for_others_and_nothing_of_a_connection_goes_on() {
    replay("headers", &[], headers::hold);
}

#[test]
fn requests_of_http2_keep_the_rules_of_heads_however_their_bytes_are_cut() {
    replay("http2", &[], http2::hold);
}

#[test]
fn two_answers_have_one_verdict_and_no_secret_is_kept() {
    replay("json", &[], json::hold);
}

#[test]
fn pages_have_one_verdict_and_their_noise_is_no_fault() {
    replay("pages", &[], bodies::pages);
}

#[test]
fn tables_forms_parts_and_messages_have_one_verdict_and_their_noise_is_no_fault() {
    replay("fields", &[], bodies::fields);
}

#[test]
fn texts_have_one_verdict_and_their_noise_is_no_fault() {
    replay("texts", &[], bodies::texts);
}

#[test]
fn what_is_taken_for_a_request_is_one_to_a_strict_parser() {
    replay("framing", &[], framing::hold);
}
