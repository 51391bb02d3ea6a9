//! What goes wrong on threads that cannot return an error.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;

/// The first thing that went wrong on one of Burn's threads, which can only log it.
#[derive(Clone, Debug, Default)]
pub struct Failure(Arc<Mutex<Option<String>>>);

impl Failure {
    /// Keeps `message`, unless something went wrong before.
    pub fn set(&self, message: String) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(message);
    }

    /// An error if something went wrong.
    pub fn check(&self) -> Result<()> {
        match &*self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(message) => Err(anyhow::anyhow!("{message}")),
            None => Ok(()),
        }
    }
}
