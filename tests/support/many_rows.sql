-- {rows} rows for each table that grows, as long as those of the service; see `many_rows.py`.
-- The rows come in the order of the tables, so foreign keys need no check.
SET LOCAL session_replication_role = replica;
SET LOCAL synchronous_commit = off;
SET LOCAL work_mem = '64MB';
CREATE FUNCTION pg_temp.uuid_of(kind text, n bigint) RETURNS uuid IMMUTABLE LANGUAGE sql
AS $$ SELECT md5(kind || n)::uuid $$;
CREATE FUNCTION pg_temp.hash_of(kind text, n bigint) RETURNS text IMMUTABLE LANGUAGE sql
AS $$ SELECT md5(kind || n) || md5(n || kind) $$;
CREATE FUNCTION pg_temp.bytes_of(kind text, n bigint) RETURNS bytea IMMUTABLE LANGUAGE sql
AS $$ SELECT decode(md5(kind || n) || md5(n || kind), 'hex') $$;
CREATE FUNCTION pg_temp.key_of(kind text, n bigint) RETURNS text IMMUTABLE LANGUAGE sql
AS $$ SELECT 'raw/T/2026/03/01/' || md5(kind || n % 1000)::uuid || '_20260301_120000_' || md5(kind || n) || md5(n || kind) || '.avro' $$;
-- As UUIDs of version 7: they begin with the time.
CREATE FUNCTION pg_temp.upload_id(kind text, n bigint) RETURNS uuid IMMUTABLE LANGUAGE sql
AS $$ SELECT (lpad(to_hex(1772366400000 + n * 1000), 12, '0') || '7' || substr(md5(kind || n), 1, 3) || '8' || substr(md5(kind || n), 4, 15))::uuid $$;
INSERT INTO account (id, email, hashed_password, is_active, is_superuser, is_verified, created_at, updated_at)
SELECT pg_temp.uuid_of('a', n), n || '@clinic.example', '$argon2id$v=19$m=65536,t=3,p=4$' || rpad('', 66, 'x'), true, false, true, now(), now()
FROM generate_series(1, {rows}) n;
INSERT INTO login_session (id, account_id, created_at)
SELECT pg_temp.uuid_of('s', n), pg_temp.uuid_of('a', n), now()
FROM generate_series(1, {rows}) n;
INSERT INTO refresh_token (token_hash, session_id, expires_at, used_at, child_salt)
SELECT pg_temp.hash_of('t', n), pg_temp.uuid_of('s', n), '2026-03-31 12:00+00'::timestamptz + n * interval '1 second', now(),
  pg_temp.bytes_of('t', n)
FROM generate_series(1, {rows}) n;
INSERT INTO mail_token (token_hash, account_id, purpose, expires_at)
SELECT pg_temp.hash_of('m', n), pg_temp.uuid_of('a', n), 'reset-password', '2026-03-31 12:00+00'::timestamptz + n * interval '1 second'
FROM generate_series(1, {rows}) n;
INSERT INTO mail_request (email, purpose, created_at, due_at, attempts)
SELECT n || '@clinic.example', 'reset-password', '2026-03-01 12:00+00', '2026-03-31 12:00+00'::timestamptz + n * interval '1 second', 0
FROM generate_series(1, {rows}) n;
INSERT INTO upload (id, owner_id, state, object_key, correlation_id, record_type, record_count, file_size_bytes,
  file_hash, schema_name, schema_fingerprint, received_at, stored_at, announced_at, erasure_hash)
SELECT pg_temp.upload_id('u', n), pg_temp.uuid_of('a', n % 1000), 'announced', pg_temp.key_of('u', n), pg_temp.uuid_of('c', n), 'T', 300, 20000,
  pg_temp.hash_of('h', n), 'clinic.records.T', pg_temp.hash_of('f', 1), '2026-03-01 12:00+00'::timestamptz + n * interval '1 second', now(),
  now(), pg_temp.bytes_of('x', n)
