//! Endpoints from a file.

use std::path::PathBuf;
use std::time::Duration;

use multilith::endpoint::{Keepalive, Source};

use super::{World, spec};

struct File(PathBuf);

impl File {
    fn new(name: &str, text: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("multilith-upstream-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let file = Self(folder.join(name));
        file.write(text);
        file
    }

    fn write(&self, text: &str) {
        std::fs::write(&self.0, text).unwrap();
    }

    fn source(&self) -> Source {
        Source::File { path: self.0.clone() }
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[test]
fn a_file_is_followed_and_a_mistake_or_its_absence_takes_nothing_away() {
    let file = File::new("followed", "127.0.0.1:1\n127.0.0.1:2 weight=3 # the big one\n");
    let world = World::new(spec(file.source()));
    world.until_listed(&["127.0.0.1:1", "127.0.0.1:2"]);
    assert_eq!(world.endpoint("127.0.0.1:2").unwrap().weight, 3);

    file.write("127.0.0.1:2\n127.0.0.1:3\n");
    world.until_listed(&["127.0.0.1:2", "127.0.0.1:3"]);
    assert_eq!(world.endpoint("127.0.0.1:2").unwrap().weight, 1);

    file.write("127.0.0.1:2\n127.0.0.1\n");
    world.eventually("the mistake is reported", || world.status().stale);
    assert!(world.status().trouble.unwrap().contains("line 2: a port is missing"), "{:?}", world.status().trouble);
    assert_eq!(world.listed(), ["127.0.0.1:2", "127.0.0.1:3"]);

    std::fs::remove_file(&file.0).unwrap();
    world.eventually("its absence is reported", || {
        world.status().trouble.unwrap_or_default().contains("cannot be read")
    });
    assert_eq!(world.listed(), ["127.0.0.1:2", "127.0.0.1:3"]);

    file.write("127.0.0.1:4\n");
    world.until_listed(&["127.0.0.1:4"]);
    assert!(!world.status().stale);
}

#[test]
fn a_changed_upstream_with_the_same_source_begins_with_the_endpoints_it_had() {
    let file = File::new("kept", "127.0.0.1:1\n");
    let mut world = World::new(spec(file.source()));
    world.until_listed(&["127.0.0.1:1"]);
    std::fs::remove_file(&file.0).unwrap();
    let mut changed = spec(file.source());
    changed.keepalive = Keepalive::For(Duration::from_secs(1));
    world.reload(changed);
    assert_eq!(world.pool.pick(None, &[]).unwrap().address(), "127.0.0.1:1");
    world.eventually("the absence is reported", || world.status().stale);
    assert_eq!(world.pool.pick(None, &[]).unwrap().address(), "127.0.0.1:1");
}
