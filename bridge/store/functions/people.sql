-- Functions call each other in assignments: from a table expression or by PERFORM each call would be a statement of its
-- own, which takes as long as what most of them do. A condition that reads a table stands alone for the same reason.

-- Appends audit entries to the chain and returns its new end. Each entry brings the text that is sealed, before and
-- behind its number; `inner_pad` and `outer_pad` are the blocks of the HMAC's key (RFC 2104).
CREATE FUNCTION append_audit(
    org uuid, instant timestamptz, actor text, request text, entries jsonb, inner_pad bytea, outer_pad bytea,
    INOUT seq bigint, INOUT head bytea
) LANGUAGE plpgsql AS $$
DECLARE
    number integer := jsonb_array_length(entries);
    heads bytea[] := ARRAY[head];
BEGIN
    FOR place IN 1 .. number LOOP
        heads[place + 1] := sha256(outer_pad || sha256(
            inner_pad || heads[place] || convert_to(
                concat(entries -> place - 1 ->> 'before', seq + place, entries -> place - 1 ->> 'behind'), 'UTF8'
            )
        ));
    END LOOP;
    INSERT INTO audit_entry (
        org_id, seq, at, actor, action, subject_kind, subject_id, reason, request_id, body, previous, digest
    )
    SELECT org, seq + e.place, instant, actor, e.entry ->> 'action', e.entry ->> 'kind',
        e.entry ->> 'subject', e.entry ->> 'reason', request, e.entry -> 'body', heads[e.place], heads[e.place + 1]
    FROM jsonb_array_elements(entries) WITH ORDINALITY e (entry, place);
    seq := seq + number;
    head := heads[number + 1];
END
$$
-- ;
-- Reads the groups somebody is in, by name: directly, or (`inherited`, NULL where there are no such) through others.
CREATE FUNCTION lane_groups_around(org uuid, person uuid, OUT ids uuid[], OUT names text[], OUT inherited boolean[])
LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM group_ancestor a WHERE a.org_id = org) THEN
        SELECT array_agg(o.id ORDER BY o.display_name_key), array_agg(o.display_name ORDER BY o.display_name_key),
            array_agg(e.inherited ORDER BY o.display_name_key)
        INTO ids, names, inherited
        FROM (
            SELECT w.group_id, bool_and(w.through_id IS NOT NULL) AS inherited
            FROM effective_membership w
            WHERE w.org_id = org AND w.member_id = person
            GROUP BY w.group_id
        ) e
        JOIN "group" o ON o.org_id = org AND o.id = e.group_id;
    ELSE
        SELECT array_agg(o.id ORDER BY o.display_name_key), array_agg(o.display_name ORDER BY o.display_name_key)
        INTO ids, names
        FROM group_member w
        JOIN "group" o ON o.org_id = w.org_id AND o.id = w.group_id
        WHERE w.org_id = org AND w.member_id = person;
    END IF;
END
$$
-- ;
-- Finds a person of the calling directory by id, userName (folded) or externalId. No row: this is no case for the lane.
-- A row without an id: the directory has nobody of that name. The reason for the seat is for who only reads.
CREATE FUNCTION lane_person(hash bytea, instant timestamptz, wanted_slug text, attribute text, wanted text)
RETURNS TABLE (
    principal_org uuid, principal_connection uuid, can_write boolean, schema_version bigint,
    id uuid, source text, role text, role_from_mapping boolean, teams jsonb, user_name text, user_name_key text,
    external_id text, active boolean, document jsonb, version bigint, created_at timestamptz, modified_at timestamptz,
    tier text, granted_by text, pinned boolean, waiting_for text, decision_id uuid, reason text,
    group_ids uuid[], group_names text[], groups_inherited boolean[]
) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    p record;
    m member;
    ids uuid[];
    names text[];
    inherited boolean[];
