//! Files: model directories, pretrained encoders, weights, soft labels.

pub mod atomic_file;
pub mod model_directory;
pub mod pretrained;
pub mod soft_labels;
pub mod weights;