FROM generate_series(1, {rows} / 2) n;
INSERT INTO idempotency_key (owner_id, key, upload_id, created_at)
SELECT pg_temp.uuid_of('a', n % 1000), pg_temp.uuid_of('k', n), pg_temp.upload_id('u', n % ({rows} / 2) + 1),
  '2026-03-01 12:00+00'::timestamptz + n * interval '1 second'
FROM generate_series(1, {rows}) n;
INSERT INTO outbox (id, upload_id, routing_key, body, headers, created_at, attempts, due_at, deferral_reason)
SELECT pg_temp.uuid_of('o', n), pg_temp.upload_id('u', n % ({rows} / 2) + 1), 'health.processing.t', rpad('', 760, 'x')::bytea,
  json_build_object('cloudEvents', rpad('', 400, 'x')), '2026-03-01 12:00+00'::timestamptz + n * interval '1 second', 0,
  '2026-03-01 12:00+00'::timestamptz + n * interval '1 second',
  CASE WHEN n % 1000 = 0 THEN 'refused' END
FROM generate_series(1, {rows}) n;
INSERT INTO device_token (id, token_hash, account_id, name, scopes, created_at, expires_at, revoked_at)
SELECT pg_temp.uuid_of('d', n), pg_temp.hash_of('d', n), pg_temp.uuid_of('a', n % 1000 + 1), 'wrist band', 'upload:write', now(),
  '2026-03-31 12:00+00'::timestamptz + n * interval '1 second',
  CASE WHEN n % 10 = 0 THEN '2026-03-31 12:00+00'::timestamptz + n * interval '1 second' END
FROM generate_series(1, {rows} / 2) n;
INSERT INTO study (slug, name, state, enrolment, consent_required, erasure_hold_seconds, created_at)
SELECT 's' || n, 'A study of sleep', 'open', 'Open', false, 0, now()
FROM generate_series(1, {rows}) n;
INSERT INTO study_member (study, account_id, role)
SELECT 's' || n, pg_temp.uuid_of('a', n), 'reader'
FROM generate_series(1, {rows}) n;
INSERT INTO subject (study, pseudonym, id, state, consent_version, consent_given_at, enrolled_at, changed_at)
SELECT 's' || n % 100 + 1, 'p' || n, pg_temp.uuid_of('p', n), 'active', 'v1', now(), now(), now()
FROM generate_series(1, {rows}) n;
INSERT INTO upload (id, owner_id, state, object_key, correlation_id, record_type, record_count, file_size_bytes,
  file_hash, schema_name, schema_fingerprint, received_at, stored_at, announced_at, study, subject, erasure_hash)
SELECT pg_temp.upload_id('v', n), pg_temp.uuid_of('a', n % 1000), 'announced', pg_temp.key_of('v', n), pg_temp.uuid_of('w', n), 'T', 300, 20000,
  pg_temp.hash_of('v', n), 'clinic.records.T', pg_temp.hash_of('f', 1), '2026-03-01 12:00+00'::timestamptz + n * interval '1 second', now(),
  now(), 's' || n % 100 + 1, 'p' || n % 1000, pg_temp.bytes_of('y', n)
FROM generate_series(1, {rows} / 2) n;
INSERT INTO upload_outcome (upload_id, consumer, state, reason, reported_at, study)
SELECT pg_temp.upload_id('v', n), 'sleep-stages', 'processed', NULL, now(), 's' || n % 100 + 1
FROM generate_series(1, {rows} / 2) n;
INSERT INTO upload_outcome (upload_id, consumer, state, reason, reported_at, study)
SELECT pg_temp.upload_id('u', n), 'sleep-stages', 'failed', 'too-short', now(), 'default'
FROM generate_series(1, {rows} / 2) n;
INSERT INTO device_token (id, token_hash, account_id, name, scopes, created_at, expires_at, study, subject)
SELECT pg_temp.uuid_of('e', n), pg_temp.hash_of('e', n), pg_temp.uuid_of('a', n % 1000 + 1), 'wrist band', 'upload:write', now(),
  '2026-03-31 12:00+00'::timestamptz + n * interval '1 second', 's' || n % 100 + 1, 'p' || n % 1000
