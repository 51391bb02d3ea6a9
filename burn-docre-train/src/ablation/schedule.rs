//! The runs of an ablation: which variants and seeds are trained, and up to which stage.
//!
//! Rows of several tables share a run. Equal variants have one run per seed, and the variants of
//! the distillation learn from the teacher of the base.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use super::{
    catalogue::{GROUPS, Group, TEACHER},
    results::OmittedGroup,
    variants::{STUDENT, Variant},
};
use crate::{cli::AblationGroup, config::RunConfig};

/// The name of the runs of the unchanged configuration.
const BASE: &str = "base";
/// The largest integer of TOML.
const LARGEST_SEED: u64 = i64::MAX as u64;

/// The runs of an ablation, and the rows of its tables.
pub(super) struct Schedule {
    /// The groups that fit the configuration, with their rows.
    pub(super) groups: Vec<PlannedGroup>,
    /// The requested groups that do not fit.
    pub(super) omitted: Vec<OmittedGroup>,
    /// The seeds, in ascending order.
    pub(super) seeds: Vec<u64>,
    /// The runs of the requested groups by seed; within a seed, a run follows the one whose teacher it
    /// uses.
    pub(super) jobs: Vec<Job>,
}

/// A group and its rows.
pub(super) struct PlannedGroup {
    pub(super) group: &'static Group,
    /// False if `--only` leaves the group out: it has no runs, and a table only with scores of an
    /// earlier command.
    pub(super) is_requested: bool,
    /// One row for each variant.
    pub(super) rows: Vec<PlannedRow>,
}

/// A variant of the configuration.
pub(super) struct PlannedRow {
    /// The name of its runs.
    pub(super) run: &'static str,
    pub(super) variant: &'static Variant,
    /// The configuration, with the seed of the base.
    pub(super) config: RunConfig,
    /// The keys that are not those of the base.
    pub(super) changes: Vec<String>,
}

/// One run: a variant with a seed.
#[derive(Clone, Debug)]
pub(super) struct Job {
    pub(super) seed: u64,
    /// The name of the run.
    pub(super) run: &'static str,
    /// The keys that are not those of the base.
    pub(super) changes: Vec<String>,
    pub(super) config: RunConfig,
    /// The stages to train and score, in the order of the plan. Those that they need are trained
    /// too.
    pub(super) stages: Vec<&'static str>,
    /// The directory of the run.
    pub(super) directory: PathBuf,
    /// The directory of the run whose teacher and soft labels it uses, if these are not its own.
    pub(super) teacher_run: Option<PathBuf>,
}

impl Schedule {
    /// Plans the groups `only`, or all if it is empty, for `n_seeds` seeds from that of `base`
    /// upwards, in the directory `out`.
    ///
    /// # Errors
    /// If no group fits, or a seed exceeds the largest one.
    pub(super) fn new(
        base: &RunConfig,
        n_seeds: usize,
        only: &[AblationGroup],
        out: &Path,
    ) -> Result<Self> {
        let (mut groups, mut omitted) = (Vec::new(), Vec::new());
        for group in GROUPS {
            let is_requested = only.is_empty() || only.contains(&group.name);
            match (group.fit)(base) {
                Ok(()) => {
                    let rows = rows(base, group)?;
                    groups.push(PlannedGroup { group, is_requested, rows });
                }
                Err(reason) if is_requested => {
                    omitted.push(OmittedGroup { group: group.name.to_string(), reason });
                }
                Err(_) => {}
            }
        }
        let reasons: Vec<String> = omitted.iter().map(ToString::to_string).collect();
        ensure!(
            groups.iter().any(|planned| planned.is_requested),
            "no ablation fits the configuration: {}",
            reasons.join("; ")
        );
        let (mut seeds, mut jobs) = (Vec::new(), Vec::new());
        for offset in 0..n_seeds as u64 {
            seeds.push(shifted(base.seed, offset, "seed")?);
            jobs.extend(jobs_of_seed(base, &groups, offset, out)?);
        }
        Ok(Self { groups, omitted, seeds, jobs })
    }
}

