-- Sign-ins through an identity provider, each in one statement. What an answer says was verified before, by what was
-- known of the connection then; each statement looks under the lock whether that still holds, and writes nothing where
-- it does not. Whoever calls gets no row where the general way has to answer, and a verdict where there is more to say.

-- Tells whom a connection believes now, and what it does with who is new; NULL where it signs nobody in. Whoever
-- remembers an answer of this function compares it with the next one, and never reads it.
CREATE FUNCTION lane_trust(org uuid, wanted_connection uuid) RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN (
        SELECT jsonb_build_array(
            c.protocol, c.issuer, c.claims, c.jit_enabled, c.idp_initiated, c.confirmation,
            (
                SELECT jsonb_agg(k.fingerprint ORDER BY k.not_after, k.fingerprint) FROM idp_certificate k
                WHERE k.org_id = org AND k.connection_id = wanted_connection
            ),
            c.scim_last_used_at IS NOT NULL
        )
        FROM connection c
        WHERE c.org_id = org AND c.id = wanted_connection AND c.kind = 'idp' AND c.protocol IS NOT NULL
            AND c.disabled_at IS NULL
    );
END
$$
-- ;
-- Binds the transaction to the organization that an address names, if that is still the one.
CREATE FUNCTION lane_enter(wanted_slug text, wanted_org uuid) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    found_org uuid := (SELECT o.org_id FROM find_organization(wanted_slug) o);
    bound text;
BEGIN
    IF found_org IS DISTINCT FROM wanted_org THEN
        RETURN false;
    END IF;
    bound := set_config('seatbridge.org', wanted_org::text, true);
    RETURN true;
END
$$
-- ;
-- Tells whether somebody is already as an answer describes them. Groups that are NULL are none that were spoken of.
CREATE FUNCTION lane_is_as_described(m member, claimed jsonb, claimed_groups text[]) RETURNS boolean
LANGUAGE plpgsql STABLE AS $$
DECLARE
    enterprise CONSTANT text := 'urn:ietf:params:scim:schemas:extension:enterprise:2.0:User';
    described jsonb := m.document || claimed || jsonb_build_object('userName', m.user_name, 'active', m.active);
BEGIN
    IF claimed ? enterprise THEN
        described := described || jsonb_build_object(
            enterprise, coalesce(m.document -> enterprise, '{}') || (claimed -> enterprise)
        );
    END IF;
    IF m.external_id IS NOT NULL THEN
        described := described || jsonb_build_object('externalId', m.external_id);
    END IF;
    IF described <> m.document THEN
        RETURN false;
    END IF;
    IF claimed_groups IS NULL THEN
        RETURN true;
    END IF;
    RETURN (
        SELECT count(*) FILTER (
                WHERE o.connection_id = m.connection_id AND o.display_name_key = ANY (claimed_groups)
            ) = cardinality(claimed_groups)
            AND coalesce(bool_and(
                o.source <> 'jit' OR o.connection_id = m.connection_id AND o.display_name_key = ANY (claimed_groups)
            ), true)
        FROM group_member w
        JOIN "group" o ON o.org_id = w.org_id AND o.id = w.group_id
        WHERE w.org_id = m.org_id AND w.member_id = m.id
    );
END
$$
-- ;
-- Finds the groups that a newcomer's answer names, by their keys: NULL where one is not there, or where there are groups
-- inside groups, which is more than one of them to look at.
CREATE FUNCTION lane_claimed_groups(org uuid, wanted_connection uuid, keys text[]) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF cardinality(keys) = 0 THEN
        RETURN '[]'::jsonb;
    END IF;
    RETURN (
        SELECT jsonb_agg(jsonb_build_array(o.id, o.display_name) ORDER BY o.id) FROM "group" o
        WHERE o.org_id = org AND o.connection_id = wanted_connection AND o.display_name_key = ANY (keys)
            AND NOT EXISTS (SELECT 1 FROM group_ancestor a WHERE a.org_id = org)
        HAVING count(*) = cardinality(keys)
    );
