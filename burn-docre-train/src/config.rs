//! What a run means: the TOML file with the `--set` overrides applied, checked and written back.
//!
//! A key that no field knows is an error that names it, wherever it stands, so that a misspelt key never trains
//! the wrong model. Relative paths start from the directory where `docre` is called.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail, ensure};
use burn_docre::{
    corpus::synthetic::SyntheticConfig,
    encoder::{EncoderConfig as EncoderSizes, EncoderFamily},
    loss::{DistillationLoss, RelationLoss},
    model::{HeadConfig, ModelConfig, ModelKind},
    pair::PairAttentionKind,
    precision::Precision,
};
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

/// One experiment: everything that decides its result except the machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunConfig {
    /// Seeds the initialisation, the order of the documents and the dropout.
    pub seed: u64,
    /// The documents.
    pub data: DataConfig,
    /// The text encoder.
    pub encoder: EncoderConfig,
    /// What stands on the encoder.
    pub model: ModelSection,
    /// The relation loss of every stage.
    pub loss: LossConfig,
    /// What it computes on.
    #[serde(default, skip_serializing_if = "ComputeConfig::is_default")]
    pub compute: ComputeConfig,
    /// How each stage trains.
    pub stages: StagesConfig,
}

/// What a run computes on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ComputeConfig {
    /// Numbers of the devices that train together, each on batches of its own, whose gradients are averaged; the
    /// first has the optimizer and does everything but training. `--device` takes the place of them all.
    #[serde(default)]
    pub devices: Vec<usize>,
    /// The precision of the large matrix products: `f32` or `bf16`; weights, their updates and losses stay `f32`.
    #[serde(default)]
    pub precision: Precision,
}

impl ComputeConfig {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// Where the documents come from: the bundled synthetic world, or files.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataConfig {
    /// The bundled synthetic world, instead of files.
    pub synthetic: Option<SyntheticSection>,
    /// Human-annotated documents: teacher, fine-tuning, and the facts that Ign F1 ignores.
    pub train: Option<PathBuf>,
    /// The documents that every stage is scored on.
    pub dev: Option<PathBuf>,
    /// Distantly labelled documents for the student.
    pub distant: Option<PathBuf>,
    /// `rel2id.json`: relation ids to class indices, `Na` is 0.
    pub relations: Option<PathBuf>,
    /// `rel_info.json`: relation ids to names; without it the ids stand for the names.
    pub relation_names: Option<PathBuf>,
}

/// How much of the synthetic world to invent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SyntheticSection {
    /// Seeds the corpus, independently of the training.
    pub seed: u64,
    /// Annotated training documents.
    pub n_train: usize,
    /// Annotated dev documents.
    pub n_dev: usize,
    /// Distantly labelled documents.
    pub n_distant: usize,
    /// Share of the true facts that the distant labels lack.
    pub dropped: f64,
    /// Share of the distant labels that the text does not support.
    pub spurious: f64,
}

/// Either a pretrained Hugging Face directory or an encoder that starts from nothing.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EncoderConfig {
    /// A directory with `config.json`, `tokenizer.json` and the weights.
    pub pretrained: Option<PathBuf>,
    /// A randomly initialised encoder over the words of the training documents.
    pub scratch: Option<ScratchEncoder>,
}

/// The shape of an encoder that starts from nothing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScratchEncoder {
    /// Transformer layers.
    pub layers: usize,
    /// Width of the hidden states.
    pub width: usize,
    /// Attention heads.
    pub heads: usize,
    /// Width of the feed-forward layers.
    pub intermediate: usize,
    /// Longest window in word pieces; longer documents are read in overlapping windows.
    pub max_tokens: usize,
    /// Dropout in training.
    #[serde(default = "tenth")]
    pub dropout: f64,
}

/// What stands on the encoder; the names are those of the library's `ModelConfig`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelSection {
    /// `kd-docre` or `atlop`.
    pub kind: ModelKind,
    /// Width of the entity representations before the bilinear layer.
    pub emb_size: usize,
    /// Width of one group of the bilinear layer; divides `emb_size`.
    pub group_size: usize,
    /// `axial-stack`, `two-hop` or `none`; only for `kd-docre`.
    pub pair_attention: Option<PairAttentionKind>,
    /// Layers of the axial stack.
    pub axial_layers: Option<usize>,
    /// Attention heads of each axial layer.
    pub axial_heads: Option<usize>,
    /// At most so many relations are predicted for a pair.
    #[serde(default = "four")]
    pub max_relations_per_pair: usize,
}

