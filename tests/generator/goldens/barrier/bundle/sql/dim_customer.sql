-- It's the newest e-mail that counts: {not a placeholder}
SELECT c.*, 'literal {text}' AS note FROM {bronze_catalog}.tpcds.customer AS c
