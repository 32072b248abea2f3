//! Endpoints from a file: one `host:port [weight=N]` a line, looked at twice a second.

use std::path::Path;
use std::time::Duration;

use super::sink::Sink;
use crate::endpoint::{BadNotation, Listing, Look, read_line};

const PERIOD: Duration = Duration::from_millis(500);

/// A new text counts when two looks in a row found the same: many programs empty a file before they write it.
pub(super) async fn follow(mut sink: Sink, path: &Path) {
    let mut in_force: Option<String> = None;
    let mut seen: Option<String> = None;
    loop {
        let carried = match tokio::fs::read_to_string(path).await {
            Err(error) => {
                seen = None;
                sink.trouble(&format!("`{}` cannot be read: {error}", path.display()))
            }
            // The very first text is taken at once, unless endpoints of the pool before are there to go on with.
            Ok(text) if seen.as_ref() == Some(&text) || (in_force.is_none() && !sink.knows_anybody()) => {
                match read(&text) {
                    Ok(list) => {
                        in_force = Some(text.clone());
                        seen = Some(text);
                        sink.listed(list, Look::Continuous)
                    }
                    Err(why) => sink.trouble(&format!("`{}`, {why}", path.display())),
                }
            }
            Ok(text) => {
                seen = Some(text);
                std::ops::ControlFlow::Continue(())
            }
        };
        if carried.is_break() {
            return;
        }
        tokio::time::sleep(PERIOD).await;
    }
}

/// A line that names no endpoint.
#[derive(Debug, thiserror::Error)]
#[error("line {number}: {why}")]
struct BadLine {
    number: usize,
    why: BadNotation,
}

/// A text with a mistake is refused as a whole: half a list would take endpoints away.
fn read(text: &str) -> Result<Vec<Listing>, BadLine> {
    let mut list = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        match read_line(line) {
            Ok(None) => {}
            Ok(Some((address, weight))) => {
                list.push(Listing { key: address.to_string().into(), address, weight });
            }
            Err(why) => return Err(BadLine { number, why }),
        }
    }
    Ok(list)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistake_names_its_line_and_spoils_the_whole_text() {
        assert_eq!(read("a:1\n\n# nobody\nb:2 weight=3\n").unwrap().len(), 2);
        assert_eq!(read("a:1\nb\n").unwrap_err().to_string(), "line 2: a port is missing: `host:port` is expected");
    }
}
