-- Tells whether so many more effects may take place, as bridge/domain/brake.py counts them. No where the people have to
-- be counted first, or the brake would trip: the general way then does so.
CREATE FUNCTION lane_brake_allows(state organization_state, number integer, instant timestamptz) RETURNS boolean
LANGUAGE plpgsql STABLE AS $$
DECLARE
    minute bigint := floor(extract(epoch FROM instant) / 60);
BEGIN
    RETURN state.brake_limit IS NOT NULL
        AND minute - floor(extract(epoch FROM state.brake_limit_at) / 60) < state.brake_window
        AND number + coalesce((
            SELECT sum(e.value::bigint) FROM jsonb_each_text(state.brake_counts) e
            WHERE e.key::bigint >= minute - state.brake_window
        ), 0) <= state.brake_limit;
END
$$
-- ;
-- Counts so many more effects.
CREATE FUNCTION lane_brake_counts(state organization_state, number integer, instant timestamptz) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
DECLARE
    minute bigint := floor(extract(epoch FROM instant) / 60);
BEGIN
    RETURN coalesce((
        SELECT jsonb_object_agg(e.key, e.value) FROM jsonb_each(state.brake_counts) e
        WHERE e.key::bigint >= minute - state.brake_window
    ), '{}') || jsonb_build_object(
        minute::text, number + coalesce((state.brake_counts ->> minute::text)::bigint, 0)
    );
END
$$
