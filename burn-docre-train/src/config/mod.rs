//! The configuration of a run: the TOML file with the `--set` overrides applied, checked and
//! written back.
//!
//! An unknown key is an error at every level, so that a misspelt key never trains the wrong model.
//! Relative paths start from the current directory.

mod address;
mod data;
mod distillation;
#[cfg(test)]
mod documentation;
mod em;
mod encoder;
mod plan;
mod stage;

use std::{error::Error, fmt, path::Path};

use anyhow::{Context, Result, bail, ensure};
use burn_docre::{
    input,
    loss::RelationLoss,
    model::{DecodingConfig, SystemConfig},
    nn::precision::{Precision, PrecisionChoice},
};
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

pub use self::{
    address::{HubAddress, HubKind, HubRepository},
    data::DataConfig,
    distillation::DistillationConfig,
    em::EmConfig,
    encoder::EncoderSource,
    plan::{Column, Corpus, Need, ObjectiveKind, Plan, PlanName, Stage, Start},
    stage::{StageConfig, StagesConfig},
};

/// The configuration of a run: everything that determines its result, except the machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunConfig {
    /// Seeds the initialisation, the order of the documents and the dropout.
    pub seed: u64,
    /// The documents.
    pub data: DataConfig,
    /// The text encoder.
    pub encoder: EncoderSource,
    /// The system: the relation module on top of the encoder.
    pub model: SystemConfig,
    /// The decoding of logits into relations.
    #[serde(default)]
    pub decoding: DecodingConfig,
    /// The relation loss of every stage.
    pub loss: RelationLoss,
    /// The EM algorithm; required by a model with a key classifier, an error with other models.
    pub em: Option<EmConfig>,
    /// The devices and the precision.
    #[serde(default, skip_serializing_if = "ComputeConfig::is_default")]
    pub compute: ComputeConfig,
    /// The list of stages.
    #[serde(default, skip_serializing_if = "PlanName::is_default")]
    pub plan: PlanName,
    /// The training schedule of each stage.
    pub stages: StagesConfig,
}

impl RunConfig {
    /// Reads `path`, applies the overrides (`a.b=c`) and checks the result.
    ///
    /// # Errors
    /// If the file cannot be read, or the configuration is invalid.
    pub fn load(path: &Path, overrides: &[String]) -> Result<Self> {
        let text = String::from_utf8(input::read(path)?)
            .with_context(|| format!("{}: not UTF-8 text", path.display()))?;
        Self::parse(&text, overrides)
            .with_context(|| format!("{}: invalid configuration", path.display()))
    }

    /// Parses the text of a configuration file, applies the overrides (`a.b=c`) and checks the
    /// result.
    ///
    /// # Errors
    /// If the text is not TOML, an override has no key or no `=`, a key is unknown, or a value is
    /// out of range.
    pub fn parse(text: &str, overrides: &[String]) -> Result<Self> {
        let mut table: Table = text.parse().map_err(TomlError)?;
        for item in overrides {
            apply_override(&mut table, item)?;
        }
        let config: Self = table.try_into().map_err(TomlError)?;
        config.validate()?;
        Ok(config)
    }

    /// The resolved configuration as TOML; parsing it again gives the same configuration.
    ///
    /// # Errors
    /// If a value has no TOML form.
    pub fn to_toml(&self) -> Result<String> {
        let table = Table::try_from(self).context("the configuration cannot be written as TOML")?;
        toml::to_string(&table).context("the configuration cannot be written as TOML")
    }

    /// Describes the first key whose value differs from that in `other`, the earlier configuration;
    /// `None` if they are equal.
    ///
    /// # Errors
    /// If a value has no TOML form.
    pub fn difference(&self, other: &Self) -> Result<Option<String>> {
        let (ours, theirs) = (Table::try_from(self)?, Table::try_from(other)?);
        let differences = differences("", &Value::Table(ours), &Value::Table(theirs));
        Ok(differences.first().map(ToString::to_string))
    }