END
$$
-- ;
-- Uses up the request that an answer is to, and the answer itself where it can come twice: both, or neither of them.
-- A request that is not to end at `test_path` only. An answer to no request is taken where the connection takes such.
CREATE FUNCTION lane_use_up(
    org uuid, wanted_connection uuid, instant timestamptz, trust jsonb, answers text, cookies bytea[], test_path text,
    assertion text, assertion_until timestamptz,
    OUT used boolean, OUT return_path text, OUT former_session bytea
) LANGUAGE plpgsql AS $$
BEGIN
    used := false;
    IF assertion IS NOT NULL AND EXISTS (
        SELECT 1 FROM saml_replay r
        WHERE r.org_id = org AND r.connection_id = wanted_connection AND r.issuer = trust ->> 1
            AND r.assertion_id = assertion
    ) THEN
        RETURN;
    END IF;
    IF answers IS NOT NULL THEN
        DELETE FROM sign_in_request q
        WHERE q.org_id = org AND q.id = answers AND q.connection_id = wanted_connection AND q.expires_at > instant
            AND q.cookie_hash = ANY (cookies) AND q.return_path <> test_path
        RETURNING q.return_path, q.former_session INTO return_path, former_session;
        IF NOT FOUND THEN
            RETURN;
        END IF;
    ELSIF (trust ->> 4)::boolean AND assertion IS NOT NULL THEN
        return_path := '/';
    ELSE
        RETURN;
    END IF;
    IF assertion IS NOT NULL THEN
        INSERT INTO saml_replay (org_id, connection_id, issuer, assertion_id, expires_at)
        VALUES (org, wanted_connection, trust ->> 1, assertion, assertion_until);
    END IF;
    used := true;
END
$$
-- ;
-- Opens a session for somebody, notes how the identity provider knows it (`at_provider`, NULL: it does not), and writes
-- the log of sign-ins, the connection's last one, and the state with the chain's end. `until` is the end of the time
-- in which their directory has to name the person; the log's words have the day where its form stands.
CREATE FUNCTION lane_open_session(
    state organization_state, wanted_connection uuid, person uuid, until timestamptz, instant timestamptz, request text,
    opened jsonb, token_hash bytea, at_provider jsonb
) RETURNS uuid LANGUAGE plpgsql AS $$
DECLARE
    session uuid := opened ->> 'id';
BEGIN
    INSERT INTO web_session (
        org_id, id, token_hash, member_id, method, device, created_at, last_seen_at, expires_at, ended_at, ended_by
    ) VALUES (
        state.org_id, session, token_hash, person, opened ->> 'method', opened ->> 'device', instant, instant,
        (opened ->> 'expires_at')::timestamptz, NULL, NULL
    );
    IF at_provider IS NOT NULL THEN
        INSERT INTO saml_session (org_id, session_id, connection_id, name_id, name_attributes, session_index)
        VALUES (
            state.org_id, session, wanted_connection, at_provider ->> 'name_id', at_provider -> 'name_attributes',
            at_provider ->> 'index'
        );
    END IF;
    INSERT INTO sign_in_event (org_id, id, at, connection_id, member_id, outcome, reason, detail, request_id)
    VALUES (
        state.org_id, (opened ->> 'event')::uuid, instant, wanted_connection, person, opened ->> 'outcome', 'ok',
        concat(
            opened ->> 'detail',
            CASE WHEN until IS NOT NULL THEN
                replace(opened ->> 'if_provisional', 'YYYY-MM-DD', to_char(until AT TIME ZONE 'UTC', 'YYYY-MM-DD'))
            END
        ),
        request
    );
    UPDATE connection c SET last_sign_in_at = instant WHERE c.org_id = state.org_id AND c.id = wanted_connection;
    UPDATE organization_state s
    SET audit_head = state.audit_head, seat_version = state.seat_version, audit_seq = state.audit_seq,
        member_position = state.member_position
    WHERE s.org_id = state.org_id;
    RETURN session;
END
$$
-- ;
-- Signs somebody in who has signed in before, is active, and of whom the answer says nothing new. `follows` tells
-- whether claims describe people in the organization's mode; `entry` has `stands_for` where the person's id belongs.
-- The verdicts: `stale`, what was known of the connection does not hold; `unknown`, nobody has signed in under that
-- subject, and `found_groups` has the groups that were spoken of; `signed_in`.
CREATE FUNCTION lane_sign_in(
    wanted_slug text, wanted_org uuid, wanted_connection uuid, instant timestamptz,
    known_mapping bigint, known_schemas bigint, known_tiers text[], trust jsonb, follows boolean,
    answers text, cookies bytea[], test_path text, assertion text, assertion_until timestamptz,
    wanted_subject text, claimed jsonb, claimed_groups text[],
    opened jsonb, token_hash bytea, at_provider jsonb,
    actor text, request text, inner_pad bytea, outer_pad bytea, entry text, stands_for text, early boolean
) RETURNS TABLE (verdict text, return_path text, former_session bytea, found_groups jsonb) LANGUAGE plpgsql AS $$
#variable_conflict use_variable
DECLARE
    state organization_state;
    m member;
    used record;
    chain record;
    session uuid;
