//! `multilith man`: the manual page: one section a verb, then what all verbs have in common, then every key of routes.toml.

use std::fmt::Write as _;

use clap::CommandFactory as _;
use serde_json::Value;

use super::{Cli, Exit, term};

pub fn man() -> Exit {
    let mut page = Vec::new();
    let mut command = Cli::command();
    command.build();
    let rendered = clap_mangen::Man::new(command.clone()).render(&mut page).and_then(|()| {
        command.get_subcommands().filter(|verb| verb.get_name() != "help").try_for_each(|verb| {
            let verb = verb.clone();
            let man = clap_mangen::Man::new(verb.clone());
            page.extend_from_slice(format!(".SH {}\n", verb.get_name().to_uppercase()).as_bytes());
            man.render_description_section(&mut page)?;
            man.render_synopsis_section(&mut page)?;
            man.render_options_section(&mut page)
        })
    });
    if let Err(error) = rendered {
        term::fail(&format!("cannot render the manual page: {error}"), None);
        return Exit::Failed;
    }
    term::out(&String::from_utf8_lossy(&page));
    term::out(&common_sections());
    term::out(&file_section(&crate::config::schema()));
    Exit::Fine
}

/// Names and what there is to say of each.
type Entries = &'static [(&'static str, &'static str)];

/// The sections that no verb has for itself, each with its introduction, which may be empty, and its entries.
const COMMON: [(&str, &str, Entries); 5] = [
    (
        "ENVIRONMENT",
        "A routes.toml may name more: ${NAME} in a string, and { env = \"NAME\" } for a secret.",
        &[
            (
                "MULTILITH_ADMIN",
                "The admin listener that verbs ask, a URL. --admin goes before it, and it before the file.",
            ),
            ("MULTILITH_TOKEN", "The admin token that verbs show. --token goes before it."),
            (
                "MULTILITH_LOG",
                "Which events of the program go to standard error, as directives: info, multilith=debug, pingora_core=info. Default: info.",
            ),
            ("NO_COLOR", "Not empty: no colour on a terminal."),
            ("COLUMNS", "The width of tables. Default: that of the terminal, else 100."),
            ("USER, LOGNAME", "The name that a verb gives itself: it stands in the journal behind that of the token."),
            ("OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES", "The resource of spans and metrics that are exported."),
            ("OTEL_EXPORTER_OTLP_HEADERS", "Headers for the OTLP collector: name=value, separated by commas."),
            ("OTEL_METRIC_EXPORT_INTERVAL", "Pause between two exports of metrics, in milliseconds. Default: 60000."),
            (
                "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN",
                "Credentials for AWS Lambda with credentials = \"environment\".",
            ),
            (
                "AWS_CONTAINER_CREDENTIALS_FULL_URI, AWS_CONTAINER_CREDENTIALS_RELATIVE_URI, AWS_CONTAINER_AUTHORIZATION_TOKEN, AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
                "The agent that is asked with credentials = { container = true }.",
            ),
            (
                "KUBERNETES_SERVICE_HOST, KUBERNETES_SERVICE_PORT",
                "The API server that discover.kubernetes asks without a key api.",
            ),
            (
                "LISTEN_FDS, NOTIFY_SOCKET, WATCHDOG_USEC",
                "Set by systemd: its sockets are taken over, and it hears of ready, reload, stop and life.",
            ),
        ],
    ),
    (
        "EXIT STATUS",
        "",
        &[
            ("0", "The work is done, and there is nothing to complain of."),
            ("1", "The answer is no: the file has mistakes, a check or a comparison failed, a move was refused."),
            ("2", "The work could not be done: wrong arguments, an unreadable file, a proxy that does not answer."),
            ("any", "Of register: that of its program; 128 and the signal's number if a signal ended it."),
        ],
    ),
    (
        "SIGNALS",
        "Of run, but for the last one.",
        &[
            ("SIGHUP", "Read the files again. If they have mistakes, those in force stay in force."),
            (
                "SIGTERM, SIGINT",
                "Finish what is in flight, for server.drain at most, and end. Sent once more: end at once.",
            ),
            (
                "SIGQUIT",
                "Hand the sockets to the program that waits with run --upgrade, finish what is in flight, and end.",
            ),
            ("SIGUSR1", "Open the access log anew."),
            ("SIGTERM, SIGINT", "Of register: take the program out of the registry, then pass the signal on."),
        ],
    ),
    (
        "FILES",
        "Those without a folder are in server.state_dir, which is made with mode 0700.",
        &[
            (
                "routes.toml",
                "The configuration, in the working folder unless -c says otherwise. The Debian package has /etc/multilith/routes.toml.",
            ),
            (
                "multilith.db",
                "Journal, dials, evidence, inventory and the endpoints known last, in SQLite; beside it multilith.db-wal and multilith.db-shm. One that cannot be used becomes multilith.db.broken-TIME.",
            ),
            ("multilith.lock", "Held by the one process that writes the database."),
            ("monolith-only", "There while the big red button is pressed: a restart keeps it pressed."),
            ("acme/", "The account, the certificates and their keys of server.tls.acme."),
            ("upgrade.sock", "Where a program with run --upgrade waits for the sockets."),
            ("evidence/", "Written by versions before the database; read once, never written."),
        ],
    ),
    (
        "API",
        "Each path of the admin listener with its bodies, field by field, is described at /api/v1/openapi.json of the running proxy (OpenAPI 3.1).",
        &[],
    ),
];

