"""The schema of a PostgreSQL database as its catalogs tell it: one query for each kind of object.

No query returns an OID, a file number, a statistic or anything else that two equal databases may differ in. Names in
expressions come out qualified because the session's search path is `pg_catalog` alone.
"""

from types import MappingProxyType

# Not temporary ones either, nor TOAST: their schemas begin with pg_ as well.
_OURS = "n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'"
_RELATION = "format('%I.%I', n.nspname, c.relname)"

_TEMPLATES = {
    "schemas": "SELECT n.nspname FROM pg_namespace n WHERE {ours}",
    "extensions": "SELECT extname, extversion FROM pg_extension",
    # Partitions with their bounds; what they and other tables inherit from is in `inheritance`.
    "relations": """
        SELECT {relation}, c.relkind, c.relpersistence, c.relrowsecurity, c.relforcerowsecurity, c.relreplident,
               pg_get_partkeydef(c.oid), pg_get_expr(c.relpartbound, c.oid), array_to_string(c.reloptions, ',')
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND {ours}""",
    "inheritance": """
        SELECT {relation}, i.inhseqno, i.inhparent::regclass
        FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE {ours}""",
    # The place of a column among those that are still there, for dropped ones leave a gap that a dump closes.
    "columns": """
        SELECT {relation}, row_number() OVER (PARTITION BY c.oid ORDER BY a.attnum), a.attname,
               format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity, a.attgenerated,
               a.attcollation::regcollation, pg_get_expr(d.adbin, d.adrelid)
        FROM pg_attribute a
        JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
        LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
        WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'c') AND {ours}""",
    "indexes": """
        SELECT format('%I.%I', n.nspname, i.relname), pg_get_indexdef(x.indexrelid), x.indisvalid, x.indisready,
               x.indisreplident, x.indisclustered
        FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_namespace n ON n.oid = i.relnamespace
        WHERE {ours}""",
    "constraints": """
        SELECT n.nspname, k.conname, k.contype, nullif(k.conrelid, 0)::regclass, nullif(k.contypid, 0)::regtype,
               k.convalidated, pg_get_constraintdef(k.oid)
        FROM pg_constraint k JOIN pg_namespace n ON n.oid = k.connamespace WHERE {ours}""",
    # Not where they stand: a sequence is logged ahead, so a copy may be some numbers further on.
    "sequences": """
        SELECT {relation}, format_type(s.seqtypid, NULL), s.seqstart, s.seqincrement, s.seqmin, s.seqmax,
               s.seqcache, s.seqcycle
        FROM pg_sequence s JOIN pg_class c ON c.oid = s.seqrelid JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE {ours}""",
    "views": """
        SELECT {relation}, pg_get_viewdef(c.oid)
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind IN ('v', 'm') AND {ours}""",
    # Those of foreign keys are named by OID, and the constraint says it all.
    "triggers": """
        SELECT {relation}, t.tgname, t.tgenabled, pg_get_triggerdef(t.oid)
        FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE NOT t.tgisinternal AND {ours}""",
    "policies": """
        SELECT {relation}, p.polname, p.polcmd, p.polpermissive, pg_get_expr(p.polqual, p.polrelid),
               pg_get_expr(p.polwithcheck, p.polrelid)
        FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE {ours}""",
    # Aggregates have no definition to ask for; their name and arguments must do.
    "functions": """
        SELECT p.oid::regprocedure, p.prokind,
               CASE WHEN p.prokind IN ('f', 'p', 'w') THEN pg_get_functiondef(p.oid) END
        FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE {ours}""",
    "types": """
        SELECT format_type(t.oid, NULL), t.typtype, format_type(nullif(t.typbasetype, 0), t.typtypmod),
               t.typnotnull, t.typdefault,
               (SELECT string_agg(e.enumlabel, ',' ORDER BY e.enumsortorder) FROM pg_enum e
                WHERE e.enumtypid = t.oid)
        FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
        WHERE t.typtype IN ('d', 'e', 'r') AND {ours}""",
}

QUERIES = MappingProxyType({kind: text.format(ours=_OURS, relation=_RELATION) for kind, text in _TEMPLATES.items()})
