SELECT
  v.inv_item_sk,
  v.inv_warehouse_sk,
  d.d_date AS counted_on,
  v.inv_quantity_on_hand
FROM {silver_catalog}.retail.fact_inventory AS v
JOIN (
  SELECT inv_item_sk, inv_warehouse_sk, max(inv_date_sk) AS inv_date_sk
  FROM {silver_catalog}.retail.fact_inventory
  WHERE NOT is_deleted
  GROUP BY inv_item_sk, inv_warehouse_sk
) AS latest
  ON latest.inv_item_sk = v.inv_item_sk
  AND latest.inv_warehouse_sk = v.inv_warehouse_sk
  AND latest.inv_date_sk = v.inv_date_sk
JOIN {silver_catalog}.retail.dim_date AS d
  ON d.d_date_sk = v.inv_date_sk
