//! What can go wrong with the database.

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Locked, absent, full or broken. Nothing was changed, or it is not known whether it was;
    /// trying again is safe.
    #[error("the database cannot be used now: {0}")]
    Away(sqlx::Error),
    #[error("the search took too long and was stopped")]
    TooLong,
    #[error("the database has a form this version does not know: {0}")]
    Form(#[from] sqlx::migrate::MigrateError),
    #[error("a record cannot be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
    #[error("the cursor is not one of ours")]
    BadCursor,
}

impl From<sqlx::Error> for StoreError {
    fn from(it: sqlx::Error) -> Self {
        let code = it.as_database_error().and_then(sqlx::error::DatabaseError::code);
        if code.is_some_and(|it| it == INTERRUPTED) { Self::TooLong } else { Self::Away(it) }
    }
}

/// `SQLITE_INTERRUPT`: somebody stopped the statement, and only who limits its time does.
const INTERRUPTED: &str = "9";

impl StoreError {
    pub const fn is_retryable(&self) -> bool {
        match self {
            Self::Away(_) | Self::Form(_) => true,
            Self::TooLong | Self::Json(_) | Self::BadCursor => false,
        }
    }
}
