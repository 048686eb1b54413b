//! What a Rust file declares and names, as `syn` and `proc_macro2` read it. Knows nothing of the house.

use std::collections::BTreeMap;

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use syn::{Attribute, Ident, Item, UseTree, Visibility};

/// One file, read.
pub(crate) struct Source {
    tokens: Vec<TokenTree>,
    items: Vec<Item>,
}

/// A path as code writes it, with any group unfolded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Named {
    /// At least two; the last is `*` for all that a module has.
    pub(crate) names: Vec<String>,
    /// In how many `mod name { … }` of its file it stands.
    pub(crate) modules: usize,
    pub(crate) in_tests: bool,
}

/// What a `use` of a file binds.
pub(crate) struct Import {
    pub(crate) path: Vec<String>,
    /// Whether others may use it from here: any visibility but none.
    pub(crate) passed_on: bool,
}

impl Source {
    pub(crate) fn parse(text: &str) -> syn::Result<Source> {
        let tokens: TokenStream = text.parse()?;
        let file: syn::File = syn::parse2(tokens.clone())?;
        Ok(Source { tokens: tokens.into_iter().collect(), items: file.items })
    }

    /// The modules that the file declares, inline ones included.
    pub(crate) fn modules(&self) -> Vec<String> {
        let mut names = Vec::new();
        each_item(&self.items, &mut |item| {
            if let Item::Mod(module) = item {
                names.push(plain(&module.ident));
            }
        });
        names
    }

    /// Every path of at least two names, those within macros and `use` lines included.
    pub(crate) fn paths(&self) -> Vec<Named> {
        let mut found = Vec::new();
        walk(&self.tokens, &mut Vec::new(), &mut found);
        found.retain(|path| path.names.len() > 1);
        found
    }

    /// What the file's `use` lines bind outside of inline modules, by name.
    pub(crate) fn imports(&self) -> BTreeMap<String, Import> {
        let mut imports = BTreeMap::new();
        for item in &self.items {
            if let Item::Use(item) = item {
                let passed_on = !matches!(item.vis, Visibility::Inherited);
                unfold_use(&item.tree, &mut Vec::new(), &mut |name, path| {
                    imports.insert(name, Import { path, passed_on });
                });
            }
        }
        imports
    }

    /// How often the code has this name.
    pub(crate) fn mentions(&self, name: &str) -> usize {
        fn count(tokens: &mut dyn Iterator<Item = TokenTree>, name: &str) -> usize {
            let of = |token| match token {
                TokenTree::Ident(ident) => usize::from(plain(&ident) == name),
                TokenTree::Group(group) => count(&mut group.stream().into_iter(), name),
                _ => 0,
            };
            tokens.map(of).sum()
        }
        count(&mut self.tokens.iter().cloned(), name)
    }

    /// The types that are errors, by a derive or by hand.
    pub(crate) fn errors(&self) -> Vec<String> {
        let mut names = Vec::new();
        each_item(&self.items, &mut |item| match item {
            Item::Enum(it) if derives_error(&it.attrs) => names.push(plain(&it.ident)),
            Item::Struct(it) if derives_error(&it.attrs) => names.push(plain(&it.ident)),
            Item::Impl(it) => {
                let of_error = it.trait_.as_ref().and_then(|(_, path, _)| path.segments.last());
                if let (Some(segment), syn::Type::Path(of)) = (of_error, &*it.self_ty)
                    && segment.ident == "Error"
                {
                    names.extend(of.path.segments.last().map(|segment| plain(&segment.ident)));
                }
            }
            _ => {}
        });
        names
    }

    /// The texts of the code that is not a test.
    pub(crate) fn texts(&self) -> Vec<String> {
        let mut texts = Vec::new();
        gather_texts(&self.tokens, &mut texts);
        texts
    }
}

fn plain(ident: &Ident) -> String {
    ident.to_string().trim_start_matches("r#").to_owned()
}

fn each_item(items: &[Item], visit: &mut dyn FnMut(&Item)) {
    for item in items {
        visit(item);
        if let Item::Mod(module) = item
            && let Some((_, below)) = &module.content
        {
            each_item(below, visit);
        }
    }
}

fn derives_error(attributes: &[Attribute]) -> bool {
    let mut derives = false;
    for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("derive")) {
        // A derive that cannot be read is the compiler's to refuse.
        let _ = attribute.parse_nested_meta(|meta| {
            derives |= meta.path.segments.last().is_some_and(|segment| segment.ident == "Error");
            Ok(())
        });
    }
    derives
}

fn unfold_use(tree: &UseTree, prefix: &mut Vec<String>, bind: &mut dyn FnMut(String, Vec<String>)) {
    match tree {
        UseTree::Path(path) => {
            prefix.push(plain(&path.ident));
            unfold_use(&path.tree, prefix, bind);
            prefix.pop();
        }
        UseTree::Group(group) => group.items.iter().for_each(|tree| unfold_use(tree, prefix, bind)),
        UseTree::Name(name) if name.ident == "self" => {
            bind(prefix.last().cloned().unwrap_or_default(), prefix.clone());
        }
        UseTree::Name(name) => bind(plain(&name.ident), [prefix.as_slice(), &[plain(&name.ident)]].concat()),
        UseTree::Rename(name) => bind(plain(&name.rename), [prefix.as_slice(), &[plain(&name.ident)]].concat()),
        UseTree::Glob(_) => bind("*".to_owned(), [prefix.as_slice(), &["*".to_owned()]].concat()),
    }
}

fn is_sign(token: Option<&TokenTree>, sign: char) -> bool {
    matches!(token, Some(TokenTree::Punct(punct)) if punct.as_char() == sign)
}

