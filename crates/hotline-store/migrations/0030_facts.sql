-- The facts of a call are read together and never apart: one text instead of a row each.
ALTER TABLE calls ADD COLUMN facts_json TEXT NOT NULL DEFAULT '[]';
UPDATE calls SET facts_json = (
    SELECT '[' || string_agg(f.fact_json, ',' ORDER BY f.idx) || ']'
    FROM call_facts f WHERE f.call_id = calls.call_id
) WHERE EXISTS (SELECT 1 FROM call_facts f WHERE f.call_id = calls.call_id);
DROP TABLE call_facts;