BEGIN
    SELECT * INTO p FROM enter_scim(hash, instant);
    IF NOT FOUND OR p.slug <> wanted_slug OR p.subject_id IS NOT NULL
        OR p.last_used_at IS NULL OR p.last_used_at <= instant - interval '1 minute'
    THEN
        RETURN;
    END IF;
    IF attribute = 'id' THEN
        SELECT * INTO m FROM member o
        WHERE o.org_id = p.org_id AND o.id = wanted::uuid AND o.connection_id = p.connection_id;
    ELSIF attribute = 'userName' THEN
        SELECT * INTO m FROM member o
        WHERE o.org_id = p.org_id AND o.connection_id = p.connection_id AND o.user_name_key = wanted;
        IF NOT FOUND AND lane_unmanaged(p.org_id, wanted) THEN
            RETURN;
        END IF;
    ELSE
        SELECT * INTO m FROM member o
        WHERE o.org_id = p.org_id AND o.connection_id = p.connection_id AND o.external_id = wanted;
    END IF;
    -- What the brake holds of somebody is nothing a lane knows of.
    IF m.hold_id IS NOT NULL OR m.said_off THEN
        RETURN;
    END IF;
    IF EXISTS (SELECT 1 FROM group_member w WHERE w.org_id = m.org_id AND w.member_id = m.id) THEN
        SELECT g.ids, g.names, g.inherited INTO ids, names, inherited FROM lane_groups_around(m.org_id, m.id) g;
    END IF;
    RETURN QUERY SELECT
        p.org_id, p.connection_id, p.can_write, p.schema_version,
        m.id, m.source, m.role, m.role_from_mapping, m.teams, m.user_name, m.user_name_key,
        m.external_id, m.active, m.document, m.version, m.created_at, m.modified_at,
        m.tier, m.granted_by, m.pinned, m.waiting_for, m.decision_id,
        CASE WHEN NOT p.can_write THEN (
            SELECT d.reason FROM decision d WHERE d.org_id = m.org_id AND d.id = m.decision_id
        ) END,
        ids, names, inherited;
END
$$
-- ;
-- Tells whether somebody whom no directory manages has this name or address (folded).
CREATE FUNCTION lane_unmanaged(org uuid, name text) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    manual uuid;
BEGIN
    SELECT c.id INTO manual FROM connection c WHERE c.org_id = org AND c.kind = 'manual';
    RETURN EXISTS (
        SELECT 1 FROM member m WHERE m.org_id = org AND m.connection_id = manual AND m.user_name_key = name
    ) OR EXISTS (
        SELECT 1 FROM member m WHERE m.org_id = org AND m.email_key = name AND m.connection_id = manual
    );
END
$$
-- ;
-- Locks an organization for writing, if all is as the caller knows it: the mapping version, the extension schemas, the
-- tiers. NULL: it is not, or something must be done first. `early` gives the lock up before the disk has written, for
-- the next writer who waits: the caller must call `lane_flush` before it answers anybody.
CREATE FUNCTION lane_lock(
    org uuid, instant timestamptz, known_mapping bigint, known_schemas bigint, known_tiers text[], early boolean
) RETURNS organization_state LANGUAGE plpgsql AS $$
DECLARE
    state organization_state;
BEGIN
    SELECT * INTO state FROM organization_state s WHERE s.org_id = org FOR UPDATE;
    IF state.mapping_version <> known_mapping OR state.schema_version <> known_schemas
        OR EXISTS (
            SELECT 1 FROM contract c
            WHERE c.org_id = org AND c.status = 'active' AND c.billed_by = 'builtin' AND c.period_end <= instant
        )
        OR known_tiers IS DISTINCT FROM (
            SELECT array_agg(s.tier ORDER BY s.rank DESC) FROM seat_pool s WHERE s.org_id = org
        )
    THEN
        RETURN NULL;
    END IF;
    IF early THEN
        PERFORM set_config('synchronous_commit', 'off', true);
    END IF;
    RETURN state;
END
$$
-- ;
-- Locks the organization of a credential for writing, as lane_lock does.
CREATE FUNCTION lane_begin_writing(
    hash bytea, instant timestamptz, wanted_slug text, wanted_org uuid, wanted_connection uuid,
    known_mapping bigint, known_schemas bigint, known_tiers text[], early boolean
) RETURNS organization_state LANGUAGE plpgsql AS $$
DECLARE
    p record;
