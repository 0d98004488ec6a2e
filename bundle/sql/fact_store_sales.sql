-- One row per line of a ticket, with the versions of item and customer that were valid on the day of the sale.
-- The casts say which type is compared: Sail would widen DATE and TIMESTAMP to nanoseconds, which end in 2262.
-- A dimension row that was loaded since is a reason to look at its sales again: hence the greatest of the watermarks.
-- '-1' stands for the unknown: no date, no such key, or a dimension row that came later than the sale.
SELECT
  s.ss_item_sk,
  s.ss_ticket_number,
  d.d_date AS sold_date,
  coalesce(i.item_key, '-1') AS item_key,
  coalesce(c.customer_key, '-1') AS customer_key,
  s.ss_customer_sk,
  s.ss_store_sk,
  s.ss_promo_sk,
  s.ss_quantity,
  s.ss_list_price,
  s.ss_sales_price,
  s.ss_ext_sales_price,
  s.ss_coupon_amt,
  s.ss_net_paid,
  s.ss_net_profit,
  greatest(s._fivetran_synced, i._watermark, c._watermark) AS _fivetran_synced,
  s._fivetran_deleted
FROM {bronze_catalog}.tpcds.store_sales AS s
LEFT JOIN {silver_catalog}.retail.dim_date AS d
  ON d.d_date_sk = s.ss_sold_date_sk
LEFT JOIN {silver_catalog}.retail.dim_item AS i
  ON i.i_item_sk = s.ss_item_sk
  AND i.valid_from <= CAST(d.d_date AS TIMESTAMP)
  AND CAST(d.d_date AS TIMESTAMP) < i.valid_to
LEFT JOIN {silver_catalog}.retail.dim_customer AS c
  ON c.c_customer_sk = s.ss_customer_sk
  AND c.valid_from <= CAST(d.d_date AS TIMESTAMP)
  AND CAST(d.d_date AS TIMESTAMP) < c.valid_to
