//! The graph of a crate's modules, read from its sources.
//!
//! A file is a module. Its imports are its `use` lines and the paths in its code, without tests and
//! comments. An imported or re-exported name is followed to the file that defines it.
//!
//! From outside, a folder counts as one module. Its files, including `mod.rs`, form a graph of
//! their own.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    fmt::{self, Write},
    fs,
    path::Path,
};

use crate::tokens::{Token, tokens, without_tests};

/// The path of a module from the crate's root. The root's path is empty.
type Module = Vec<String>;

/// A line that makes one module depend on another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Import {
    from: Module,
    to: Module,
    file: String,
    line: usize,
    path: String,
}

impl fmt::Display for Import {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.path)
    }
}

/// A path in a source file, made absolute.
struct NamedPath {
    path: Vec<String>,
    line: usize,
    /// The name under which a `use` line imports it; `*` for all names.
    alias: Option<String>,
    is_reexport: bool,
}

/// A source file: its module, tokens and paths.
struct Source {
    module: Module,
    file: String,
    tokens: Vec<Token>,
    paths: Vec<NamedPath>,
}

/// The modules of a crate and the lines that connect them.
pub(crate) struct Crate {
    modules: BTreeSet<Module>,
    imports: BTreeSet<Import>,
}

impl Crate {
    /// Reads a crate's folder `src`, which has a `lib.rs` or a `main.rs`.
    ///
    /// # Panics
    ///
    /// If a file cannot be read.
    pub(crate) fn read(src: &Path) -> Self {
        let mut files = Vec::new();
        collect(src, src, &mut files);
        let files: Vec<(&str, &str)> =
            files.iter().map(|(file, text)| (&**file, &**text)).collect();
        Self::of(&files)
    }

    /// Reads a crate from the paths of its files, relative to `src`, and their texts.
    pub(crate) fn of(files: &[(&str, &str)]) -> Self {
        let has_library = files.iter().any(|(file, _)| *file == "lib.rs");
        let mut test_modules = BTreeSet::new();
        let mut sources = Vec::new();
        for (file, text) in files {
            let module = module_of(file, has_library);
            let shipped = without_tests(&tokens(text));
            test_modules.extend(shipped.test_modules.into_iter().map(|name| join(&module, &name)));
            let file = (*file).to_owned();
            sources.push(Source { module, file, tokens: shipped.tokens, paths: Vec::new() });
        }
        let is_for_tests =
            |module: &Module| test_modules.iter().any(|test| module.starts_with(test));
        sources.retain(|source| !is_for_tests(&source.module));
        let modules: BTreeSet<Module> =
            sources.iter().map(|source| source.module.clone()).collect();
        for source in &mut sources {
            source.paths = paths(&source.tokens, &source.module, &modules);
        }
        let names = Names::new(&sources, &modules);
        let imports = sources.iter().flat_map(|source| imports(source, &names)).collect();
        Self { modules, imports }
    }

    /// Returns true if a module with this path exists.
    pub(crate) fn has(&self, module: &str) -> bool {
        self.modules.iter().any(|path| path.join("::") == module)
    }

    /// The top-level modules.
    pub(crate) fn top(&self) -> BTreeSet<String> {
        self.modules.iter().filter_map(|module| module.first().cloned()).collect()
    }

    /// The imports of `from` and its submodules from `to` and its submodules.
    pub(crate) fn between(&self, from: &str, to: &str) -> Vec<String> {
        let path = |name: &str| name.split("::").map(str::to_owned).collect::<Module>();
        let (from, to) = (path(from), path(to));
        let is_between =
            |import: &&Import| import.from.starts_with(&from) && import.to.starts_with(&to);
        self.imports.iter().filter(is_between).map(Import::to_string).collect()
    }

    /// The top-level modules that the top-level module `from` imports.
    pub(crate) fn imported_by(&self, from: &str) -> BTreeSet<String> {
        let is_outside = |import: &&Import| {
            import.from.first().is_some_and(|name| name == from)
                && import.to.first() != import.from.first()
        };
        self.imports
            .iter()
            .filter(is_outside)
            .filter_map(|import| import.to.first().cloned())
            .collect()
    }

    /// One report for each group of modules that import each other: its shortest cycle and the
    /// lines that import.
    pub(crate) fn cycles(&self) -> Vec<String> {
        let mut folders: BTreeMap<&[String], Graph<'_>> = BTreeMap::new();
        for import in &self.imports {
            let n_common = import.from.iter().zip(&import.to).take_while(|(a, b)| a == b).count();
            let node = |module: &'_ Module| module.get(n_common).cloned().unwrap_or_default();
            let graph = folders.entry(&import.from[..n_common]).or_default();
            graph
                .entry(node(&import.from))
                .or_default()
                .entry(node(&import.to))
                .or_default()
                .push(import);
        }
        folders.iter().flat_map(|(folder, graph)| cycles(folder, graph)).collect()
    }
}

