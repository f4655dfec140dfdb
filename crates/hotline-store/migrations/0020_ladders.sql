-- The signalling of calls that failed or that somebody asked to keep; goes after a configured time.
CREATE TABLE call_ladders (
    call_id BIGINT NOT NULL PRIMARY KEY,
    stored_at BIGINT NOT NULL,
    -- As the engine's ladders are written, in hexadecimal.
    trace_hex TEXT NOT NULL
);
CREATE INDEX call_ladders_by_time ON call_ladders (stored_at);
