-- What is called from outside keeps one plan for each of its statements, and for those of the functions it calls: each
-- goes by keys, and a plan for each call takes longer to make than to follow (a third of the time of a whole request).

-- A group, if there is one, and all groups above it: what its members count as members of.
CREATE FUNCTION lane_upwards(org uuid, wanted_group uuid) RETURNS uuid[] LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN ARRAY(
        SELECT o.id FROM "group" o WHERE o.org_id = org AND o.id = wanted_group
    ) || ARRAY(
        SELECT a.ancestor_id FROM group_ancestor a
        WHERE a.org_id = org AND a.group_id = wanted_group ORDER BY a.ancestor_id
    );
END
$$
-- ;
-- Reads who is directly in a group, in order of arrival; no more than `most`, which is at most 100: `too_many` then
-- says so. One plan serves every group, and large groups would make it read the whole table for a small one: the order
-- of the key leads it to the key's index, and the limit that is written out to one look at each person.
CREATE FUNCTION lane_members(org uuid, wanted_group uuid, most integer, OUT member_ids uuid[], OUT too_many boolean)
LANGUAGE plpgsql STABLE AS $$
BEGIN
    too_many := most < (
        SELECT count(*) FROM (
            SELECT 1 FROM group_member w WHERE w.org_id = org AND w.group_id = wanted_group
            ORDER BY w.org_id, w.group_id, w.member_id LIMIT 101
        ) counted
    );
    IF NOT too_many THEN
        SELECT array_agg(m.id ORDER BY m.position) INTO member_ids
        FROM (
            SELECT w.member_id FROM group_member w WHERE w.org_id = org AND w.group_id = wanted_group
            ORDER BY w.org_id, w.group_id, w.member_id LIMIT 101
        ) listed
        JOIN member m ON m.org_id = org AND m.id = listed.member_id;
    END IF;
END
$$
-- ;
-- Finds a group of the calling directory by id, displayName (folded) or externalId, with its members up to `most`, or
-- without them where that is 0. No row: this is no case for the lane. A row without an id: there is no such group.
CREATE FUNCTION lane_group(
    hash bytea, instant timestamptz, wanted_slug text, attribute text, wanted text, most integer
) RETURNS TABLE (
    principal_org uuid, principal_connection uuid, can_write boolean, schema_version bigint,
    id uuid, display_name text, external_id text, document jsonb, version bigint,
    created_at timestamptz, modified_at timestamptz, member_ids uuid[]
) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    p record;
    g "group";
    found_ids uuid[];
    many boolean;
BEGIN
    SELECT * INTO p FROM enter_scim(hash, instant);
    IF NOT FOUND OR p.slug <> wanted_slug OR p.subject_id IS NOT NULL
        OR p.last_used_at IS NULL OR p.last_used_at <= instant - interval '1 minute'
    THEN
        RETURN;
    END IF;
    IF attribute = 'id' THEN
        SELECT * INTO g FROM "group" o
        WHERE o.org_id = p.org_id AND o.id = wanted::uuid AND o.connection_id = p.connection_id;
    ELSIF attribute = 'displayName' THEN
        SELECT * INTO g FROM "group" o
        WHERE o.org_id = p.org_id AND o.connection_id = p.connection_id AND o.display_name_key = wanted;
    ELSE
        SELECT * INTO g FROM "group" o
        WHERE o.org_id = p.org_id AND o.connection_id = p.connection_id AND o.external_id = wanted;
    END IF;
    IF most > 0 AND g.id IS NOT NULL THEN
        IF EXISTS (SELECT 1 FROM group_nesting n WHERE n.org_id = p.org_id AND n.parent_id = g.id) THEN
            RETURN;
        END IF;
        SELECT w.member_ids, w.too_many INTO found_ids, many FROM lane_members(p.org_id, g.id, most) w;
        IF many THEN
            RETURN;
        END IF;
    END IF;
    RETURN QUERY SELECT
        p.org_id, p.connection_id, p.can_write, p.schema_version,
        g.id, g.display_name, g.external_id, g.document, g.version, g.created_at, g.modified_at, found_ids;
