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
}

pub fn text(places: &Places, folder: &Path) -> String {
    let Places { listen, admin, monolith, users, catalog } = places;
    let state = folder.join("state");
    let state = toml::Value::String(state.display().to_string());
    format!(
        r#"# The routes of the demo. Change something and save: it is in force within a second.

[server]
listen    = ["{listen}"]
admin     = "{admin}"
state_dir = {state}
debug_headers = true        # answers say which route and side they came from

[logs]
format = "off"              # json shows each request

[monolith]                  # everything that no route takes goes here
url = "http://{monolith}"

[services.users]
url = "http://{users}"

[services.catalog]
url = "http://{catalog}"

[routes.read-user]          # this endpoint has moved to its service
path    = "/api/users/{{id}}"
methods = ["GET"]
service = "users"
stage   = "migrated"

[routes.catalog]            # a fifth of the clients are served by the new catalog
path    = "/catalog/{{*rest}}"
service = "catalog"
stage   = "canary"
weight  = "20%"

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