BEGIN
    SELECT * INTO p FROM enter_scim(hash, instant);
    IF NOT FOUND OR p.slug <> wanted_slug OR p.subject_id IS NOT NULL OR NOT p.can_write
        OR p.org_id <> wanted_org OR p.connection_id <> wanted_connection
        OR p.last_used_at IS NULL OR p.last_used_at <= instant - interval '1 minute'
    THEN
        RETURN NULL;
    END IF;
    RETURN lane_lock(p.org_id, instant, known_mapping, known_schemas, known_tiers, early);
END
$$
-- ;
-- Waits until all that was committed before is on disk: a commit of its own, which takes the others along.
CREATE FUNCTION lane_flush() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_logical_emit_message(true, 'seatbridge', '');
END
$$
-- ;
-- Tells whether somebody is signed in, or has a link to sign in by. Their end is audited: that is no case for a lane.
CREATE FUNCTION lane_is_signed_in(org uuid, person uuid, instant timestamptz) RETURNS boolean
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN EXISTS (
        SELECT 1 FROM web_session w
        WHERE w.org_id = org AND w.member_id = person AND w.ended_at IS NULL AND w.expires_at > instant
    ) OR EXISTS (
        SELECT 1 FROM sign_in_link l
        WHERE l.org_id = org AND l.member_id = person AND l.used_at IS NULL AND l.expires_at > instant
    );
END
$$
-- ;
-- Tells whether somebody has been told already that a tier is full.
CREATE FUNCTION lane_is_known_full(org uuid, full_tier text) RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN EXISTS (
        SELECT 1 FROM alert a
        WHERE a.org_id = org AND a.code = 'seats_exhausted' AND a.tier = full_tier AND a.resolved_at IS NULL
    );
END
$$
-- ;
-- Takes the first outcome that is possible: a seat of its tier, or none where it names none. Returns its index, and
-- NULL where an outcome is none the lane can write (somebody has to be told for the first time that a tier is full).
CREATE FUNCTION lane_take_seat(org uuid, outcomes jsonb) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    outcome jsonb;
    possible boolean;
BEGIN
    FOR place IN 0 .. jsonb_array_length(outcomes) - 1 LOOP
        outcome := outcomes -> place;
        IF outcome ->> 'tier' IS NOT NULL THEN
            UPDATE seat_pool SET used = used + 1
            WHERE org_id = org AND tier = outcome ->> 'tier' AND used < total;
            IF NOT FOUND THEN
                CONTINUE;
            END IF;
        END IF;
        possible := NOT (outcome ->> 'rejected')::boolean;
        IF possible AND outcome ->> 'alert_tier' IS NOT NULL THEN
            possible := lane_is_known_full(org, outcome ->> 'alert_tier');
        END IF;
        IF NOT possible THEN
            IF outcome ->> 'tier' IS NOT NULL THEN
                UPDATE seat_pool SET used = used - 1 WHERE org_id = org AND tier = outcome ->> 'tier';
            END IF;
            RETURN NULL;
        END IF;
        RETURN place;
    END LOOP;
    RETURN NULL;
