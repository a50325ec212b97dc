-- What applications behind the bridge were told of people ends with their access, and with their sessions. Both
-- functions write what the applications are to be told, for workers to bring out: a row for each, once.
CREATE FUNCTION end_app_grants(wanted_org uuid, wanted_members uuid[], instant timestamptz, cause text)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    told bigint;
BEGIN
    WITH ended AS (
        UPDATE app_grant g SET ended_at = instant, ended_by = cause
        WHERE g.org_id = wanted_org AND g.member_id = ANY (wanted_members) AND g.ended_at IS NULL
        RETURNING g.app_id, g.member_id
    ), queued AS (
        INSERT INTO delivery (org_id, id, kind, key, subject_id, state, attempts, created_at, next_attempt_at)
        SELECT wanted_org, gen_random_uuid(), 'app_logout',
            concat_ws(':', 'app_logout', e.app_id, e.member_id, extract(epoch FROM instant)),
            concat_ws(' ', e.app_id, e.member_id), 'pending', 0, instant, instant
        FROM (SELECT DISTINCT o.app_id, o.member_id FROM ended o) e
        JOIN app a ON a.id = e.app_id AND a.backchannel_logout_uri IS NOT NULL
        ON CONFLICT (org_id, key) DO NOTHING
        RETURNING 1
    )
    SELECT count(*) INTO told FROM queued;
    IF told > 0 THEN
        PERFORM wake_workers();
    END IF;
END
$$
-- ;
CREATE FUNCTION end_app_session() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    gone web_session := OLD;
    instant timestamptz := CASE WHEN TG_OP = 'UPDATE' THEN NEW.ended_at ELSE now() END;
    cause text := CASE WHEN TG_OP = 'UPDATE' THEN NEW.ended_by ELSE 'removed' END;
    told bigint;
BEGIN
    WITH live AS (
        SELECT g.id, g.app_id, g.is_offline FROM app_grant g
        WHERE g.org_id = gone.org_id AND g.session_id = gone.id AND g.ended_at IS NULL
    ), ended AS (
        UPDATE app_grant g SET ended_at = instant, ended_by = cause
        FROM live l WHERE g.org_id = gone.org_id AND g.id = l.id AND NOT l.is_offline
    ), queued AS (
        INSERT INTO delivery (org_id, id, kind, key, subject_id, state, attempts, created_at, next_attempt_at)
        SELECT gone.org_id, gen_random_uuid(), 'app_logout', concat_ws(':', 'app_logout', l.app_id, gone.id),
            concat_ws(' ', l.app_id, gone.member_id, gone.id), 'pending', 0, instant, instant
        FROM (SELECT DISTINCT o.app_id FROM live o) l
        JOIN app a ON a.id = l.app_id AND a.backchannel_logout_uri IS NOT NULL
        ON CONFLICT (org_id, key) DO NOTHING
        RETURNING 1
    )
    SELECT count(*) INTO told FROM queued;
    IF told > 0 THEN
        PERFORM wake_workers();
    END IF;
    RETURN NULL;
END
$$
-- ;
CREATE FUNCTION wake_workers() RETURNS void LANGUAGE sql AS $$
    INSERT INTO procrastinate_jobs (queue_name, task_name)
    SELECT 'seatbridge', 'seatbridge.work_through_due'
    WHERE NOT EXISTS (
        SELECT 1 FROM procrastinate_jobs j WHERE j.task_name = 'seatbridge.work_through_due' AND j.status = 'todo'
    )
$$
