SELECT
  d.d_week_seq,
  count(DISTINCT v.inv_item_sk) AS item_count,
  sum(v.inv_quantity_on_hand) AS quantity_on_hand
FROM {silver_catalog}.retail.fact_inventory AS v
JOIN {silver_catalog}.retail.dim_date AS d
  ON d.d_date_sk = v.inv_date_sk
WHERE NOT v.is_deleted
GROUP BY d.d_week_seq
