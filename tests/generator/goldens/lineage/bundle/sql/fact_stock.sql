-- What was counted, and what was counted before: the table's own rows of the last load.
SELECT s.store_id, s.item_id, s.quantity, old.quantity AS quantity_before
FROM {bronze_catalog}.erp.stock AS s
LEFT JOIN {silver_catalog}.retail.fact_stock AS old USING (store_id, item_id)
WHERE EXISTS (SELECT 1 FROM {silver_catalog}.retail.dim_store AS d WHERE d.id = s.store_id)
