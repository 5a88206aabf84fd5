-- From version 1 to version 2: the services of each file, and every receipt that came, with what proves it.
--
-- SQLite cannot change the constraints of a table: it is made anew, filled, and takes the old name. References go by
-- name and hold; they are not enforced meanwhile, and checked before the commit. Rows of these tables are never
-- deleted, so the numbers go on where they were.

-- security, suite, compression, signed_receipt: what is wanted for this file, fixed when it is queued.
-- transmitted_*: the stream that went out, as a receipt tells of it; an empty hash was not computed.
CREATE TABLE outbound_2 (
    id                 INTEGER PRIMARY KEY AUTOINCREMENT,
    partner            TEXT NOT NULL,
    dataset_name       BLOB NOT NULL CHECK (length(dataset_name) = 26),
    date               TEXT NOT NULL CHECK (length(date) = 8),   -- CCYYMMDD
    time               TEXT NOT NULL CHECK (length(time) = 10),  -- HHMMSScccc
    destination        BLOB NOT NULL CHECK (length(destination) = 25),
    originator         BLOB NOT NULL CHECK (length(originator) = 25),
    user               BLOB NOT NULL CHECK (length(user) = 8),
    format             INTEGER NOT NULL CHECK (format BETWEEN 0 AND 255),
    record_size        INTEGER NOT NULL CHECK (record_size >= 0),
    source             BLOB NOT NULL,
    source_bytes       INTEGER NOT NULL CHECK (source_bytes >= 0),
    source_mtime_ns    INTEGER NOT NULL,
    source_inode       INTEGER NOT NULL,                         -- 64 bits, read as unsigned
    source_device      INTEGER NOT NULL,                         -- 64 bits, read as unsigned
    after_delivery     TEXT NOT NULL CHECK (after_delivery IN ('keep', 'delete-source')),
    description        BLOB NOT NULL,
    original_name      TEXT NOT NULL,
    state              TEXT NOT NULL CHECK (state IN ('queued', 'sending', 'sent', 'unproven', 'delivered',
                                                      'rejected', 'refused', 'failed', 'cancelled', 'held')),
    detail             TEXT NOT NULL DEFAULT '',
    position_bytes     INTEGER NOT NULL DEFAULT 0 CHECK (position_bytes >= 0),
    attempts           INTEGER NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    not_before_ms      INTEGER NOT NULL,
    first_offered_ms   INTEGER,                                  -- when it first became 'sending'
    created_ms         INTEGER NOT NULL,
    changed_ms         INTEGER NOT NULL,
    security           INTEGER NOT NULL CHECK (security BETWEEN 0 AND 3),
    suite              INTEGER NOT NULL CHECK (suite BETWEEN 0 AND 99),
    compression        INTEGER NOT NULL CHECK (compression BETWEEN 0 AND 1),
    signed_receipt     INTEGER NOT NULL CHECK (signed_receipt BETWEEN 0 AND 1),
    transmitted_octets INTEGER CHECK (transmitted_octets >= 0),
    transmitted_hash   BLOB,
    UNIQUE (partner, dataset_name, date, time),
    CHECK ((transmitted_octets IS NULL) = (transmitted_hash IS NULL))
) STRICT;

INSERT INTO outbound_2 SELECT *, 0, 0, 0, 0, NULL, NULL FROM outbound;
DROP TABLE outbound;
ALTER TABLE outbound_2 RENAME TO outbound;

CREATE INDEX outbound_by_state ON outbound (state, partner);
CREATE INDEX outbound_by_due ON outbound (state, not_before_ms);
CREATE INDEX outbound_by_source ON outbound (source);
CREATE INDEX outbound_by_change ON outbound (changed_ms);

-- security, suite, compression, signed_receipt: as announced. transmitted_*: the stream as it came, before it was
-- decrypted, decompressed and verified. signer: who signed the content.
CREATE TABLE inbound_2 (
    id                 INTEGER PRIMARY KEY AUTOINCREMENT,
    partner            TEXT NOT NULL,
    dataset_name       BLOB NOT NULL CHECK (length(dataset_name) = 26),
    date               TEXT NOT NULL CHECK (length(date) = 8),
    time               TEXT NOT NULL CHECK (length(time) = 10),
    destination        BLOB NOT NULL CHECK (length(destination) = 25),
    originator         BLOB NOT NULL CHECK (length(originator) = 25),
    destination_key    BLOB NOT NULL CHECK (length(destination_key) = 25),
    originator_key     BLOB NOT NULL CHECK (length(originator_key) = 25),
    user               BLOB NOT NULL CHECK (length(user) = 8),
    format             INTEGER NOT NULL CHECK (format BETWEEN 0 AND 255),
    record_size        INTEGER NOT NULL CHECK (record_size >= 0),
    announced_blocks   INTEGER NOT NULL CHECK (announced_blocks >= 0),
    description        BLOB NOT NULL,
    part_name          TEXT NOT NULL,
    state              TEXT NOT NULL CHECK (state IN ('receiving', 'landing', 'received', 'failed')),
    detail             TEXT NOT NULL DEFAULT '',
    final_path         TEXT,
    octets             INTEGER NOT NULL DEFAULT 0 CHECK (octets >= 0),
    records            INTEGER NOT NULL DEFAULT 0 CHECK (records >= 0),
    digest             TEXT,
    created_ms         INTEGER NOT NULL,
    changed_ms         INTEGER NOT NULL,
    security           INTEGER NOT NULL CHECK (security BETWEEN 0 AND 3),
    suite              INTEGER NOT NULL CHECK (suite BETWEEN 0 AND 99),
    compression        INTEGER NOT NULL CHECK (compression BETWEEN 0 AND 1),
    signed_receipt     INTEGER NOT NULL CHECK (signed_receipt BETWEEN 0 AND 1),
    transmitted_octets INTEGER CHECK (transmitted_octets >= 0),
    transmitted_hash   BLOB,
    signer             TEXT,
    UNIQUE (partner, dataset_name, date, time, originator_key, destination_key),
    CHECK ((transmitted_octets IS NULL) = (transmitted_hash IS NULL))
) STRICT;

