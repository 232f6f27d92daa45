-- 100,000 rows for each table that grows; `tests/ports/test_query_plans.py` asks about them.
INSERT INTO account (id, email, hashed_password, is_active, is_superuser, is_verified, created_at, updated_at)
SELECT md5('a' || n)::uuid, n || '@clinic.example', 'x', true, false, true, now(), now()
FROM generate_series(1, 100000) n;
INSERT INTO login_session (id, account_id, created_at)
SELECT md5('s' || n)::uuid, md5('a' || n)::uuid, now()
FROM generate_series(1, 100000) n;
INSERT INTO refresh_token (token_hash, session_id, expires_at)
SELECT md5('t' || n), md5('s' || n)::uuid, '2026-03-31 12:00+00'::timestamptz + n * interval '1 second'
FROM generate_series(1, 100000) n;
INSERT INTO mail_token (token_hash, account_id, purpose, expires_at)
SELECT md5('m' || n), md5('a' || n)::uuid, 'reset-password', '2026-03-31 12:00+00'::timestamptz + n * interval '1 second'
FROM generate_series(1, 100000) n;
INSERT INTO mail_request (email, purpose, created_at, due_at, attempts)
SELECT n || '@clinic.example', 'reset-password', '2026-03-01 12:00+00', '2026-03-31 12:00+00'::timestamptz + n * interval '1 second', 0
FROM generate_series(1, 100000) n;
INSERT INTO upload (id, owner_id, state, object_key, correlation_id, record_type, record_count, file_size_bytes,
  file_hash, schema_name, schema_fingerprint, received_at, stored_at)
SELECT md5('u' || n)::uuid, md5('a' || n % 1000)::uuid, 'stored', 'raw/T/' || n, 'c', 'T', 1, 1,
  md5('h' || n), 'T', 'f', '2026-03-01 12:00+00'::timestamptz + n * interval '1 second', now()
FROM generate_series(1, 100000) n;
INSERT INTO idempotency_key (owner_id, key, upload_id, created_at)
SELECT md5('a' || n % 1000)::uuid, 'k' || n, md5('u' || n)::uuid, now()
FROM generate_series(1, 100000) n;
INSERT INTO outbox (id, upload_id, routing_key, body, headers, created_at, attempts, due_at, deferral_reason)
SELECT md5('o' || n)::uuid, md5('u' || n)::uuid, 'r', 'x', '{}', '2026-03-01 12:00+00'::timestamptz + n * interval '1 second', 0,
  '2026-03-01 12:00+00'::timestamptz + n * interval '1 second',
  CASE WHEN n % 1000 = 0 THEN 'refused' END
FROM generate_series(1, 100000) n;
INSERT INTO device_token (id, token_hash, account_id, name, scopes, created_at, expires_at, revoked_at)
SELECT md5('d' || n)::uuid, md5('d' || n), md5('a' || n % 1000 + 1)::uuid, 'watch', 'upload:write', now(),
  '2026-03-31 12:00+00'::timestamptz + n * interval '1 second',
  CASE WHEN n % 10 = 0 THEN '2026-03-31 12:00+00'::timestamptz + n * interval '1 second' END
FROM generate_series(1, 100000) n;
INSERT INTO study (slug, name, state, enrolment, consent_required, erasure_hold_seconds, created_at)
SELECT 's' || n, 'S', 'open', 'Open', false, 0, now()
FROM generate_series(1, 100000) n;
INSERT INTO study_member (study, account_id, role)
SELECT 's' || n, md5('a' || n)::uuid, 'reader'
FROM generate_series(1, 100000) n;
INSERT INTO subject (study, pseudonym, id, state, enrolled_at, changed_at)
SELECT 's' || n % 100 + 1, 'p' || n, md5('p' || n)::uuid, 'active', now(), now()
FROM generate_series(1, 100000) n;
INSERT INTO upload (id, owner_id, state, object_key, correlation_id, record_type, record_count, file_size_bytes,
  file_hash, schema_name, schema_fingerprint, received_at, stored_at, study, subject)
SELECT md5('v' || n)::uuid, md5('a' || n % 1000)::uuid, 'stored', 'raw/U/' || n, 'c', 'T', 1, 1,
  md5('h' || n), 'T', 'f', '2026-03-01 12:00+00'::timestamptz + n * interval '1 second', now(),
  's' || n % 100 + 1, 'p' || n % 1000
FROM generate_series(1, 100000) n;
INSERT INTO device_token (id, token_hash, account_id, name, scopes, created_at, expires_at, study, subject)
SELECT md5('e' || n)::uuid, md5('e' || n), md5('a' || n % 1000 + 1)::uuid, 'watch', 'upload:write', now(),
  '2026-03-31 12:00+00'::timestamptz + n * interval '1 second', 's' || n % 100 + 1, 'p' || n % 1000
FROM generate_series(1, 100000) n;
INSERT INTO enrolment_code (id, code_hash, study, subject, scopes, created_at, expires_at)
SELECT md5('c' || n)::uuid, md5('c' || n), 's' || n % 100 + 1, 'p' || n % 1000, 'upload:write', now(),
  '2026-03-31 12:00+00'::timestamptz + n * interval '1 second'
FROM generate_series(1, 100000) n;
INSERT INTO audit_event (occurred_at, actor, action, outcome, study, subject_hash)
SELECT '2024-03-01 12:00+00'::timestamptz + n * interval '1 second', 'account', 'download', 'done',
  CASE WHEN n % 2 = 0 THEN 's' || n % 100 END, CASE WHEN n % 2 = 0 THEN 'h' || n % 1000 END
FROM generate_series(1, 100000) n;
INSERT INTO audit_link (position, number, hash)
SELECT n, n, md5('l' || n)
FROM generate_series(1, 100000) n;
INSERT INTO audit_salt (name, salt)
SELECT 'subject/' || md5('p' || n), 's'
FROM generate_series(1, 100000) n;
INSERT INTO erasure (id, scope, kind, study, state, requested_at, starts_at, due_at, uploads, versions, withdrawn,
  announced, subjects)
SELECT md5('e' || n)::uuid, 'upload:' || n, 'upload', 's1', CASE WHEN n % 1000 = 0 THEN 'running' ELSE 'done' END,
  now(), now(), '2026-03-31 12:00+00'::timestamptz + n * interval '1 second', 1, 1, 0, 0, 0
FROM generate_series(1, 100000) n;
INSERT INTO tombstone (id, kind, study, erasure_id, erased_at, upload_hash, key_hash, object_key)
SELECT md5('t' || n)::uuid, 'upload', 's1', md5('e' || n)::uuid, now(), decode(md5('x' || n), 'hex'),
  decode(md5('k' || n), 'hex'), CASE WHEN n % 1000 = 0 THEN 'raw/T/' || n END
FROM generate_series(1, 100000) n;
INSERT INTO erasure_document (name, erasure_id)
SELECT 'erasures/' || n, md5('e' || n)::uuid
FROM generate_series(1, 100000) n;
