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
            // Braces, brackets and dots in a target are what the client wrote, and no pattern.
            let options = if exchange.method == "HEAD" { "-I" } else { "-i" };
            let _ = write!(out, "curl -sS -g --path-as-is {options} -X {}", exchange.method);
            let _ = write!(out, " \"$base\"{}", word(&exchange.target, "secret"));
            if exchange.headers.iter().any(|(name, _)| name == "accept-encoding") {
                // Else the terminal gets the coded bytes.
                out.push_str(" --compressed");
            }
            for (name, value) in &exchange.headers {
                // A colon with nothing behind it would take the header away.
                let field = if value.is_empty() { format!("{name};") } else { format!("{name}: {value}") };
                let _ = write!(out, " \\\n  -H {}", word(&field, name));
            }
            for name in ["user-agent", "accept"] {
                if !exchange.headers.iter().any(|(known, _)| known == name) {
                    let _ = write!(out, " -H {name}:");
                }
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
    use crate::compare::verdict::tests::{headers, response};
    use crate::compare::{ComparedRequest, KeptExchange, Rules, WrittenRules, compare};
    use crate::migration::Examples;

    #[test]
    fn a_command_sends_what_the_client_sent_and_nothing_of_its_own() {
        let rules = Rules::new(&WrittenRules { examples: Examples::Values, ..WrittenRules::default() }).expect("valid");
        let sent = headers(&[("x-empty", ""), ("accept", "*/*")]);
        let request =
            ComparedRequest { method: &http::Method::GET, target: "/a{{b}}/[1]?x[]=1", headers: &sent, body: b"" };
        let (control, candidate) = (response(200, &[], "a"), response(200, &[], "b"));
        let outcome = compare(&request, &control, &candidate, &rules);
        let mut evidence = Evidence::new(&rules);
        evidence.keep(KeptExchange::redacted(&request, &control, &outcome, &rules, 1).expect("values are kept"));
        let text = evidence.to_shell("r");
        let expected = "curl -sS -g --path-as-is -i -X GET \"$base\"'/a{{b}}/[1]?x[]=1' \\\n  -H 'x-empty;' \\\n  \
                        -H 'accept: */*' -H user-agent:\n";
        assert!(text.ends_with(expected), "{text}");
    }

    #[test]
    fn a_word_is_itself_and_a_secret_is_a_variable() {
        assert_eq!(word("/a?b='$(x)'", "x"), r"'/a?b='\''$(x)'\'''");
        assert_eq!(word("x-api-key: [redacted]", "x-api-key"), r#"'x-api-key: '"$_x_api_key"''"#);
    }
}
