SELECT n.n_name AS nation, count(*) AS customers, sum(c.c_acctbal) AS balance
FROM {silver_catalog}.tpch.dim_customer AS c
JOIN {silver_catalog}.tpch.dim_nation AS n ON n.n_nationkey = c.c_nationkey
WHERE c.is_current
GROUP BY n.n_name