BEGIN
    IF NOT lane_enter(wanted_slug, wanted_org) THEN
        verdict := 'stale';
        RETURN NEXT;
        RETURN;
    END IF;
    -- Nobody waits for the lock to learn that somebody is new.
    IF NOT EXISTS (
        SELECT 1 FROM identity i
        WHERE i.org_id = wanted_org AND i.connection_id = wanted_connection AND i.protocol = trust ->> 0
            AND i.issuer = trust ->> 1 AND i.subject = wanted_subject
    ) THEN
        verdict := 'unknown';
        found_groups := lane_claimed_groups(wanted_org, wanted_connection, coalesce(claimed_groups, '{}'));
        RETURN NEXT;
        RETURN;
    END IF;
    state := lane_lock(wanted_org, instant, known_mapping, known_schemas, known_tiers, early);
    IF state.org_id IS NULL OR trust IS DISTINCT FROM lane_trust(wanted_org, wanted_connection) THEN
        verdict := 'stale';
        RETURN NEXT;
        RETURN;
    END IF;
    SELECT o.* INTO m FROM identity i
    JOIN member o ON o.org_id = i.org_id AND o.id = i.member_id
    WHERE i.org_id = wanted_org AND i.connection_id = wanted_connection AND i.protocol = trust ->> 0
        AND i.issuer = trust ->> 1 AND i.subject = wanted_subject;
    IF NOT FOUND OR NOT m.active OR m.hold_id IS NOT NULL OR m.said_off THEN
        RETURN;
    END IF;
    IF follows AND m.source = 'jit' AND m.connection_id = wanted_connection THEN
        IF m.role IN ('primary_owner', 'owner') OR NOT lane_is_as_described(m, claimed, claimed_groups) THEN
            RETURN;
        END IF;
    END IF;
    used := lane_use_up(
        wanted_org, wanted_connection, instant, trust, answers, cookies, test_path, assertion, assertion_until
    );
    IF NOT used.used THEN
        RETURN;
    END IF;
    chain := append_audit(
        wanted_org, instant, actor, request, replace(entry, stands_for, m.id::text)::jsonb, inner_pad, outer_pad,
        state.audit_seq, state.audit_head
    );
    state.audit_seq := chain.seq;
    state.audit_head := chain.head;
    session := lane_open_session(
        state, wanted_connection, m.id, m.provisional_until, instant, request, opened, token_hash, at_provider
    );
    verdict := 'signed_in';
    return_path := used.return_path;
    former_session := used.former_session;
    RETURN NEXT;
END
$$
-- ;
-- Tells whether somebody here has one of these names or addresses (folded), under whichever connection.
CREATE FUNCTION lane_is_named(org uuid, keys text[]) RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN EXISTS (
        SELECT 1 FROM member m
        WHERE m.org_id = org AND m.connection_id = ANY (ARRAY(SELECT c.id FROM connection c WHERE c.org_id = org))
            AND m.user_name_key = ANY (keys)
    ) OR EXISTS (SELECT 1 FROM member m WHERE m.org_id = org AND m.email_key = ANY (keys));
END
$$
-- ;
-- Signs somebody in who is new: `person` with the seat that the rules say, whom nobody here is named like (`keys`), and
-- whom the directory has not removed (`removed`); into the groups that the answer names, which are `known_groups` still.
-- `entries` are those of the arrival, `last_entries` those behind it.
-- The verdicts are those of lane_sign_in, but for `unknown`.
CREATE FUNCTION lane_sign_in_newcomer(
    wanted_slug text, wanted_org uuid, wanted_connection uuid, instant timestamptz,
    known_mapping bigint, known_schemas bigint, known_tiers text[], trust jsonb,
    answers text, cookies bytea[], test_path text, assertion text, assertion_until timestamptz,
    wanted_subject text, keys text[], removed bytea[], person jsonb, claimed_groups text[], known_groups jsonb,
    opened jsonb, token_hash bytea, at_provider jsonb,
    actor text, request text, inner_pad bytea, outer_pad bytea,
    entries jsonb, decision jsonb, outcomes jsonb, last_entries jsonb, early boolean
) RETURNS TABLE (verdict text, return_path text, former_session bytea) LANGUAGE plpgsql AS $$
#variable_conflict use_variable
DECLARE
    state organization_state;
    fresh member;
    used record;
    chain record;
    taken integer;
    session uuid;