/// The relation loss.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum LossConfig {
    /// ATLOP's adaptive thresholding.
    Atl {},
    /// Adaptive focal loss as printed in the paper, eqs. (9)–(11).
    AflPaper {
        /// Focusing exponent.
        gamma: f64,
    },
    /// Adaptive focal loss as in the authors' code, `1 + (1 - P)^gamma`.
    AflAuthors {
        /// Focusing exponent.
        gamma: f64,
    },
}

/// How each stage trains.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StagesConfig {
    /// On the human-annotated documents, from the start.
    pub teacher: Option<StageConfig>,
    /// On the distant documents, from the start, with the teacher's logits.
    pub student: Option<StageConfig>,
    /// The student, continued on the human-annotated documents.
    pub finetune: Option<StageConfig>,
}

/// The schedule of one training stage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StageConfig {
    /// Epochs of the learning-rate schedule.
    pub epochs: usize,
    /// Stop after so many epochs of the schedule.
    pub stop_after_epochs: Option<usize>,
    /// Documents a forward pass.
    pub batch_size: usize,
    /// Forward passes an optimizer step; their gradients are averaged.
    #[serde(default = "one")]
    pub accumulation: usize,
    /// Peak learning rate of the encoder.
    pub encoder_lr: f64,
    /// Peak learning rate of everything else.
    pub head_lr: f64,
    /// Weight decay of the encoder.
    pub encoder_weight_decay: f64,
    /// Weight decay of everything else.
    pub head_weight_decay: f64,
    /// Share of the steps over which the learning rate rises from 0.
    #[serde(default = "paper_warmup")]
    pub warmup_ratio: f64,
    /// The global norm that gradients are clipped to.
    #[serde(default = "unit")]
    pub max_grad_norm: f64,
    /// AdamW's epsilon.
    #[serde(default = "paper_epsilon")]
    pub adam_epsilon: f64,
    /// Stop after so many epochs without a better dev F1.
    pub patience: Option<usize>,
    /// Write a checkpoint every so many optimizer steps, not only at each epoch's end.
    pub checkpoint_every_steps: Option<usize>,
    /// What the student learns from the teacher; only the student has it.
    pub distillation: Option<DistillationConfig>,
}

/// What the student learns from the teacher.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum DistillationConfig {
    /// Mean squared error of the logits, eq. (12).
    Mse {
        /// Weight of this loss.
        #[serde(default = "unit")]
        weight: f64,
        /// Weight of the relation loss beside it.
        #[serde(default = "unit")]
        relation_weight: f64,
    },
    /// Kullback–Leibler divergence of the softened class distributions.
    Kl {
        /// Divides both logits.
        temperature: f64,
        /// Weight of this loss.
        #[serde(default = "unit")]
        weight: f64,
        /// Weight of the relation loss beside it.
        #[serde(default = "unit")]
        relation_weight: f64,
    },
    /// Naive adaptation: the distant labels alone; no teacher logits are made.
    None {},
}

fn one() -> usize {
    1
}

fn four() -> usize {
    4
}

fn unit() -> f64 {
    1.0
}

fn tenth() -> f64 {
    0.1
}

fn paper_warmup() -> f64 {
    0.06
}

fn paper_epsilon() -> f64 {
    1e-6
}

impl RunConfig {
    /// Reads `path`, applies the overrides (`a.b=c`) and checks the result.
    pub fn load(path: &Path, overrides: &[String]) -> Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("{}: reading failed", path.display()))?;
        Self::parse(&text, overrides)
            .with_context(|| format!("{}: invalid configuration", path.display()))
    }

    /// Parses the text of a configuration file; see [`load`](Self::load).
    pub fn parse(text: &str, overrides: &[String]) -> Result<Self> {
        let mut table: Table = text.parse().map_err(|error| anyhow!("{}", one_line(&error)))?;
        for item in overrides {
            apply_override(&mut table, item)?;
        }
        let config: Self = table.try_into().map_err(|error| anyhow!("{}", one_line(&error)))?;
        config.check()?;
        Ok(config)
    }

    /// The resolved configuration as TOML; parsing it again gives the same configuration.
    pub fn to_toml(&self) -> Result<String> {
        let table = Table::try_from(self).context("the configuration cannot be written as TOML")?;
        toml::to_string(&table).context("the configuration cannot be written as TOML")
    }

    /// The first key whose value differs from `other`'s, with both values.
    pub fn difference(&self, other: &Self) -> Result<Option<String>> {
        let ours = Value::Table(Table::try_from(self)?);
        let theirs = Value::Table(Table::try_from(other)?);
        Ok(first_difference("", &ours, &theirs))
    }

    /// Checks what the types cannot.
    fn check(&self) -> Result<()> {
        self.data.check()?;
        self.encoder.check()?;
        self.model.check()?;
        self.loss.check()?;
        ensure!(
            self.compute.precision != Precision::F16,
            "`compute.precision` f16 is for inference; gradients need the range of bf16 or f32"
        );
        let stages = &self.stages;
        let named = [
            ("teacher", &stages.teacher),
            ("student", &stages.student),
            ("finetune", &stages.finetune),
        ];
        for (name, stage) in named {
            if let Some(stage) = stage {
                stage.check(name).with_context(|| format!("stages.{name}"))?;
            }
        }
        ensure!(
            named.iter().any(|(_, stage)| stage.is_some()),
            "`stages` has no stage; give `stages.teacher` at least"
        );
        Ok(())
    }
}

