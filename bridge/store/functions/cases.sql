-- One person changes and the rules say what follows, in one statement: `cases` holds what may become of somebody by what
-- the rules look at, and the database finds out which of them this person is. Where it is none of them nothing is
-- written, and what the rules look at is returned in `facts`, for whoever calls to decide and to come again.

-- Names the groups that somebody counts as a member of, each name once, and writes down what the rules look at in the
-- person: the groups they ask for, the attributes they ask for, and what the person holds. All as if the person were not
-- in the group `leaves`, and in the group `joins`. The facts are the key of a case.
CREATE FUNCTION lane_standing(
    m member, leaves uuid, joins uuid, mapped uuid[], asked text[], OUT names jsonb, OUT facts text
) LANGUAGE plpgsql STABLE AS $$
BEGIN
    SELECT coalesce(to_jsonb(array_agg(DISTINCT o.display_name COLLATE "C")), '[]'),
        jsonb_build_array(
            coalesce(array_agg(o.id ORDER BY o.id) FILTER (WHERE o.id = ANY (mapped)), '{}'),
            ARRAY(SELECT m.document #> e.path::text[] FROM unnest(asked) e (path)),
            m.tier, m.granted_by, m.pinned, m.waiting_for, m.role, m.role_from_mapping, m.teams
        )::text
    INTO names, facts
    FROM (
        SELECT DISTINCT w.group_id FROM effective_membership w
        WHERE w.org_id = m.org_id AND w.member_id = m.id AND w.group_id IS DISTINCT FROM leaves
        UNION ALL
        SELECT joins WHERE joins IS NOT NULL
    ) mine
    JOIN "group" o ON o.org_id = m.org_id AND o.id = mine.group_id;
END
$$
-- ;
-- Tells whether somebody waits for a seat.
CREATE FUNCTION lane_has_line(org uuid) RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN EXISTS (SELECT 1 FROM member w WHERE w.org_id = org AND w.waiting_for IS NOT NULL);
END
$$
-- ;
-- Takes the first outcome that is possible: a seat of the tier that it obtains, or none where it obtains none, and gives
-- the seat before it back. NULL where it is none that the lane can write: somebody has to be told for the first time
-- that a tier is full, somebody waits for the seat that is given back, or the brake trips.
CREATE FUNCTION lane_take_outcome(state organization_state, outcomes jsonb, instant timestamptz) RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
    outcome jsonb;
    obtains text;
    gives_back text;
    possible boolean;
BEGIN
    FOR place IN 0 .. jsonb_array_length(outcomes) - 1 LOOP
        outcome := outcomes -> place;
        obtains := outcome ->> 'obtains';
        gives_back := outcome ->> 'gives_back';
        IF obtains IS NOT NULL THEN
            UPDATE seat_pool SET used = used + 1
            WHERE org_id = state.org_id AND tier = obtains AND used < total;
            CONTINUE WHEN NOT FOUND;
        END IF;
        possible := NOT (outcome ->> 'rejected')::boolean;
        IF possible AND (outcome ->> 'loses')::boolean THEN
            possible := lane_brake_allows(state, 1, instant);
        END IF;
        IF possible AND gives_back IS NOT NULL THEN
            possible := NOT lane_has_line(state.org_id);
        END IF;
        IF possible AND outcome ->> 'alert_tier' IS NOT NULL THEN
            possible := lane_is_known_full(state.org_id, outcome ->> 'alert_tier');
        END IF;
        IF NOT possible THEN
            IF obtains IS NOT NULL THEN
                UPDATE seat_pool SET used = used - 1 WHERE org_id = state.org_id AND tier = obtains;
            END IF;
            RETURN NULL;
        END IF;
        IF gives_back IS NOT NULL THEN
            UPDATE seat_pool SET used = used - 1 WHERE org_id = state.org_id AND tier = gives_back AND used > 0;
        END IF;
        RETURN outcome;
    END LOOP;
    RETURN NULL;
END
$$
-- ;
-- Lets one person into a group, or takes one out, and settles the seat. `mapped` has the groups that some rule asks for,
-- NULL where that is not this one. A row without facts has the group afterwards; no row: this is no case for the lane.
CREATE FUNCTION lane_move_member(
    hash bytea, instant timestamptz, wanted_slug text, wanted_org uuid, wanted_connection uuid,
    known_mapping bigint, known_schemas bigint, known_tiers text[],
    wanted_id uuid, person uuid, comes_in boolean, mapped uuid[], asked text[], cases jsonb,
    actor text, request text, inner_pad bytea, outer_pad bytea, entries jsonb, most integer, early boolean
) RETURNS TABLE (
    facts text, id uuid, display_name text, external_id text, document jsonb, version bigint,
    created_at timestamptz, modified_at timestamptz, member_ids uuid[], too_many boolean
) LANGUAGE plpgsql AS $$
#variable_conflict use_variable
DECLARE
    state organization_state;
    m member;
    g "group";
    settles boolean;
    alters boolean := false;
    loses boolean := false;
    standing record;
    chosen jsonb;
    taken jsonb;
    access jsonb;
    listed record;
    chain record;
    recorded uuid;
BEGIN
    state := lane_begin_writing(
        hash, instant, wanted_slug, wanted_org, wanted_connection, known_mapping, known_schemas, known_tiers,
        early
    );
    IF state.org_id IS NULL THEN
        RETURN;
    END IF;
    SELECT o.* INTO m FROM member o
    WHERE o.org_id = wanted_org AND o.id = person AND o.connection_id = wanted_connection AND o.hold_id IS NULL
        AND o.source <> 'jit'
        AND comes_in <> EXISTS (
            SELECT 1 FROM group_member w
            WHERE w.org_id = wanted_org AND w.group_id = wanted_id AND w.member_id = person
        )
        AND NOT EXISTS (SELECT 1 FROM group_nesting n WHERE n.org_id = wanted_org AND n.parent_id = wanted_id)
        AND NOT EXISTS (SELECT 1 FROM group_ancestor a WHERE a.org_id = wanted_org AND a.group_id = wanted_id)
        AND EXISTS (
            SELECT 1 FROM "group" o
            WHERE o.org_id = wanted_org AND o.id = wanted_id AND o.connection_id = wanted_connection
        );
    IF NOT FOUND THEN
        RETURN;
    END IF;
    settles := m.active AND mapped IS NOT NULL;
    IF settles THEN
        standing := lane_standing(m, wanted_id, CASE WHEN comes_in THEN wanted_id END, mapped, asked);
        facts := standing.facts;
        chosen := cases -> facts;
        IF chosen IS NULL THEN
            RETURN NEXT;
            RETURN;
        END IF;
        facts := NULL;
        IF m.role = 'admin' AND chosen -> 'access' ->> 'role' <> 'admin'
            AND lane_is_signed_in(wanted_org, person, instant)
        THEN
            RETURN;
        END IF;
        taken := lane_take_outcome(state, chosen -> 'outcomes', instant);
        IF taken IS NULL THEN
            RETURN;
        END IF;
        alters := (taken ->> 'alters')::boolean;
        loses := (taken ->> 'loses')::boolean;
        access := nullif(chosen -> 'access', 'null');
        entries := entries || (chosen -> 'entries');
    END IF;
    IF comes_in THEN
        INSERT INTO group_member (org_id, group_id, member_id, added_at)
        VALUES (wanted_org, wanted_id, person, instant);
    ELSE
        DELETE FROM group_member w WHERE w.org_id = wanted_org AND w.group_id = wanted_id AND w.member_id = person;
        DELETE FROM parked_member w WHERE w.org_id = wanted_org AND w.group_id = wanted_id AND w.value = person::text;
    END IF;
    IF alters OR access IS NOT NULL THEN
        UPDATE member o SET
            tier = CASE WHEN alters THEN taken ->> 'tier' ELSE o.tier END,
            granted_by = CASE WHEN alters THEN taken ->> 'granted_by' ELSE o.granted_by END,
            waiting_for = CASE WHEN alters THEN taken ->> 'waiting_for' ELSE o.waiting_for END,
            waiting_since = CASE
                WHEN NOT alters THEN o.waiting_since WHEN taken ->> 'waiting_for' IS NOT NULL THEN instant
            END,
            modified_at = CASE
                WHEN alters AND o.tier IS DISTINCT FROM taken ->> 'tier' THEN instant ELSE o.modified_at
            END,
            decision_id = CASE WHEN alters THEN (chosen -> 'decision' ->> 'id')::uuid ELSE o.decision_id END,
            role = coalesce(access ->> 'role', o.role),
            role_from_mapping = coalesce((access ->> 'role_from_mapping')::boolean, o.role_from_mapping),
            teams = coalesce(access -> 'teams', o.teams)
        WHERE o.org_id = wanted_org AND o.id = person;
    END IF;
    IF alters THEN
        entries := entries || jsonb_build_array(taken -> 'entry');
    END IF;
    chain := append_audit(
        wanted_org, instant, actor, request, entries, inner_pad, outer_pad, state.audit_seq, state.audit_head
    );
    IF alters THEN
        recorded := lane_record_decision(
            wanted_org, person, instant, actor, request, chain.seq,
            chosen -> 'decision' || jsonb_build_object('groups', standing.names), taken
        );
    END IF;
    UPDATE organization_state s
    SET audit_head = chain.head, seat_version = s.seat_version + chain.seq - s.audit_seq, audit_seq = chain.seq,
        brake_counts = CASE WHEN loses THEN lane_brake_counts(state, 1, instant) ELSE s.brake_counts END
    WHERE s.org_id = wanted_org;
    UPDATE "group" o SET version = o.version + 1, modified_at = instant
    WHERE o.org_id = wanted_org AND o.id = wanted_id
    RETURNING o.* INTO g;
    id := g.id;
    display_name := g.display_name;
    external_id := g.external_id;
    document := g.document;
    version := g.version;
    created_at := g.created_at;
    modified_at := g.modified_at;
    listed := lane_members(wanted_org, wanted_id, most);
    member_ids := listed.member_ids;
    too_many := listed.too_many;
    RETURN NEXT;
END
$$
-- ;
-- Turns one person on or off and settles the seat. Returns the person as they are then, as lane_person does; no row:
-- this is no case for the lane. Who is so already is returned as they are.
CREATE FUNCTION lane_turn_person(
    hash bytea, instant timestamptz, wanted_slug text, wanted_org uuid, wanted_connection uuid,
    known_mapping bigint, known_schemas bigint, known_tiers text[],
    wanted_id uuid, turns_on boolean, mapped uuid[], asked text[], cases jsonb,
    actor text, request text, inner_pad bytea, outer_pad bytea, entries jsonb, last_entries jsonb, early boolean
) RETURNS TABLE (
    facts text,
    principal_org uuid, principal_connection uuid, can_write boolean, schema_version bigint,
    id uuid, source text, role text, role_from_mapping boolean, teams jsonb, user_name text, user_name_key text,
    external_id text, active boolean, document jsonb, version bigint, created_at timestamptz, modified_at timestamptz,
    tier text, granted_by text, pinned boolean, waiting_for text, decision_id uuid, reason text,
    group_ids uuid[], group_names text[], groups_inherited boolean[]
) LANGUAGE plpgsql AS $$
#variable_conflict use_variable
DECLARE
    state organization_state;
    m member;
    around record;
    standing record;
    chosen jsonb;
    taken jsonb;
    written jsonb;
    settles boolean;
    names jsonb := '[]';
    chain record;
    recorded uuid;
BEGIN
    state := lane_begin_writing(
        hash, instant, wanted_slug, wanted_org, wanted_connection, known_mapping, known_schemas, known_tiers,
        early
    );
    IF state.org_id IS NULL THEN
        RETURN;
    END IF;
    SELECT * INTO m FROM member o WHERE o.org_id = wanted_org AND o.id = wanted_id;
    IF NOT FOUND OR m.connection_id <> wanted_connection OR m.source <> 'scim' OR m.role IN ('primary_owner', 'owner')
        OR m.hold_id IS NOT NULL OR m.said_off OR m.pinned OR m.waiting_for IS NOT NULL
        -- Somebody was turned off or on by hand, which the document learns of when it is written as a whole.
        OR m.document -> 'active' IS DISTINCT FROM to_jsonb(m.active)
    THEN
        RETURN;
    END IF;
    around := lane_groups_around(wanted_org, wanted_id);
    IF m.active <> turns_on THEN
        written := m.document || jsonb_build_object('active', turns_on);
        -- What is larger may be more than a document may be, which is counted in another way.
        IF pg_column_size(written) > 32768 OR NOT turns_on AND lane_is_signed_in(wanted_org, wanted_id, instant) THEN
            RETURN;
        END IF;
        IF turns_on THEN
            standing := lane_standing(m, NULL, NULL, mapped, asked);
            names := standing.names;
            facts := standing.facts;
        ELSE
            names := coalesce(to_jsonb(around.names), '[]');
            facts := jsonb_build_array(m.tier)::text;
        END IF;
        chosen := cases -> facts;
        IF chosen IS NULL THEN
            RETURN NEXT;
            RETURN;
        END IF;
        facts := NULL;
        taken := lane_take_outcome(state, chosen -> 'outcomes', instant);
        IF taken IS NULL THEN
            RETURN;
        END IF;
        settles := (taken ->> 'alters')::boolean;
        UPDATE member o SET
            active = turns_on, document = written,
            comparison = o.comparison || jsonb_build_object('active', turns_on),
            version = o.version + 1, modified_at = instant,
            tier = taken ->> 'tier', granted_by = taken ->> 'granted_by', waiting_for = taken ->> 'waiting_for',
            waiting_since = CASE WHEN taken ->> 'waiting_for' IS NOT NULL THEN instant END,
            decision_id = CASE WHEN settles THEN (chosen -> 'decision' ->> 'id')::uuid ELSE o.decision_id END
        WHERE o.org_id = wanted_org AND o.id = wanted_id
        RETURNING o.* INTO m;
        IF NOT turns_on THEN
            PERFORM end_app_grants(wanted_org, ARRAY[wanted_id], instant, 'directory');
            UPDATE scim_token t SET revoked_at = instant
            WHERE t.org_id = wanted_org AND t.member_id = wanted_id AND t.revoked_at IS NULL;
        END IF;
        IF settles THEN
            entries := entries || jsonb_build_array(taken -> 'entry');
            recorded := lane_record_decision(
                wanted_org, wanted_id, instant, actor, request, state.audit_seq + jsonb_array_length(entries),
                chosen -> 'decision' || jsonb_build_object('groups', names), taken
            );
        END IF;
        chain := append_audit(
            wanted_org, instant, actor, request, entries || last_entries, inner_pad, outer_pad,
            state.audit_seq, state.audit_head
        );
        UPDATE organization_state s
        SET audit_head = chain.head, seat_version = s.seat_version + chain.seq - s.audit_seq, audit_seq = chain.seq,
            brake_counts = CASE WHEN turns_on THEN s.brake_counts ELSE lane_brake_counts(state, 1, instant) END
        WHERE s.org_id = wanted_org;
    END IF;
    RETURN QUERY SELECT
        NULL::text, wanted_org, wanted_connection, true, state.schema_version,
        m.id, m.source, m.role, m.role_from_mapping, m.teams, m.user_name, m.user_name_key,
        m.external_id, m.active, m.document, m.version, m.created_at, m.modified_at,
        m.tier, m.granted_by, m.pinned, m.waiting_for, m.decision_id, NULL::text,
        around.ids, around.names, around.inherited;
END
$$