END
$$
-- ;
-- Writes the record of why a person has the seat, and the alert of somebody who waits. Returns the record's id.
CREATE FUNCTION lane_record_decision(
    org uuid, member_id uuid, instant timestamptz, actor text, request text, seq bigint, decision jsonb, outcome jsonb
) RETURNS uuid LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO decision (
        org_id, id, seq, member_id, at, occasion, from_tier, to_tier, reason, granted_by, waiting_for, groups, rule,
        losing_rules, mapping_version, pools, invoice_id, request_id, actor
    ) VALUES (
        org, (decision ->> 'id')::uuid, seq, member_id, instant, decision ->> 'occasion', decision ->> 'from_tier',
        outcome ->> 'tier', outcome ->> 'reason', outcome ->> 'granted_by', outcome ->> 'waiting_for',
        decision -> 'groups', nullif(decision -> 'rule', 'null'), decision -> 'losing_rules',
        (decision ->> 'mapping_version')::bigint,
        (
            SELECT jsonb_object_agg(s.tier, jsonb_build_object('total', s.total, 'used', s.used))
            FROM seat_pool s WHERE s.org_id = org
        ),
        NULL, request, actor
    );
    IF outcome ->> 'alert_tier' IS NOT NULL THEN
        INSERT INTO alert (org_id, id, at, code, tier, member_id, detail, resolved_at)
        SELECT org, gen_random_uuid(), instant, 'seats_exhausted', outcome ->> 'alert_tier',
            lane_record_decision.member_id, decision ->> 'alert_detail', NULL
        WHERE NOT EXISTS (
            SELECT 1 FROM alert a
            WHERE a.org_id = org AND a.code = 'seats_exhausted' AND a.tier = outcome ->> 'alert_tier'
                AND a.member_id = lane_record_decision.member_id AND a.resolved_at IS NULL
        );
    END IF;
    RETURN decision ->> 'id';
END
$$
-- ;
-- Writes a new person, next in the order of arrival, with the outcome that was taken for them (NULL: none was asked
-- for), its record and the audit entries. Returns the state as it is then, which the caller has yet to write.
CREATE FUNCTION lane_insert_person(
    state organization_state, fresh member, instant timestamptz, actor text, request text,
    inner_pad bytea, outer_pad bytea, entries jsonb, decision jsonb, taken jsonb
) RETURNS organization_state LANGUAGE plpgsql AS $$
DECLARE
    chain record;
    recorded uuid;
BEGIN
    state.member_position := state.member_position + 1;
    IF taken IS NOT NULL THEN
        entries := entries || jsonb_build_array(taken -> 'entry');
    END IF;
    INSERT INTO member (
        org_id, id, connection_id, source, position, user_name, user_name_key, external_id, display_name, email,
        email_key, active, role, role_from_mapping, teams, document, comparison, version, created_at, modified_at,
        tier, granted_by, pinned, waiting_for, waiting_since, decision_id, provisional_until
    ) VALUES (
        state.org_id, fresh.id, fresh.connection_id, fresh.source, state.member_position, fresh.user_name,
        fresh.user_name_key, fresh.external_id, fresh.display_name, fresh.email, fresh.email_key, fresh.active,
        fresh.role, fresh.role_from_mapping, fresh.teams, fresh.document, fresh.comparison, 1, instant, instant,
        taken ->> 'tier', taken ->> 'granted_by', false, taken ->> 'waiting_for',
        CASE WHEN taken ->> 'waiting_for' IS NOT NULL THEN instant END,
        CASE WHEN taken IS NOT NULL THEN (decision ->> 'id')::uuid END, fresh.provisional_until
    );
    chain := append_audit(
        state.org_id, instant, actor, request, entries, inner_pad, outer_pad, state.audit_seq, state.audit_head
    );
    IF taken IS NOT NULL THEN
        recorded := lane_record_decision(
            state.org_id, fresh.id, instant, actor, request, chain.seq, decision, taken
        );
    END IF;
    state.seat_version := state.seat_version + chain.seq - state.audit_seq;
    state.audit_seq := chain.seq;
    state.audit_head := chain.head;
    RETURN state;
END
$$
-- ;
-- Takes a new person in with the seat that the rules say. Returns which outcome it was and the place in the order of
-- arrival; no row: nothing was written, and the general way has to answer.
CREATE FUNCTION lane_create_person(
    hash bytea, instant timestamptz, wanted_slug text, wanted_org uuid, wanted_connection uuid,
    known_mapping bigint, known_schemas bigint, known_tiers text[],
    new_id uuid, new_user_name text, new_user_name_key text, new_external_id text, new_display_name text,
    new_email text, new_email_key text, new_active boolean, new_role text, new_role_from_mapping boolean,
    new_teams jsonb, new_document jsonb, new_comparison jsonb,
    actor text, request text, inner_pad bytea, outer_pad bytea, entries jsonb, decision jsonb, outcomes jsonb,
    early boolean
) RETURNS TABLE (outcome_index integer, arrival bigint) LANGUAGE plpgsql AS $$
#variable_conflict use_variable
DECLARE
    state organization_state;
    manual uuid;
    names text[] := ARRAY[new_user_name_key, new_email_key];
    fresh member;