/// The imports between the modules of one folder. The empty name is the folder's own file.
type Graph<'a> = BTreeMap<String, BTreeMap<String, Vec<&'a Import>>>;

/// Reads every Rust file below `folder`, named by its path relative to `src`.
fn collect(src: &Path, folder: &Path, files: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).expect("a source directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            collect(src, &path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.strip_prefix(src).expect("below the sources").to_string_lossy();
            files.push((name.replace('\\', "/"), fs::read_to_string(&path).expect("readable")));
        }
    }
}

/// The module of a file. Beside a library, `main.rs` is a module that the library cannot see.
fn module_of(file: &str, has_library: bool) -> Module {
    let stem = file.strip_suffix(".rs").expect("a Rust file");
    let mut module: Module = stem.split('/').map(str::to_owned).collect();
    let is_root = module == ["lib"] || module == ["main"] && !has_library;
    if is_root || module.last().is_some_and(|name| name == "mod") {
        module.pop();
    }
    module
}

fn join(module: &[String], name: &str) -> Module {
    let mut joined = module.to_vec();
    joined.push(name.to_owned());
    joined
}

/// The paths of a file that start at the crate, at the file itself, or at one of its submodules.
fn paths(tokens: &[Token], module: &Module, modules: &BTreeSet<Module>) -> Vec<NamedPath> {
    let text = |at: usize| tokens.get(at).map_or("", |token| &*token.text);
    let mut found = Vec::new();
    // The inline modules around the current token, with the depth of their braces.
    let mut inline: Vec<(String, usize)> = Vec::new();
    let (mut at, mut depth) = (0, 0);
    while at < tokens.len() {
        let scope: Module =
            module.iter().chain(inline.iter().map(|(name, _)| name)).cloned().collect();
        let line = tokens[at].line;
        match text(at) {
            "{" => depth += 1,
            "}" => {
                depth -= 1;
                inline.retain(|(_, outside)| *outside < depth);
            }
            "mod" if text(at + 2) == "{" => inline.push((text(at + 1).to_owned(), depth)),
            "use" if text(at + 1) != "<" => {
                let is_reexport = at > 0 && matches!(text(at - 1), "pub" | ")");
                let mut leaves = Vec::new();
                at = use_tree(tokens, at + 1, &[], &mut leaves);
                for leaf in leaves {
                    let absolute = absolute(&leaf.path, &scope, modules);
                    found.extend(absolute.map(|path| NamedPath {
                        path,
                        alias: Some(leaf.alias),
                        line: leaf.line,
                        is_reexport,
                    }));
                }
                continue;
            }
            _ if text(at + 1) == "::" && (at == 0 || text(at - 1) != "::") => {
                let mut path = vec![text(at).to_owned()];
                while text(at + 1) == "::" && text(at + 2).starts_with(is_name_start) {
                    path.push(text(at + 2).to_owned());
                    at += 2;
                }
                let absolute = absolute(&path, &scope, modules);
                let named = |path| NamedPath { path, alias: None, line, is_reexport: false };
                found.extend(absolute.map(named));
            }
            _ => {}
        }
        at += 1;
    }
    found
}

fn is_name_start(c: char) -> bool {
    c.is_alphabetic() || c == '_'
}

/// One name that a `use` line brings into scope.
struct Leaf {
    path: Vec<String>,
    alias: String,
    line: usize,
}

/// Reads the tree of a `use` line at `at`, below `prefix`; returns the position after it.
fn use_tree(tokens: &[Token], mut at: usize, prefix: &[String], leaves: &mut Vec<Leaf>) -> usize {
    let mut path = prefix.to_vec();
    let mut alias = None;
    let line = tokens[at].line;
    while at < tokens.len() {
        match &*tokens[at].text {
            "{" => {
                at += 1;
                while tokens[at].text != "}" {
                    at = use_tree(tokens, at, &path, leaves);
                    at += usize::from(tokens[at].text == ",");
                }
                return at + 1;
            }
            "as" => {
                alias = Some(tokens[at + 1].text.clone());
                at += 1;
            }
            "," | "}" | ";" => break,
            "::" => {}
            name => path.push(name.to_owned()),
        }
        at += 1;
    }
    if path.len() > 1 && path.last().is_some_and(|name| name == "self") {
        path.pop();
    }
    let name = path.last().cloned().unwrap_or_default();
    leaves.push(Leaf { path, alias: alias.unwrap_or(name), line });
    at
}

