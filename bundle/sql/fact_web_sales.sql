-- One row per line of a web order, with the version of the item that was valid on the day of the sale.
-- The casts say which type is compared: Sail would widen DATE and TIMESTAMP to nanoseconds, which end in 2262.
SELECT
  s.ws_item_sk,
  s.ws_order_number,
  d.d_date AS sold_date,
  coalesce(i.item_key, '-1') AS item_key,
  s.ws_bill_customer_sk,
  s.ws_web_site_sk,
  s.ws_web_page_sk,
  s.ws_ship_mode_sk,
  s.ws_quantity,
  s.ws_list_price,
  s.ws_sales_price,
  s.ws_net_paid,
  s.ws_net_profit,
  s._fivetran_synced,
  s._fivetran_deleted
FROM {bronze_catalog}.tpcds.web_sales AS s
LEFT JOIN {silver_catalog}.retail.dim_date AS d
  ON d.d_date_sk = s.ws_sold_date_sk
LEFT JOIN {silver_catalog}.retail.dim_item AS i
  ON i.i_item_sk = s.ws_item_sk
  AND i.valid_from <= CAST(d.d_date AS TIMESTAMP)
  AND CAST(d.d_date AS TIMESTAMP) < i.valid_to
