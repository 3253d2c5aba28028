-- Outside any namespace the column is empty; otherwise it is an equals sign and the namespace.
CREATE TABLE IF NOT EXISTS {table} (
    namespace TEXT NOT NULL,
    kind TEXT NOT NULL,
    account TEXT NOT NULL,
    revision TEXT NOT NULL,
    record TEXT NOT NULL,
    PRIMARY KEY (namespace, kind, account)
) STRICT;