/// Makes a path absolute; returns `None` for a path into another crate.
fn absolute(path: &[String], scope: &Module, modules: &BTreeSet<Module>) -> Option<Vec<String>> {
    let mut absolute = scope.clone();
    let mut rest = path;
    match &*path[0] {
        // The trainer's binary refers to the trainer's library by this name.
        "crate" | "burn_docre_train" => {
            absolute.clear();
            rest = &rest[1..];
        }
        "self" => rest = &rest[1..],
        "super" => {}
        name if modules.contains(&join(scope, name)) => {}
        _ => return None,
    }
    while rest.first().is_some_and(|name| name == "super") {
        absolute.pop();
        rest = &rest[1..];
    }
    absolute.extend_from_slice(rest);
    Some(absolute)
}

/// The imported and the declared names of all modules.
struct Names<'a> {
    modules: &'a BTreeSet<Module>,
    /// The path of each imported name, by module and name.
    imported: HashMap<(&'a Module, &'a str), &'a [String]>,
    /// The paths that a module imports with `*`.
    globs: HashMap<&'a Module, Vec<&'a [String]>>,
    /// The names of the items that a module defines.
    declared: HashMap<&'a Module, BTreeSet<&'a str>>,
}

impl<'a> Names<'a> {
    fn new(sources: &'a [Source], modules: &'a BTreeSet<Module>) -> Self {
        let mut names = Self {
            modules,
            imported: HashMap::new(),
            globs: HashMap::new(),
            declared: HashMap::new(),
        };
        for source in sources {
            for named in &source.paths {
                match named.alias.as_deref() {
                    Some("*") => {
                        let folder = &named.path[..named.path.len() - 1];
                        names.globs.entry(&source.module).or_default().push(folder);
                    }
                    Some(alias) => {
                        names.imported.insert((&source.module, alias), &named.path);
                    }
                    None => {}
                }
            }
            let keywords = ["fn", "struct", "enum", "trait", "type", "const", "static", "union"];
            let is_item = |pair: &&[Token]| keywords.contains(&&*pair[0].text);
            let items = source.tokens.windows(2).filter(is_item).map(|pair| &*pair[1].text);
            names.declared.insert(&source.module, items.collect());
        }
        names
    }

    /// The module that defines the item at `path`, after at most `n_steps_left` imported names.
    fn resolve(&self, path: &[String], n_steps_left: usize) -> Module {
        let mut module = Module::new();
        for (at, name) in path.iter().enumerate() {
            let child = join(&module, name);
            if self.modules.contains(&child) {
                module = child;
                continue;
            }
            let Some(target) = self.target(&module, name).filter(|_| n_steps_left > 0) else {
                return module;
            };
            let followed: Vec<String> = target.iter().chain(&path[at + 1..]).cloned().collect();
            return self.resolve(&followed, n_steps_left - 1);
        }
        module
    }

    /// The path of a name that a module imports; `None` if the module defines the name.
    fn target(&self, module: &Module, name: &str) -> Option<Vec<String>> {
        let is_declared =
            |module: &Module| self.declared.get(module).is_some_and(|items| items.contains(name));
        if is_declared(module) {
            return None;
        }
        if let Some(path) = self.imported.get(&(module, name)) {
            return Some(path.to_vec());
        }
        let mut globs = self.globs.get(module)?.iter().map(|glob| glob.to_vec());
        globs.find(is_declared).map(|glob| join(&glob, name))
    }
}

/// The imports of a file. A re-export counts only if the file also uses the name.
fn imports<'a>(source: &'a Source, names: &'a Names<'_>) -> impl Iterator<Item = Import> {
    let is_used = |named: &NamedPath| {
        let name = named.alias.as_deref().unwrap_or_default();
        source.tokens.iter().filter(|token| token.text == name).count() > 1
    };
    let counts = move |named: &&NamedPath| !named.is_reexport || is_used(named);
    source.paths.iter().filter(counts).filter_map(|named| {
        let path = named.path.strip_suffix(&["*".to_owned()]).unwrap_or(&named.path);
        let to = names.resolve(path, 8);
        let (from, file, line) = (source.module.clone(), source.file.clone(), named.line);
        (from != to).then(|| Import { from, to, file, line, path: named.path.join("::") })
    })
}

/// One report for each group of modules of a folder that import each other.
fn cycles(folder: &[String], graph: &Graph<'_>) -> Vec<String> {
    let mut reported: BTreeSet<&str> = BTreeSet::new();
    let mut reports = Vec::new();
    for start in graph.keys() {
        let Some(cycle) = shortest_cycle(graph, start) else { continue };
        if cycle.iter().any(|node| reported.contains(node)) {
            continue;
        }
        reported.extend(graph.keys().filter(|other| are_mutual(graph, start, other)).map(|n| &**n));
        reports.push(report(folder, graph, &cycle));
    }
    reports
}

fn are_mutual(graph: &Graph<'_>, a: &str, b: &str) -> bool {
    shortest_path(graph, a, b).is_some() && shortest_path(graph, b, a).is_some()
}

