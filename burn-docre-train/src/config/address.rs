//! Addresses of the Hugging Face Hub, which are accepted in place of paths: `hf:ORG/NAME`.

use std::{fmt, path::Path};

use anyhow::{Result, bail};

/// The beginning of an address. `hf://`, as Hugging Face's own programs write it, is accepted too.
const SCHEME: &str = "hf:";
const DATASETS: &str = "datasets/";

/// A repository of the hub, or a file in it.
///
/// ```text
/// hf:ORG/NAME                        a model
/// hf:ORG/NAME@REVISION               at a branch, tag or commit; `/` in its name is `%2F`
/// hf:ORG/NAME/FILE                   a file in it
/// hf:datasets/ORG/NAME@REVISION/FILE a file in a data set
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HubAddress {
    /// The repository.
    pub repository: HubRepository,
    /// The path of the file in the repository; `None` for the repository itself.
    pub file: Option<String>,
}

/// A repository of the hub at a revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HubRepository {
    /// The kind.
    pub kind: HubKind,
    /// `ORG/NAME`, or `NAME` for the oldest models.
    pub id: String,
    /// The branch, tag or commit; `None` is the branch `main`.
    pub revision: Option<String>,
}

/// The kinds of repositories.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HubKind {
    /// Weights, a tokenizer and a configuration.
    Model,
    /// Documents.
    Dataset,
}

impl HubAddress {
    /// Parses `path` as an address; `None` if it does not begin with `hf:`.
    ///
    /// # Errors
    /// If `path` begins with `hf:` and is no address.
    pub fn of(path: &Path) -> Result<Option<Self>> {
        let Some(text) = path.to_str().and_then(|text| text.strip_prefix(SCHEME)) else {
            return Ok(None);
        };
        let Some(address) = parse(text) else {
            bail!(
                "{}: no address of the Hugging Face Hub; write `hf:ORG/NAME`, \
                 `hf:ORG/NAME@REVISION`, or for a file `hf:datasets/ORG/NAME/FILE`",
                path.display()
            );
        };
        Ok(Some(address))
    }

    /// Checks that `path` is the path or the address of a file.
    ///
    /// # Errors
    /// If it begins with `hf:` and is not the address of a file.
    pub fn check_file(path: &Path) -> Result<()> {
        match Self::of(path)? {
            Some(Self { file: None, .. }) => bail!(
                "{}: names no file of the repository; write `hf:datasets/ORG/NAME/FILE`",
                path.display()
            ),
            _ => Ok(()),
        }
    }

    /// Checks that `path` is the path of a directory or the address of a model: of an encoder, or of
    /// a model directory.
    ///
    /// # Errors
    /// If it begins with `hf:` and is not the address of a model.
    pub fn check_model(path: &Path) -> Result<()> {
        match Self::of(path)? {
            Some(
                Self { file: Some(_), .. }
                | Self { repository: HubRepository { kind: HubKind::Dataset, .. }, .. },
            ) => {
                bail!("{}: not a whole model; write `hf:ORG/NAME`", path.display())
            }
            _ => Ok(()),
        }
    }
}

/// Parses an address without its scheme.
fn parse(text: &str) -> Option<HubAddress> {
    let text = text.strip_prefix("//").unwrap_or(text);
    let (kind, text) = match text.strip_prefix(DATASETS) {
        Some(rest) => (HubKind::Dataset, rest),
        None => (HubKind::Model, text),
    };
    let mut parts = text.splitn(3, '/');
    let (first, second, file) = (parts.next()?, parts.next(), parts.next());
    let last = second.unwrap_or(first);
    let (name, revision) = match last.split_once('@') {
        Some((name, revision)) => (name, Some(revision.replace("%2F", "/"))),
        None => (last, None),
    };
    let id = if second.is_some() { format!("{first}/{name}") } else { name.to_string() };
    let is_valid = id.split('/').all(is_name)
        && revision.as_deref().is_none_or(is_relative)
        && file.is_none_or(is_relative);
    let repository = HubRepository { kind, id, revision };
    is_valid.then(|| HubAddress { repository, file: file.map(str::to_string) })
}

