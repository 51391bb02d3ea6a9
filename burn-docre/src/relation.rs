//! Relations: their ids, class indices and names.
