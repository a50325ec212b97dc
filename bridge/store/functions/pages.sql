-- Reads one page of the people of the calling directory, in order of arrival: by index, which skips `place` people and
-- counts all there are, or by cursor, which starts past the position `place`, forwards or backwards. No row: this is no
-- case for the lane. A row without an id: the page is empty. The reason for a seat is for who only reads.
CREATE FUNCTION lane_people(
    hash bytea, instant timestamptz, wanted_slug text, by_index boolean, place bigint, backwards boolean, most integer
) RETURNS TABLE (
    principal_org uuid, principal_connection uuid, can_write boolean, schema_version bigint, total bigint,
    id uuid, "position" bigint, user_name text, external_id text, active boolean, document jsonb, version bigint,
    created_at timestamptz, modified_at timestamptz, tier text, waiting_for text, decision_id uuid,
    reason text, groups json
) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    p record;
    nested boolean;
BEGIN
    SELECT * INTO p FROM enter_scim(hash, instant);
    IF NOT FOUND OR p.slug <> wanted_slug OR p.subject_id IS NOT NULL
        OR p.last_used_at IS NULL OR p.last_used_at <= instant - interval '1 minute'
    THEN
        RETURN;
    END IF;
    nested := EXISTS (SELECT 1 FROM group_ancestor a WHERE a.org_id = p.org_id);
    -- One statement, so that the count, the start and the people are those of one moment.
    RETURN QUERY
    WITH marks AS (
        SELECT l.bucket, l.n, sum(l.n) OVER (ORDER BY l.bucket) AS upto
        FROM page_landmark l
        WHERE by_index AND l.org_id = p.org_id AND l.connection_id = p.connection_id AND l.kind = 'member'
    ),
    -- A running sum over the landmarks finds the bucket of 1,024 positions in which the page starts.
    start AS (
        SELECT
            CASE WHEN by_index THEN coalesce(sum(w.n), 0)::bigint END AS counted,
            CASE WHEN by_index THEN min(w.bucket) FILTER (WHERE w.upto > place) << 10 ELSE place + 1 END AS lowest,
            CASE
                WHEN by_index THEN (place - coalesce(max(w.upto) FILTER (WHERE w.upto <= place), 0))::bigint ELSE 0
            END AS skipped
        FROM marks w
    ),
    -- Each half runs only for its direction.
    page AS (
        (
            SELECT * FROM member f
            WHERE NOT backwards AND f.org_id = p.org_id AND f.connection_id = p.connection_id
                AND f.position >= (SELECT s.lowest FROM start s)
            ORDER BY f.position OFFSET (SELECT s.skipped FROM start s) LIMIT most
        )
        UNION ALL
        (
            SELECT * FROM member f
            WHERE backwards AND f.org_id = p.org_id AND f.connection_id = p.connection_id AND f.position < place
            ORDER BY f.position DESC LIMIT most
        )
    )
    SELECT
        p.org_id, p.connection_id, p.can_write, p.schema_version, s.counted,
        m.id, m.position, m.user_name, m.external_id, m.active AND NOT m.said_off, m.document, m.version,
        m.created_at, m.modified_at, m.tier, m.waiting_for, m.decision_id,
        CASE WHEN NOT p.can_write THEN (
            SELECT d.reason FROM decision d WHERE d.org_id = m.org_id AND d.id = m.decision_id
        ) END,
        CASE WHEN nested THEN (
            SELECT json_agg(json_build_array(o.id, o.display_name, w.through_id))
            FROM effective_membership w
            JOIN "group" o ON o.org_id = w.org_id AND o.id = w.group_id
            WHERE w.org_id = m.org_id AND w.member_id = m.id
        ) ELSE (
            SELECT json_agg(json_build_array(o.id, o.display_name, NULL))
            FROM group_member w
            JOIN "group" o ON o.org_id = w.org_id AND o.id = w.group_id
            WHERE w.org_id = m.org_id AND w.member_id = m.id
        ) END
    FROM start s
    LEFT JOIN page m ON true
    ORDER BY CASE WHEN backwards THEN -m.position ELSE m.position END;
END
$$
