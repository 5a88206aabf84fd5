-- The catalog, version 1. Times are unix milliseconds. Texts that a peer sent are kept octet for octet, as blobs.
-- *_key: an Identification Code in upper case, because stations compare without case.

CREATE TABLE outbound (
    id                INTEGER PRIMARY KEY AUTOINCREMENT,
    partner           TEXT NOT NULL,
    dataset_name      BLOB NOT NULL CHECK (length(dataset_name) = 26),
    date              TEXT NOT NULL CHECK (length(date) = 8),   -- CCYYMMDD
    time              TEXT NOT NULL CHECK (length(time) = 10),  -- HHMMSScccc
    destination       BLOB NOT NULL CHECK (length(destination) = 25),
    originator        BLOB NOT NULL CHECK (length(originator) = 25),
    user              BLOB NOT NULL CHECK (length(user) = 8),
    format            INTEGER NOT NULL CHECK (format BETWEEN 0 AND 255),
    record_size       INTEGER NOT NULL CHECK (record_size >= 0),
    source            BLOB NOT NULL,
    source_bytes      INTEGER NOT NULL CHECK (source_bytes >= 0),
    source_mtime_ns   INTEGER NOT NULL,
    source_inode      INTEGER NOT NULL,                         -- 64 bits, read as unsigned
    source_device     INTEGER NOT NULL,                         -- 64 bits, read as unsigned
    after_delivery    TEXT NOT NULL CHECK (after_delivery IN ('keep', 'delete-source')),
    description       BLOB NOT NULL,
    original_name     TEXT NOT NULL,
    state             TEXT NOT NULL CHECK (state IN ('queued', 'sending', 'sent', 'delivered', 'rejected',
                                                     'refused', 'failed', 'cancelled', 'held')),
    detail            TEXT NOT NULL DEFAULT '',
    position_bytes    INTEGER NOT NULL DEFAULT 0 CHECK (position_bytes >= 0),
    attempts          INTEGER NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    not_before_ms     INTEGER NOT NULL,
    first_offered_ms  INTEGER,                                  -- when it first became 'sending'
    created_ms        INTEGER NOT NULL,
    changed_ms        INTEGER NOT NULL,
    UNIQUE (partner, dataset_name, date, time)
) STRICT;

CREATE INDEX outbound_by_state ON outbound (state, partner);
CREATE INDEX outbound_by_due ON outbound (state, not_before_ms);
CREATE INDEX outbound_by_source ON outbound (source);
CREATE INDEX outbound_by_change ON outbound (changed_ms);

CREATE TABLE inbound (
    id                INTEGER PRIMARY KEY AUTOINCREMENT,
    partner           TEXT NOT NULL,
    dataset_name      BLOB NOT NULL CHECK (length(dataset_name) = 26),
    date              TEXT NOT NULL CHECK (length(date) = 8),
    time              TEXT NOT NULL CHECK (length(time) = 10),
    destination       BLOB NOT NULL CHECK (length(destination) = 25),
    originator        BLOB NOT NULL CHECK (length(originator) = 25),
    destination_key   BLOB NOT NULL CHECK (length(destination_key) = 25),
    originator_key    BLOB NOT NULL CHECK (length(originator_key) = 25),
    user              BLOB NOT NULL CHECK (length(user) = 8),
    format            INTEGER NOT NULL CHECK (format BETWEEN 0 AND 255),
    record_size       INTEGER NOT NULL CHECK (record_size >= 0),
    announced_blocks  INTEGER NOT NULL CHECK (announced_blocks >= 0),
    description       BLOB NOT NULL,
    part_name         TEXT NOT NULL,
    state             TEXT NOT NULL CHECK (state IN ('receiving', 'landing', 'received', 'failed')),
    detail            TEXT NOT NULL DEFAULT '',
    final_path        TEXT,
    octets            INTEGER NOT NULL DEFAULT 0 CHECK (octets >= 0),
    records           INTEGER NOT NULL DEFAULT 0 CHECK (records >= 0),
    digest            TEXT,
    created_ms        INTEGER NOT NULL,
    changed_ms        INTEGER NOT NULL,
    UNIQUE (partner, dataset_name, date, time, originator_key, destination_key)
) STRICT;

CREATE INDEX inbound_by_state ON inbound (state);
CREATE INDEX inbound_by_change ON inbound (changed_ms);

-- EERP and NERP that we owe. 'withdrawn': the peer offered the file again before a NERP could be sent.
CREATE TABLE receipt_owed (
    id                INTEGER PRIMARY KEY AUTOINCREMENT,
    inbound_id        INTEGER NOT NULL REFERENCES inbound (id),
    partner           TEXT NOT NULL,
    kind              TEXT NOT NULL CHECK (kind IN ('EERP', 'NERP')),
    creator           BLOB CHECK (length(creator) = 25),
    reason            INTEGER CHECK (reason BETWEEN 0 AND 99),
    reason_text       BLOB,
    hash              BLOB NOT NULL,
    signature         BLOB NOT NULL,
    state             TEXT NOT NULL CHECK (state IN ('owed', 'sent', 'withdrawn')),
    created_ms        INTEGER NOT NULL,
    sent_ms           INTEGER,
    CHECK ((kind = 'NERP') = (creator IS NOT NULL AND reason IS NOT NULL AND reason_text IS NOT NULL)),
    CHECK ((state = 'sent') = (sent_ms IS NOT NULL))
) STRICT;

CREATE INDEX receipt_owed_by_state ON receipt_owed (state, partner);
CREATE INDEX receipt_owed_by_inbound ON receipt_owed (inbound_id);

-- EERP and NERP that came: the proof of delivery, at most one a file.
CREATE TABLE receipt_arrived (
    id                INTEGER PRIMARY KEY AUTOINCREMENT,
    outbound_id       INTEGER NOT NULL UNIQUE REFERENCES outbound (id),
    kind              TEXT NOT NULL CHECK (kind IN ('EERP', 'NERP')),
    creator           BLOB CHECK (length(creator) = 25),
    reason            INTEGER CHECK (reason BETWEEN 0 AND 99),
    reason_text       BLOB,
    hash              BLOB NOT NULL,
    signature         BLOB NOT NULL,
    arrived_ms        INTEGER NOT NULL,
    CHECK ((kind = 'NERP') = (creator IS NOT NULL AND reason IS NOT NULL AND reason_text IS NOT NULL))
) STRICT;

-- The story of each transfer, line by line.
CREATE TABLE event (
    id                INTEGER PRIMARY KEY AUTOINCREMENT,
    outbound_id       INTEGER REFERENCES outbound (id),
    inbound_id        INTEGER REFERENCES inbound (id),
    at_ms             INTEGER NOT NULL,
    text              TEXT NOT NULL,
    CHECK ((outbound_id IS NULL) <> (inbound_id IS NULL))
) STRICT;

CREATE INDEX event_by_outbound ON event (outbound_id) WHERE outbound_id IS NOT NULL;
CREATE INDEX event_by_inbound ON event (inbound_id) WHERE inbound_id IS NOT NULL;