impl DataConfig {
    fn check(&self) -> Result<()> {
        let files = [&self.train, &self.dev, &self.distant, &self.relations, &self.relation_names];
        if let Some(synthetic) = &self.synthetic {
            ensure!(
                synthetic.n_train > 0 && synthetic.n_dev > 0,
                "`data.synthetic` needs documents"
            );
            ensure!(
                (0.0..=1.0).contains(&synthetic.dropped)
                    && (0.0..1.0).contains(&synthetic.spurious),
                "`data.synthetic.dropped` must lie in 0..=1 and `spurious` in 0..1"
            );
            ensure!(
                files.iter().all(|file| file.is_none()),
                "`data.synthetic` replaces all files: remove it or the other keys of `data`"
            );
            return Ok(());
        }
        for (key, file) in
            [("train", &self.train), ("dev", &self.dev), ("relations", &self.relations)]
        {
            ensure!(file.is_some(), "`data.{key}` is missing; give files or `data.synthetic`");
        }
        Ok(())
    }
}

impl SyntheticSection {
    /// The library's configuration of the same corpus.
    pub fn resolve(&self) -> SyntheticConfig {
        SyntheticConfig {
            seed: self.seed,
            n_train: self.n_train,
            n_dev: self.n_dev,
            n_distant: self.n_distant,
            dropped: self.dropped,
            spurious: self.spurious,
        }
    }
}

impl EncoderConfig {
    fn check(&self) -> Result<()> {
        match (&self.pretrained, &self.scratch) {
            (Some(_), None) => Ok(()),
            (None, Some(scratch)) => scratch.check(),
            _ => bail!("`encoder` takes exactly one of `pretrained` and `scratch`"),
        }
    }
}

impl ScratchEncoder {
    fn check(&self) -> Result<()> {
        for (key, value) in [
            ("layers", self.layers),
            ("width", self.width),
            ("heads", self.heads),
            ("intermediate", self.intermediate),
        ] {
            ensure!(value > 0, "`encoder.scratch.{key}` must be at least 1");
        }
        ensure!(self.max_tokens >= 16, "`encoder.scratch.max_tokens` must be at least 16");
        ensure!(
            self.width.is_multiple_of(self.heads),
            "`encoder.scratch.width` ({}) must be a multiple of `heads` ({})",
            self.width,
            self.heads
        );
        ensure!((0.0..1.0).contains(&self.dropout), "`encoder.scratch.dropout` must lie in 0..1");
        Ok(())
    }

    /// The library's configuration of the same encoder, over `vocab_size` tokens.
    pub fn resolve(&self, vocab_size: usize) -> EncoderSizes {
        EncoderSizes {
            model_type: EncoderFamily::Bert,
            vocab_size,
            hidden_size: self.width,
            num_hidden_layers: self.layers,
            num_attention_heads: self.heads,
            intermediate_size: self.intermediate,
            hidden_dropout_prob: self.dropout,
            attention_probs_dropout_prob: self.dropout,
            max_position_embeddings: self.max_tokens,
            type_vocab_size: 1,
            layer_norm_eps: 1e-12,
            pad_token_id: 0,
            hidden_act: "gelu".into(),
            position_embedding_type: "absolute".into(),
        }
    }
}

