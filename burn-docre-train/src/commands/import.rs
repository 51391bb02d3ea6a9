//! `docre import`: makes a model directory from a checkpoint of the authors' code.

use anyhow::{Context, Result, bail};
use burn_docre::{
    BackendTask, DocReBackend, PairSet,
    data::relation::RelationVocab,
    io::{
        model_directory::ModelSpec,
        pretrained::PretrainedEncoder,
        published::{PublishedAxial, PublishedCheckpoint, PublishedSystem},
    },
    model::{DecodingConfig, ModelConfig},
};

use super::inputs::fetch;
use crate::{cli::ImportArgs, run::files, session::Session};

/// Writes the model directory and notes the ignored tensors.
pub(super) fn run(session: &Session, args: &ImportArgs) -> Result<()> {
    if args.output.exists() && files::has_files(&args.output)? {
        bail!("{} is not empty; choose another `--output`", args.output.display());
    }
    let local = fetch(session, args)?;
    let checkpoint = PublishedCheckpoint::open(&local.weights)?;
    let spec = spec(args, &local, &checkpoint)?;
    session.dispatch(Import { session, args, checkpoint: &checkpoint, spec: &spec })
}

/// The model of the checkpoint, without its weights. `local` has the local paths of the inputs.
fn spec(
    args: &ImportArgs,
    local: &ImportArgs,
    checkpoint: &PublishedCheckpoint,
) -> Result<ModelSpec> {
    let PretrainedEncoder { config: mut encoder, tokenizer } =
        PretrainedEncoder::open(&local.encoder)?;
    encoder.max_window = args.max_window.or(encoder.max_window);
    let relations = &local.relations;
    let vocab = RelationVocab::from_rel2id(relations, None, args.threshold_class.as_deref())?;
    let n_classes = checkpoint.n_classes();
    if vocab.n_classes() != n_classes {
        bail!(
            "{}: the checkpoint has {n_classes} classes, but {} lists {}; give the relations that \
             the model was trained with",
            args.weights.display(),
            args.relations.display(),
            vocab.n_classes()
        );
    }
    let config = ModelConfig {
        encoder,
        system: checkpoint.system_config(axial(args, checkpoint)?),
        n_classes,
        decoding: DecodingConfig { max_relations_per_pair: args.max_relations_per_pair },
        pair_set: PairSet::default(),
    };
    config.validate().with_context(|| format!("{}: not imported", args.weights.display()))?;
    Ok(ModelSpec { config, tokenizer, vocab })
}

/// Reads the properties of the axial stack from the options. The options are an error for ATLOP,
/// which has no axial layers.
fn axial(args: &ImportArgs, checkpoint: &PublishedCheckpoint) -> Result<PublishedAxial> {
    let is_used = args.no_pad_compat || args.axial_heads.is_some();
    if checkpoint.system() == PublishedSystem::Atlop && is_used {
        bail!(
            "{}: ATLOP has no axial layers; leave out `--no-pad-compat` and `--axial-heads`",
            args.weights.display()
        );
    }
    let PublishedAxial { heads, pad_to } = PublishedAxial::default();
    Ok(PublishedAxial {
        heads: args.axial_heads.unwrap_or(heads),
        pad_to: pad_to.filter(|_| !args.no_pad_compat),
    })
}

struct Import<'a> {
    session: &'a Session<'a>,
    args: &'a ImportArgs,
    checkpoint: &'a PublishedCheckpoint,
    spec: &'a ModelSpec,
}

impl BackendTask for Import<'_> {
    type Output = Result<()>;

    fn run<B: DocReBackend>(self, device: B::Device) -> Result<()> {
        let Self { session, args, checkpoint, spec } = self;
        let imported = checkpoint.model::<B>(&spec.config, &device)?;
        spec.save(&args.output, &imported.model)?;
        if !imported.ignored.is_empty() {
            session.ui.note(&format!("ignored without effect: {}", imported.ignored.join(", ")));
        }
        let system = match checkpoint.system() {
            PublishedSystem::KdDocre => "KD-DocRE",
            PublishedSystem::Atlop => "ATLOP",
        };
        session.ui.note(&format!("{system} imported to {}", args.output.display()));
        Ok(())
    }
}
