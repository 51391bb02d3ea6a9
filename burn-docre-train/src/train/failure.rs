//! Errors of threads that cannot return them.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;

/// The first error on one of Burn's threads, which can only log it.
#[derive(Clone, Debug, Default)]
pub struct Failure(Arc<Mutex<Option<anyhow::Error>>>);

impl Failure {
    /// Keeps `error`, unless an earlier one is kept.
    pub fn set(&self, error: anyhow::Error) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
    }

    /// Returns the kept error, if any.
    ///
    /// # Errors
    /// The kept error, once.
    pub fn check(&self) -> Result<()> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take().map_or(Ok(()), Err)
    }
}
