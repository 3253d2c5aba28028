-- Outside any namespace the column is empty; otherwise it is an equals sign and the namespace.
-- Texts cannot hold U+0000 here: in namespace and account it is \0, and a backslash is \\.
CREATE TABLE IF NOT EXISTS {table} (
    namespace text COLLATE "C" NOT NULL,
    kind text COLLATE "C" NOT NULL,
    account text COLLATE "C" NOT NULL,
    revision text COLLATE "C" NOT NULL,
    record bytea NOT NULL,
    PRIMARY KEY (namespace, kind, account)
);
