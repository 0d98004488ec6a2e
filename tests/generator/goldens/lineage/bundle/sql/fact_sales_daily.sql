-- The parser does not know a window as a group, Databricks does; so the file says what it reads.
-- laketasks reads: {silver_catalog}.retail.fact_sales, {silver_catalog}.retail.dim_customer
SELECT window(s.sold_at, '1 day').start AS day, count(*) AS line_count
FROM {silver_catalog}.retail.fact_sales AS s
JOIN {silver_catalog}.retail.dim_customer AS c ON c.customer_key = s.customer_key
GROUP BY window(s.sold_at, '1 day')
