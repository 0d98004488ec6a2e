-- One row per line of a ticket that came back.
SELECT
  s.ss_item_sk AS item_sk,
  s.ss_ticket_number AS ticket_number,
  s.sold_date,
  s.item_key,
  s.customer_key,
  s.ss_quantity AS sold_quantity,
  r.sr_return_quantity AS returned_quantity,
  s.ss_net_paid AS net_paid,
  r.sr_return_amt AS return_amount,
  r.sr_fee AS return_fee,
  s.is_deleted OR r.is_deleted AS is_withdrawn
FROM {silver_catalog}.retail.fact_store_sales AS s
JOIN {silver_catalog}.retail.fact_store_returns AS r
  ON r.sr_item_sk = s.ss_item_sk AND r.sr_ticket_number = s.ss_ticket_number