/// The shortest cycle through a module, from the module to itself.
fn shortest_cycle<'a>(graph: &'a Graph<'_>, start: &'a str) -> Option<Vec<&'a str>> {
    shortest_path(graph, start, start)
}

/// The shortest path of at least one step from one module to another.
fn shortest_path<'a>(graph: &'a Graph<'_>, start: &'a str, end: &str) -> Option<Vec<&'a str>> {
    let mut candidates = VecDeque::from([vec![start]]);
    let mut seen = BTreeSet::new();
    while let Some(chain) = candidates.pop_front() {
        for next in graph.get(chain[chain.len() - 1]).into_iter().flat_map(BTreeMap::keys) {
            let longer: Vec<&str> = chain.iter().copied().chain([&**next]).collect();
            if next == end {
                return Some(longer);
            }
            if seen.insert(next) {
                candidates.push_back(longer);
            }
        }
    }
    None
}

/// A cycle with up to three importing lines for each of its steps.
fn report(folder: &[String], graph: &Graph<'_>, cycle: &[&str]) -> String {
    let name =
        |node: &str| if node.is_empty() { "(its own file)".to_owned() } else { node.to_owned() };
    let chain: Vec<String> = cycle.iter().map(|node| name(node)).collect();
    let folder = if folder.is_empty() { "the crate".to_owned() } else { folder.join("::") };
    let mut report = format!("in {folder}: {}", chain.join(" -> "));
    for step in cycle.windows(2) {
        for import in graph[step[0]][step[1]].iter().take(3) {
            write!(report, "\n    {import}").expect("writing to a string cannot fail");
        }
    }
    report
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cycle_is_reported_with_its_lines() {
        let found = Crate::of(&[
            ("lib.rs", "pub mod a; pub mod b; pub mod c;"),
            ("a.rs", "use crate::b::{B,\n C};"),
            ("b/mod.rs", "mod inner; pub use inner::C; struct B;"),
            ("b/inner.rs", "pub struct C; fn f() { crate::c::g() }"),
            ("c.rs", "fn g() -> super::a::A {}"),
        ]);
        let cycles = found.cycles();
        assert_eq!(cycles.len(), 1, "{cycles:#?}");
        let expected = "in the crate: a -> b -> c -> a\n    a.rs:1: b::B\n    a.rs:2: b::C\n    \
            b/inner.rs:1: c::g\n    c.rs:1: a::A";
        assert_eq!(cycles[0], expected);
    }

    #[test]
    fn a_cycle_within_a_folder_is_reported_for_that_folder_only() {
        let found = Crate::of(&[
            ("lib.rs", "mod a;"),
            ("a/mod.rs", "mod b; mod c; struct A(b::B);"),
            ("a/b.rs", "use super::c::C;"),
            ("a/c.rs", "use crate::a::A;"),
        ]);
        let cycles = found.cycles();
        assert_eq!(cycles.len(), 1, "{cycles:#?}");
        assert!(cycles[0].starts_with("in a: (its own file) -> b -> c -> (its own file)"));
    }

    #[test]
    fn tests_comments_and_other_crates_are_ignored() {
        let found = Crate::of(&[
            ("lib.rs", "mod a; mod b; pub use a::A;"),
            ("a.rs", "use crate::b::B; use std::b::A;"),
            ("b/mod.rs", "//! See crate::a.\n #[cfg(test)] mod tests; #[cfg(test)] use crate::a;"),
            ("b/tests.rs", "use crate::a::A;"),
        ]);
        assert_eq!(found.cycles(), Vec::<String>::new());
        assert_eq!(found.between("a", "b"), ["a.rs:1: b::B"]);
    }

    #[test]
    fn a_name_is_followed_to_the_file_that_defines_it() {
        let found = Crate::of(&[
            ("lib.rs", "mod a; mod b; mod c; pub use a::*; pub use b::inner as other;"),
            ("a.rs", "pub struct A;"),
            ("b/mod.rs", "pub mod inner;"),
            ("b/inner.rs", "use crate::A;"),
            ("c.rs", "mod d { fn f() { super::g(); crate::other::h(); } }"),
        ]);
        let edges: Vec<(String, String)> = found
            .imports
            .iter()
            .map(|import| (import.from.join("::"), import.to.join("::")))
            .collect();
        let pair = |from: &str, to: &str| (from.to_owned(), to.to_owned());
        assert_eq!(edges, [pair("b::inner", "a"), pair("c", "b::inner")]);
    }

    #[test]
    fn a_binary_imports_its_library_and_not_the_reverse() {
        let found = Crate::of(&[
            ("lib.rs", "pub mod a; pub struct Run;"),
            ("main.rs", "use burn_docre_train::{Run, a::A};"),
            ("a.rs", ""),
        ]);
        assert_eq!(found.cycles(), Vec::<String>::new());
        assert_eq!(found.between("main", "a").len(), 1);
    }
}
