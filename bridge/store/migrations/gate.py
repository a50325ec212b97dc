"""Functions of the gate: they find the organization that a credential, a name or a due date belongs to.

Each is ``(signature, returns, body)`` for :func:`bridge.store.security.create_gate_function`. They answer identifiers
only, and the ones that take a credential put the organization into the transaction's settings themselves.
"""

ENTER_SCIM = (
    "enter_scim(hash bytea, instant timestamptz)",
    "TABLE (org_id uuid, slug text, connection_id uuid, token_id uuid, can_write boolean, last_used_at timestamptz)",
    """
    BEGIN
        RETURN QUERY
        SELECT t.org_id, o.slug, t.connection_id, t.id, t.can_write, t.last_used_at
        FROM scim_token t
        JOIN organization o ON o.id = t.org_id
        JOIN connection c ON c.org_id = t.org_id AND c.id = t.connection_id
        WHERE t.token_hash = hash AND t.revoked_at IS NULL AND t.expires_at > instant AND c.disabled_at IS NULL;
        IF FOUND THEN
            PERFORM set_config(
                'seatbridge.org', (SELECT t.org_id::text FROM scim_token t WHERE t.token_hash = hash), true
            );
        END IF;
    END
    """,
)

ENTER_SESSION = (
    "enter_session(hash bytea, instant timestamptz)",
    "TABLE (org_id uuid, session_id uuid, member_id uuid)",
    """
    BEGIN
        RETURN QUERY
        SELECT s.org_id, s.id, s.member_id FROM web_session s
        WHERE s.token_hash = hash AND s.ended_at IS NULL AND s.expires_at > instant;
        IF FOUND THEN
            PERFORM set_config(
                'seatbridge.org', (SELECT s.org_id::text FROM web_session s WHERE s.token_hash = hash), true
            );
        END IF;
    END
    """,
)

FIND_SIGN_IN_LINK = (
    "find_sign_in_link(hash bytea, instant timestamptz)",
    "TABLE (org_id uuid, link_id uuid)",
    """
    BEGIN
        RETURN QUERY
        SELECT l.org_id, l.id FROM sign_in_link l
        WHERE l.token_hash = hash AND l.used_at IS NULL AND l.expires_at > instant;
    END
    """,
)

FIND_ORGANIZATION = (
    "find_organization(wanted text)",
    "TABLE (org_id uuid)",
    "BEGIN RETURN QUERY SELECT o.id FROM organization o WHERE o.slug = wanted; END",
)

FIND_DOMAIN = (
    "find_domain(wanted text)",
    "TABLE (org_id uuid, slug text, connection_id uuid)",
    """
    BEGIN
        RETURN QUERY
        SELECT d.org_id, o.slug, c.id FROM domain d
        JOIN organization o ON o.id = d.org_id
        LEFT JOIN connection c
            ON c.org_id = d.org_id AND c.id = d.connection_id AND c.disabled_at IS NULL AND c.protocol IS NOT NULL
        WHERE d.name = wanted AND d.verified_at IS NOT NULL;
    END
    """,
)

LIST_ORGANIZATIONS = (
    "list_organizations()",
    "TABLE (org_id uuid, slug text, name text)",
    "BEGIN RETURN QUERY SELECT o.id, o.slug, o.name FROM organization o ORDER BY o.slug; END",
)

DUE_RENEWALS = (
    "due_renewals(instant timestamptz)",
    "TABLE (org_id uuid)",
    """
    BEGIN
        RETURN QUERY
        SELECT c.org_id FROM contract c WHERE c.status = 'active' AND c.period_end <= instant ORDER BY c.period_end;
    END
    """,
)

DUE_DELIVERIES = (
    "due_deliveries(instant timestamptz)",
    "TABLE (org_id uuid, delivery_id uuid)",
    """
    BEGIN
        RETURN QUERY
        SELECT d.org_id, d.id FROM delivery d
        WHERE d.state = 'pending' AND d.next_attempt_at <= instant ORDER BY d.next_attempt_at LIMIT 1000;
    END
    """,
)

BUDGETED_ORGANIZATIONS = (
    "budgeted_organizations()",
    "TABLE (org_id uuid)",
    "BEGIN RETURN QUERY SELECT DISTINCT b.org_id FROM seat_budget b ORDER BY b.org_id; END",
)

ORGANIZATIONS_PAST_THRESHOLD = (
    "organizations_past_threshold(usual jsonb)",
    "TABLE (org_id uuid)",
    """
    BEGIN
        RETURN QUERY
        SELECT DISTINCT p.org_id
        FROM seat_pool p
        LEFT JOIN seat_watch w ON w.org_id = p.org_id
        CROSS JOIN LATERAL jsonb_array_elements_text(coalesce(w.percents, usual)) t (percent)
        LEFT JOIN alert a
            ON a.org_id = p.org_id AND a.code = 'tier_threshold' AND a.tier = p.tier
                AND a.number = t.percent::bigint AND a.resolved_at IS NULL
        WHERE (p.total > 0 AND p.used * 100 >= t.percent::bigint * p.total) <> (a.id IS NOT NULL)
        ORDER BY p.org_id;
    END
    """,
)

GATE_FUNCTIONS = (
    ENTER_SCIM,
    ENTER_SESSION,
    FIND_SIGN_IN_LINK,
    FIND_ORGANIZATION,
    FIND_DOMAIN,
    LIST_ORGANIZATIONS,
    DUE_RENEWALS,
    DUE_DELIVERIES,
)
