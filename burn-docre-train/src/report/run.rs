//! A run as the report shows it: its configuration, its stages and what they have logged.

use std::path::{Path, PathBuf};

use anyhow::Result;
use burn_docre::io::model_directory;

use super::chart::Series;
use crate::{
    config::RunConfig,
    run::{
        directory::{DevMetrics, RunFiles},
        manifest::Manifest,
    },
    train::{
        metric_log::{self, LoggedMetrics},
        state::TrainingState,
    },
};

/// A run and its stages. It may be in progress.
pub(super) struct ReportedRun {
    /// The short key in charts and tables: `A`, `B`, …
    pub(super) key: String,
    /// The name, unique in the report: the directory's, with as many of its parents as needed.
    pub(super) name: String,
    /// The configuration.
    pub(super) config: RunConfig,
    /// The manifest; `None` if the run has none.
    pub(super) manifest: Option<Manifest>,
    /// The stages that have begun, in the order of the plan.
    pub(super) stages: Vec<ReportedStage>,
    /// The absolute path of the directory.
    root: PathBuf,
}

/// A stage that has begun.
pub(super) struct ReportedStage {
    /// Its position, key and name in the report. The key is `A1`, `A2`, … or `A` in a plan of one
    /// stage.
    pub(super) series: Series,
    /// The name in the plan.
    pub(super) name: &'static str,
    /// The title in the plan.
    pub(super) title: &'static str,
    /// The committed progress.
    pub(super) state: TrainingState,
    /// The logged metrics of steps and dev evaluations.
    pub(super) log: Vec<LoggedMetrics>,
    /// The directory of the best model so far; `None` if there is none.
    pub(super) model: Option<PathBuf>,
}

impl ReportedStage {
    /// The dev metrics of the best epoch; `None` before the first dev evaluation.
    pub(super) fn metrics(&self) -> Option<&DevMetrics> {
        Some(&self.state.best()?.dev)
    }
}

impl ReportedRun {
    /// Reads the run in the directory `root`.
    ///
    /// # Errors
    /// If a file of the run is damaged. Missing files are none.
    pub(super) fn load(root: &Path) -> Result<Self> {
        let files = RunFiles::new(root);
        let (config, manifest) = (files.config()?, files.manifest()?);
        let mut stages = Vec::new();
        for stage in config.plan.plan().stages {
            let directory = files.stage(stage.name);
            if !directory.is_dir() {
                continue;
            }
            stages.push(ReportedStage {
                series: Series::default(),
                name: stage.name,
                title: stage.title,
                state: TrainingState::load(&directory)?,
                log: metric_log::read(&directory)?,
                model: Some(files.model(stage.name))
                    .filter(|model| model_directory::is_complete(model)),
            });
        }
        let root = root.canonicalize().unwrap_or_else(|_| root.into());
        Ok(Self { key: String::new(), name: String::new(), config, manifest, stages, root })
    }

    /// Gives the runs and their stages names and keys.
    pub(super) fn name_all(runs: &mut [Self]) {
        let roots: Vec<&Path> = runs.iter().map(|run| run.root.as_path()).collect();
        let names = names(&roots);
        let mut index = 0;
        for (position, (run, name)) in runs.iter_mut().zip(names).enumerate() {
            run.key = letters(position);
            let plan = run.config.plan.plan();
            for stage in &mut run.stages {
                let position = plan.stages.iter().take_while(|of| of.name != stage.name).count();
                let key = match plan.stages {
                    [_] => run.key.clone(),
                    _ => format!("{}{}", run.key, position + 1),
                };
                stage.series = Series { index, key, name: format!("{name}: {}", stage.title) };
                index += 1;
            }
            run.name = name;
        }
    }
}

/// The shortest ends of different paths that tell them apart.
pub(super) fn names(paths: &[&Path]) -> Vec<String> {
    let end = |path: &Path, n: usize| {
        let parts: Vec<_> = path.iter().map(|part| part.to_string_lossy().into_owned()).collect();
        parts[parts.len().saturating_sub(n)..].join("/")
    };
    let longest = paths.iter().map(|path| path.iter().count()).max().unwrap_or(1);
    let name = |path: &Path| {
        let is_unique =
            |n: &usize| paths.iter().filter(|other| end(other, *n) == end(path, *n)).count() == 1;
        end(path, (1..longest).find(is_unique).unwrap_or(longest))
    };
    paths.iter().map(|path| name(path)).collect()
}

/// `A` to `Z`, then `AA`, `AB`, …
fn letters(index: usize) -> String {
    let letter = char::from(b'A' + (index % 26) as u8);
    match index / 26 {
        0 => letter.to_string(),
        above => letters(above - 1) + &letter.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_as_many_parents_as_tell_them_apart() {
        let paths = ["/x/1/run", "/x/2/run", "/x/other"].map(Path::new);
        assert_eq!(names(&paths), ["1/run", "2/run", "other"]);
        assert_eq!(names(&[Path::new("/x/run")]), ["run"]);
        assert_eq!(names(&["/run", "/a/run"].map(Path::new)), ["//run", "a/run"]);
    }

    #[test]
    fn letters_go_on_after_z() {
        assert_eq!([0, 25, 26, 27, 52, 702].map(letters), ["A", "Z", "AA", "AB", "BA", "AAA"]);
    }
}