END
$$
-- ;
-- Reads a group of the calling directory and, of the people named, who they are to it: inside or not and, where the
-- caller needs it, what the rules look at. No row: this is no case for the lane.
CREATE FUNCTION lane_membership(
    hash bytea, instant timestamptz, wanted_slug text, wanted_id uuid, ids uuid[], with_facts boolean, most integer
) RETURNS TABLE (
    principal_org uuid, principal_connection uuid, can_write boolean, schema_version bigint,
    id uuid, display_name text, external_id text, document jsonb, version bigint,
    created_at timestamptz, modified_at timestamptz, upwards uuid[], is_nested boolean, people jsonb,
    member_ids uuid[], too_many boolean
) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    p record;
    g "group";
BEGIN
    SELECT * INTO p FROM enter_scim(hash, instant);
    IF NOT FOUND OR p.slug <> wanted_slug OR p.subject_id IS NOT NULL OR NOT p.can_write
        OR p.last_used_at IS NULL OR p.last_used_at <= instant - interval '1 minute'
    THEN
        RETURN;
    END IF;
    SELECT * INTO g FROM "group" o
    WHERE o.org_id = p.org_id AND o.id = wanted_id AND o.connection_id = p.connection_id;
    IF NOT FOUND OR EXISTS (SELECT 1 FROM group_nesting n WHERE n.org_id = p.org_id AND n.parent_id = g.id) THEN
        RETURN;
    END IF;
    principal_org := p.org_id;
    principal_connection := p.connection_id;
    can_write := p.can_write;
    schema_version := p.schema_version;
    id := g.id;
    display_name := g.display_name;
    external_id := g.external_id;
    document := g.document;
    version := g.version;
    created_at := g.created_at;
    modified_at := g.modified_at;
    upwards := lane_upwards(p.org_id, g.id);
    is_nested := cardinality(upwards) > 1;
    SELECT jsonb_agg(
        jsonb_build_object('id', m.id, 'inside', EXISTS (
            SELECT 1 FROM group_member w WHERE w.org_id = p.org_id AND w.group_id = g.id AND w.member_id = m.id
        )) || CASE WHEN with_facts AND m.active THEN jsonb_build_object(
            'role', m.role, 'role_from_mapping', m.role_from_mapping, 'teams', m.teams, 'version', m.version,
            'tier', m.tier, 'granted_by', m.granted_by, 'pinned', m.pinned, 'waiting_for', m.waiting_for,
            'decision_id', m.decision_id, 'document', m.document, 'groups', lane_groups_of(p.org_id, m.id)
        ) ELSE '{}' END
        ORDER BY m.id
    ) INTO people
    FROM member m WHERE m.org_id = p.org_id AND m.connection_id = p.connection_id AND m.id = ANY (ids);
    IF most >= 0 THEN
        SELECT w.member_ids, w.too_many INTO member_ids, too_many FROM lane_members(p.org_id, g.id, most) w;
    END IF;
    RETURN NEXT;
END
$$
-- ;
-- Returns [id, name] of every group that somebody counts as a member of, in order of the ids.
CREATE FUNCTION lane_groups_of(org uuid, person uuid) RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN (
        SELECT coalesce(jsonb_agg(jsonb_build_array(o.id, o.display_name) ORDER BY o.id), '[]')
        FROM (
            SELECT DISTINCT w.group_id FROM effective_membership w WHERE w.org_id = org AND w.member_id = person
        ) mine
        JOIN "group" o ON o.org_id = org AND o.id = mine.group_id
    );
