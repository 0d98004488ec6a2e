SELECT
  p.channel,
  p.d_month_seq,
  min(p.sold_date) AS first_sale_date,
  count(*) AS line_count,
  sum(p.net_paid) AS net_paid
FROM (
  SELECT 'store' AS channel, d.d_month_seq, d.d_date AS sold_date, s.ss_net_paid AS net_paid
  FROM {silver_catalog}.retail.fact_store_sales AS s
  JOIN {silver_catalog}.retail.dim_date AS d ON d.d_date = s.sold_date
  WHERE NOT s.is_deleted
  UNION ALL
  SELECT 'catalog', d.d_month_seq, d.d_date, s.cs_net_paid
  FROM {silver_catalog}.retail.fact_catalog_sales AS s
  JOIN {silver_catalog}.retail.dim_date AS d ON d.d_date_sk = s.cs_sold_date_sk
  WHERE NOT s.is_deleted
  UNION ALL
  SELECT 'web', d.d_month_seq, d.d_date, s.ws_net_paid
  FROM {silver_catalog}.retail.fact_web_sales AS s
  JOIN {silver_catalog}.retail.dim_date AS d ON d.d_date = s.sold_date
) AS p
GROUP BY p.channel, p.d_month_seq