/// Reports whether `text` can be the name of an organisation or a repository.
fn is_name(text: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    !text.is_empty() && !text.starts_with('.') && text.chars().all(is_plain)
}

/// Reports whether `text` is a path that stays below the directory that it starts from.
fn is_relative(text: &str) -> bool {
    let is_part = |part: &str| !matches!(part, "" | "." | "..");
    text.split('/').all(is_part) && !text.contains(['\\', '?', '#', '%', ':', '\0'])
}

impl fmt::Display for HubRepository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let datasets = match self.kind {
            HubKind::Model => "",
            HubKind::Dataset => DATASETS,
        };
        write!(f, "{SCHEME}{datasets}{}", self.id)?;
        match &self.revision {
            Some(revision) => write!(f, "@{}", revision.replace('/', "%2F")),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Result<Option<HubAddress>> {
        HubAddress::of(Path::new(text))
    }

    #[test]
    fn an_address_names_a_repository_its_revision_and_a_file() {
        for (text, kind, id, revision, file) in [
            ("hf:FacebookAI/roberta-large", HubKind::Model, "FacebookAI/roberta-large", None, None),
            ("hf:bert-base-cased", HubKind::Model, "bert-base-cased", None, None),
            ("hf:a/b@v1.0", HubKind::Model, "a/b", Some("v1.0"), None),
            (
                "hf:a/b@refs%2Fpr%2F1/c.json",
                HubKind::Model,
                "a/b",
                Some("refs/pr/1"),
                Some("c.json"),
            ),
            ("hf:datasets/a/b/x/y.json.gz", HubKind::Dataset, "a/b", None, Some("x/y.json.gz")),
            ("hf://datasets/a/b@1f/x.json", HubKind::Dataset, "a/b", Some("1f"), Some("x.json")),
        ] {
            let address = of(text).unwrap().unwrap();
            let repository =
                HubRepository { kind, id: id.into(), revision: revision.map(str::to_string) };
            assert_eq!(
                address,
                HubAddress { repository, file: file.map(str::to_string) },
                "{text}"
            );
            let written = address.repository.to_string();
            assert!(text.replace("//", "").starts_with(&written), "{text}: {written}");
        }
    }

    #[test]
    fn a_path_is_no_address() {
        for path in ["data/hf:x", "hf", "./hf:a/b", "data/roberta-large"] {
            assert_eq!(of(path).unwrap(), None, "{path}");
        }
    }

    #[test]
    fn an_address_that_leaves_its_repository_or_is_cut_off_is_refused() {
        for text in [
            "hf:",
            "hf:/",
            "hf:a/",
            "hf:/b",
            "hf:a/b/",
            "hf:a/..",
            "hf:../b",
            "hf:a/b@",
            "hf:a/b/../c",
            "hf:a/b@../x",
            "hf:a/b/c//d",
            "hf:a b/c",
            "hf:a/b/c?d",
            "hf:datasets/",
            "hf:a/b\\c",
        ] {
            let message = of(text).unwrap_err().to_string();
            assert!(message.contains("no address of the Hugging Face Hub"), "{text}: {message}");
        }
    }

    #[test]
    fn documents_are_files_and_an_encoder_is_a_whole_model() {
        let check = |check: fn(&Path) -> Result<()>, text: &str| check(Path::new(text));
        for path in ["x.json", "hf:datasets/a/b/x.json", "hf:a/b/x.json"] {
            check(HubAddress::check_file, path).unwrap();
        }
        for path in ["data/x", "hf:a/b", "hf:b@main"] {
            check(HubAddress::check_model, path).unwrap();
        }
        for (function, text, expected) in [
            (HubAddress::check_file as fn(&Path) -> Result<()>, "hf:datasets/a/b", "names no file"),
            (HubAddress::check_model, "hf:a/b/model.safetensors", "a whole model"),
            (HubAddress::check_model, "hf:datasets/a/b", "a whole model"),
        ] {
            let message = check(function, text).unwrap_err().to_string();
            assert!(message.contains(expected), "{text}: {message}");
        }
    }
}
