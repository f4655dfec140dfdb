//! What can go wrong with the database.

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Locked, absent, full or broken. Nothing was changed, or it is not known whether it was;
    /// trying again is safe.
    #[error("the database cannot be used now: {0}")]
    Away(#[from] sqlx::Error),
    #[error("the database has a form this version does not know: {0}")]
    Form(#[from] sqlx::migrate::MigrateError),
    #[error("a record cannot be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
    #[error("the cursor is not one of ours")]
    BadCursor,
}

impl StoreError {
    pub const fn is_retryable(&self) -> bool {
        match self {
            Self::Away(_) | Self::Form(_) => true,
            Self::Json(_) | Self::BadCursor => false,
        }
    }
}
