-- What other systems are to be told. A row stays for a while after it was sent, so that the same
-- event is never added twice.

CREATE TABLE push_outbox (
    target TEXT NOT NULL,
    -- The idempotency key.
    id TEXT NOT NULL,
    order_key TEXT NOT NULL,
    seq BIGINT NOT NULL,
    kind TEXT NOT NULL,
    -- Empty once it is not needed any more.
    body TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    n_attempts BIGINT NOT NULL,
    next_at BIGINT NOT NULL,
    -- waiting, done or dead
    state TEXT NOT NULL,
    last_error TEXT,
    settled_at BIGINT,
    PRIMARY KEY (target, id)
);
CREATE UNIQUE INDEX push_outbox_by_seq ON push_outbox (seq);
CREATE INDEX push_outbox_due ON push_outbox (target, state, next_at, seq);
CREATE INDEX push_outbox_order ON push_outbox (target, state, order_key, seq);
CREATE INDEX push_outbox_settled ON push_outbox (state, settled_at);

CREATE TABLE dead_letters (
    target TEXT NOT NULL,
    id TEXT NOT NULL,
    died_at BIGINT NOT NULL,
    seq BIGINT NOT NULL,
    kind TEXT NOT NULL,
    body TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    n_attempts BIGINT NOT NULL,
    why TEXT NOT NULL,
    PRIMARY KEY (target, id)
);
CREATE INDEX dead_letters_by_time ON dead_letters (died_at, seq);
