//! Errors on threads that cannot return them.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;

/// A shared slot for the first error on one of Burn's threads, which can only log errors.
#[derive(Clone, Debug, Default)]
pub struct Failure(Arc<Mutex<Option<anyhow::Error>>>);

impl Failure {
    /// Stores `error` unless the slot holds an earlier one.
    pub fn set(&self, error: anyhow::Error) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
    }

    /// Takes the error out of the slot and returns it.
    ///
    /// # Errors
    /// If the slot holds an error.
    pub fn check(&self) -> Result<()> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take().map_or(Ok(()), Err)
    }
}
