//! The repository as files: crates with their manifests, and sources without comments and strings.

use std::path::{Path, PathBuf};

/// The folder of the whole workspace.
pub(crate) fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// One crate of the workspace.
pub(crate) struct Crate {
    pub(crate) name: String,
    /// From the workspace's folder, e.g. `dataplane/switch`.
    pub(crate) folder: String,
    /// Names of crates, build dependencies and those of one target included.
    pub(crate) dependencies: Vec<String>,
    pub(crate) dev_dependencies: Vec<String>,
}

impl Crate {
    pub(crate) fn is_kind_of_port(&self) -> bool {
        self.folder.starts_with("dataplane/port-") && self.name != "vsw-port-os"
    }

    /// Not part of the product.
    pub(crate) fn is_tool(&self) -> bool {
        ["tests", "benches", "xtask"].contains(&self.folder.as_str())
    }

    pub(crate) fn sources(&self) -> Vec<Source> {
        sources(&format!("{}/src", self.folder))
    }

    /// Where lints are set for the whole crate.
    pub(crate) fn roots(&self) -> Vec<Source> {
        let mut files = self.sources();
        files.retain(|f| ["src/lib.rs", "src/main.rs"].iter().any(|root| f.path.ends_with(root)));
        files
    }
}

/// Every crate of the workspace.
pub(crate) fn crates() -> Vec<Crate> {
    let root = workspace();
    let mut found = Vec::new();
    for group in ["proto", "dataplane", "control"] {
        for folder in list(&root.join(group)) {
            found.extend(read(&root, &folder));
        }
    }
    for folder in ["tests", "benches", "xtask"] {
        found.extend(read(&root, &root.join(folder)));
    }
    found
}

fn read(root: &Path, folder: &Path) -> Option<Crate> {
    let manifest = std::fs::read_to_string(folder.join("Cargo.toml")).ok()?;
    let folder = folder.strip_prefix(root).ok()?.to_str()?.to_owned();
    let mut c = Crate { name: String::new(), folder, dependencies: vec![], dev_dependencies: vec![] };
    let mut section = "";
    for line in manifest.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix('[') {
            section = name.trim_end_matches(']');
        } else if let Some((key, value)) = line.split_once('=') {
            let key = key.trim().trim_end_matches(".workspace");
            match section {
                "package" if key == "name" => c.name = value.trim().trim_matches('"').to_owned(),
                s if s.ends_with("dev-dependencies") => c.dev_dependencies.push(key.to_owned()),
                s if s.ends_with("dependencies") => c.dependencies.push(key.to_owned()),
                _ => {}
            }
        }
    }
    Some(c)
}

/// One file of Rust.
pub(crate) struct Source {
    pub(crate) path: String,
    pub(crate) text: String,
}

impl Source {
    pub(crate) fn stem(&self) -> &str {
        Path::new(&self.path).file_stem().and_then(|s| s.to_str()).unwrap_or_default()
    }

    /// Lines with their numbers, without comments and what is between quotes.
    pub(crate) fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines = self.text.lines().enumerate();
        lines.map(|(i, line)| {
            (i + 1, line.find(['"']).into_iter().chain(line.find("//")).min().map_or(line, |at| &line[..at]))
        })
    }
}

/// Whether the code has the word, not as a part of another one.
pub(crate) fn says(code: &str, word: &str) -> bool {
    code.split(|c: char| !c.is_alphanumeric() && c != '_').any(|w| w == word)
}

/// Every file of Rust below a folder of the workspace.
pub(crate) fn sources(folder: &str) -> Vec<Source> {
    let root = workspace();
    let mut found = Vec::new();
    let mut folders = vec![root.join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in list(&folder) {
            if entry.is_dir() {
                folders.push(entry);
            } else if entry.extension().is_some_and(|e| e == "rs") {
                // A file that goes while we look is none.
                let Ok(text) = std::fs::read_to_string(&entry) else { continue };
                let path = entry.strip_prefix(&root).unwrap_or(&entry).display().to_string();
                found.push(Source { path, text });
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

fn list(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    let mut found: Vec<_> = entries.filter_map(|e| Some(e.ok()?.path())).collect();
    found.sort();
    found
}