/// Whether `::` stands at `at`.
fn joins(tokens: &[TokenTree], at: usize) -> bool {
    is_sign(tokens.get(at), ':') && is_sign(tokens.get(at + 1), ':')
}

fn walk(tokens: &[TokenTree], modules: &mut Vec<String>, found: &mut Vec<Named>) {
    let mut at = 0;
    while at < tokens.len() {
        let before = |back: usize| at.checked_sub(back).and_then(|at| tokens.get(at));
        match &tokens[at] {
            TokenTree::Group(group) => {
                let below: Vec<TokenTree> = group.stream().into_iter().collect();
                // Who may use an item is not what the item uses.
                if matches!(before(1), Some(TokenTree::Ident(word)) if word == "pub") {
                    at += 1;
                    continue;
                }
                let module = match (before(2), before(1)) {
                    (Some(TokenTree::Ident(word)), Some(TokenTree::Ident(name))) if word == "mod" => Some(plain(name)),
                    _ => None,
                };
                let inside = module.is_some();
                modules.extend(module);
                walk(&below, modules, found);
                if inside {
                    modules.pop();
                }
            }
            TokenTree::Ident(_) if begins_path(tokens, at) => {
                let mut unfolded = Vec::new();
                at = unfold(tokens, at, &mut Vec::new(), &mut unfolded);
                let in_tests = modules.iter().any(|name| name == "tests");
                found.extend(unfolded.into_iter().map(|names| Named { names, modules: modules.len(), in_tests }));
                continue;
            }
            _ => {}
        }
        at += 1;
    }
}

/// Whether the name at `at` is the first of a path: no method, no lifetime, and not what another path goes on with.
fn begins_path(tokens: &[TokenTree], at: usize) -> bool {
    let before = |back: usize| at.checked_sub(back).and_then(|at| tokens.get(at));
    let method = is_sign(before(1), '.') && !is_sign(before(2), '.');
    let goes_on =
        at >= 2 && joins(tokens, at - 2) && (matches!(before(3), Some(TokenTree::Ident(_))) || is_sign(before(3), '>'));
    !method && !goes_on && !is_sign(before(1), '\'')
}

/// Reads one path from `at` on and returns where it ends; what a group holds becomes one path each.
fn unfold(tokens: &[TokenTree], mut at: usize, prefix: &mut Vec<String>, out: &mut Vec<Vec<String>>) -> usize {
    let own = prefix.len();
    loop {
        match tokens.get(at) {
            Some(TokenTree::Ident(ident)) => prefix.push(plain(ident)),
            Some(TokenTree::Punct(punct)) if punct.as_char() == '*' && !prefix.is_empty() => {
                prefix.push("*".to_owned())
            }
            Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace => {
                let below: Vec<TokenTree> = group.stream().into_iter().collect();
                for part in below.split(|token| is_sign(Some(token), ',')) {
                    unfold(part, 0, prefix, out);
                }
                prefix.truncate(own);
                return at + 1;
            }
            _ => break,
        }
        at += 1;
        if !joins(tokens, at) {
            break;
        }
        at += 2;
    }
    if prefix.len() > own {
        out.push(prefix.clone());
    }
    prefix.truncate(own);
    at
}

fn gather_texts(tokens: &[TokenTree], texts: &mut Vec<String>) {
    for (at, token) in tokens.iter().enumerate() {
        match token {
            TokenTree::Group(group) => {
                let is_tests = matches!(at.checked_sub(1).and_then(|at| tokens.get(at)), Some(TokenTree::Ident(name)) if name == "tests");
                if !is_tests {
                    gather_texts(&group.stream().into_iter().collect::<Vec<_>>(), texts);
                }
            }
            TokenTree::Literal(literal) => {
                if let syn::Lit::Str(text) = syn::Lit::new(literal.clone()) {
                    texts.push(text.value());
                }
            }
            _ => {}
        }
    }
}

#[test]
fn the_reader_of_code_reads_it_right() {
    let text = r##"
        //! crate::of::a_comment
        use a::{b::{self, c}, d as e};
        pub(super) use super::super::x::Y;
        pub(in super::super) const Z: u8 = 0;
        mod below;
        fn f<'a>(it: &'a str) -> Vec::<u8> { let q = '"'; it.e::<T>(r#"h::i " j"#, "key_expired"); m::n!(o::p) }
        #[derive(Debug, thiserror::Error)]
        enum Broken {}
        impl std::error::Error for Torn {}
        mod tests { use super::super::q; const T: &str = "not_this"; }
    "##;
    let source = Source::parse(text).expect("this is Rust");
    let found: Vec<String> =
        source.paths().iter().map(|it| format!("{} {}", it.names.join("::"), it.modules)).collect();
    let wanted = [
        "a::b::self 0",
        "a::b::c 0",
        "a::d 0",
        "super::super::x::Y 0",
        "m::n 0",
        "o::p 0",
        "thiserror::Error 0",
        "std::error::Error 0",
        "super::super::q 1",
    ];
    assert_eq!(found, wanted);
    assert_eq!(source.modules(), ["below", "tests"]);
    assert_eq!(source.errors(), ["Broken", "Torn"]);
    assert!(source.texts().contains(&"key_expired".to_owned()) && !source.texts().contains(&"not_this".to_owned()));
    let imports = source.imports();
    assert_eq!(imports.keys().collect::<Vec<_>>(), ["Y", "b", "c", "e"]);
    assert_eq!(imports["e"].path, ["a", "d"]);
    assert_eq!((imports["Y"].passed_on, imports["b"].passed_on), (true, false));
    assert_eq!(source.mentions("Y"), 1);
}
