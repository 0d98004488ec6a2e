{# dbt's clock, set to the start of our run; everything else is dbt's own. #}
{% macro duckdb__snapshot_get_time() -%}
  timestamp '{{ var("now") }}'
{%- endmacro %}