FROM generate_series(1, {rows} / 2) n;
INSERT INTO enrolment_code (id, code_hash, study, subject, scopes, created_at, expires_at)
SELECT pg_temp.uuid_of('c', n), pg_temp.hash_of('c', n), 's' || n % 100 + 1, 'p' || n % 1000, 'upload:write', now(),
  '2026-03-31 12:00+00'::timestamptz + n * interval '1 second'
FROM generate_series(1, {rows}) n;
INSERT INTO audit_event (occurred_at, actor, action, outcome, account_id, token_id, object_id, study, subject_hash)
SELECT '2024-03-01 12:00+00'::timestamptz + n * interval '1 second', 'account', 'download', 'done', pg_temp.uuid_of('a', n % 1000),
  pg_temp.uuid_of('d', n % 1000), pg_temp.upload_id('u', n), CASE WHEN n % 2 = 0 THEN 's' || n % 100 END,
  CASE WHEN n % 2 = 0 THEN pg_temp.hash_of('h', n % 1000) END
FROM generate_series(1, {rows}) n;
INSERT INTO audit_link (position, number, hash)
SELECT n, n, pg_temp.hash_of('l', n)
FROM generate_series(1, {rows}) n;
INSERT INTO audit_salt (name, salt)
SELECT 'subject/' || pg_temp.uuid_of('p', n), pg_temp.bytes_of('p', n)
FROM generate_series(1, {rows}) n;
INSERT INTO erasure (id, scope, kind, study, state, requested_at, starts_at, due_at, uploads, versions, withdrawn,
  announced, subjects, certificate)
SELECT pg_temp.uuid_of('e', n), 'upload:' || pg_temp.uuid_of('e', n), 'upload', 's1', CASE WHEN n % 1000 = 0 THEN 'running' ELSE 'done' END,
  now(), now(), '2026-03-31 12:00+00'::timestamptz + n * interval '1 second', 1, 1, 0, 0, 0, rpad('', 1050, 'x')
FROM generate_series(1, {rows}) n;
INSERT INTO tombstone (id, kind, study, erasure_id, erased_at, upload_hash, key_hash, object_key)
SELECT pg_temp.upload_id('t', n), 'upload', 's1', pg_temp.uuid_of('e', n), now(), pg_temp.bytes_of('x', n),
  pg_temp.bytes_of('k', n), CASE WHEN n % 1000 = 0 THEN pg_temp.key_of('t', n) END
FROM generate_series(1, {rows}) n;
INSERT INTO erasure_document (name, erasure_id)
SELECT 'erasures/' || pg_temp.uuid_of('e', n) || '/' || md5('n' || n) || '.json', pg_temp.uuid_of('e', n)
FROM generate_series(1, {rows}) n;
INSERT INTO resumable_upload (id, owner_id, study, subject, size_bytes, client_metadata, state, received_bytes, writer, due_at, upload_id)
SELECT pg_temp.uuid_of('r', n), pg_temp.uuid_of('a', n % 1000), CASE WHEN n % 2 = 0 THEN 's' || n % 100 + 1 ELSE 'default' END,
  CASE WHEN n % 2 = 0 THEN 'p' || n % 1000 ELSE '' END, 10000000, 'filename bmlnaHQuYXZybw==', CASE WHEN n % 3 = 0 THEN 'finished' ELSE 'receiving' END, 8388608, 1,
  '2026-03-31 12:00+00'::timestamptz + n * interval '1 second', CASE WHEN n % 3 = 0 THEN pg_temp.upload_id('u', n) END
FROM generate_series(1, {rows}) n;
INSERT INTO upload_part (object_key, resumable_id, first_byte, size_bytes)
SELECT 'parts/' || pg_temp.uuid_of('r', n) || '/1-0', pg_temp.uuid_of('r', n), 0, 8388608
FROM generate_series(1, {rows}) n;
