//! A stand-in for the Invoke API of AWS: checks the signature as AWS does, runs a function on the event.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ring::{digest, hmac};
use serde_json::{Value, json};

use crate::harness::{Origin, Reply, Request};

pub(crate) const ID: &str = "AKIDEXAMPLE";
pub(crate) const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

/// The service with one function; its answers are whole replies of Invoke.
pub(crate) fn service(function: impl Fn(&Value) -> Reply + Send + Sync + 'static) -> (Origin, Arc<AtomicUsize>) {
    let ran = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&ran);
    let origin = Origin::start(move |request| {
        if let Err(why) = verify(request) {
            let body = json!({ "message": why }).to_string();
            return Reply::status("403 Forbidden", &["x-amzn-errortype: InvalidSignatureException"], body);
        }
        counted.fetch_add(1, Ordering::SeqCst);
        function(&serde_json::from_slice(&request.body).expect("an event is JSON"))
    });
    (origin, ran)
}

/// The function's payload, as Invoke answers it.
pub(crate) fn payload(value: &Value) -> Reply {
    Reply::status("200 OK", &["Content-Type: application/json"], value.to_string())
}

/// An answer of the function.
pub(crate) fn answer(status: u16, body: &str) -> Reply {
    payload(&json!({ "statusCode": status, "headers": { "content-type": "text/plain" }, "body": body }))
}

/// `[services.quote]` that calls this service, with credentials in a file of this test.
pub(crate) fn table(service: &Origin, more: &str) -> String {
    let file = credentials(SECRET);
    format!(
        "[services.quote]\nlambda = {{ function = \"shop-quote:prod\", region = \"eu-central-1\", endpoint = \"{}\"{more} }}\n\
         credentials = {{ file = \"{}\" }}\n",
        service.url(),
        file.display()
    )
}

fn credentials(secret: &str) -> PathBuf {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let number = NUMBER.fetch_add(1, Ordering::SeqCst);
    let name = format!("aws-{}-{number}", std::process::id());
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    let text = format!("[default]\naws_access_key_id = {ID}\naws_secret_access_key = {secret}\n");
    fs::write(&path, text).expect("the folder takes a file");
    path
}

/// What AWS does with a request: the canonical request is made anew from what came.
fn verify(request: &Request) -> Result<(), &'static str> {
    let authorization = request.get("authorization").ok_or("no authorization")?;
    let rest = authorization.strip_prefix("AWS4-HMAC-SHA256 ").ok_or("another algorithm")?;
    let part =
        |name: &str| rest.split(", ").find_map(|part| part.strip_prefix(name).and_then(|part| part.strip_prefix('=')));
    let credential = part("Credential").ok_or("no credential")?;
    let names = part("SignedHeaders").ok_or("no names")?;
    let signature = part("Signature").ok_or("no signature")?;
    let (id, scope) = credential.split_once('/').ok_or("no scope")?;
    if id != ID {
        return Err("another key");
    }
    let target = String::from_utf8_lossy(request.target()).into_owned();
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let mut canonical = format!("{}\n{}\n{query}\n", request.method(), path.replace('%', "%25"));
    for name in names.split(';') {
        let values = request.head.all(name);
        canonical.extend([name, ":", &values.join(","), "\n"]);
    }
    for needed in ["host", "x-amz-date", "content-type"] {
        if !names.split(';').any(|name| name == needed) {
            return Err("a name is missing");
        }
    }
    let hash = hex(digest::digest(&digest::SHA256, &request.body).as_ref());
    canonical.extend(["\n", names, "\n", &hash]);
    let hash = hex(digest::digest(&digest::SHA256, canonical.as_bytes()).as_ref());
    let date = request.get("x-amz-date").ok_or("no date")?;
    let text = format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{hash}");
    let mut key = format!("AWS4{SECRET}").into_bytes();
    for step in scope.split('/') {
        key = mac(&key, step.as_bytes());
    }
    if hex(&mac(&key, text.as_bytes())) == signature { Ok(()) } else { Err("the signature does not match") }
}

fn mac(key: &[u8], text: &[u8]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text).as_ref().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.map(|digit| char::from(DIGITS[usize::from(digit)])).collect()
}
