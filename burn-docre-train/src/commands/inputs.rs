//! The inputs of commands: paths, or addresses of the Hugging Face Hub.

use std::path::PathBuf;

use anyhow::Result;

use crate::{
    cli::{
        BenchArgs, ConvertArgs, EvaluateArgs, ExportArgs, ImportArgs, LabelArgs, PredictArgs,
        PredictInput,
    },
    run::hub::{Commits, EncoderFiles, Hub},
    session::Session,
};

/// An input of a command.
pub(super) enum Input<'a> {
    File(&'a mut PathBuf),
    /// A model directory.
    Model(&'a mut PathBuf),
    /// The configuration and tokenizer of an encoder.
    Encoder(&'a mut PathBuf),
}

/// Arguments that name inputs. The inputs of a run are those of its configuration.
pub(super) trait Inputs: Clone {
    /// All inputs.
    fn inputs_mut(&mut self) -> Vec<Input<'_>>;
}

/// Returns `args` with the local paths of all inputs: of a file at an address, that of its copy.
///
/// # Errors
/// If an address is invalid, or its file is neither on the hub nor in the cache.
pub(super) fn fetch<A: Inputs>(session: &Session, args: &A) -> Result<A> {
    let mut args = args.clone();
    let mut hub = Hub::new(session.ui, Commits::new());
    for input in args.inputs_mut() {
        match input {
            Input::File(path) => *path = hub.file(path)?,
            Input::Model(path) => *path = hub.model(path)?,
            Input::Encoder(path) => *path = hub.encoder(path, EncoderFiles::WithoutWeights)?,
        }
    }
    Ok(args)
}

impl Inputs for LabelArgs {
    fn inputs_mut(&mut self) -> Vec<Input<'_>> {
        vec![Input::Model(&mut self.model), Input::File(&mut self.input)]
    }
}

impl Inputs for PredictArgs {
    fn inputs_mut(&mut self) -> Vec<Input<'_>> {
        let PredictInput { input, text_file, text: _ } = &mut self.documents;
        let documents = input.iter_mut().chain(text_file).map(Input::File);
        documents.chain([Input::Model(&mut self.model)]).collect()
    }
}

impl Inputs for EvaluateArgs {
    fn inputs_mut(&mut self) -> Vec<Input<'_>> {
        let Self { predictions, gold, train, distant, relations, .. } = self;
        let optional = train.iter_mut().chain(distant).chain(relations);
        [predictions, gold].into_iter().chain(optional).map(Input::File).collect()
    }
}

impl Inputs for ConvertArgs {
    fn inputs_mut(&mut self) -> Vec<Input<'_>> {
        let Self { input, relations, .. } = self;
        [input].into_iter().chain(relations).map(Input::File).collect()
    }
}

impl Inputs for ImportArgs {
    fn inputs_mut(&mut self) -> Vec<Input<'_>> {
        let Self { weights, encoder, relations, .. } = self;
        vec![Input::Encoder(encoder), Input::File(relations), Input::File(weights)]
    }
}

impl Inputs for ExportArgs {
    fn inputs_mut(&mut self) -> Vec<Input<'_>> {
        vec![Input::Model(&mut self.model)]
    }
}

impl Inputs for BenchArgs {
    fn inputs_mut(&mut self) -> Vec<Input<'_>> {
        let Self { model, input, merge, .. } = self;
        let files = input.iter_mut().chain(merge).map(Input::File);
        files.chain(model.iter_mut().map(Input::Model)).collect()
    }
}
