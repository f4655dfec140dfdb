-- 黑名单 and VIP. Times are milliseconds since 1970-01-01T00:00:00Z, flags are 0 or 1. The text is
-- valid for SQLite and for PostgreSQL.

CREATE TABLE list_entries (
    id BIGINT NOT NULL PRIMARY KEY,
    -- blacklist or vip
    list TEXT NOT NULL,
    -- GB/T 2260; empty: everywhere.
    city TEXT NOT NULL,
    number TEXT NOT NULL,
    is_prefix BIGINT NOT NULL,
    action TEXT NOT NULL,
    priority BIGINT,
    skill_group TEXT,
    reason TEXT NOT NULL,
    expires_at BIGINT,
    -- draft, approved or removed
    state TEXT NOT NULL,
    drafted_at BIGINT NOT NULL,
    drafted_by TEXT NOT NULL,
    approved_at BIGINT,
    approved_by TEXT
);
CREATE INDEX list_entries_by_number ON list_entries (list, number);
CREATE INDEX list_entries_by_state ON list_entries (state, id);

-- One row a call and entry, so that a record that is loaded again counts once.
CREATE TABLE list_hits (
    call_id BIGINT NOT NULL,
    entry_id BIGINT NOT NULL,
    hit_at BIGINT NOT NULL,
    PRIMARY KEY (call_id, entry_id)
);
CREATE INDEX list_hits_by_entry ON list_hits (entry_id, hit_at);

-- Who did what to an entry, for as long as the database lives.
CREATE TABLE list_audit (
    entry_id BIGINT NOT NULL,
    idx BIGINT NOT NULL,
    happened_at BIGINT NOT NULL,
    who TEXT NOT NULL,
    -- drafted, changed, approved or removed
    what TEXT NOT NULL,
    -- The entry's reason and expiry as they were then; never its number.
    detail TEXT NOT NULL,
    PRIMARY KEY (entry_id, idx)
);