END
$$
-- ;
-- Settles one person whose groups changed: writes the first outcome that is possible. Raises SB001 where somebody is not
-- as the caller knows them, or what must be done is no case for the lane. Returns the chain's new end, whether a seat
-- was freed, and whether somebody lost something that the brake counts.
CREATE FUNCTION lane_regroup_person(
    org uuid, instant timestamptz, actor text, request text, inner_pad bytea, outer_pad bytea, person jsonb,
    INOUT seq bigint, INOUT head bytea, OUT frees boolean, OUT loses boolean
) LANGUAGE plpgsql AS $$
#variable_conflict use_variable
DECLARE
    m member;
    member_id uuid := (person ->> 'id')::uuid;
    access jsonb := person -> 'access';
    entries jsonb := person -> 'entries';
    outcome jsonb;
    taken jsonb;
    chain record;
    recorded uuid;
BEGIN
    frees := false;
    SELECT * INTO m FROM member o WHERE o.org_id = org AND o.id = member_id;
    IF NOT FOUND OR NOT m.active OR m.version <> (person ->> 'version')::bigint OR m.role <> person ->> 'role'
        OR m.teams <> person -> 'teams' OR m.role_from_mapping <> (person ->> 'role_from_mapping')::boolean
        OR m.decision_id IS DISTINCT FROM (person ->> 'decision_id')::uuid OR m.hold_id IS NOT NULL
        OR m.provisional_until IS NOT NULL OR lane_groups_of(org, member_id) <> person -> 'groups'
        OR m.role = 'admin' AND access ->> 'role' <> 'admin' AND lane_is_signed_in(org, member_id, instant)
    THEN
        RAISE SQLSTATE 'SB001';
    END IF;
    FOR outcome IN SELECT jsonb_array_elements(person -> 'outcomes') LOOP
        IF outcome ->> 'obtains' IS NOT NULL THEN
            UPDATE seat_pool SET used = used + 1
            WHERE org_id = org AND tier = outcome ->> 'obtains' AND used < total;
            CONTINUE WHEN NOT FOUND;
        END IF;
        taken := outcome;
        EXIT;
    END LOOP;
    loses := (taken ->> 'loses')::boolean;
    IF NOT (taken ->> 'alters')::boolean THEN
        taken := NULL;
    ELSIF taken ->> 'alert_tier' IS NOT NULL AND NOT EXISTS (
        SELECT 1 FROM alert a
        WHERE a.org_id = org AND a.code = 'seats_exhausted' AND a.tier = taken ->> 'alert_tier'
            AND a.resolved_at IS NULL
    ) THEN
        RAISE SQLSTATE 'SB001';
    ELSIF taken ->> 'gives_back' IS NOT NULL THEN
        frees := true;
        UPDATE seat_pool SET used = used - 1 WHERE org_id = org AND tier = taken ->> 'gives_back' AND used > 0;
    END IF;
    IF taken IS NOT NULL THEN
        UPDATE member o SET
            tier = taken ->> 'tier', granted_by = taken ->> 'granted_by', waiting_for = taken ->> 'waiting_for',
            waiting_since = CASE WHEN taken ->> 'waiting_for' IS NOT NULL THEN instant END,
            modified_at = CASE WHEN o.tier IS DISTINCT FROM taken ->> 'tier' THEN instant ELSE o.modified_at END,
            decision_id = (person -> 'decision' ->> 'id')::uuid
        WHERE o.org_id = org AND o.id = member_id;
        entries := entries || jsonb_build_array(taken -> 'entry');
    END IF;
    IF access <> 'null' THEN
        UPDATE member o SET
            role = access ->> 'role', role_from_mapping = (access ->> 'role_from_mapping')::boolean,
            teams = access -> 'teams'
        WHERE o.org_id = org AND o.id = member_id;
    END IF;
    chain := append_audit(org, instant, actor, request, entries, inner_pad, outer_pad, seq, head);
    seq := chain.seq;
    head := chain.head;
    IF taken IS NOT NULL THEN
        recorded := lane_record_decision(org, member_id, instant, actor, request, seq, person -> 'decision', taken);
    END IF;