    /// The keys whose values differ from those in `other`, in order. A table of another kind is one
    /// key: `model.mixer`, not `model.mixer.kind` and `model.mixer.layers`.
    ///
    /// # Errors
    /// If a value has no TOML form.
    pub fn differing_keys(&self, other: &Self) -> Result<Vec<String>> {
        let (ours, theirs) = (Table::try_from(self)?, Table::try_from(other)?);
        let differences = differences("", &Value::Table(ours), &Value::Table(theirs));
        let keys: Vec<&str> = differences.iter().map(|difference| &*difference.key).collect();
        let kinds: Vec<&str> = keys.iter().filter_map(|key| key.strip_suffix(".kind")).collect();
        let is_below =
            |key: &str, table: &str| key.strip_prefix(table).is_some_and(|r| r.starts_with('.'));
        let named = |key: &&str| {
            let table = kinds.iter().find(|table| is_below(key, table));
            table.unwrap_or(key).to_string()
        };
        let mut keys: Vec<String> = keys.iter().map(named).collect();
        keys.dedup();
        Ok(keys)
    }

    /// Reports whether a stage trains on the labels of the distant documents. A stage with a
    /// teacher and without a relation loss does not, except by EM, whose pseudo labels need them.
    pub fn learns_distant_labels(&self) -> bool {
        let distant = self.plan.plan().stages.iter().filter(|s| s.documents == Corpus::Distant);
        let mut sections = distant.filter_map(|stage| self.stages.get(stage.name));
        sections.any(|section| {
            self.em.is_some()
                || section.distillation().is_none_or(|given| given.relation_weight > 0.0)
        })
    }

    /// Checks the ranges of values and their combinations.
    ///
    /// # Errors
    /// If a value is out of range, or contradicts another; the error names the key.
    pub fn validate(&self) -> Result<()> {
        self.data.check()?;
        self.encoder.check()?;
        self.model.validate()?;
        self.decoding.validate()?;
        self.loss.validate()?;
        ensure!(
            self.compute.precision != Precision::F16.into(),
            "`compute.precision` f16 is for inference; gradients need the range of bf16 or f32"
        );
        self.stages.check(self.plan.plan())?;
        self.check_em()
    }

    fn check_em(&self) -> Result<()> {
        match (&self.em, self.model.key_selection()) {
            (Some(em), Some(_)) => {
                em.check()?;
                self.check_passes(em)
            }
            (None, None) => Ok(()),
            (None, Some(_)) => {
                bail!("`em` is missing; EM trains the key classifier of `model.key_classifier`")
            }
            (Some(_), None) => {
                bail!("`em` has no effect, because the model has no key classifier; remove it")
            }
        }
    }

    /// Checks that every stage with a fresh model has an E pass and an M pass after its warm-up.
    fn check_passes(&self, em: &EmConfig) -> Result<()> {
        let warm_up = em.warmup_epochs;
        let fresh = self.plan.plan().stages.iter().filter(|stage| stage.start == Start::Fresh);
        for stage in fresh {
            let Some(section) = self.stages.get(stage.name) else { continue };
            let n_epochs = section.epochs_to_run();
            ensure!(
                n_epochs.saturating_sub(warm_up) >= 2,
                "`stages.{}` trains {n_epochs} epochs, and `em.warmup_epochs` is {warm_up}; an E \
                 pass and an M pass need two epochs after the warm-up: raise `epochs` (and \
                 `stop_after_epochs`), or lower `em.warmup_epochs`",
                stage.name
            );
        }
        Ok(())
    }
}

/// The devices and the precision of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ComputeConfig {
    /// The numbers of the devices that train together. Each device computes its own batches, and
    /// the gradients are averaged. The first device also runs the optimizer, the evaluation and the
    /// labelling. `--device` replaces the whole list.
    #[serde(default)]
    pub devices: Vec<usize>,
    /// The precision of the large matrix products: `f32`, `bf16`, or `auto`, which is `bf16` if all
    /// devices compute it natively, else `f32`. Weights, updates and losses are always `f32`.
    #[serde(default)]
    pub precision: PrecisionChoice,
}

impl ComputeConfig {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// A TOML error with its message on one line.
#[derive(Debug)]
pub struct TomlError(pub toml::de::Error);

impl fmt::Display for TomlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.to_string();
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        f.write_str(&lines.map(input::plain_words).collect::<Vec<_>>().join(" "))
    }
}

impl Error for TomlError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        // The message of the inner error is that of this one.
        self.0.source()
    }
}

