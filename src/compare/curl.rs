//! Writes kept requests as curl commands, to be asked by hand.
//!
//! In the place of a secret stands a variable of the shell, as `$_authorization`.

use std::fmt::Write;

use super::evidence::Evidence;
use super::redact::REDACTED;

impl Evidence {
    /// The kept requests of a route; empty unless examples are kept as values.
    pub fn to_shell(&self, route: &str) -> String {
        let mut out = String::new();
        for exchange in self.exchanges() {
            if out.is_empty() {
                out.push_str("#!/bin/sh\n# base=http://HOST:PORT\n");
            }
            let fields = exchange.fields.join(", ");
            let why = if fields.is_empty() { "answered alike" } else { &fields };
            let _ =
                writeln!(out, "# {}: {} (the monolith answered {})", one_line(route), one_line(why), exchange.status);
            let _ = write!(out, "curl -sS -i -X {} \"$base\"{}", exchange.method, word(&exchange.target, "secret"));
            if exchange.headers.iter().any(|(name, _)| name == "accept-encoding") {
                // Else the terminal gets the coded bytes.
                out.push_str(" --compressed");
            }
            for (name, value) in &exchange.headers {
                let _ = write!(out, " \\\n  -H {}", word(&format!("{name}: {value}"), name));
            }
            if let Some(body) = &exchange.body {
                let _ = write!(out, " \\\n  --data-binary {}", word(body, "secret"));
            }
            out.push('\n');
        }
        out
    }
}

/// One word of a shell: everything is itself but what was redacted, which is a variable.
fn word(text: &str, name: &str) -> String {
    let variable: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    let quoted = |part: &str| format!("'{}'", part.replace('\'', r"'\''"));
    text.split(REDACTED).map(quoted).collect::<Vec<_>>().join(&format!("\"$_{variable}\""))
}

fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_itself_and_a_secret_is_a_variable() {
        assert_eq!(word("/a?b='$(x)'", "x"), r"'/a?b='\''$(x)'\'''");
        assert_eq!(word("x-api-key: [redacted]", "x-api-key"), r#"'x-api-key: '"$_x_api_key"''"#);
    }
}
