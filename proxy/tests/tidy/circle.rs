//! Which files of one room name each other in a circle.
//!
//! A file names another where its code uses something that the other one defines. A room's own file that only hands
//! on what a file below it defines (`pub use`) does not name that file.

use std::collections::{BTreeMap, BTreeSet};

use super::source::{Named, Source};

/// A module by its names below the room's own file, which is the empty one.
type Place = Vec<String>;

/// The files of one room, tests aside.
pub(crate) struct Files {
    pub(crate) room: String,
    pub(crate) sources: BTreeMap<Place, Source>,
}

impl Files {
    /// Every circle, as the names of its files in order; none where the room is well.
    pub(crate) fn circles(&self) -> Vec<Vec<String>> {
        let named: BTreeMap<&Place, BTreeSet<Place>> =
            self.sources.iter().map(|(place, source)| (place, self.named_by(place, source))).collect();
        let reached: BTreeMap<&Place, BTreeSet<Place>> =
            named.keys().map(|place| (*place, reached_from(place, &named))).collect();
        let mut circles = BTreeSet::new();
        for (place, others) in &reached {
            let back: BTreeSet<String> =
                others.iter().filter(|other| reached[other].contains(*place)).map(|it| self.shown(it)).collect();
            if back.len() > 1 {
                circles.insert(back.into_iter().collect::<Vec<_>>());
            }
        }
        circles.into_iter().collect()
    }

    fn shown(&self, place: &Place) -> String {
        [std::slice::from_ref(&self.room), place].concat().join("::")
    }

    fn named_by(&self, place: &Place, source: &Source) -> BTreeSet<Place> {
        let imports = source.imports();
        let handed_on: BTreeSet<&Vec<String>> =
            imports.values().filter(|import| import.passed_on).map(|import| &import.path).collect();
        let mut named = BTreeSet::new();
        for path in source.paths().iter().filter(|path| !path.in_tests && !handed_on.contains(&path.names)) {
            named.extend(self.resolve(place, source, &seen_from_file(path), 0));
        }
        for (name, import) in imports.iter().filter(|(_, import)| import.passed_on) {
            if source.mentions(name) > 1 {
                named.extend(self.resolve(place, source, &import.path, 0));
            }
        }
        named.remove(place);
        named
    }

    /// The file of this room that defines what `path` means in the file at `place`.
    fn resolve(&self, place: &Place, source: &Source, path: &[String], depth: usize) -> Option<Place> {
        let ups = path.iter().take_while(|name| *name == "super").count();
        let meant: Place = match path[0].as_str() {
            "crate" => (path.get(1) == Some(&self.room)).then(|| path[2..].to_vec())?,
            "self" => [place, &path[1..]].concat(),
            "super" => [&place[..place.len().checked_sub(ups)?], &path[ups..]].concat(),
            first if source.modules().iter().any(|module| module == first) => [place, path].concat(),
            _ => return None,
        };
        let length = (0..=meant.len()).rev().find(|length| self.sources.contains_key(&meant[..*length]))?;
        let (file, rest) = (meant[..length].to_vec(), &meant[length..]);
        let handed_on = rest.first().and_then(|name| self.sources[&file].imports().remove(name));
        match handed_on {
            // Imports of each other would be refused by the compiler long before this bound.
            Some(import) if depth < 8 => self.resolve(&file, &self.sources[&file], &import.path, depth + 1),
            _ => Some(file),
        }
    }
}

/// A path as the file itself would write it: out of a `mod name { … }` of the file, as many `super` lead to the file.
fn seen_from_file(path: &Named) -> Vec<String> {
    let ups = path.names.iter().take_while(|name| *name == "super").count();
    let inside = ups.min(path.modules);
    let names = path.names[inside..].to_vec();
    if inside > 0 && ups == inside { [vec!["self".to_owned()], names].concat() } else { names }
}

fn reached_from(place: &Place, named: &BTreeMap<&Place, BTreeSet<Place>>) -> BTreeSet<Place> {
    let mut reached = BTreeSet::new();
    let mut next: Vec<&Place> = named[place].iter().collect();
    while let Some(place) = next.pop() {
        if reached.insert(place.clone()) {
            next.extend(&named[place]);
        }
    }
    reached
}

#[test]
fn a_circle_is_found_and_a_door_is_none() {
    let files = |texts: &[(&str, &str)]| Files {
        room: "room".to_owned(),
        sources: texts
            .iter()
            .map(|(place, text)| {
                let place = place.split("::").filter(|name| !name.is_empty()).map(str::to_owned).collect();
                (place, Source::parse(text).expect("this is Rust"))
            })
            .collect(),
    };
    let door = files(&[("", "mod a; pub use a::A; pub struct B;"), ("a", "use super::B; pub struct A(B);")]);
    assert!(door.circles().is_empty());
    let used = files(&[("", "mod a; pub use a::A; pub struct B(A);"), ("a", "use super::B; pub struct A(B);")]);
    assert_eq!(used.circles(), [["room", "room::a"]]);
    let called = files(&[("", "mod a; fn f() { a::g() } fn h() {}"), ("a", "pub fn g() { super::h() }")]);
    assert_eq!(called.circles(), [["room", "room::a"]]);
    let siblings = files(&[
        ("", "mod a; mod b; pub use b::B;"),
        ("a", "use super::B; pub struct A;"),
        ("b", "use crate::room::a::A; pub struct B(A);"),
    ]);
    assert_eq!(siblings.circles(), [["room::a", "room::b"]]);
    let inline = files(&[
        ("", "mod a; pub struct B;"),
        ("a", "mod c { use super::D; } mod d; pub(in super) struct D;"),
        ("a::d", ""),
    ]);
    assert!(inline.circles().is_empty());
    let line = files(&[("", "mod a; mod b;"), ("a", "pub struct A;"), ("b", "use super::a::A; pub struct B(A);")]);
    assert!(line.circles().is_empty());
}
