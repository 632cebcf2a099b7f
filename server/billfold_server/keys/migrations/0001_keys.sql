-- Keys of epochs, wrapped by the tenant's key, which lies in the backend. The newest wraps new keys; one whose backend
-- was lost for good never opens again.
CREATE TABLE key_epochs (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    domain text NOT NULL CHECK (domain IN ('data', 'cards')),
    number integer NOT NULL CHECK (number > 0),
    backend text NOT NULL CHECK (backend IN ('local', 'vault')),
    key_version integer NOT NULL CHECK (key_version > 0),
    wrapped bytea NOT NULL,
    created_at timestamptz NOT NULL,
    lost_at timestamptz,
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, domain, number)
);

-- A subject's keys, wrapped by an epoch's. Per domain one is current, and seals; former generations open what they have
-- sealed. Of a forgotten subject the rows stay, without the keys: the current one is in the way of a new key.
CREATE TABLE subject_keys (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    domain text NOT NULL CHECK (domain IN ('data', 'cards')),
    subject_id uuid NOT NULL,
    generation integer NOT NULL CHECK (generation > 0),
    current boolean NOT NULL,
    epoch_id uuid,
    wrapped bytea,
    seals_reserved bigint NOT NULL CHECK (seals_reserved BETWEEN 0 AND 2147483648),
    created_at timestamptz NOT NULL,
    forgotten_at timestamptz,
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, domain, subject_id, generation),
    FOREIGN KEY (tenant_id, epoch_id) REFERENCES key_epochs (tenant_id, id),
    CHECK ((wrapped IS NULL) = (forgotten_at IS NOT NULL)),
    CHECK ((wrapped IS NULL) = (epoch_id IS NULL))
);
CREATE UNIQUE INDEX subject_keys_current ON subject_keys (tenant_id, domain, subject_id) WHERE current;
CREATE INDEX subject_keys_by_epoch ON subject_keys (tenant_id, epoch_id, id) WHERE epoch_id IS NOT NULL;

-- Keys of fingerprints, one series per purpose. The newest makes what is stored; older ones are for looking up.
CREATE TABLE purpose_keys (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    domain text NOT NULL CHECK (domain IN ('data', 'cards')),
    purpose text NOT NULL,
    version integer NOT NULL CHECK (version > 0),
    epoch_id uuid NOT NULL,
    wrapped bytea NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, domain, purpose, version),
    FOREIGN KEY (tenant_id, epoch_id) REFERENCES key_epochs (tenant_id, id)
);

-- Who was forgotten, when, and for what reason. The keys themselves are gone from subject_keys.
CREATE TABLE forgotten_subjects (
    tenant_id uuid NOT NULL,
    subject_id uuid NOT NULL,
    forgotten_at timestamptz NOT NULL,
    reason text NOT NULL,
    keys integer NOT NULL,
    PRIMARY KEY (tenant_id, subject_id)
);

-- What every process is to drop from its cache: a subject's keys, or, without a subject, all of a tenant's. Numbers are
-- given under the head's row lock, so they come in the order of commits, and nobody who has read up to one misses any.
CREATE TABLE evictions (
    number bigint PRIMARY KEY,
    tenant_id uuid NOT NULL,
    subject_id uuid,
    made_at timestamptz NOT NULL
);
CREATE TABLE eviction_head (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    number bigint NOT NULL
);
INSERT INTO eviction_head (number) VALUES (0);

-- The random half of what the local backend derives tenants' keys from; the other half is the keyring's secret.
CREATE TABLE local_tenant_keys (
    tenant_id uuid NOT NULL,
    domain text NOT NULL CHECK (domain IN ('data', 'cards')),
    version integer NOT NULL CHECK (version > 0),
    salt bytea NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, domain, version)
);
