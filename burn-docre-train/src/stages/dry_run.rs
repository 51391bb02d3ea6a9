//! `docre train --dry-run`: what a stage will cost, from a few real batches.