fn common_sections() -> String {
    let mut text = String::new();
    for (title, about, entries) in COMMON {
        writeln!(text, ".SH {title}").expect("a string takes everything");
        if !about.is_empty() {
            writeln!(text, "{}", escaped(about)).expect("a string takes everything");
        }
        for (name, about) in entries {
            writeln!(text, ".TP\n\\fB{}\\fR\n{}", escaped(name), escaped(about)).expect("a string takes everything");
        }
    }
    text
}

/// The keys of the file as a section of the page, from the JSON Schema.
fn file_section(schema: &Value) -> String {
    let mut text = ".SH ROUTES.TOML\nNAME stands for a name that you choose, [] for each table of a list.\n".to_owned();
    for (key, about) in keys(schema) {
        writeln!(text, ".TP\n\\fB{}\\fR\n{}", escaped(&key), escaped(&about)).expect("a string takes everything");
    }
    text
}

/// Each key by its full name, with its sentence and the words that it takes, in the order of the schema.
fn keys(schema: &Value) -> Vec<(String, String)> {
    let mut found = Vec::new();
    collect(schema, "", &mut found);
    found
}

fn collect(schema: &Value, name: &str, found: &mut Vec<(String, String)>) {
    let below = |key: &str| if name.is_empty() { key.to_owned() } else { format!("{name}.{key}") };
    for (key, value) in schema["properties"].as_object().into_iter().flatten().filter(|(key, _)| *key != "$schema") {
        let about = [value["description"].as_str().unwrap_or_default().trim(), &words(value)].join(" ");
        found.push((below(key), about.trim().to_owned()));
        collect(value, &below(key), found);
    }
    if schema["additionalProperties"].is_object() {
        collect(&schema["additionalProperties"], &below("NAME"), found);
    }
    if schema["items"].is_object() {
        collect(&schema["items"], &format!("{name}[]"), found);
    }
    for form in schema["anyOf"].as_array().into_iter().flatten() {
        collect(form, name, found);
    }
}

/// `One of "a", "b".`, for a key that takes no other.
fn words(value: &Value) -> String {
    let list: Vec<_> = value["enum"].as_array().into_iter().flatten().map(Value::to_string).collect();
    if list.is_empty() { String::new() } else { format!("One of {}.", list.join(", ")) }
}

