-- Customers with the address they live at. A change of either is a change of the customer.
SELECT
  c.c_customer_sk,
  c.c_customer_id,
  c.c_salutation,
  c.c_first_name,
  c.c_last_name,
  c.c_preferred_cust_flag,
  c.c_birth_country,
  c.c_email_address,
  c.c_last_review_date_sk,
  a.ca_street_number,
  a.ca_street_name,
  a.ca_street_type,
  a.ca_suite_number,
  a.ca_city,
  a.ca_county,
  a.ca_state,
  a.ca_zip,
  a.ca_country,
  greatest(c._fivetran_synced, a._fivetran_synced) AS _fivetran_synced,
  c._fivetran_deleted
FROM {bronze_catalog}.tpcds.customer AS c
LEFT JOIN {bronze_catalog}.tpcds.customer_address AS a
  ON a.ca_address_sk = c.c_current_addr_sk
