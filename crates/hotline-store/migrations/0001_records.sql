-- Finished calls and what happened in them. Times are milliseconds since 1970-01-01T00:00:00Z.
-- Flags are 0 or 1. The text is valid for SQLite and for PostgreSQL.

CREATE TABLE calls (
    call_id BIGINT NOT NULL PRIMARY KEY,
    version BIGINT NOT NULL,
    t_in BIGINT NOT NULL,
    t_ans BIGINT,
    t_req BIGINT,
    t_br BIGINT,
    t_rel BIGINT,
    trunk TEXT,
    caller_no TEXT,
    called_no TEXT NOT NULL,
    called_raw TEXT NOT NULL,
    flow TEXT,
    outcome TEXT NOT NULL,
    released_by TEXT,
    reason TEXT,
    duration_ms BIGINT NOT NULL,
    wait_ms BIGINT NOT NULL,
    talk_ms BIGINT NOT NULL,
    -- The whole record without its facts, as it is given out.
    record_json TEXT NOT NULL
);
CREATE INDEX calls_by_time ON calls (t_in, call_id);
CREATE INDEX calls_by_caller ON calls (caller_no, t_in);
CREATE INDEX calls_by_called ON calls (called_no, t_in);

-- One row a visit to an agent's device.
CREATE TABLE call_segments (
    call_id BIGINT NOT NULL,
    idx BIGINT NOT NULL,
    agent_no TEXT NOT NULL,
    extension TEXT NOT NULL,
    skill_group TEXT NOT NULL,
    t_off BIGINT NOT NULL,
    t_ring BIGINT,
    t_agent BIGINT,
    t_br BIGINT,
    t_end BIGINT,
    talk_ms BIGINT NOT NULL,
    hold_ms BIGINT NOT NULL,
    n_holds BIGINT NOT NULL,
    recording_id TEXT,
    unanswered TEXT,
    released_by TEXT,
    PRIMARY KEY (call_id, idx)
);
CREATE INDEX call_segments_by_agent ON call_segments (agent_no, t_off);

-- One row a visit to a queue.
CREATE TABLE queue_segments (
    call_id BIGINT NOT NULL,
    idx BIGINT NOT NULL,
    skill_group TEXT NOT NULL,
    priority BIGINT NOT NULL,
    t_q BIGINT NOT NULL,
    t_qx BIGINT,
    wait_ms BIGINT NOT NULL,
    exit_why TEXT,
    PRIMARY KEY (call_id, idx)
);
CREATE INDEX queue_segments_by_group ON queue_segments (skill_group, t_q);

CREATE TABLE call_facts (
    call_id BIGINT NOT NULL,
    idx BIGINT NOT NULL,
    happened_at BIGINT NOT NULL,
    kind TEXT NOT NULL,
    fact_json TEXT NOT NULL,
    PRIMARY KEY (call_id, idx)
);

CREATE TABLE ratings (
    call_id BIGINT NOT NULL,
    idx BIGINT NOT NULL,
    rated_at BIGINT NOT NULL,
    survey TEXT NOT NULL,
    agent_no TEXT NOT NULL,
    skill_group TEXT NOT NULL,
    pressed TEXT NOT NULL,
    rating BIGINT NOT NULL,
    label TEXT NOT NULL,
    satisfied BIGINT NOT NULL,
    recording_id TEXT,
    PRIMARY KEY (call_id, idx)
);
CREATE INDEX ratings_by_agent ON ratings (agent_no, rated_at);

CREATE TABLE recordings (
    recording_id TEXT NOT NULL PRIMARY KEY,
    call_id BIGINT NOT NULL,
    path TEXT NOT NULL,
    agent_no TEXT NOT NULL,
    skill_group TEXT NOT NULL,
    started_at BIGINT NOT NULL,
    sealed BIGINT NOT NULL,
    failed TEXT,
    duration_ms BIGINT NOT NULL,
    bytes BIGINT NOT NULL,
    sha256 TEXT NOT NULL,
    gap_ms BIGINT NOT NULL,
    n_gaps BIGINT NOT NULL
);
CREATE INDEX recordings_by_call ON recordings (call_id);

-- Named by what they say: the same fact read twice is one row.
CREATE TABLE agent_states (
    id TEXT NOT NULL PRIMARY KEY,
    agent_no TEXT NOT NULL,
    changed_at BIGINT NOT NULL,
    extension TEXT,
    state TEXT NOT NULL,
    presence TEXT NOT NULL,
    line TEXT NOT NULL,
    reason BIGINT,
    call_id BIGINT
);
CREATE INDEX agent_states_by_agent ON agent_states (agent_no, changed_at);

-- Where the loader stopped reading the journal; changes in the transaction of what it loaded.
CREATE TABLE journal_cursor (
    consumer TEXT NOT NULL PRIMARY KEY,
    segment BIGINT NOT NULL,
    byte_offset BIGINT NOT NULL
);

-- Items of the journal that this version cannot read, in hexadecimal, so that nothing is lost.
CREATE TABLE unreadable_items (
    segment BIGINT NOT NULL,
    byte_offset BIGINT NOT NULL,
    idx BIGINT NOT NULL,
    kind TEXT NOT NULL,
    payload_hex TEXT NOT NULL,
    PRIMARY KEY (segment, byte_offset, idx)
);
