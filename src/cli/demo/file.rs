//! The routes.toml that the demo starts with.

use std::net::SocketAddr;
use std::path::Path;

/// Where everything listens.
pub struct Places {
    pub listen: String,
    pub admin: String,
    pub monolith: SocketAddr,
    pub users: SocketAddr,
    pub catalog: SocketAddr,
    pub reviews: SocketAddr,
}

pub fn text(places: &Places, folder: &Path) -> String {
    let Places { listen, admin, monolith, users, catalog, reviews } = places;
    let state = folder.join("state");
    let state = toml::Value::String(state.display().to_string());
    format!(
        r#"# The routes of the demo. Change something and save: it is in force within a second.

[server]
listen    = ["{listen}"]
admin     = "{admin}"
state_dir = {state}
trusted   = ["127.0.0.1/32"] # the visitors come as through a balancer, which says their addresses
debug_headers = true        # answers say which route and side they came from

[logs]
format = "off"              # json shows each request

[monolith]                  # everything that no route takes goes here
url = "http://{monolith}"

[services.users]
url = "http://{users}"

[services.catalog]
url = "http://{catalog}"

[services.reviews]
url = "http://{reviews}"

[routes.read-user]          # this endpoint has moved to its service
path    = "/api/users/{{id}}"
methods = ["GET"]
service = "users"
stage   = "migrated"

[routes.catalog]            # a fifth of the clients are served by the new catalog; its gate moves it on by itself
path    = "/catalog/{{*rest}}"
service = "catalog"
stage   = "canary"
weight  = "20%"
gate    = {{}}

[routes.reviews]            # this new service fails: its gate takes it back
path    = "/reviews/{{id}}"
service = "reviews"
stage   = "canary"
weight  = "20%"
gate    = {{}}

[gate]                      # for a demonstration of two minutes; the defaults are ten times as careful
steps                = ["20%", "50%", "100%"]
interval             = "2s"
settle               = "8s"
min_requests         = 50
confidence           = 0.9
max_error_increase   = "5%"
max_refusal_increase = "5%"
max_latency_increase = "100%"
control              = "10%"

[routes.search]             # the catalog gets copies, nobody waits for it: `multilith diff search` shows where it differs
path    = "/search"
methods = ["GET"]
service = "catalog"
stage   = "shadow"

[routes.search.shadow.compare]
noise    = {{ replay = "20%", per_second = 20 }}   # the monolith is asked twice to learn what changes by itself
examples = "values"
"#
    )
}