/// Applies the override `item`, as in `a.b=c`. A value that is not valid TOML is taken as a string.
fn apply_override(table: &mut Table, item: &str) -> Result<()> {
    let (key, value) = item
        .split_once('=')
        .with_context(|| format!("`--set {item}` has no `=`; write `--set section.key=value`"))?;
    let value = parse_value(value.trim());
    let mut path: Vec<&str> = key.trim().split('.').collect();
    let last = path.pop().filter(|name| !name.is_empty());
    let last = last.with_context(|| format!("`--set {item}` names no key"))?;
    let mut section = table;
    for name in path {
        let entry = section.entry(name).or_insert_with(|| Value::Table(Table::new()));
        section = entry
            .as_table_mut()
            .with_context(|| format!("`--set {item}`: `{name}` is a value, not a section"))?;
    }
    section.insert(last.to_string(), value);
    Ok(())
}

fn parse_value(text: &str) -> Value {
    let parsed = format!("value = {text}").parse::<Table>();
    parsed
        .ok()
        .and_then(|mut table| table.remove("value"))
        .unwrap_or_else(|| Value::String(text.to_string()))
}

/// A key whose value differs between two configurations.
#[derive(Debug, PartialEq)]
struct Difference {
    key: String,
    before: Option<Value>,
    now: Option<Value>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.before, &self.now) {
            (Some(before), Some(now)) => write!(f, "`{}` was {before} and is now {now}", self.key),
            (None, Some(now)) => write!(f, "`{}` is now {now} and was not set", self.key),
            (Some(before), None) => write!(f, "`{}` was {before} and is now not set", self.key),
            (None, None) => write!(f, "`{}` is not set", self.key),
        }
    }
}