/// Text as troff takes it: no letter of it is a command.
fn escaped(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-");
    if text.starts_with(['.', '\'']) { format!("\\&{text}") } else { text }
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::*;

    #[test]
    fn every_key_of_the_file_has_its_sentence() {
        let keys = keys(&crate::config::schema());
        for name in [
            "server.listen",
            "monolith.keepalive",
            "services.NAME.health.statuses",
            "routes.NAME.sticky",
            "routes.NAME.variants.NAME.weight",
            "server.tls.certificates[].key",
        ] {
            assert!(keys.iter().any(|(key, _)| key == name), "no `{name}` in {keys:?}");
        }
        let silent: Vec<_> = keys.iter().filter(|(_, about)| about.is_empty()).collect();
        assert!(silent.is_empty(), "{silent:?}");
    }

    #[test]
    fn the_page_has_what_all_verbs_have_in_common() {
        let page = common_sections();
        for title in ["ENVIRONMENT", "EXIT STATUS", "SIGNALS", "FILES", "API"] {
            assert!(page.contains(&format!(".SH {title}\n")), "no section {title}");
        }
        assert!(page.contains("/api/v1/openapi.json"));
    }

    /// Each variable with a prefix that the program reads, wherever it does.
    #[test]
    fn the_page_has_every_variable_of_the_environment() {
        let quoted = regex::Regex::new(r#""((?:MULTILITH|OTEL|AWS|KUBERNETES)_[A-Z_]+)""#).expect("a pattern");
        let environment = COMMON[0].2.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
        let mut texts = Vec::new();
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        gather(&root, &mut texts);
        let is_of_tests =
            |file: &Path| file.strip_prefix(&root).is_ok_and(|file| file.to_string_lossy().contains("tests"));
        let mut missing = Vec::new();
        for (file, text) in texts.iter().filter(|(file, _)| !is_of_tests(file)) {
            // Known when the program is built, and to a test alone.
            let of_program = |name: &str| name != "MULTILITH_REVISION" && !name.starts_with("MULTILITH_TEST_");
            for name in
                quoted.captures_iter(text).map(|found| found.extract::<1>().1[0]).filter(|name| of_program(name))
            {
                if !environment.split(", ").any(|known| known == name) {
                    missing.push(format!("{}: {name}", file.display()));
                }
            }
        }
        assert!(missing.is_empty(), "{}", missing.join("\n"));
    }

    #[test]
    fn no_letter_of_a_sentence_is_a_command_of_troff() {
        assert_eq!(escaped(".5 of `\\d` and more-or-less"), "\\&.5 of `\\ed` and more\\-or\\-less");
    }

    /// A text that sends a person to a verb or a flag that does not exist costs more than one that is silent.
    #[test]
    fn every_verb_and_flag_that_a_text_names_exists() {
        let mut command = Cli::command();
        command.build();
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut texts = Vec::new();
        for part in ["README.md", "src", "dashboards", "packaging", "routes.toml"] {
            gather(&root.join(part), &mut texts);
        }
        let (mut named, mut wrong) = (0, Vec::new());
        for (file, text) in &texts {
            for span in text.split("`multilith ").skip(1).filter_map(|rest| rest.split('`').next()) {
                let mut words = span.split_whitespace().map(|word| word.trim_matches(['[', ']', '\\', ',']));
                let Some(verb) = words.next().filter(|verb| verb.starts_with(|first: char| first.is_ascii_lowercase()))
                else {
                    continue;
                };
                named += 1;
                let Some(known) = command.find_subcommand(verb) else {
                    wrong.push(format!("{}: `multilith {span}`: no verb `{verb}`", file.display()));
                    continue;
                };
                for flag in words.filter_map(|word| word.strip_prefix("--")).filter(|flag| !flag.is_empty()) {
                    let flag = flag.split('=').next().unwrap_or(flag);
                    if !known.get_arguments().any(|argument| argument.get_long() == Some(flag)) {
                        wrong.push(format!("{}: `multilith {span}`: no flag `--{flag}`", file.display()));
                    }
                }
            }
        }
        assert!(named >= 50, "only {named} verbs are named");
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    fn gather(path: &Path, texts: &mut Vec<(PathBuf, String)>) {
        if path.is_dir() {
            for entry in std::fs::read_dir(path).expect("a folder of the project") {
                gather(&entry.expect("an entry").path(), texts);
            }
        } else if let Ok(text) = std::fs::read_to_string(path) {
            texts.push((path.to_owned(), text));
        }
    }
}
