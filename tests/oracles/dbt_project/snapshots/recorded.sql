{% snapshot recorded %}
{{ config(strategy="check", check_cols="all", unique_key=["history", "id"], hard_deletes="new_record") }}
select distinct history, id, a, b, c from main.source
{% endsnapshot %}