INSERT INTO inbound_2 SELECT *, 0, 0, 0, 0, NULL, NULL, NULL FROM inbound;
DROP TABLE inbound;
ALTER TABLE inbound_2 RENAME TO inbound;

CREATE INDEX inbound_by_state ON inbound (state);
CREATE INDEX inbound_by_change ON inbound (changed_ms);

-- EERP and NERP that we owe. 'withdrawn': the peer offered the file again before a NERP could be sent.
-- dataset_name to user: of the file, as they were when this was owed: a file that comes again may be written in
-- other case, and what was signed must stay verifiable.
CREATE TABLE receipt_owed_2 (
    id                 INTEGER PRIMARY KEY AUTOINCREMENT,
    inbound_id         INTEGER NOT NULL REFERENCES inbound (id),
    partner            TEXT NOT NULL,
    dataset_name       BLOB NOT NULL CHECK (length(dataset_name) = 26),
    date               TEXT NOT NULL CHECK (length(date) = 8),
    time               TEXT NOT NULL CHECK (length(time) = 10),
    destination        BLOB NOT NULL CHECK (length(destination) = 25),
    originator         BLOB NOT NULL CHECK (length(originator) = 25),
    user               BLOB NOT NULL CHECK (length(user) = 8),
    kind               TEXT NOT NULL CHECK (kind IN ('EERP', 'NERP')),
    creator            BLOB CHECK (length(creator) = 25),
    reason             INTEGER CHECK (reason BETWEEN 0 AND 99),
    reason_text        BLOB,
    hash               BLOB NOT NULL,
    signature          BLOB NOT NULL,
    state              TEXT NOT NULL CHECK (state IN ('owed', 'sent', 'withdrawn')),
    created_ms         INTEGER NOT NULL,
    sent_ms            INTEGER,
    CHECK ((kind = 'NERP') = (creator IS NOT NULL AND reason IS NOT NULL AND reason_text IS NOT NULL)),
    CHECK ((state = 'sent') = (sent_ms IS NOT NULL))
) STRICT;

INSERT INTO receipt_owed_2
SELECT receipt_owed.id, inbound_id, receipt_owed.partner, dataset_name, date, time, destination, originator, user,
    kind, creator, reason, reason_text, hash, signature, receipt_owed.state, receipt_owed.created_ms, sent_ms
FROM receipt_owed JOIN inbound ON inbound.id = inbound_id
ORDER BY receipt_owed.id;
DROP TABLE receipt_owed;
ALTER TABLE receipt_owed_2 RENAME TO receipt_owed;

CREATE INDEX receipt_owed_by_state ON receipt_owed (state, partner);
CREATE INDEX receipt_owed_by_inbound ON receipt_owed (inbound_id);

-- EERP and NERP that came: the proof of delivery, and those that lack it; at most one settles a file.
-- dataset_name to user: as they came in the receipt, named as in outbound; a NERP has no user, here it is blank.
-- Version 1 kept none of these: its rows get those of the file. signer: DER of the certificate that verified it.
CREATE TABLE receipt_arrived_2 (
    id                 INTEGER PRIMARY KEY AUTOINCREMENT,
    outbound_id        INTEGER NOT NULL REFERENCES outbound (id),
    dataset_name       BLOB NOT NULL CHECK (length(dataset_name) = 26),
    date               TEXT NOT NULL CHECK (length(date) = 8),
    time               TEXT NOT NULL CHECK (length(time) = 10),
    destination        BLOB NOT NULL CHECK (length(destination) = 25),
    originator         BLOB NOT NULL CHECK (length(originator) = 25),
    user               BLOB NOT NULL CHECK (length(user) = 8),
    kind               TEXT NOT NULL CHECK (kind IN ('EERP', 'NERP')),
    creator            BLOB CHECK (length(creator) = 25),
    reason             INTEGER CHECK (reason BETWEEN 0 AND 99),
    reason_text        BLOB,
    hash               BLOB NOT NULL,
    signature          BLOB NOT NULL,
    verdict            TEXT NOT NULL CHECK (verdict IN ('not-asked', 'verified', 'unsigned', 'wrong')),
    verdict_text       TEXT NOT NULL,
    signer             BLOB,
    arrived_ms         INTEGER NOT NULL,
    CHECK ((kind = 'NERP') = (creator IS NOT NULL AND reason IS NOT NULL AND reason_text IS NOT NULL)),
    CHECK (verdict = 'wrong' OR verdict_text = '')
) STRICT;

INSERT INTO receipt_arrived_2
SELECT receipt_arrived.id, outbound_id, dataset_name, date, time, destination, originator,
    CASE kind WHEN 'EERP' THEN user ELSE CAST('        ' AS BLOB) END,
    kind, creator, reason, reason_text, hash, signature, 'not-asked', '', NULL, arrived_ms
FROM receipt_arrived JOIN outbound ON outbound.id = outbound_id
ORDER BY receipt_arrived.id;
DROP TABLE receipt_arrived;
ALTER TABLE receipt_arrived_2 RENAME TO receipt_arrived;

CREATE INDEX receipt_arrived_by_outbound ON receipt_arrived (outbound_id);