impl Job {
    fn new(run: &'static str, changes: Vec<String>, config: RunConfig, out: &Path) -> Self {
        let seed = config.seed;
        let directory = Self::directory(out, seed, run);
        Self { seed, run, changes, config, stages: Vec::new(), directory, teacher_run: None }
    }

    fn add_stage(&mut self, stage: &'static str) {
        if !self.stages.contains(&stage) {
            self.stages.push(stage);
        }
        let plan = self.config.plan.plan();
        self.stages.sort_by_key(|name| plan.stages.iter().position(|stage| stage.name == *name));
    }

    /// Makes the student, if it distils, learn from the logits that `base` learns from. Returns
    /// true if `base` has to train their teacher.
    fn learn_from_teacher_of(&mut self, base: &Self) -> bool {
        let student = self.config.stages.get(STUDENT);
        let Some(student) = student.filter(|student| student.distillation().is_some()) else {
            return false;
        };
        self.teacher_run = Some(base.directory.clone());
        student.teacher.is_none()
    }

    /// The directory of the run `run` with `seed` in the directory `out` of an ablation.
    pub(super) fn directory(out: &Path, seed: u64, run: &str) -> PathBuf {
        out.join(seed.to_string()).join(run)
    }

    /// The run and its seed, as in `7/loss-atl`.
    pub(super) fn name(&self) -> String {
        format!("{}/{}", self.seed, self.run)
    }
}

/// The variants of `group`.
fn rows(base: &RunConfig, group: &'static Group) -> Result<Vec<PlannedRow>> {
    let row = |variant: &'static Variant| {
        let mut config = base.clone();
        (variant.change)(&mut config);
        config
            .validate()
            .with_context(|| format!("the variant {:?} of the configuration", variant.title))?;
        let changes = config.differing_keys(base)?;
        let run = if changes.is_empty() { BASE } else { variant.run };
        Ok(PlannedRow { run, variant, config, changes })
    };
    group.variants.iter().map(row).collect()
}

/// The runs of the seed that is `offset` above that of `base`, the base first.
fn jobs_of_seed(
    base: &RunConfig,
    groups: &[PlannedGroup],
    offset: u64,
    out: &Path,
) -> Result<Vec<Job>> {
    let base = with_seed(base, offset)?;
    let mut jobs = vec![Job::new(BASE, Vec::new(), base, out)];
    for PlannedGroup { group, rows, .. } in groups.iter().filter(|planned| planned.is_requested) {
        for row in rows {
            let config = with_seed(&row.config, offset)?;
            let mut job = Job::new(row.run, row.changes.clone(), config, out);
            if group.shares_teacher && row.run != BASE && job.learn_from_teacher_of(&jobs[0]) {
                jobs[0].add_stage(TEACHER);
            }
            let position = jobs.iter().position(|other| other.run == job.run);
            let position = position.unwrap_or_else(|| {
                jobs.push(job);
                jobs.len() - 1
            });
            for table in group.tables {
                let stage = table.stage.name(&row.config);
                jobs[position].add_stage(stage);
            }
        }
    }
    jobs.retain(|job| !job.stages.is_empty());
    Ok(jobs)
}

/// `config` with seeds that are `offset` higher: its own, and that of a synthetic corpus.
fn with_seed(config: &RunConfig, offset: u64) -> Result<RunConfig> {
    let mut config = config.clone();
    config.seed = shifted(config.seed, offset, "seed")?;
    if let Some(synthetic) = &mut config.data.synthetic {
        synthetic.seed = shifted(synthetic.seed, offset, "data.synthetic.seed")?;
    }
    Ok(config)
}

