{% snapshot checked %}
{{ config(strategy="check", check_cols="all", unique_key=["history", "id"], hard_deletes="invalidate") }}
select distinct history, id, a, b, c from main.source
{% endsnapshot %}
