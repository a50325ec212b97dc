"""Everything that is written down: models, queries, migrations, row-level security."""
