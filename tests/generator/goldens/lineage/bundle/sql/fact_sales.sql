-- dim_item is a CTE here, and reads the table of that name; dim_store is only mentioned: {silver_catalog}.retail.dim_store
WITH dim_item AS (
  SELECT i.* FROM `{silver_catalog}`.`retail`.`dim_item` AS i
)
SELECT s.*, c.customer_key, i.item_key
FROM {bronze_catalog}.erp.sales AS s
LEFT JOIN {silver_catalog}.Retail.DIM_CUSTOMER AS c ON c.id = s.customer_id
LEFT JOIN dim_item AS i ON i.id = s.item_id