END
$$
-- ;
-- Adds people to a group and takes others out, exactly those whom the caller has seen outside and inside, and settles
-- whom a rule may speak of. Returns the group's version and members afterwards; no row: nothing was written.
CREATE FUNCTION lane_change_members(
    hash bytea, instant timestamptz, wanted_slug text, wanted_org uuid, wanted_connection uuid,
    known_mapping bigint, known_schemas bigint, known_tiers text[],
    wanted_id uuid, known_upwards uuid[], added uuid[], removed uuid[], forgotten text[],
    actor text, request text, inner_pad bytea, outer_pad bytea, entries jsonb, people jsonb, most integer, early boolean
) RETURNS TABLE (new_version bigint, member_ids uuid[], too_many boolean)
LANGUAGE plpgsql AS $$
#variable_conflict use_variable
DECLARE
    state organization_state;
    person jsonb;
    chain record;
    settled record;
    freed boolean := false;
    lost integer := 0;
BEGIN
    state := lane_begin_writing(
        hash, instant, wanted_slug, wanted_org, wanted_connection, known_mapping, known_schemas, known_tiers,
        early
    );
    IF state.org_id IS NULL
        OR known_upwards IS DISTINCT FROM lane_upwards(wanted_org, wanted_id)
        OR EXISTS (SELECT 1 FROM group_nesting n WHERE n.org_id = wanted_org AND n.parent_id = wanted_id)
        OR cardinality(added) <> (
            SELECT count(*) FROM member m
            WHERE m.org_id = wanted_org AND m.connection_id = wanted_connection AND m.id = ANY (added)
                AND m.source <> 'jit'
        )
        OR EXISTS (
            SELECT 1 FROM group_member w
            WHERE w.org_id = wanted_org AND w.group_id = wanted_id AND w.member_id = ANY (added)
        )
        OR cardinality(removed) <> (
            SELECT count(*) FROM group_member w
            WHERE w.org_id = wanted_org AND w.group_id = wanted_id AND w.member_id = ANY (removed)
        )
    THEN
        RETURN;
    END IF;
    BEGIN
        INSERT INTO group_member (org_id, group_id, member_id, added_at)
        SELECT wanted_org, wanted_id, each, instant FROM unnest(added) each;
        DELETE FROM group_member w
        WHERE w.org_id = wanted_org AND w.group_id = wanted_id AND w.member_id = ANY (removed);
        DELETE FROM parked_member w
        WHERE w.org_id = wanted_org AND w.group_id = wanted_id AND w.value = ANY (forgotten);
        UPDATE "group" o SET version = o.version + 1, modified_at = instant
        WHERE o.org_id = wanted_org AND o.id = wanted_id
        RETURNING o.version INTO new_version;
        chain := append_audit(
            wanted_org, instant, actor, request, entries, inner_pad, outer_pad, state.audit_seq, state.audit_head
        );
        FOR person IN SELECT jsonb_array_elements(people) LOOP
            settled := lane_regroup_person(
                wanted_org, instant, actor, request, inner_pad, outer_pad, person, chain.seq, chain.head
            );
            chain.seq := settled.seq;
            chain.head := settled.head;
            freed := freed OR settled.frees;
            lost := lost + settled.loses::integer;
        END LOOP;
        IF lost > 0 AND NOT lane_brake_allows(state, lost, instant) OR freed AND EXISTS (
            SELECT 1 FROM member w WHERE w.org_id = wanted_org AND w.waiting_for IS NOT NULL
        ) THEN
            RAISE SQLSTATE 'SB001';
        END IF;
    EXCEPTION WHEN SQLSTATE 'SB001' THEN
        RETURN;
    END;
    UPDATE organization_state s
    SET audit_head = chain.head, seat_version = s.seat_version + chain.seq - s.audit_seq, audit_seq = chain.seq,
        brake_counts = CASE WHEN lost > 0 THEN lane_brake_counts(state, lost, instant) ELSE s.brake_counts END
    WHERE s.org_id = wanted_org;
    SELECT w.member_ids, w.too_many INTO member_ids, too_many FROM lane_members(wanted_org, wanted_id, most) w;
    RETURN NEXT;
END
$$
