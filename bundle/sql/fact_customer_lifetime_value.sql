-- One row per customer who ever bought; what is deleted no longer counts.
SELECT
  p.customer_sk,
  count(*) AS line_count,
  sum(p.store_paid) AS store_paid,
  sum(p.catalog_paid) AS catalog_paid,
  sum(p.web_paid) AS web_paid
FROM (
  SELECT ss_customer_sk AS customer_sk, ss_net_paid AS store_paid,
    CAST(0 AS DECIMAL(7, 2)) AS catalog_paid, CAST(0 AS DECIMAL(7, 2)) AS web_paid
  FROM {silver_catalog}.retail.fact_store_sales
  WHERE NOT is_deleted
  UNION ALL
  SELECT cs_bill_customer_sk, CAST(0 AS DECIMAL(7, 2)), cs_net_paid, CAST(0 AS DECIMAL(7, 2))
  FROM {silver_catalog}.retail.fact_catalog_sales
  WHERE NOT is_deleted
  UNION ALL
  SELECT ws_bill_customer_sk, CAST(0 AS DECIMAL(7, 2)), CAST(0 AS DECIMAL(7, 2)), ws_net_paid
  FROM {silver_catalog}.retail.fact_web_sales
) AS p
WHERE p.customer_sk IS NOT NULL
GROUP BY p.customer_sk
