//! `docre export`: writes a model's weights under the names of the authors' code.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use burn_docre::{
    BackendTask, DocReBackend,
    io::{
        model_directory::{self, ModelDirectory},
        published::{self, PublishedAxial},
    },
    model::SystemConfig,
    pair::PairMixerConfig,
};

use super::inputs::fetch;
use crate::{
    cli::{ExportArgs, ExportFormat},
    run::files,
    session::Session,
};

/// Writes the weights and notes where the authors' code computes other logits with them.
pub(super) fn run(session: &Session, args: &ExportArgs) -> Result<()> {
    let is_safetensors = |end: &std::ffi::OsStr| end.eq_ignore_ascii_case("safetensors");
    if !args.output.extension().is_some_and(is_safetensors) {
        bail!(
            "{}: the output is a safetensors file; end its name in `.safetensors`",
            args.output.display()
        );
    }
    let model = model_directory::FILES.map(|name| args.model.join(name));
    files::check_output(&args.output, &model.each_ref().map(PathBuf::as_path))?;
    files::check_directory_of(&args.output)?;
    let args = &fetch(session, args)?;
    session.dispatch(Export { session, args })
}

struct Export<'a> {
    session: &'a Session<'a>,
    args: &'a ExportArgs,
}

impl BackendTask for Export<'_> {
    type Output = Result<()>;

    fn run<B: DocReBackend>(self, device: B::Device) -> Result<()> {
        let Self { session, args } = self;
        let directory = ModelDirectory::open(&args.model)?;
        let config = &directory.spec().config;
        check_format(&args.model, &config.system, args.format)?;
        published::export(&args.output, config, &directory.model::<B>(&device)?)?;
        for difference in differences(&config.system) {
            session.ui.note(&difference);
        }
        Ok(())
    }
}

/// Checks that `format` is that of the model's system.
fn check_format(model: &Path, system: &SystemConfig, format: ExportFormat) -> Result<()> {
    let (other, name) = match (system, format) {
        (SystemConfig::KdDocre(_), ExportFormat::Atlop) => ("a KD-DocRE", "kd-docre"),
        (SystemConfig::Atlop(_), ExportFormat::KdDocre) => ("an ATLOP", "atlop"),
        _ => return Ok(()),
    };
    bail!("{}: {other} model; export it with `--format {name}`", model.display())
}

/// Notes on settings that are constants in the authors' code and have other values in this model.
fn differences(system: &SystemConfig) -> Vec<String> {
    let SystemConfig::KdDocre(config) = system else { return Vec::new() };
    let PairMixerConfig::AxialStack(stack) = &config.mixer else { return Vec::new() };
    let authors = PublishedAxial::default();
    let mut differences = Vec::new();
    if stack.pad_to != authors.pad_to {
        let ours = match stack.pad_to {
            None => "masks all padding".to_owned(),
            Some(n) => format!("pads to {n} entities"),
        };
        differences.push(format!(
            "this model {ours}; the authors' code pads to 42 entities without a mask and computes \
             other logits with the same weights"
        ));
    }
    if stack.heads != authors.heads {
        differences.push(format!(
            "this model has {} attention heads in each axial layer, the authors' code 8; set its \
             `heads` before you load the weights",
            stack.heads
        ));
    }
    differences
}
