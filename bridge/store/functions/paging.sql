CREATE FUNCTION add_landmarks() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO page_landmark AS l (org_id, connection_id, kind, bucket, n)
    SELECT r.org_id, r.connection_id, TG_TABLE_NAME, r.position >> 10, count(*)
    FROM arrived r GROUP BY 1, 2, 4 ORDER BY 1, 2, 4
    ON CONFLICT (org_id, connection_id, kind, bucket) DO UPDATE SET n = l.n + excluded.n;
    RETURN NULL;
END $$
-- ;
CREATE FUNCTION take_landmarks() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO page_landmark AS l (org_id, connection_id, kind, bucket, n)
    SELECT r.org_id, r.connection_id, TG_TABLE_NAME, r.position >> 10, -count(*)
    FROM gone r GROUP BY 1, 2, 4 ORDER BY 1, 2, 4
    ON CONFLICT (org_id, connection_id, kind, bucket) DO UPDATE SET n = l.n + excluded.n;
    RETURN NULL;
END $$
-- ;
CREATE FUNCTION move_landmarks() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO page_landmark AS l (org_id, connection_id, kind, bucket, n)
    SELECT m.org_id, m.connection_id, TG_TABLE_NAME, m.bucket, sum(m.n)
    FROM (
        VALUES
            (OLD.org_id, OLD.connection_id, OLD.position >> 10, -1),
            (NEW.org_id, NEW.connection_id, NEW.position >> 10, 1)
    ) AS m (org_id, connection_id, bucket, n)
    GROUP BY 1, 2, 4 HAVING sum(m.n) <> 0 ORDER BY 1, 2, 4
    ON CONFLICT (org_id, connection_id, kind, bucket) DO UPDATE SET n = l.n + excluded.n;
    RETURN NULL;
END $$
-- ;
CREATE FUNCTION keep_further_emails() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        DELETE FROM member_email e WHERE e.org_id = OLD.org_id AND e.member_id = OLD.id;
    END IF;
    INSERT INTO member_email (org_id, member_id, value_key)
    SELECT DISTINCT NEW.org_id, NEW.id, found.value #>> '{}'
    FROM jsonb_path_query(NEW.comparison, 'lax $.emails[*].value') AS found (value)
    WHERE jsonb_typeof(found.value) = 'string' AND found.value #>> '{}' IS DISTINCT FROM NEW.email_key;
    RETURN NULL;
END $$
