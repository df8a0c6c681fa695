//! Which file of a crate uses which: paths, followed through `use` declarations to the file that
//! defines the item.

use std::collections::btree_map::{BTreeMap, Entry};
use std::collections::{BTreeSet, VecDeque};

use super::source::{File, segments};

pub(crate) struct Graph {
    names: Vec<String>,
    edges: Vec<BTreeSet<usize>>,
}

impl Graph {
    pub(crate) fn new(files: &[File]) -> Self {
        let modules = files.iter().enumerate().map(|(index, file)| (&file.module[..], index));
        let modules: BTreeMap<&[String], usize> = modules.collect();
        let imports: Vec<_> = files.iter().map(File::imports).collect();
        let edges = files.iter().enumerate().map(|(index, file)| {
            let paths = file.paths();
            let used = paths.iter().filter_map(|path| defining_file(path, &modules, &imports));
            used.filter(|used| *used != index).collect()
        });
        let edges = edges.collect();
        Self { names: files.iter().map(|file| file.name.clone()).collect(), edges }
    }

    /// The shortest circle through each file, each circle once, as the names of its files.
    pub(crate) fn circles(&self) -> Vec<Vec<&str>> {
        let mut seen = BTreeSet::new();
        let mut circles = Vec::new();
        for start in 0..self.names.len() {
            let Some(circle) = self.circle_through(start) else { continue };
            let members: BTreeSet<_> = circle.iter().copied().collect();
            if seen.insert(members) {
                circles.push(circle.iter().map(|index| self.names[*index].as_str()).collect());
            }
        }
        circles
    }

    fn circle_through(&self, start: usize) -> Option<Vec<usize>> {
        let mut previous = BTreeMap::new();
        let mut queue = VecDeque::from([start]);
        while let Some(index) = queue.pop_front() {
            for &next in &self.edges[index] {
                if next == start {
                    let mut circle = vec![index];
                    while let Some(&before) = previous.get(circle.last()?) {
                        circle.push(before);
                    }
                    circle.reverse();
                    return Some(circle);
                }
                if let Entry::Vacant(entry) = previous.entry(next) {
                    entry.insert(index);
                    queue.push_back(next);
                }
            }
        }
        None
    }
}

/// The file that defines the item of a path.
fn defining_file(
    path: &str,
    modules: &BTreeMap<&[String], usize>,
    imports: &[BTreeMap<String, String>],
) -> Option<usize> {
    let mut path = segments(path, "::");
    // Each import leads to another path; the number of them bounds a chain.
    for _ in 0..10 {
        let is_module = |length: &usize| modules.contains_key(&path[..*length]);
        let length = (0..=path.len()).rev().find(is_module)?;
        let file = modules[&path[..length]];
        let Some(name) = path.get(length) else { return Some(file) };
        let Some(target) = imports[file].get(name) else { return Some(file) };
        let rest = path[length + 1..].to_vec();
        path = [segments(target, "::"), rest].concat();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn circles(files: &[(&str, &str)]) -> Vec<String> {
        let files: Vec<_> = files.iter().map(|(name, text)| File::new(name, text)).collect();
        Graph::new(&files).circles().into_iter().map(|circle| circle.join(" -> ")).collect()
    }

    #[test]
    fn files_that_use_each_other_are_a_circle() {
        let a = ("a.rs", "use crate::b::B;\nfn f(_: B) {}");
        assert_eq!(circles(&[a, ("b.rs", "use super::a;\nfn g() { a::f() }")]), ["a.rs -> b.rs"]);
        assert!(circles(&[a, ("b.rs", "struct B;")]).is_empty());
        let b = ("b.rs", "fn g() { crate::c::h() }");
        assert_eq!(circles(&[a, b, ("c.rs", "use crate::{a::f};")]), ["a.rs -> b.rs -> c.rs"]);
    }

    #[test]
    fn a_child_that_uses_an_item_of_its_parent_is_a_circle_if_the_parent_uses_the_child() {
        let parent = "mod child;\nmod leaf;\nuse child::Child;\npub use leaf::Leaf;\nstruct Own;";
        let leaf = ("p/leaf.rs", "struct Leaf;");
        let child = ("p/child.rs", "use super::Own;");
        assert_eq!(circles(&[("p/mod.rs", parent), leaf, child]), ["p/mod.rs -> p/child.rs"]);
        // The item of a re-export is that of another file.
        let child = ("p/child.rs", "use super::Leaf;");
        assert!(circles(&[("p/mod.rs", parent), leaf, child]).is_empty());
        let child = ("p/child.rs", "use crate::Leaf;");
        let root = ("lib.rs", "mod p;\npub use p::{Leaf};");
        assert!(circles(&[root, ("p/mod.rs", parent), leaf, child]).is_empty());
        for condition in ["test", "all(test, unix)"] {
            let child = format!("#[cfg({condition})]\nmod tests {{\n    use super::Own;\n}}");
            let child = ("p/child.rs", &*child);
            assert!(circles(&[("p/mod.rs", parent), leaf, child]).is_empty(), "{condition}");
        }
    }
}
