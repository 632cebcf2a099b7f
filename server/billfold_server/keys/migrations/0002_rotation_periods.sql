-- After how many days each tenant's keys are replaced, where its manifest says so. It stands here because the decryptor,
-- which replaces the keys of cards, reads nothing else.
CREATE TABLE rotation_periods (
    tenant_id uuid PRIMARY KEY,
    days integer NOT NULL CHECK (days BETWEEN 1 AND 730)
);
