//! The backends: servers, their checks, and how they are spoken to.

use super::{File, milliseconds, quoted};
use crate::endpoint::{Address, Balance, HealthCheck, HttpVersions, Source, UpstreamSpec, Verify};

impl File<'_> {
    pub(super) fn backend(&mut self, spec: &UpstreamSpec) {
        self.line(0, &format!("backend {}", spec.name));
        let balance = if spec.balance == Balance::LeastBusy { "leastconn" } else { "roundrobin" };
        self.line(1, &format!("balance {balance}"));
        self.line(1, &format!("timeout connect {}", milliseconds(spec.timeouts.connect)));
        self.line(1, &format!("timeout server {}", milliseconds(spec.timeouts.answer)));
        let mut check = String::new();
        if let Some(health) = &spec.health {
            if let HealthCheck::Http(asked) = &health.check {
                self.line(1, "option httpchk");
                let host = asked.host.as_ref().and_then(|host| host.to_str().ok());
                let host = host.map_or(String::new(), |host| format!(" hdr Host {}", quoted(host)));
                self.line(1, &format!("http-check send meth {} uri {}{host}", asked.method, quoted(&asked.path)));
                self.line(1, &format!("http-check expect status {}-{}", asked.statuses.0, asked.statuses.1));
            }
            let interval = milliseconds(Some(health.interval));
            check = format!(" check inter {interval} rise {} fall {}", health.healthy, health.unhealthy);
        }
        let tls = spec.tls.as_ref().map_or(String::new(), |tls| {
            let ca = tls.ca.as_ref().map_or("@system-ca".to_owned(), |ca| quoted(&ca.display().to_string()));
            let name = quoted(&format!("str({})", tls.server_name));
            match tls.verify {
                Verify::Off => format!(" ssl verify none sni {name}"),
                _ => format!(" ssl verify required ca-file {ca} verifyhost {} sni {name}", quoted(&tls.server_name)),
            }
        });
        let proto = match (spec.http, spec.tls.is_some()) {
            (HttpVersions::Http2, false) => " proto h2",
            (HttpVersions::Http2, true) => " alpn h2",
            (HttpVersions::Auto, true) => " alpn h2,http/1.1",
            _ => "",
        };
        let rest = format!("{tls}{proto}{check}");
        match &spec.source {
            Source::Fixed(endpoints) => {
                for (number, (address, weight)) in endpoints.iter().enumerate() {
                    let address = match address {
                        Address::Unix(path) => quoted(&format!("unix@{}", path.display())),
                        tcp @ Address::Tcp { .. } => tcp.to_string(),
                    };
                    let weight = (*weight).min(256);
                    self.line(1, &format!("server s{number} {address} weight {weight}{rest}"));
                }
            }
            Source::Dns { name, port } => {
                self.line(1, &format!("server-template s 1-10 {name}:{port}{rest} init-addr last,libc,none"));
            }
            _ => self.line(1, "# multilith: NOT EXPORTED: write the endpoints here"),
        }
    }
}
