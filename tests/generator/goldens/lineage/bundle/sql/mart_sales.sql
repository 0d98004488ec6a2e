SELECT * FROM {silver_catalog}.retail.fact_sales VERSION AS OF 3
UNION ALL
SELECT * FROM {silver_catalog}.retail.fact_sales_copy LATERAL VIEW explode(tags) t AS tag
