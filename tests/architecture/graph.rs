//! Which file uses which: paths in the code, resolved to the files that define what they name.

use std::collections::{BTreeMap, BTreeSet};

use crate::sources::Source;

type Module = Vec<String>;

/// The uses of every file of the program.
pub struct Graph {
    /// From a module to those it uses, itself not among them.
    pub uses: BTreeMap<Module, BTreeSet<Module>>,
}

/// Members of a folder that all reach each other.
pub struct Circle {
    pub members: Vec<String>,
    pub arrows: Vec<(String, String)>,
}

impl Graph {
    pub fn of(sources: &[Source]) -> Self {
        let modules: BTreeSet<Module> = sources.iter().map(|source| source.module.clone()).collect();
        let code: Vec<_> = sources.iter().map(|source| (&source.module, source.code())).collect();
        let mut exports = BTreeMap::new();
        for (module, code) in &code {
            for path in uses(code).into_iter().filter(|path| path.public) {
                let name = path.segments.last().expect("a path has a segment").clone();
                if let Some(target) = absolute(&path.segments, module, &modules) {
                    exports.insert([module.as_slice(), &[name]].concat(), target);
                }
            }
        }
        let mut all = BTreeMap::new();
        for (module, code) in code {
            let used = uses(&code).into_iter().map(|path| path.segments).chain(mentions(&code));
            let mut targets: BTreeSet<Module> = used
                .filter_map(|path| absolute(&path, module, &modules))
                .filter_map(|path| resolve(path, &modules, &exports))
                .collect();
            targets.remove(module);
            all.insert(module.clone(), targets);
        }
        Self { uses: all }
    }

    /// Arrows between rooms, each once.
    pub fn rooms(&self) -> BTreeSet<(String, String)> {
        let pairs = self.uses.iter().flat_map(|(from, to)| to.iter().map(|to| (from[0].clone(), to[0].clone())));
        pairs.filter(|(from, to)| from != to).collect()
    }

    /// Circles among the direct members of a folder, a folder below it being one member, its own mod.rs none unless
    /// `with_own`: groups of members that all reach each other, with the arrows among them.
    pub fn circles(&self, folder: &[String], with_own: bool) -> Vec<Circle> {
        let member = |module: &Module| match module.strip_prefix(folder) {
            Some([]) => with_own.then(|| "mod".to_owned()),
            Some([name, ..]) => Some(name.clone()),
            None => None,
        };
        let mut arrows: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (from, targets) in &self.uses {
            let Some(from) = member(from) else { continue };
            let targets = targets.iter().filter_map(member).filter(|to| *to != from);
            arrows.entry(from.clone()).or_default().extend(targets);
        }
        let reach: BTreeMap<_, _> = arrows.keys().map(|from| (from.clone(), reached(from, &arrows))).collect();
        let mut groups = BTreeSet::new();
        for (from, to) in &reach {
            let group: Vec<_> = to.iter().filter(|other| reach[*other].contains(from)).cloned().collect();
            if group.len() > 1 {
                groups.insert(group);
            }
        }
        let among = |group: &Vec<String>| {
            let pairs = group.iter().flat_map(|from| arrows[from].iter().map(move |to| (from.clone(), to.clone())));
            pairs.filter(|(_, to)| group.contains(to)).collect()
        };
        groups.into_iter().map(|group| Circle { arrows: among(&group), members: group }).collect()
    }

    /// Folders of src, the root first.
    pub fn folders(&self) -> BTreeSet<Module> {
        self.uses.keys().flat_map(|module| (0..module.len()).map(|length| module[..length].to_vec())).collect()
    }
}

fn reached(from: &str, arrows: &BTreeMap<String, BTreeSet<String>>) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut open = vec![from.to_owned()];
    while let Some(next) = open.pop() {
        for to in arrows.get(&next).into_iter().flatten() {
            if found.insert(to.clone()) {
                open.push(to.clone());
            }
        }
    }
    found
}

