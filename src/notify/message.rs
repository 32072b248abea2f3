//! A message, and the form of it for each kind of receiver.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::compile::NotifyTarget;
use crate::config::{Notice, NotifyFormat};

/// Alertmanager forgets an alert that is not repeated; a latched route stays latched until a person acts.
const STAYS: SignedDuration = SignedDuration::from_hours(30 * 24);

/// One thing to tell.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// `None`: only what `resolves` says.
    pub kind: Option<Notice>,
    /// Empty: it concerns no route.
    pub route: Box<str>,
    /// One sentence with its figures.
    pub text: String,
    /// The next command to type; empty: none.
    pub command: String,
    /// `file`, `gate`, `person`; empty where nothing moved.
    pub by: Box<str>,
    /// The entry of the journal, where there is one.
    pub entry: Option<Value>,
    /// Alerts of this route's that are over with it: it is latched, or waits, no more.
    pub resolves: &'static [Notice],
    pub at: Timestamp,
    /// The route's page in the console; filled in where it is told.
    pub link: String,
}

impl Message {
    /// Whether this target wants to hear it. An end is told to those that keep alerts open.
    pub(super) fn is_for(&self, target: &NotifyTarget) -> bool {
        let ends =
            target.format == NotifyFormat::Alertmanager && self.resolves.iter().any(|kind| target.on.contains(kind));
        (self.kind.is_some_and(|kind| target.on.contains(&kind)) || ends) && target.is_about(&self.route)
    }

    /// Path below the target's URL, and body; `None`: there is nothing to say in this format.
    pub(super) fn written(&self, target: &NotifyTarget) -> Option<(&'static str, Value)> {
        if target.format == NotifyFormat::Alertmanager {
            let alerts = self.alerts(&target.on);
            return (!alerts.is_empty()).then_some(("/api/v2/alerts", Value::Array(alerts)));
        }
        let kind = self.kind?;
        Some(match target.format {
            NotifyFormat::Slack => ("", self.slack(kind)),
            NotifyFormat::Grafana => ("/api/annotations", self.annotation(kind)),
            NotifyFormat::Json | NotifyFormat::Alertmanager => ("", self.json(kind)),
        })
    }

    fn json(&self, kind: Notice) -> Value {
        json!({
            "kind": kind.word(),
            "route": &self.route,
            "text": &self.text,
            "command": &self.command,
            "link": &self.link,
            "at": self.at.to_string(),
            "entry": &self.entry,
        })
    }

    fn slack(&self, kind: Notice) -> Value {
        let colour = match kind {
            Notice::RolledBack | Notice::FleetLost => "danger",
            Notice::Waiting | Notice::Slow => "warning",
            Notice::Move => "good",
        };
        let mut attachment = json!({ "color": colour, "fallback": &self.text });
        let command = Some(&self.command).filter(|command| !command.is_empty()).map(|command| format!("`{command}`"));
        let link = Some(&self.link).filter(|link| !link.is_empty()).map(|link| format!("<{link}|console>"));
        let further: Vec<String> = command.into_iter().chain(link).collect();
        attachment["text"] = further.join(" · ").into();
        attachment["mrkdwn_in"] = json!(["text"]);
        json!({ "text": escaped(&self.text), "attachments": [attachment] })
    }

    fn annotation(&self, kind: Notice) -> Value {
        let mut tags = vec!["multilith".to_owned(), kind.word().to_owned()];
        if !self.route.is_empty() {
            tags.push(format!("route:{}", self.route));
        }
        if !self.by.is_empty() {
            tags.push(format!("by:{}", self.by));
        }
        json!({ "time": self.at.as_millisecond(), "tags": tags, "text": &self.text })
    }

