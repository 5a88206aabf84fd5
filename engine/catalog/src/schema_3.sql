-- From version 2 to version 3: how far a file got that was interrupted.

-- fruitless: attempts in a row that moved nothing. total_bytes: of the transmitted stream in all, as far as known.
ALTER TABLE outbound ADD COLUMN fruitless INTEGER NOT NULL DEFAULT 0 CHECK (fruitless >= 0);
ALTER TABLE outbound ADD COLUMN total_bytes INTEGER CHECK (total_bytes >= 0);

-- position_bytes: of the transmitted stream that are safely here.
ALTER TABLE inbound ADD COLUMN position_bytes INTEGER NOT NULL DEFAULT 0 CHECK (position_bytes >= 0);
