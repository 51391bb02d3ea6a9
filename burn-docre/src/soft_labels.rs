//! soft_labels
