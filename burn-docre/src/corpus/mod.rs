//! Where documents come from: files in the format of DocRED, or an invented world.

pub mod docred;
mod json_array;
pub mod synthetic;
