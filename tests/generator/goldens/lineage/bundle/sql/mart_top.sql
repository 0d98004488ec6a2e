SELECT * FROM (SELECT * FROM {silver_catalog}.gold.mart_sales) AS m ORDER BY m.net_paid DESC LIMIT 100