    /// The alert that begins with this, and those that end with it.
    fn alerts(&self, on: &[Notice]) -> Vec<Value> {
        let begins = self.kind.filter(|kind| on.contains(kind)).and_then(alert_name).map(|name| {
            let is_bad = matches!(self.kind, Some(Notice::RolledBack | Notice::FleetLost));
            let severity = if is_bad { "critical" } else { "warning" };
            json!({
                "labels": { "alertname": name, "route": &self.route },
                "annotations": { "summary": &self.text, "command": &self.command, "severity": severity },
                "generatorURL": &self.link,
                "startsAt": self.at.to_string(),
                "endsAt": (self.at + STAYS).to_string(),
            })
        });
        let ends =
            self.resolves.iter().filter(|kind| on.contains(kind)).filter_map(|kind| alert_name(*kind)).map(|name| {
                json!({
                    "labels": { "alertname": name, "route": &self.route },
                    "annotations": { "summary": &self.text },
                    "endsAt": self.at.to_string(),
                })
            });
        ends.chain(begins).collect()
    }
}

/// A move is no alert.
const fn alert_name(kind: Notice) -> Option<&'static str> {
    match kind {
        Notice::Move => None,
        Notice::RolledBack => Some("MultilithRolledBack"),
        Notice::Waiting => Some("MultilithWaiting"),
        Notice::Slow => Some("MultilithSlow"),
        Notice::FleetLost => Some("MultilithFleetLost"),
    }
}

/// The three characters that chats read as markup.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compile::{SecretSource, SecretText};

    fn target(format: NotifyFormat, on: &[Notice]) -> NotifyTarget {
        NotifyTarget {
            name: "ops".into(),
            url: SecretSource::Value(SecretText("http://127.0.0.1:1/".into())),
            token: None,
            format,
            on: on.to_vec(),
            routes: vec!["pay*".into()],
        }
    }

    fn rolled_back() -> Message {
        Message {
            kind: Some(Notice::RolledBack),
            route: "pay".into(),
            text: "pay: canary 5% -> 0% <now>".to_owned(),
            command: "multilith gate pay".to_owned(),
            by: "gate".into(),
            entry: Some(json!({ "seq": 2 })),
            resolves: &[],
            at: "2026-11-28T09:43:03Z".parse().expect("a time"),
            link: "http://edge/route/pay".to_owned(),
        }
    }

    #[test]
    fn each_receiver_gets_its_own_form() {
        let on = [Notice::RolledBack];
        let written = |format| rolled_back().written(&target(format, &on)).expect("something to say");
        let (path, alerts) = written(NotifyFormat::Alertmanager);
        assert_eq!(path, "/api/v2/alerts");
        assert_eq!(alerts[0]["labels"], json!({ "alertname": "MultilithRolledBack", "route": "pay" }));
        assert_eq!(alerts[0]["startsAt"], "2026-11-28T09:43:03Z");
        let (path, annotation) = written(NotifyFormat::Grafana);
        assert_eq!(path, "/api/annotations");
        assert_eq!(annotation["tags"], json!(["multilith", "rolled-back", "route:pay", "by:gate"]));
        assert_eq!(annotation["time"], 1_795_858_983_000_i64);
        let (_, slack) = written(NotifyFormat::Slack);
        assert_eq!(slack["text"], "pay: canary 5% -&gt; 0% &lt;now&gt;");
        assert_eq!(slack["attachments"][0]["text"], "`multilith gate pay` · <http://edge/route/pay|console>");
        let (_, own) = written(NotifyFormat::Json);
        assert_eq!((own["kind"].as_str(), own["entry"]["seq"].as_u64()), (Some("rolled-back"), Some(2)));
    }

    #[test]
    fn an_alert_ends_when_its_route_goes_on() {
        let promoted = Message { kind: Some(Notice::Move), resolves: &[Notice::RolledBack], ..rolled_back() };
        let alerts = target(NotifyFormat::Alertmanager, &[Notice::RolledBack]);
        assert!(promoted.is_for(&alerts));
        let (_, written) = promoted.written(&alerts).expect("an end");
        assert_eq!(written.as_array().map(Vec::len), Some(1));
        assert_eq!(written[0]["endsAt"], "2026-11-28T09:43:03Z");
        assert!(
            !promoted.is_for(&target(NotifyFormat::Slack, &[Notice::RolledBack])),
            "a chat asked for roll-backs alone"
        );
        let approved = Message { kind: None, ..promoted };
        assert!(approved.written(&alerts).is_some() && approved.written(&target(NotifyFormat::Json, &[])).is_none());
        let other = Message { route: "orders".into(), ..rolled_back() };
        assert!(!other.is_for(&alerts), "another route");
    }
}