BEGIN
    state := lane_begin_writing(
        hash, instant, wanted_slug, wanted_org, wanted_connection, known_mapping, known_schemas, known_tiers,
        early
    );
    IF state.org_id IS NULL OR state.has_departed THEN
        RETURN;
    END IF;
    SELECT c.id INTO manual FROM connection c WHERE c.org_id = wanted_org AND c.kind = 'manual';
    -- Whoever has one of the names already, by sign-in or by hand, may be this very person.
    IF EXISTS (
            SELECT 1 FROM member m
            WHERE m.org_id = wanted_org AND m.connection_id = ANY (ARRAY[wanted_connection, manual])
                AND m.user_name_key = ANY (names)
                AND (m.user_name_key = new_user_name_key OR m.source = 'jit' OR m.connection_id = manual)
        )
        OR EXISTS (
            SELECT 1 FROM member m
            WHERE m.org_id = wanted_org AND m.email_key = ANY (names)
                AND (m.connection_id = wanted_connection AND m.source = 'jit' OR m.connection_id = manual)
        )
        OR new_external_id IS NOT NULL AND (
            EXISTS (
                SELECT 1 FROM member m
                WHERE m.org_id = wanted_org AND m.connection_id = wanted_connection
                    AND m.external_id = new_external_id
            )
            OR EXISTS (SELECT 1 FROM parked_member v WHERE v.org_id = wanted_org AND v.value = new_external_id)
        )
    THEN
        RETURN;
    END IF;
    IF jsonb_array_length(outcomes) > 0 THEN
        outcome_index := lane_take_seat(wanted_org, outcomes);
        IF outcome_index IS NULL THEN
            RETURN;
        END IF;
    END IF;
    fresh.id := new_id;
    fresh.connection_id := wanted_connection;
    fresh.source := 'scim';
    fresh.user_name := new_user_name;
    fresh.user_name_key := new_user_name_key;
    fresh.external_id := new_external_id;
    fresh.display_name := new_display_name;
    fresh.email := new_email;
    fresh.email_key := new_email_key;
    fresh.active := new_active;
    fresh.role := new_role;
    fresh.role_from_mapping := new_role_from_mapping;
    fresh.teams := new_teams;
    fresh.document := new_document;
    fresh.comparison := new_comparison;
    state := lane_insert_person(
        state, fresh, instant, actor, request, inner_pad, outer_pad, entries, decision, outcomes -> outcome_index
    );
    UPDATE organization_state s
    SET audit_head = state.audit_head, seat_version = state.seat_version, audit_seq = state.audit_seq,
        member_position = state.member_position
    WHERE s.org_id = wanted_org;
    arrival := state.member_position;
    RETURN NEXT;
