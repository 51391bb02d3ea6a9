//! Files: model directories, pretrained encoders, published checkpoints, weights, soft labels.

pub mod atomic_file;
pub mod model_directory;
pub mod pretrained;
pub mod published;
pub mod soft_labels;
pub mod weights;
