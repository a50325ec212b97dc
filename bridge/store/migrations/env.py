"""How alembic runs our migrations: over the connection that :mod:`bridge.store.schema` hands in."""

from alembic import context

import bridge.store.models  # noqa: F401 (the tables register themselves on Base.metadata)
from bridge.store.base import Base


def include_name(name: str | None, type_: str, parent_names: object) -> bool:
    """Leave the queue's own tables out of comparisons: their library owns them."""
    del parent_names
    return not (type_ == "table" and name is not None and name.startswith("procrastinate_"))


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    include_name=include_name,
    compare_type=True,
)
with context.begin_transaction():
    context.run_migrations()
