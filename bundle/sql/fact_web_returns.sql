-- What is on record today: an overwrite needs no columns of Fivetran's.
SELECT DISTINCT
  r.wr_item_sk,
  r.wr_order_number,
  r.wr_returned_date_sk,
  r.wr_returning_customer_sk,
  r.wr_reason_sk,
  r.wr_return_quantity,
  r.wr_return_amt,
  r.wr_fee,
  r.wr_net_loss
FROM {bronze_catalog}.tpcds.web_returns AS r
WHERE NOT r._fivetran_deleted
