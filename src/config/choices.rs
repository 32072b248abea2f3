//! Words of which one is chosen.

use super::reader::{Decode, Reader, Value, quoted_list};
use crate::diagnostic::{Code, nearest};

macro_rules! choices {
    ($($(#[doc = $doc:literal])* $name:ident: $expected:literal { $($variant:ident $word:literal,)* })*) => {$(
        $(#[doc = $doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name { $($variant,)* }

        impl $name {
            /// As the file writes it.
            pub const fn word(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)*
                }
            }
        }

        impl Decode for $name {
            const EXPECTED: &'static str = $expected;
            const EXAMPLE: &'static str = choices!(@first $($word)*);

            fn decode(value: &Value<'_>, reader: &mut Reader<'_>) -> Option<Self> {
                const WORDS: &[&str] = &[$($word),*];
                let text = reader.string::<Self>(value)?;
                match text.as_ref() {
                    $($word => Some(Self::$variant),)*
                    other => {
                        unknown(other, $expected, WORDS, value, reader);
                        None
                    }
                }
            }

            fn schema() -> serde_json::Value {
                serde_json::json!({ "enum": [$($word),*] })
            }
        }
    )*};
    (@first $first:literal $($rest:literal)*) => { concat!("\"", $first, "\"") };
}

choices! {
    /// Which addresses of a service that has both.
    IpFamily: "an address family" {
        Ipv4 "ipv4",
        Ipv6 "ipv6",
    }
    /// The way by which the counts of all replicas reach the one that judges.
    FleetEvidence: "a way for evidence" {
        Etcd "etcd",
        Prometheus "prometheus",
    }
    /// Where a route stands between the monolith and its service.
    Stage: "a stage" {
        Monolith "monolith",
        Shadow "shadow",
        Canary "canary",
        Split "split",
        Migrated "migrated",
        Retired "retired",
    }
    /// The role of a caller of the admin listener.
    Role: "a role" {
        Read "read",
        Operate "operate",
    }
    /// Whether pages of other sites send a cookie.
    SameSite: "`lax`, `strict` or `none`" {
        Lax "lax",
        Strict "strict",
        None "none",
    }
    /// Whether connections begin with a PROXY header.
    ProxyProtocol: "`off`, `accept` or `require`" {
        Off "off",
        Accept "accept",
        Require "require",
    }
    /// How an endpoint is picked.
    Balance: "a way to balance" {
        RoundRobin "round-robin",
        LeastBusy "least-busy",
        Sticky "sticky",
    }
    /// The version of HTTP that is spoken with an upstream.
    HttpVersion: "a version of HTTP" {
        Http1 "1.1",
        Http2 "2",
        Auto "auto",
    }
    /// The form of the event that a function of Lambda gets.
    LambdaEvent: "a form of event" {
        V1 "1.0",
        V2 "2.0",
    }
    /// The oldest version of TLS that is spoken with clients.
    TlsVersion: "a version of TLS" {
        Tls12 "1.2",
        Tls13 "1.3",
    }
    /// The checks of a server's certificate.
    Verify: "`full`, `chain` or `none`" {
        Full "full",
        Chain "chain",
        Off "none",
    }
    /// Whether unsafe methods may be copied.
    Writes: "`never` or `sandbox`" {
        Never "never",
        Sandbox "sandbox",
    }
    /// The examples that are kept of fields that differ.
    Examples: "a way to keep examples" {
        Values "values",
        Shapes "shapes",
        Off "off",
    }
    /// The act of a gate on a service that is surely worse.
    OnFail: "`roll-back` or `hold`" {
        RollBack "roll-back",
        Hold "hold",
    }
    /// The format of a notification.
    NotifyFormat: "a format" {
        Slack "slack",
        Json "json",
        Alertmanager "alertmanager",
        Grafana "grafana",
    }
    /// The kinds of notifications.
    Notice: "a kind of notice" {
        Move "move",
        RolledBack "rolled-back",
        Waiting "waiting",
        Slow "slow",
        FleetLost "fleet-lost",
    }
    /// The kinds of events for other programs. `verdict` and `fault` are of the live stream, which a program that follows a
    /// gate or an experiment need not read beside the broker; only a filter that names them gets them.
    EventKind: "a kind of event" {
        Exchange "exchange",
        Difference "difference",
        Move "move",
        Reload "reload",
        Upstream "upstream",
        Verdict "verdict",
        Fault "fault",
    }
    /// The requests for which an answer about a client holds.
    CacheBy: "`request` or `credentials`" {
        Request "request",
        Credentials "credentials",
    }
    /// The API of etcd under which keys are written.
    EtcdApi: "`v3` or `v2`" {
        V3 "v3",
        V2 "v2",
    }
    /// When two numbers of JSON are the same.
    Numbers: "`value` or `written`" {
        Value "value",
        Written "written",
    }
    /// Whether letters of a path are compared as they are.
    PathCase: "`sensitive` or `insensitive`" {
        Sensitive "sensitive",
        Insensitive "insensitive",
    }
    /// Whether `/a` and `/a/` are the same.
    TrailingSlash: "`strict` or `ignore`" {
        Strict "strict",
        Ignore "ignore",
    }
    /// How an exchange is written into the access log.
    LogFormat: "a log format" {
        Json "json",
        Common "common",
        Combined "combined",
        Off "off",
    }
}

fn unknown(word: &str, expected: &str, words: &[&str], value: &Value<'_>, reader: &mut Reader<'_>) {
    let help = match nearest(word, words.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("choose one of {}", quoted_list(words)),
    };
    let message = format!("`{word}` is not {expected}");
    reader.invalid(Code::InvalidValue, value.span(), message, "not a known word", help);
}
