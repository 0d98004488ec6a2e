SELECT
  s.sold_date,
  s.ss_store_sk,
  count(*) AS line_count,
  count(DISTINCT s.ss_ticket_number) AS ticket_count,
  sum(s.ss_quantity) AS quantity,
  sum(s.ss_net_paid) AS net_paid,
  sum(s.ss_net_profit) AS net_profit
FROM {silver_catalog}.retail.fact_store_sales AS s
WHERE NOT s.is_deleted AND s.sold_date IS NOT NULL AND s.ss_store_sk IS NOT NULL
GROUP BY s.sold_date, s.ss_store_sk
