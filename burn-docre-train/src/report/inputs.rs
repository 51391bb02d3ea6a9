//! The arguments of `docre report`: runs, benchmark records and results of ablations.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail, ensure};
use burn_docre::input;
use serde_json::Value;

use super::run::{self, ReportedRun};
use crate::{
    ablation::results::{ABLATIONS, Ablations},
    bench::record::{self, BENCH, Record},
    run::{directory::RunFiles, files},
};

/// The content of all arguments.
#[derive(Default)]
pub(super) struct Inputs {
    /// The runs, in the order of the arguments.
    pub(super) runs: Vec<ReportedRun>,
    /// The benchmark records of all files.
    pub(super) records: Vec<Record>,
    /// The ablations.
    pub(super) ablations: Vec<ReportedAblation>,
}

/// An ablation as the report shows it.
pub(super) struct ReportedAblation {
    /// The name, unique in the report: the directory's, with as many of its parents as needed. A
    /// file of another name than `ablations.json` has its own name.
    pub(super) name: String,
    /// The results.
    pub(super) results: Ablations,
    /// The absolute path that the name is taken from.
    root: PathBuf,
}

impl ReportedAblation {
    /// Reads the results in the file `path`. The name is still missing.
    fn load(path: &Path) -> Result<Self> {
        let results = files::read_json(path)?;
        let file = path.canonicalize().unwrap_or_else(|_| path.into());
        let root = match file.parent() {
            Some(directory) if file.ends_with(ABLATIONS) => directory.into(),
            _ => file,
        };
        Ok(Self { name: String::new(), results, root })
    }

    /// An ablation of this name, for tests.
    #[cfg(test)]
    pub(super) fn named(name: &str, results: Ablations) -> Self {
        Self { name: name.into(), results, root: PathBuf::new() }
    }

    fn name_all(ablations: &mut [Self]) {
        let roots: Vec<&Path> = ablations.iter().map(|ablation| ablation.root.as_path()).collect();
        let names = run::names(&roots);
        for (ablation, name) in ablations.iter_mut().zip(names) {
            ablation.name = name;
        }
    }
}

impl Inputs {
    /// Reads the arguments. Each is the directory of a run, of an ablation or of a benchmark's
    /// output, or a file of the latter two.
    ///
    /// # Errors
    /// If an argument is none of these or is given twice, or a file of it is damaged.
    pub(super) fn read(arguments: &[impl AsRef<Path>]) -> Result<Self> {
        let mut inputs = Self::default();
        for (index, argument) in arguments.iter().enumerate() {
            let path = argument.as_ref();
            let is_same = |other: &Path| match (path.canonicalize(), other.canonicalize()) {
                (Ok(path), Ok(other)) => path == other,
                _ => path == other,
            };
            ensure!(
                !arguments[..index].iter().any(|other| is_same(other.as_ref())),
                "{} is given twice; remove one",
                path.display()
            );
            inputs.read_one(path)?;
        }
        ReportedRun::name_all(&mut inputs.runs);
        ReportedAblation::name_all(&mut inputs.ablations);
        Ok(inputs)
    }

    fn read_one(&mut self, path: &Path) -> Result<()> {
        if !path.is_dir() {
            return self.read_file(path);
        }
        if RunFiles::is_run(path) {
            self.runs.push(ReportedRun::load(path)?);
            return Ok(());
        }
        let files = [ABLATIONS, BENCH].map(|name| path.join(name));
        match files.iter().find(|file| file.is_file()) {
            Some(file) => self.read_file(file),
            None => bail!(
                "{}: neither a run, an ablation nor the output of `docre bench`: it has no \
                 config.toml, {ABLATIONS} or {BENCH}",
                path.display()
            ),
        }
    }

    /// Reads a list of benchmark records, or the object of an ablation.
    fn read_file(&mut self, path: &Path) -> Result<()> {
        let value: Value = input::read_json(path, "invalid content")?;
        if value.is_array() {
            record::append(&mut self.records, path)?;
        } else {
            let ablation = ReportedAblation::load(path)?;
            ensure!(
                self.ablations.iter().all(|other| other.root != ablation.root),
                "{} is given twice, as a directory and as a file; remove one",
                path.display()
            );
            self.ablations.push(ablation);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::record::tests::record;

    fn refusal(arguments: &[&Path]) -> String {
        Inputs::read(arguments).err().expect("the arguments should be refused").to_string()
    }

    #[test]
    fn records_and_ablations_are_told_apart_by_their_content() {
        let directory = tempfile::tempdir().unwrap();
        let (bench, ablations) = (directory.path().join("a.json"), directory.path().join("b.json"));
        record::write(&bench, &[record("flex", "inference", 1.0)]).unwrap();
        std::fs::write(&ablations, r#"{ "seeds": [1], "tables": [], "omitted": [] }"#).unwrap();
        let inputs = Inputs::read(&[&bench, &ablations]).unwrap();
        assert_eq!((inputs.records.len(), inputs.ablations.len(), inputs.runs.len()), (1, 1, 0));
    }

    #[test]
    fn an_ablation_has_the_name_of_its_directory_or_of_its_file() {
        let directory = tempfile::tempdir().unwrap();
        let paths = ["demo/ablations.json", "small/ablations.json", "small/old.json"]
            .map(|name| directory.path().join(name));
        for path in &paths {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, r#"{ "seeds": [1], "tables": [], "omitted": [] }"#).unwrap();
        }
        let arguments = [paths[0].parent().unwrap(), &paths[1], &paths[2]];
        let inputs = Inputs::read(&arguments).unwrap();
        let names: Vec<_> = inputs.ablations.iter().map(|of| of.name.as_str()).collect();
        assert_eq!(names, ["demo", "small", "old.json"]);
        let message = refusal(&[arguments[0], &paths[0]]);
        assert!(message.contains("is given twice, as a directory"), "{message}");
    }

    #[test]
    fn the_output_directory_of_a_benchmark_stands_for_its_records() {
        let directory = tempfile::tempdir().unwrap();
        record::write(&directory.path().join(BENCH), &[record("flex", "label", 1.0)]).unwrap();
        assert_eq!(Inputs::read(&[directory.path()]).unwrap().records.len(), 1);
    }

    #[test]
    fn an_argument_of_another_kind_or_given_twice_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let message = refusal(&[directory.path()]);
        assert!(message.contains("neither a run, an ablation nor"), "{message}");
        let bench = directory.path().join(BENCH);
        record::write(&bench, &[record("flex", "label", 1.0)]).unwrap();
        let message = refusal(&[&bench, &directory.path().join(".").join(BENCH)]);
        assert!(message.ends_with("is given twice; remove one"), "{message}");
        let message = refusal(&[&directory.path().join("missing")]);
        assert!(message.contains("missing: opening failed"), "{message}");
    }
}
