-- Where the server has TimescaleDB: the fact table becomes a hypertable on the gate's time. Run by `migrate` after the
-- migrations, as the owner, as often as you like. Plain PostgreSQL goes without and everything works the same.
-- A week of a district of 100,000 children is about 2 million rows: one chunk stays in memory.
SELECT create_hypertable('attendance_event', 'occurred_at', chunk_time_interval => INTERVAL '7 days',
                         if_not_exists => true, migrate_data => true);