/// The differences between two values at `path`, in the order of their keys.
fn differences(path: &str, now: &Value, before: &Value) -> Vec<Difference> {
    let (Some(ours), Some(theirs)) = (now.as_table(), before.as_table()) else {
        let (before, now) = (Some(before.clone()), Some(now.clone()));
        let difference = Difference { key: path.into(), before, now };
        return Vec::from_iter((difference.before != difference.now).then_some(difference));
    };
    let mut keys: Vec<&String> = ours.keys().chain(theirs.keys()).collect();
    keys.sort();
    keys.dedup();
    let of_key = |key: &String| {
        let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        match (ours.get(key), theirs.get(key)) {
            (Some(now), Some(before)) => differences(&path, now, before),
            (now, before) => {
                vec![Difference { key: path, before: before.cloned(), now: now.cloned() }]
            }
        }
    };
    keys.into_iter().flat_map(of_key).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEMO: &str = include_str!("../../../configs/demo.toml");

    fn overridden(items: &[&str]) -> Result<RunConfig> {
        let items: Vec<String> = items.iter().map(|item| item.to_string()).collect();
        RunConfig::parse(DEMO, &items)
    }

    fn refusal(items: &[&str]) -> String {
        format!("{:#}", overridden(items).expect_err("the configuration should be refused"))
    }

    #[test]
    fn every_shipped_configuration_parses() {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs");
        let files = std::fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().path());
        let tomls: Vec<_> =
            files.filter(|path| path.extension().is_some_and(|e| e == "toml")).collect();
        assert!(tomls.len() >= 2);
        for path in tomls {
            RunConfig::load(&path, &[]).unwrap();
        }
    }

    #[test]
    fn an_unknown_key_is_an_error_that_names_it_at_every_level() {
        for key in [
            "sed",
            "data.trian",
            "data.synthetic.n_tarin",
            "encoder.scratch.with",
            "model.emb",
            "model.mixer.layer",
            "decoding.max",
            "loss.gama",
            "stages.techer",
            "plam",
            "stages.teacher.epoch",
            "stages.student.distillation.temperature",
        ] {
            let message = refusal(&[&format!("{key}=1")]);
            let last = key.rsplit('.').next().unwrap();
            assert!(message.contains(last), "{key}: {message}");
        }
    }

    #[test]
    fn a_toml_error_stays_the_cause_and_its_message_is_on_one_line() {
        for text in ["seed = ", "sed = 1"] {
            let error = RunConfig::parse(text, &[]).unwrap_err();
            assert!(error.is::<TomlError>(), "{error:?}");
            assert_eq!(format!("{error:#}").lines().count(), 1);
        }
    }

    #[test]
    fn a_value_of_a_wrong_type_is_described_in_plain_words() {
        for (item, expected) in [
            ("stages.teacher.epochs=three", "expected a whole number of at least 0, not the text"),
            ("stages.teacher.epochs=1.5", "expected a whole number of at least 0, not the number"),
            ("stages.teacher.encoder_lr=[1]", "expected a number, not a list"),
            ("data.train=7", "expected a path, not the number 7"),
        ] {
            let message = refusal(&[item]);
            assert!(message.contains(expected) && !message.contains("usize"), "{item}: {message}");
        }
    }

    #[test]
    fn an_override_replaces_a_value_and_keeps_its_type() {
        let config = overridden(&["stages.teacher.epochs=3", "loss={ kind = \"atl\" }"]).unwrap();
        assert_eq!(config.stages.get("teacher").unwrap().epochs, 3);
        assert_eq!(config.loss, RelationLoss::Atl {});
        let pretrained = &["encoder={ pretrained = \"some dir/minilm\" }"];
        let encoder = EncoderSource::Pretrained("some dir/minilm".into());
        assert_eq!(overridden(pretrained).unwrap().encoder, encoder);
        assert!(refusal(&["seed"]).contains("has no `=`"));
        assert!(refusal(&["seed.x=1"]).contains("not a section"));
    }

    #[test]
    fn a_written_configuration_parses_to_an_equal_one() {
        for item in [
            "stages.teacher.patience=2",
            "model={ kind = \"atlop\", emb_size = 64, group_size = 16 }",
            "model.mixer={ kind = \"none\" }",
            "encoder={ pretrained = \"some dir/minilm\" }",
            "decoding.max_relations_per_pair=3",
            "stages.student.distillation={ kind = \"none\" }",
            "stages.student.distillation={ kind = \"kl\", temperature = 2.0 }",
        ] {
            let config = overridden(&[item]).unwrap();
            let again = RunConfig::parse(&config.to_toml().unwrap(), &[]).unwrap();
            assert_eq!(config, again, "{item}");
            assert_eq!(config.difference(&again).unwrap(), None, "{item}");
        }
    }

    #[test]
    fn distant_labels_are_learned_unless_the_teacher_alone_is() {
        let learns = |items: &[&str]| overridden(items).unwrap().learns_distant_labels();
        let teacher_alone = "stages.student.distillation={ kind = \"mse\", relation_weight = 0.0 }";
        assert!(learns(&["seed=1"]));
        assert!(learns(&["stages.student.distillation={ kind = \"none\" }"]));
        assert!(!learns(&[teacher_alone]));
        let kmgre = "model={ kind = \"kmgre\", key_classifier = { kind = \"shared-encoder\", xi = 0.15, tau = 0.5 } }";
        assert!(learns(&[teacher_alone, kmgre, "em={ warmup_epochs = 1 }"]));
    }

    #[test]
    fn a_difference_names_its_key() {
        let (a, b) = (overridden(&["seed=2"]).unwrap(), overridden(&["seed=1"]).unwrap());
        assert_eq!(a.difference(&b).unwrap().unwrap(), "`seed` was 1 and is now 2");
        let a = overridden(&["seed=1", "stages.student.patience=2"]).unwrap();
        assert!(a.difference(&b).unwrap().unwrap().contains("`stages.student.patience`"));
    }

    #[test]
    fn a_table_of_another_kind_is_one_differing_key() {
        let base = overridden(&[]).unwrap();
        let changed = |items: &[&str]| overridden(items).unwrap().differing_keys(&base).unwrap();
        assert_eq!(changed(&[]), Vec::<String>::new());
        assert_eq!(changed(&["model.mixer={ kind = \"none\" }"]), ["model.mixer"]);
        assert_eq!(changed(&["model.mixer.layers=3"]), ["model.mixer.layers"]);
        let distillation = "stages.student.distillation={ kind = \"none\" }";
        let keys = changed(&["seed=2", distillation, "stages.teacher.patience=2"]);
        assert_eq!(keys, ["seed", "stages.student.distillation", "stages.teacher.patience"]);
    }

    #[test]
    fn an_invalid_value_is_an_error_that_names_its_key() {
        for (item, expected) in [
            ("stages.teacher.epochs=0", "stages.teacher: `epochs` must be at least 1"),
            ("stages.teacher.stop_after_epochs=99", "epochs of the schedule"),
            (
                "stages.teacher.relation_lr=-1.0",
                "`relation_lr` is -1.0; it must be a finite number of",
            ),
            ("stages.teacher.encoder_lr=nan", "`encoder_lr` is NaN; it must be a finite number of"),
            ("stages.teacher.encoder_lr=inf", "`encoder_lr` is inf; it must be a finite number of"),
            ("stages.finetune.max_grad_norm=0.0", "`max_grad_norm` is 0.0; it must be a finite"),
            ("stages.finetune.adam_epsilon=nan", "`adam_epsilon` is NaN; it must be a finite"),
            ("stages.finetune.warmup_ratio=nan", "`warmup_ratio` is NaN; it must lie in 0..=1"),
            ("model.group_size=7", "multiple of `group_size` 7"),
            ("model.mixer.heads=0", "`mixer.heads` must be at least 1"),
            ("model.mixer={ kind = \"two-hop\", layers = 2 }", "`layers`"),
            ("model.kind=atlop", "`mixer`"),
            ("decoding.max_relations_per_pair=0", "`max_relations_per_pair`"),
            ("loss.gamma=-1.0", "`loss.gamma` must not be negative"),
            ("encoder.scratch.heads=3", "multiple of `heads`"),
            ("encoder.pretrained=some dir/minilm", "exactly one of `pretrained` and `scratch`"),
            ("stages.student.distillation.weight=0.0", "`distillation.weight` must be positive"),
            ("stages.student.distillation.kind=none", "has no effect where `kind` is"),
            ("data.train=x.json", "replaces all files"),
            ("stages.teacher.distillation={ kind = \"none\" }", "`stages.student` only"),
        ] {
            let message = refusal(&[item]);
            assert!(message.contains(expected), "{item}: {message}");
        }
    }

    #[test]
    fn a_fresh_stage_has_an_e_pass_and_an_m_pass_after_the_warm_up() {
        let model = "model={ kind = \"kmgre\", key_classifier = { kind = \"shared-encoder\", xi = 0.15, tau = 0.5 } }";
        let em = |warmup_epochs: usize| format!("em={{ warmup_epochs = {warmup_epochs} }}");
        // The fine-tuning has no warm-up.
        let (student, finetune) = ("stages.student.epochs=5", "stages.finetune.epochs=1");
        assert!(overridden(&[model, student, finetune, &em(3)]).is_ok());
        for warmup_epochs in [4, 5] {
            let message = refusal(&[model, student, finetune, &em(warmup_epochs)]);
            for part in ["`stages.student` trains 5 epochs", "`em.warmup_epochs` is", "`epochs`"] {
                assert!(message.contains(part), "{message}");
            }
        }
        assert!(
            refusal(&[model, student, finetune, &em(i64::MAX as usize)])
                .contains("`em.warmup_epochs`")
        );
        let message = refusal(&[model, student, &em(3), "stages.teacher.stop_after_epochs=4"]);
        assert!(message.contains("`stages.teacher` trains 4 epochs"), "{message}");
    }

    #[test]
    fn em_belongs_to_models_with_a_key_classifier() {
        let em = "em={ warmup_epochs = 1 }";
        let model = |classifier: &str| {
            format!("model={{ kind = \"kmgre\", key_classifier = {{ kind = {classifier} }} }}")
        };
        let fused = model("\"none\"");
        assert!(overridden(&[&fused]).is_ok());
        for without in ["seed=1", &fused] {
            assert!(refusal(&[em, without]).contains("`em` has no effect"), "{without}");
        }
        for kind in ["own-encoder", "shared-encoder"] {
            let model = model(&format!("\"{kind}\", xi = 0.15, tau = 0.5"));
            assert!(refusal(&[&model]).contains("`em` is missing"), "{kind}");
            let config = overridden(&[&model, em]).unwrap();
            let paper = EmConfig { warmup_epochs: 1, alpha: 0.3, gamma: 2.0, tau_decay: 0.999 };
            assert_eq!(config.em, Some(paper));
            for (value, key) in [
                ("alpha = 0.0", "alpha"),
                ("gamma = -1.0", "gamma"),
                ("tau_decay = 1.0", "tau_decay"),
            ] {
                let em = format!("em={{ warmup_epochs = 1, {value} }}");
                assert!(refusal(&[&model, &em]).contains(&format!("`em.{key}`")), "{value}");
            }
        }
    }
}
