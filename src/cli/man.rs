//! `multilith man`: the manual page: one section a verb, then every key of routes.toml.

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
    term::out(&file_section(&crate::config::schema()));
    Exit::Fine
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