BEGIN
    IF NOT lane_enter(wanted_slug, wanted_org) THEN
        verdict := 'stale';
        RETURN NEXT;
        RETURN;
    END IF;
    state := lane_lock(wanted_org, instant, known_mapping, known_schemas, known_tiers, early);
    IF state.org_id IS NULL OR trust IS DISTINCT FROM lane_trust(wanted_org, wanted_connection) THEN
        verdict := 'stale';
        RETURN NEXT;
        RETURN;
    END IF;
    IF EXISTS (
        SELECT 1 FROM identity i
        WHERE i.org_id = wanted_org AND i.connection_id = wanted_connection AND i.protocol = trust ->> 0
            AND i.issuer = trust ->> 1 AND i.subject = wanted_subject
    ) THEN
        RETURN;
    END IF;
    IF lane_is_named(wanted_org, keys) THEN
        RETURN;
    END IF;
    IF EXISTS (
        SELECT 1 FROM removed_person r
        WHERE r.org_id = wanted_org AND r.connection_id = wanted_connection AND r.digest = ANY (removed)
    ) OR EXISTS (
        -- By what another directory of the organization knew whom it removed, the general way finds out.
        SELECT 1 FROM connection c
        WHERE c.org_id = wanted_org AND c.id <> wanted_connection AND c.kind = 'idp' AND c.disabled_at IS NULL
            AND EXISTS (SELECT 1 FROM removed_person r WHERE r.org_id = wanted_org AND r.connection_id = c.id)
    ) THEN
        RETURN;
    END IF;
    IF known_groups IS DISTINCT FROM lane_claimed_groups(wanted_org, wanted_connection, claimed_groups) THEN
        RETURN;
    END IF;
    taken := lane_take_seat(wanted_org, outcomes);
    IF taken IS NULL THEN
        RETURN;
    END IF;
    used := lane_use_up(
        wanted_org, wanted_connection, instant, trust, answers, cookies, test_path, assertion, assertion_until
    );
    IF NOT used.used THEN
        IF outcomes -> taken ->> 'tier' IS NOT NULL THEN
            UPDATE seat_pool SET used = seat_pool.used - 1
            WHERE org_id = wanted_org AND tier = outcomes -> taken ->> 'tier';
        END IF;
        RETURN;
    END IF;
    fresh := jsonb_populate_record(NULL::member, person);
    fresh.connection_id := wanted_connection;
    fresh.source := 'jit';
    state := lane_insert_person(
        state, fresh, instant, actor, request, inner_pad, outer_pad, entries, decision, outcomes -> taken
    );
    IF cardinality(claimed_groups) > 0 THEN
        INSERT INTO group_member (org_id, group_id, member_id, added_at)
        SELECT wanted_org, (g.known ->> 0)::uuid, fresh.id, instant FROM jsonb_array_elements(known_groups) g (known);
        UPDATE "group" o SET version = o.version + 1, modified_at = instant
        FROM jsonb_array_elements(known_groups) g (known)
        WHERE o.org_id = wanted_org AND o.id = (g.known ->> 0)::uuid;
    END IF;
    INSERT INTO identity (org_id, connection_id, protocol, issuer, subject, member_id, linked_at, linked_by)
    VALUES (wanted_org, wanted_connection, trust ->> 0, trust ->> 1, wanted_subject, fresh.id, instant, 'jit');
    chain := append_audit(
        wanted_org, instant, actor, request, last_entries, inner_pad, outer_pad, state.audit_seq, state.audit_head
    );
    state.audit_seq := chain.seq;
    state.audit_head := chain.head;
    session := lane_open_session(
        state, wanted_connection, fresh.id, fresh.provisional_until, instant, request, opened, token_hash, at_provider
    );
    verdict := 'signed_in';
    return_path := used.return_path;
    former_session := used.former_session;
    RETURN NEXT;
END
$$
