{% snapshot stamped %}
{{ config(strategy="timestamp", updated_at="updated_at", unique_key=["history", "id"], hard_deletes="invalidate") }}
select distinct history, id, a, b, c, updated_at from main.source
{% endsnapshot %}
