//! What a person sees of a running proxy: its first lines, and the live stream of requests.

use crate::harness::{Client, Edge, Origin, Process, Reply, eventually};

const CANARY: &str = "[routes.users]\npath = \"/users\"\nservice = \"users\"\nstage = \"canary\"\nweight = \"100%\"\nbreaker = { failures = 1000000 }\n\
                      [routes.idle]\npath = \"/idle\"\nstage = \"monolith\"\n";

/// A proxy before a service that answers 500, and the verb on it.
fn world(arguments: &[&str]) -> ([Origin; 2], Edge, Process) {
    let (monolith, users) = (Origin::saying("monolith"), Origin::start(|_| Reply::status("500 No", &[], "")));
    let edge = Edge::before(&monolith).service("users", &users).with(CANARY).start();
    let file = edge.path().display().to_string();
    let process = Process::spawn(["logs", "--follow", "-c", &file].iter().chain(arguments));
    ([monolith, users], edge, process)
}

/// Asks until the verb, which takes its time to connect, has shown something.
fn shown(process: &Process, mut ask: impl FnMut()) -> String {
    eventually("a line", || {
        ask();
        process.stdout().lines().next().map(str::to_owned)
    })
}

#[test]
fn a_line_says_which_client_why_that_side_and_what_the_service_answered() {
    let (_origins, edge, process) = world(&["--user-agent"]);
    let line = shown(&process, || {
        edge.client().request("GET", "/users", &["User-Agent: a \"browser\""]);
    });
    for words in [
        " client=127.0.0.1 ",
        " side=monolith ",
        " reason=bucket ",
        " fallback=status:500 ",
        " user_agent=\"a \\\"browser\\\"\" ",
        " id=",
    ] {
        assert!(line.contains(words), "{words:?} in {line}");
    }
}

#[test]
fn one_request_or_one_client_is_found_beyond_the_budget_of_the_stream() {
    const WANTED: &str = "0123456789abcdef0123456789abcdef";
    let (monolith, users) = (Origin::saying("monolith"), Origin::saying("service"));
    let edge =
        Edge::before(&monolith).server("trusted = [\"127.0.0.0/8\"]").service("users", &users).with(CANARY).start();
    let file = edge.path().display().to_string();
    let verb = |arguments: &[&str]| Process::spawn(["logs", "--follow", "-c", &file].iter().chain(arguments));
    let (by_id, by_client, nobody) =
        (verb(&["--id", WANTED]), verb(&["--client", "10.9.8.7"]), verb(&["--client", "10.1.1.1"]));
    eventually("both found", || {
        for _ in 0..100 {
            edge.client().request("GET", "/users", &["X-Forwarded-For: 10.2.2.2"]);
        }
        edge.client().request("GET", "/users", &[&format!("X-Request-Id: {WANTED}"), "X-Forwarded-For: 10.9.8.7"]);
        (!by_id.stdout().is_empty() && !by_client.stdout().is_empty()).then_some(())
    });
    for process in [&by_id, &by_client] {
        for line in process.stdout().lines() {
            assert!(line.contains(WANTED) && line.contains("client=10.9.8.7"), "{line}");
        }
    }
    assert_eq!(nobody.stdout(), "");
    for query in ["client=somebody", "name=x"] {
        assert_eq!(edge.admin("GET", &format!("/api/v1/events?{query}")).status(), 400, "{query}");
    }
}

#[test]
fn the_first_lines_say_what_listens_where_and_what_is_served() {
    let monolith = Origin::saying("ok");
    let edge = Edge::before(&monolith).service("users", &monolith).with(CANARY).start();
    let log = eventually("the first lines", || Some(edge.log()).filter(|log| log.contains("it serves")));
    // What has a time before it is the log of events, which may have begun with a warning.
    let lines: Vec<_> = log.lines().filter(|line| !line.starts_with("20")).collect();
    let (listen, admin) = (edge.address(), edge.admin_address());
    assert_eq!(lines[0], format!("multilith listens on http://{listen}; metrics and API on http://{admin}"));
    let file = edge.path().display();
    assert_eq!(lines[1], format!("it serves `{file}`: 2 routes (1 monolith, 1 canary)"));
}

#[test]
fn streams_leave_room_for_probes_and_for_the_button() {
    let edge = Edge::before(&Origin::saying("ok")).start();
    // Of one browser fewer are held.
    let browsers = std::cell::Cell::new(0);
    let ask = |target: &str| {
        let mut page = Client::connect(edge.admin_address());
        let browser = browsers.replace(browsers.get() + 1);
        let fields = format!("Host: {}\r\nUser-Agent: browser {browser}", edge.admin_address());
        page.send(format!("GET {target} HTTP/1.1\r\n{fields}\r\n\r\n"));
        page
    };
    let targets = ["/console/live", "/console/stream", "/api/v1/events"];
    let mut open: Vec<Client> = Vec::new();
    for (number, target) in targets.into_iter().cycle().take(128).enumerate() {
        let mut page = ask(target);
        assert!(page.head().is_chunked(), "{target} {number}");
        open.push(page);
    }
    for target in targets {
        assert_eq!(ask(target).response().status(), 503, "{target}");
    }
    assert_eq!(edge.admin("GET", "/healthz").status(), 200);
    assert_eq!(edge.admin("GET", "/").status(), 200);
    open.truncate(127);
    eventually("a place that is free again", || ask("/console/live").head().is_chunked().then_some(()));
}