END
$$
-- ;
-- Writes single texts into a person's document, and what follows from nothing else: whoever calls knows that no rule
-- asks for them. `texts` has attributes, or complex attributes of which only the parts named change; `folded` the same
-- for comparing. Returns the person as they are then, as lane_person does; no row: nothing was written, for each of the
-- attributes must really change.
CREATE FUNCTION lane_write_texts(
    hash bytea, instant timestamptz, wanted_slug text, wanted_org uuid, wanted_connection uuid,
    known_mapping bigint, known_schemas bigint, known_tiers text[],
    wanted_id uuid, texts jsonb, folded jsonb,
    actor text, request text, inner_pad bytea, outer_pad bytea, entries jsonb, early boolean
) RETURNS TABLE (
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
    written jsonb;
    chain record;
    around record;
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
        -- Somebody was turned off or on by hand, which the document learns of when it is written as a whole.
        OR m.document -> 'active' IS DISTINCT FROM to_jsonb(m.active)
        OR texts ? 'name' AND NOT texts ? 'displayName' AND coalesce(m.document ->> 'displayName', '') = ''
    THEN
        RETURN;
    END IF;
    written := lane_merged(m.document, texts);
    -- What is larger may be more than a document may be, which is counted in another way.
    IF pg_column_size(written) > 32768 OR EXISTS (
        SELECT 1 FROM jsonb_object_keys(texts) k WHERE written -> k IS NOT DISTINCT FROM m.document -> k
    ) THEN
        RETURN;
    END IF;
    UPDATE member o SET
        document = written, comparison = lane_merged(o.comparison, folded),
        display_name = coalesce(texts ->> 'displayName', o.display_name), version = o.version + 1, modified_at = instant
    WHERE o.org_id = wanted_org AND o.id = wanted_id
    RETURNING * INTO m;
    chain := append_audit(
        wanted_org, instant, actor, request, entries, inner_pad, outer_pad, state.audit_seq, state.audit_head
    );
    UPDATE organization_state s
    SET audit_head = chain.head, seat_version = s.seat_version + chain.seq - s.audit_seq, audit_seq = chain.seq
    WHERE s.org_id = wanted_org;
    around := lane_groups_around(wanted_org, wanted_id);
    RETURN QUERY SELECT
        wanted_org, wanted_connection, true, state.schema_version,
        m.id, m.source, m.role, m.role_from_mapping, m.teams, m.user_name, m.user_name_key,
        m.external_id, m.active, m.document, m.version, m.created_at, m.modified_at,
        m.tier, m.granted_by, m.pinned, m.waiting_for, m.decision_id, NULL,
        around.ids, around.names, around.inherited;
END
$$
-- ;
-- Puts attributes into a document: texts as they are, of complex attributes the parts that are named.
CREATE FUNCTION lane_merged(document jsonb, texts jsonb) RETURNS jsonb LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    attribute record;
BEGIN
    IF NOT jsonb_path_exists(texts, '$.* ? (@.type() == "object")') THEN
        RETURN document || texts;
    END IF;
    FOR attribute IN SELECT e.key, e.value FROM jsonb_each(texts) e LOOP
        IF jsonb_typeof(attribute.value) = 'object' AND jsonb_typeof(document -> attribute.key) = 'object' THEN
            document := jsonb_set(document, ARRAY[attribute.key], (document -> attribute.key) || attribute.value);
        ELSE
            document := document || jsonb_build_object(attribute.key, attribute.value);
        END IF;
    END LOOP;
    RETURN document;
END
$$
-- ;
-- Writes a person's new state over the very state the caller has read, with what it means for the seat: `release` is
-- the tier given back, `outcomes` what to try instead. Returns which outcome it was; no row: nothing was written.
CREATE FUNCTION lane_update_person(
    hash bytea, instant timestamptz, wanted_slug text, wanted_org uuid, wanted_connection uuid,
    known_mapping bigint, known_schemas bigint, known_tiers text[],
    wanted_id uuid, known_version bigint, known_decision uuid, known_role text, known_groups text[],
    new_display_name text, new_email text, new_email_key text, new_active boolean,
    new_document jsonb, new_comparison jsonb,
    actor text, request text, inner_pad bytea, outer_pad bytea,
    entries jsonb, release text, decision jsonb, outcomes jsonb, last_entries jsonb, early boolean
) RETURNS TABLE (outcome_index integer) LANGUAGE plpgsql AS $$
#variable_conflict use_variable
DECLARE
    state organization_state;
    m member;
    taken jsonb := '{}';
    chain record;
    recorded uuid;
    settles boolean := jsonb_array_length(outcomes) > 0;
    decided bigint;
BEGIN
    state := lane_begin_writing(
        hash, instant, wanted_slug, wanted_org, wanted_connection, known_mapping, known_schemas, known_tiers,
        early
    );
    IF state.org_id IS NULL THEN
        RETURN;
    END IF;
    SELECT * INTO m FROM member o WHERE o.org_id = wanted_org AND o.id = wanted_id;
    IF NOT FOUND OR m.connection_id <> wanted_connection OR m.source <> 'scim' OR m.version <> known_version
        OR m.decision_id IS DISTINCT FROM known_decision OR m.role <> known_role
        OR m.hold_id IS NOT NULL OR m.said_off
        OR m.active AND NOT new_active AND (
            NOT lane_brake_allows(state, 1, instant) OR lane_is_signed_in(wanted_org, wanted_id, instant)
        )
    THEN
        RETURN;
    END IF;
    IF cardinality(known_groups) > 0
        OR EXISTS (SELECT 1 FROM group_member w WHERE w.org_id = wanted_org AND w.member_id = wanted_id)
    THEN
        IF known_groups IS DISTINCT FROM (
            SELECT array_agg(concat(g.id, ' ', g.display_name) ORDER BY g.id)
            FROM (
                SELECT DISTINCT w.group_id FROM effective_membership w
                WHERE w.org_id = wanted_org AND w.member_id = wanted_id
            ) e
            JOIN "group" g ON g.org_id = wanted_org AND g.id = e.group_id
        ) THEN
            RETURN;
        END IF;
    END IF;
    IF settles OR new_active <> m.active THEN
        IF m.waiting_for IS NOT NULL OR m.pinned THEN
            RETURN;
        END IF;
        IF release IS NOT NULL AND EXISTS (
            SELECT 1 FROM member w WHERE w.org_id = wanted_org AND w.waiting_for IS NOT NULL
        ) THEN
            RETURN;
        END IF;
    END IF;
    IF settles THEN
        outcome_index := lane_take_seat(wanted_org, outcomes);
        IF outcome_index IS NULL THEN
            RETURN;
        END IF;
        taken := outcomes -> outcome_index;
    END IF;
    IF release IS NOT NULL THEN
        UPDATE seat_pool SET used = used - 1 WHERE org_id = wanted_org AND tier = release AND used > 0;
    END IF;
    UPDATE member o SET
        display_name = new_display_name, email = new_email, email_key = new_email_key, active = new_active,
        document = new_document, comparison = new_comparison, version = o.version + 1, modified_at = instant,
        tier = CASE WHEN settles THEN taken ->> 'tier' ELSE o.tier END,
        granted_by = CASE WHEN settles THEN taken ->> 'granted_by' ELSE o.granted_by END,
        waiting_for = CASE WHEN settles THEN taken ->> 'waiting_for' ELSE o.waiting_for END,
        waiting_since = CASE
            WHEN NOT settles THEN o.waiting_since WHEN taken ->> 'waiting_for' IS NOT NULL THEN instant
        END,
        decision_id = CASE WHEN settles THEN (decision ->> 'id')::uuid ELSE o.decision_id END
    WHERE o.org_id = wanted_org AND o.id = wanted_id;
    IF m.active AND NOT new_active THEN
        PERFORM end_app_grants(wanted_org, ARRAY[wanted_id], instant, 'directory');
        UPDATE scim_token t SET revoked_at = instant
        WHERE t.org_id = wanted_org AND t.member_id = wanted_id AND t.revoked_at IS NULL;
    END IF;
    IF settles THEN
        entries := entries || jsonb_build_array(taken -> 'entry');
    END IF;
    decided := state.audit_seq + jsonb_array_length(entries);
    chain := append_audit(
        wanted_org, instant, actor, request, entries || last_entries, inner_pad, outer_pad,
        state.audit_seq, state.audit_head
    );
    IF settles THEN
        recorded := lane_record_decision(wanted_org, wanted_id, instant, actor, request, decided, decision, taken);
    END IF;
    UPDATE organization_state s
    SET audit_head = chain.head, seat_version = s.seat_version + chain.seq - s.audit_seq, audit_seq = chain.seq,
        brake_counts = CASE
            WHEN m.active AND NOT new_active THEN lane_brake_counts(state, 1, instant) ELSE s.brake_counts
        END
    WHERE s.org_id = wanted_org;
    RETURN NEXT;
END
$$