fn shifted(seed: u64, offset: u64, key: &str) -> Result<u64> {
    seed.checked_add(offset)
        .filter(|&seed| seed <= LARGEST_SEED)
        .with_context(|| format!("`{key}` is {seed}; choose one that leaves room for more seeds"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const DEMO: &str = include_str!("../../../configs/demo.toml");
    const KMGRE: &str = include_str!("../../../configs/kmgre-demo.toml");
    const NA: &str = "stages.student.distillation={ kind = \"none\" }";

    /// The configuration `text` with the seed 1, changed by `items`.
    fn config(text: &str, items: &[&str]) -> RunConfig {
        let items = ["seed=1"].iter().chain(items);
        let items: Vec<String> = items.map(|item| item.to_string()).collect();
        RunConfig::parse(text, &items).unwrap()
    }

    fn schedule(config: &RunConfig, n_seeds: usize, only: &[AblationGroup]) -> Schedule {
        Schedule::new(config, n_seeds, only, Path::new("out")).unwrap()
    }

    /// The names and stages of the runs.
    fn runs(schedule: &Schedule) -> Vec<String> {
        let name = |job: &Job| format!("{}: {}", job.name(), job.stages.join(" "));
        schedule.jobs.iter().map(name).collect()
    }

    #[test]
    fn every_variant_is_valid_and_differs_from_the_base_in_the_intended_key_only() {
        for (text, expected) in [
            (
                DEMO,
                &[
                    ("base", &[][..]),
                    ("mixer-two-hop", &["model.mixer"]),
                    ("mixer-none", &["model.mixer"]),
                    ("loss-afl-paper", &["loss"]),
                    ("loss-atl", &["loss"]),
                    ("distillation-none", &["stages.student.distillation"]),
                    ("distillation-kl", &["stages.student.distillation"]),
                ][..],
            ),
            (
                KMGRE,
                &[
                    ("base", &[]),
                    ("key-classifier-shared-encoder", &["model.key_classifier"]),
                    ("key-classifier-none", &["em", "model.key_classifier"]),
                ],
            ),
        ] {
            let schedule = schedule(&config(text, &[]), 1, &[]);
            let rows = schedule.groups.iter().flat_map(|planned| &planned.rows);
            let found: BTreeSet<(&str, Vec<&str>)> = rows
                .map(|row| (row.run, row.changes.iter().map(String::as_str).collect()))
                .collect();
            let expected = expected.iter().map(|(run, keys)| (*run, keys.to_vec())).collect();
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn one_row_of_every_group_is_the_base_whatever_the_base_chooses() {
        let kl = "stages.student.distillation={ kind = \"kl\", temperature = 2.0, weight = 3.0 }";
        let shared = "model.key_classifier={ kind = \"shared-encoder\", xi = 0.15, tau = 0.5 }";
        for config in [
            config(DEMO, &[NA, "loss={ kind = \"atl\" }"]),
            config(DEMO, &[kl, "loss={ kind = \"afl-paper\", gamma = 2.0 }"]),
            config(KMGRE, &[shared]),
        ] {
            for PlannedGroup { group, rows, .. } in schedule(&config, 1, &[]).groups {
                let n = rows.iter().filter(|row| row.run == BASE).count();
                assert_eq!(n, 1, "{}", group.name);
            }
        }
    }

    #[test]
    fn tables_share_runs_and_a_run_trains_the_stages_of_all_its_rows() {
        let all = schedule(&config(DEMO, &[]), 2, &[]);
        let of_seed = [
            "1/base: teacher student finetune",
            "1/mixer-two-hop: teacher finetune",
            "1/mixer-none: teacher finetune",
            "1/loss-afl-paper: teacher finetune",
            "1/loss-atl: teacher finetune",
            "1/distillation-none: student finetune",
            "1/distillation-kl: student finetune",
        ];
        assert_eq!(runs(&all)[..7], of_seed);
        assert_eq!(runs(&all)[7], "2/base: teacher student finetune");
        assert_eq!((all.jobs.len(), &all.seeds[..]), (14, &[1, 2][..]));
        let mixers = schedule(&config(DEMO, &[]), 1, &[AblationGroup::Mixer]);
        let expected = ["1/base: teacher", "1/mixer-two-hop: teacher", "1/mixer-none: teacher"];
        assert_eq!(runs(&mixers), expected);
    }

    #[test]
    fn each_seed_has_its_own_synthetic_corpus() {
        let schedule = schedule(&config(DEMO, &["seed=21", "data.synthetic.seed=5"]), 2, &[]);
        for job in schedule.jobs {
            let corpus = job.config.data.synthetic.as_ref().unwrap().seed;
            assert_eq!(corpus, job.seed - 16, "{}", job.name());
        }
    }

    #[test]
    fn a_seed_above_the_largest_number_is_an_error() {
        let mut config = config(DEMO, &[]);
        config.seed = LARGEST_SEED;
        assert!(Schedule::new(&config, 1, &[], Path::new("out")).is_ok());
        let error = Schedule::new(&config, 2, &[], Path::new("out")).err().unwrap().to_string();
        assert!(error.contains("`seed`"), "{error}");
    }

    /// The teacher that the configuration of the run `run` names, and the run whose teacher it
    /// shares.
    fn teacher(schedule: &Schedule, run: &str) -> (Option<String>, Option<String>) {
        let job = schedule.jobs.iter().find(|job| job.run == run).unwrap();
        let text = |path: &Path| path.display().to_string();
        let student = job.config.stages.get(STUDENT).unwrap();
        (student.teacher.as_deref().map(text), job.teacher_run.as_deref().map(text))
    }

    #[test]
    fn distilled_students_learn_from_the_teacher_of_the_base() {
        let only = &[AblationGroup::Distillation];
        let bases = |schedule: &Schedule| runs(schedule)[0].clone();
        let from_base = (None, Some("out/1/base".into()));
        let distilled = schedule(&config(DEMO, &[]), 1, only);
        assert_eq!(bases(&distilled), "1/base: teacher student finetune");
        assert_eq!(teacher(&distilled, "base"), (None, None));
        assert_eq!(teacher(&distilled, "distillation-kl"), from_base);
        assert_eq!(teacher(&distilled, "distillation-none"), (None, None));
        // A base without distillation trains the teacher of the others.
        let naive = schedule(&config(DEMO, &[NA]), 1, only);
        assert_eq!(bases(&naive), "1/base: teacher student finetune");
        assert_eq!(teacher(&naive, "distillation-mse"), from_base);
        // Another teacher stays the teacher of all, and the base trains none.
        let other = schedule(&config(DEMO, &["stages.student.teacher=there"]), 1, only);
        assert_eq!(bases(&other), "1/base: student finetune");
        let shared = (Some("there".into()), Some("out/1/base".into()));
        assert_eq!(teacher(&other, "distillation-kl"), shared);
        assert_eq!(teacher(&other, "distillation-none"), (None, None));
    }

    #[test]
    fn groups_that_do_not_fit_are_named_with_a_reason() {
        let omitted = |config: &RunConfig| -> Vec<String> {
            let omitted = schedule(config, 1, &[]).omitted;
            omitted.iter().map(|group| group.group.clone()).collect()
        };
        assert_eq!(omitted(&config(DEMO, &[])), ["key-classifier"]);
        let no_mixer = config(DEMO, &["model.mixer={ kind = \"none\" }"]);
        assert_eq!(omitted(&no_mixer), ["mixer", "mixer-distant", "key-classifier"]);
        let teacher_only = include_str!("../../../configs/demo.toml").split("[stages.student]");
        let teacher_only = config(teacher_only.into_iter().next().unwrap(), &[]);
        let expected = ["mixer-distant", "loss-distant", "distillation", "key-classifier"];
        assert_eq!(omitted(&teacher_only), expected);
        assert_eq!(omitted(&config(KMGRE, &[])).len(), 5);
        let atlop = config(DEMO, &["model={ kind = \"atlop\", emb_size = 64, group_size = 16 }"]);
        let error = Schedule::new(&atlop, 1, &[], Path::new("out")).err().unwrap().to_string();
        assert!(error.contains("mixer: ") && error.contains("\"atlop\""), "{error}");
    }
}
