//! Weights by name: between a Burn module and a safetensors or PyTorch file.
//!
//! A parameter's *path* is its place in the module, such as `layers.0.query.weight`. A rename
//! function maps it to the name in the file. Files have PyTorch's conventions: linear weights are
//! `[out, in]`, and layer normalisation has `weight` and `bias`.

mod file;
mod layout;
mod module;
mod pytorch;
mod safetensors;
mod source;
mod weight;

pub use self::{
    file::WeightFile,
    module::{Loaded, collect, load},
    weight::{Weight, write_safetensors},
};
pub(super) use self::{
    file::{files_of, prefix_of},
    module::load_exactly,
};

#[cfg(test)]
mod tests;