impl ModelSection {
    fn check(&self) -> Result<()> {
        ensure!(
            self.group_size > 0
                && self.emb_size > 0
                && self.emb_size.is_multiple_of(self.group_size),
            "`model.emb_size` ({}) must be a positive multiple of `model.group_size` ({})",
            self.emb_size,
            self.group_size
        );
        ensure!(
            self.max_relations_per_pair > 0,
            "`model.max_relations_per_pair` must be at least 1"
        );
        let axial = self.pair_attention == Some(PairAttentionKind::AxialStack);
        for (key, value) in [("axial_layers", self.axial_layers), ("axial_heads", self.axial_heads)]
        {
            match value {
                None if axial => bail!("`model.{key}` is missing; the axial stack needs it"),
                Some(_) if !axial => {
                    bail!("`model.{key}` has no effect without `pair_attention = \"axial-stack\"`")
                }
                Some(0) => bail!("`model.{key}` must be at least 1"),
                _ => {}
            }
        }
        match (self.kind, self.pair_attention) {
            (ModelKind::KdDocre, None) => {
                bail!("`model.pair_attention` is missing; `kd-docre` needs it")
            }
            (ModelKind::Atlop, Some(_)) => {
                bail!("`model.pair_attention` has no effect in `atlop`; remove it")
            }
            _ => Ok(()),
        }
    }

    /// The library's configuration of the same model.
    pub fn resolve(&self, encoder: EncoderSizes, n_classes: usize) -> Result<ModelConfig> {
        let config = ModelConfig {
            kind: self.kind,
            encoder,
            head: HeadConfig {
                emb_size: self.emb_size,
                group_size: self.group_size,
                pair_attention: self.pair_attention.unwrap_or(PairAttentionKind::None),
                axial_layers: self.axial_layers.unwrap_or(0),
                axial_heads: self.axial_heads.unwrap_or(0),
            },
            n_classes,
            max_relations_per_pair: self.max_relations_per_pair,
        };
        config.validate().map_err(|reason| anyhow!("{reason}"))?;
        Ok(config)
    }
}

impl LossConfig {
    fn check(&self) -> Result<()> {
        match *self {
            Self::Atl {} => Ok(()),
            Self::AflPaper { gamma } | Self::AflAuthors { gamma } => {
                ensure!(gamma.is_finite() && gamma >= 0.0, "`loss.gamma` must not be negative");
                Ok(())
            }
        }
    }

    /// The library's loss.
    pub fn resolve(&self) -> RelationLoss {
        match *self {
            Self::Atl {} => RelationLoss::Atl,
            Self::AflPaper { gamma } => RelationLoss::AflPaper { gamma },
            Self::AflAuthors { gamma } => RelationLoss::AflAuthors { gamma },
        }
    }
}

impl StageConfig {
    /// The epochs that will really run.
    pub fn epochs_to_run(&self) -> usize {
        self.stop_after_epochs.unwrap_or(self.epochs)
    }

    fn check(&self, name: &str) -> Result<()> {
        for (key, value) in [
            ("epochs", Some(self.epochs)),
            ("batch_size", Some(self.batch_size)),
            ("accumulation", Some(self.accumulation)),
            ("patience", self.patience),
            ("checkpoint_every_steps", self.checkpoint_every_steps),
            ("stop_after_epochs", self.stop_after_epochs),
        ] {
            ensure!(value != Some(0), "`{key}` must be at least 1");
        }
        ensure!(
            self.epochs_to_run() <= self.epochs,
            "`stop_after_epochs` is beyond the {} epochs of the schedule",
            self.epochs
        );
        for (key, value) in [
            ("encoder_lr", self.encoder_lr),
            ("head_lr", self.head_lr),
            ("encoder_weight_decay", self.encoder_weight_decay),
            ("head_weight_decay", self.head_weight_decay),
        ] {
            ensure!(value.is_finite() && value >= 0.0, "`{key}` must not be negative");
        }
        for (key, value) in
            [("max_grad_norm", self.max_grad_norm), ("adam_epsilon", self.adam_epsilon)]
        {
            ensure!(value.is_finite() && value > 0.0, "`{key}` must be positive");
        }
        ensure!((0.0..=1.0).contains(&self.warmup_ratio), "`warmup_ratio` must lie in 0..=1");
        match (name, self.distillation) {
            ("student", None) => {
                bail!(
                    "`distillation` is missing; `{{ kind = \"none\" }}` trains without the teacher"
                )
            }
            ("student", Some(distillation)) => distillation.check(),
            (_, Some(_)) => bail!("`distillation` belongs to `stages.student` only"),
            (_, None) => Ok(()),
        }
    }
}

impl DistillationConfig {
    fn check(&self) -> Result<()> {
        let (weight, relation_weight) = match *self {
            Self::None {} => return Ok(()),
            Self::Mse { weight, relation_weight } => (weight, relation_weight),
            Self::Kl { temperature, weight, relation_weight } => {
                ensure!(
                    temperature.is_finite() && temperature > 0.0,
                    "`distillation.temperature` must be positive"
                );
                (weight, relation_weight)
            }
        };
        ensure!(
            weight.is_finite() && weight > 0.0,
            "`distillation.weight` must be positive; `kind = \"none\"` trains without the teacher"
        );
        ensure!(
            relation_weight.is_finite() && relation_weight >= 0.0,
            "`distillation.relation_weight` must not be negative"
        );
        Ok(())
    }

