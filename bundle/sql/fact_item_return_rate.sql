SELECT
  s.ss_item_sk AS item_sk,
  sum(s.ss_quantity) AS sold_quantity,
  coalesce(sum(r.sr_return_quantity), 0) AS returned_quantity,
  CAST(coalesce(sum(r.sr_return_quantity), 0) AS DOUBLE) / CAST(sum(s.ss_quantity) AS DOUBLE) AS return_rate
FROM {silver_catalog}.retail.fact_store_sales AS s
LEFT JOIN {silver_catalog}.retail.fact_store_returns AS r
  ON r.sr_item_sk = s.ss_item_sk AND r.sr_ticket_number = s.ss_ticket_number AND NOT r.is_deleted
WHERE NOT s.is_deleted
GROUP BY s.ss_item_sk
