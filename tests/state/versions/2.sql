BEGIN TRANSACTION;
CREATE TABLE events (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL,
    namespace TEXT NOT NULL,
    name TEXT NOT NULL,
    uid TEXT NOT NULL,
    type TEXT NOT NULL,
    reason TEXT NOT NULL,
    message TEXT NOT NULL,
    count INTEGER NOT NULL,
    first REAL NOT NULL,
    last REAL NOT NULL
) STRICT;
INSERT INTO "events" VALUES(1,'VirtualMachine','default','linux-vm','211971e1-7c17-4270-bc66-6e3f18dd3a90','Normal','Started','Started by its policy',2,1000000000.0,1000000000.0);
CREATE TABLE journal (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    uid TEXT NOT NULL,
    step TEXT NOT NULL,
    detail TEXT NOT NULL,
    begun REAL NOT NULL
) STRICT;
INSERT INTO "journal" VALUES(1,'211971e1-7c17-4270-bc66-6e3f18dd3a90','start','{}',1000000000.0);
CREATE TABLE layers (
    id TEXT PRIMARY KEY,
    storage_class TEXT NOT NULL,
    backing TEXT,
    owner TEXT,
    purpose TEXT NOT NULL,
    size INTEGER NOT NULL,
    created REAL NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO "layers" VALUES('a','local',NULL,'i','image',1,1.0);
INSERT INTO "layers" VALUES('b','local','a','d','disk',1,2.0);
CREATE TABLE meta (name TEXT PRIMARY KEY, value ANY NOT NULL) STRICT, WITHOUT ROWID;
INSERT INTO "meta" VALUES('hash_key','0393838c0995cb1255d1313eb3c297300efc54b0a425f5b754c61c002fc3216b');
INSERT INTO "meta" VALUES('host_uri','qemu:///system');
INSERT INTO "meta" VALUES('host_uuid','uuid-1');
INSERT INTO "meta" VALUES('installation','f2f58d96-eac1-4f2e-9863-bc753693d769');
INSERT INTO "meta" VALUES('resource_version',2);
CREATE TABLE notes (
    uid TEXT NOT NULL,
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (uid, name)
) STRICT, WITHOUT ROWID;
INSERT INTO "notes" VALUES('211971e1-7c17-4270-bc66-6e3f18dd3a90','power','off');
CREATE TABLE objects (
    uid TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    namespace TEXT NOT NULL,
    name TEXT NOT NULL,
    generation INTEGER NOT NULL,
    resource_version INTEGER NOT NULL,
    document TEXT NOT NULL,
    status TEXT NOT NULL,
    created REAL NOT NULL,
    deleted REAL,
    source TEXT NOT NULL,
    file TEXT NOT NULL,
    line INTEGER NOT NULL,
    applied TEXT NOT NULL
) STRICT;
INSERT INTO "objects" VALUES('211971e1-7c17-4270-bc66-6e3f18dd3a90','VirtualMachine','default','linux-vm',1,2,'{"apiVersion":"virtualization.deckhouse.io/v1alpha2","kind":"VirtualMachine","metadata":{"labels":{"app":"nginx"},"name":"linux-vm","namespace":"default"},"spec":{"cpu":{"cores":1}}}','{"phase":"Running"}',1000000000.0,NULL,'one','/srv/one/vm.yaml',3,'{"labels":{"app":"nginx"}}');
CREATE TABLE once (
    source TEXT NOT NULL,
    kind TEXT NOT NULL,
    namespace TEXT NOT NULL,
    name TEXT NOT NULL,
    digest TEXT NOT NULL,
    PRIMARY KEY (source, kind, namespace, name)
) STRICT, WITHOUT ROWID;
INSERT INTO "once" VALUES('one','VirtualMachine','default','linux-vm','digest');
CREATE TABLE settled (uid TEXT PRIMARY KEY, digest TEXT NOT NULL) STRICT, WITHOUT ROWID;
INSERT INTO "settled" VALUES('211971e1-7c17-4270-bc66-6e3f18dd3a90','digest');
CREATE TABLE sources (
    id TEXT PRIMARY KEY,
    directory TEXT NOT NULL,
    revision TEXT NOT NULL,
    seen REAL NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO "sources" VALUES('one','/srv/one','c0ffee',1000000000.0);
CREATE UNIQUE INDEX objects_by_key ON objects (kind, namespace, name);
CREATE INDEX objects_by_source ON objects (source) WHERE source <> '';
CREATE UNIQUE INDEX events_by_text ON events (kind, namespace, name, uid, type, reason, message);
CREATE INDEX events_by_age ON events (last);
CREATE INDEX journal_by_uid ON journal (uid);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('journal',1);
INSERT INTO "sqlite_sequence" VALUES('events',1);
COMMIT;
