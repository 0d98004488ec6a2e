SELECT o.*, c.country
FROM {bronze_catalog}.erp.orders AS o
JOIN {bronze_catalog}.ERP.Customer AS b ON b.id = o.customer
JOIN {silver_catalog}.core.dim_customer AS c ON c.id = o.customer
