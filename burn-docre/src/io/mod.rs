//! Files: model directories, weights, soft labels.

pub mod atomic_file;
pub mod model_directory;
pub mod soft_labels;
pub mod weights;