    /// The weight of the relation loss, and the distillation loss with its weight.
    pub fn resolve(&self) -> (f64, Option<(DistillationLoss, f64)>) {
        match *self {
            Self::None {} => (1.0, None),
            Self::Mse { weight, relation_weight } => {
                (relation_weight, Some((DistillationLoss::Mse, weight)))
            }
            Self::Kl { temperature, weight, relation_weight } => {
                (relation_weight, Some((DistillationLoss::Kl { temperature }, weight)))
            }
        }
    }
}

/// A TOML error without the source excerpt's line breaks.
fn one_line(error: &toml::de::Error) -> String {
    let text = error.to_string();
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    lines.join(" ")
}

/// Sets `a.b` to `c` for an item `a.b=c`; a value that is not TOML is a string.
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

fn first_difference(path: &str, ours: &Value, theirs: &Value) -> Option<String> {
    let (Some(a), Some(b)) = (ours.as_table(), theirs.as_table()) else {
        return (ours != theirs).then(|| format!("`{path}` was {theirs} and is now {ours}"));
    };
    let mut keys: Vec<&String> = a.keys().chain(b.keys()).collect();
    keys.sort();
    keys.dedup();
    keys.into_iter().find_map(|key| {
        let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        match (a.get(key), b.get(key)) {
            (Some(a), Some(b)) => first_difference(&path, a, b),
            (Some(a), None) => Some(format!("`{path}` is now {a} and was not set")),
            (None, Some(b)) => Some(format!("`{path}` was {b} and is now not set")),
            (None, None) => None,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEMO: &str = include_str!("../../configs/demo.toml");

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
    fn an_unknown_key_anywhere_is_named() {
        for key in [
            "sed",
            "data.trian",
            "data.synthetic.n_tarin",
            "encoder.scratch.with",
            "model.emb",
            "loss.gama",
            "stages.techer",
            "stages.teacher.epoch",
            "stages.student.distillation.temperature",
        ] {
            let message = refusal(&[&format!("{key}=1")]);
            let last = key.rsplit('.').next().unwrap();
            assert!(message.contains(last), "{key}: {message}");
        }
    }

    #[test]
    fn an_override_replaces_a_value_and_keeps_its_type() {
        let config = overridden(&["stages.teacher.epochs=3", "loss={ kind = \"atl\" }"]).unwrap();
        assert_eq!(config.stages.teacher.unwrap().epochs, 3);
        assert_eq!(config.loss, LossConfig::Atl {});
        let config = overridden(&["encoder.pretrained=some dir/minilm"]);
        assert!(config.is_err(), "`scratch` is still there");
        assert!(refusal(&["seed"]).contains("has no `=`"));
        assert!(refusal(&["seed.x=1"]).contains("not a section"));
    }

    #[test]
    fn the_written_configuration_is_the_same_configuration() {
        let config = overridden(&["stages.teacher.patience=2"]).unwrap();
        let again = RunConfig::parse(&config.to_toml().unwrap(), &[]).unwrap();
        assert_eq!(config, again);
        assert_eq!(config.difference(&again).unwrap(), None);
    }

    #[test]
    fn a_difference_names_its_key() {
        let (a, b) = (overridden(&["seed=2"]).unwrap(), overridden(&["seed=1"]).unwrap());
        assert_eq!(a.difference(&b).unwrap().unwrap(), "`seed` was 1 and is now 2");
        let a = overridden(&["seed=1", "stages.student.patience=2"]).unwrap();
        assert!(a.difference(&b).unwrap().unwrap().contains("`stages.student.patience`"));
    }

    #[test]
    fn values_out_of_range_are_sentences() {
        for (item, expected) in [
            ("stages.teacher.epochs=0", "stages.teacher: `epochs` must be at least 1"),
            ("stages.teacher.stop_after_epochs=99", "epochs of the schedule"),
            ("stages.teacher.head_lr=-1.0", "`head_lr` must not be negative"),
            ("stages.finetune.max_grad_norm=0.0", "`max_grad_norm` must be positive"),
            ("model.group_size=7", "multiple"),
            ("model.pair_attention=two-hop", "has no effect without"),
            ("encoder.scratch.heads=3", "multiple of `heads`"),
            ("data.train=x.json", "replaces all files"),
            ("stages.teacher.distillation={ kind = \"none\" }", "`stages.student` only"),
        ] {
            let message = refusal(&[item]);
            assert!(message.contains(expected), "{item}: {message}");
        }
    }
}
