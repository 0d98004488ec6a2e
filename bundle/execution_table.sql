-- The metadata table: one row is one table to load. The bootstrap job runs this, with the target's catalog in the braces.
CREATE TABLE IF NOT EXISTS {silver_catalog}.metadata.execution_table (
  src_system STRING COMMENT 'Label of the source system; goes to the run log',
  src_catalog STRING COMMENT 'Catalog of the source table; a label where sql_file_path is given',
  src_schema STRING COMMENT 'Schema of the source table; a label where sql_file_path is given',
  src_table_name STRING COMMENT 'The source table; a label where sql_file_path is given',
  load_type STRING NOT NULL COMMENT 'full: all of the source, each run. incremental: rows whose sequence reached the watermark',
  dst_catalog STRING NOT NULL COMMENT 'Catalog of the table to load',
  dst_schema STRING NOT NULL COMMENT 'Schema of the table to load',
  dst_table_name STRING NOT NULL COMMENT 'The table to load; one active row for each. Also the key of its task',
  layer STRING NOT NULL COMMENT 'The job that loads it: bronze_to_silver is resources/bronze_to_silver.job.yml',
  is_active_flag BOOLEAN COMMENT 'true: loaded. false or NULL: left out of the job',
  execution_order INT NOT NULL COMMENT 'From 1; a table waits for all tables of the next smaller order in use',
  execution_pipeline STRING NOT NULL COMMENT 'scd1, scd2, fact_overwrite, fact_incremental_merge, or a runner of settings.yml',
  business_key_columns ARRAY<STRING> COMMENT 'The natural key; what scd1 and scd2 merge on',
  primary_key_columns ARRAY<STRING> COMMENT 'Facts: what they merge on, or what must be unique after an overwrite. Dimensions: the surrogate key that the loader makes, at most one column',
  sql_file_path STRING COMMENT 'A SELECT that shapes the source, relative to the folder of settings.yml; NULL: the source table as it is',
  cdc_source_config STRING COMMENT 'JSON: how the source speaks and what the loader does about it; NULL and {} mean the defaults',
  comment STRING COMMENT 'The comment of the table, and the description of its task'
)
USING delta
COMMENT 'One row is one table to load; the generator turns the active rows into a Databricks job for each layer';