/// The file that defines what an absolute path names: through re-exports, as far as modules go.
fn resolve(mut path: Module, modules: &BTreeSet<Module>, exports: &BTreeMap<Module, Module>) -> Option<Module> {
    // A re-export of a re-export of … ends somewhere; the bound is for those that do not.
    for _ in 0..8 {
        let Some(length) = (1..=path.len()).find(|length| exports.contains_key(&path[..*length])) else { break };
        let target = &exports[&path[..length]];
        if *target == path[..length] {
            break;
        }
        path = [target, &path[length..]].concat();
    }
    (1..=path.len()).rev().map(|length| path[..length].to_vec()).find(|module| modules.contains(module))
}

/// A path from the root of the crate. `None`: it begins in another crate, or in the file itself.
fn absolute(path: &[String], module: &[String], modules: &BTreeSet<Module>) -> Option<Module> {
    let ups = path.iter().take_while(|segment| *segment == "super").count();
    match path.first()?.as_str() {
        "crate" => Some(path[1..].to_vec()),
        "super" => Some([&module[..module.len().checked_sub(ups)?], &path[ups..]].concat()),
        "self" => Some([module, &path[1..]].concat()),
        name => {
            let child = [module, &[name.to_owned()]].concat();
            modules.contains(&child).then(|| [module, path].concat())
        }
    }
}

/// What one `use` names.
struct Used {
    public: bool,
    segments: Module,
}

/// Every path that is imported; `use crate::{a, b::{self, C}}` are three.
fn uses(code: &str) -> Vec<Used> {
    let mut found = Vec::new();
    for (start, _) in code.match_indices("use ") {
        let line = code[..start].rsplit('\n').next().unwrap_or("").trim();
        let public = line.starts_with("pub");
        if !(line.is_empty() || public && !line.contains(' ')) {
            continue;
        }
        let tree = code[start + 4..].split(';').next().unwrap_or("");
        let tree: String = tree.split_whitespace().collect::<Vec<_>>().join(" ");
        for path in expanded(&tree) {
            // The name under which it is exported counts, and a glob is the module.
            let (path, name) = path.split_once(" as ").map_or((path.as_str(), None), |(path, name)| (path, Some(name)));
            let mut segments: Module = path.split("::").map(|segment| segment.trim().to_owned()).collect();
            segments.retain(|segment| !segment.is_empty() && segment != "*");
            if segments.len() > 1 && segments.last().is_some_and(|last| last == "self") {
                segments.pop();
            }
            if !segments.is_empty() {
                found.push(Used { public: public && name.is_none(), segments });
            }
        }
    }
    found
}

fn expanded(tree: &str) -> Vec<String> {
    let Some((before, rest)) = tree.split_once('{') else { return vec![tree.trim().to_owned()] };
    let inner = rest.rsplit_once('}').map_or(rest, |(inner, _)| inner);
    let (mut depth, mut parts) = (0, vec![String::new()]);
    for letter in inner.chars() {
        match letter {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(String::new());
                continue;
            }
            _ => {}
        }
        parts.last_mut().expect("one part").push(letter);
    }
    let parts = parts.iter().map(|part| part.trim()).filter(|part| !part.is_empty());
    parts.flat_map(|part| expanded(&format!("{}{part}", before.trim()))).collect()
}

/// Paths in the code outside of imports: `crate::a::b`, `super::a`, `child::name`.
fn mentions(code: &str) -> Vec<Module> {
    let letter = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let path = code.split(|c: char| !letter(c) && c != ':').filter(|word| word.contains("::"));
    path.map(|word| word.split("::").filter(|segment| !segment.is_empty()).map(str::to_owned).collect())
        .filter(|path: &Module| !path.is_empty())
        .collect()
}

#[test]
fn imports_are_expanded() {
    let code = "use crate::{a, b::{self, C}};\npub(crate) use super::d::E;\nlet x = 1; // use of\npub use f::*;\n";
    let found: Vec<_> = uses(code).iter().map(|used| (used.public, used.segments.join("::"))).collect();
    let expected =
        [(false, "crate::a"), (false, "crate::b"), (false, "crate::b::C"), (true, "super::d::E"), (true, "f")];
    assert_eq!(found, expected.map(|(public, path)| (public, path.to_owned())));
}
