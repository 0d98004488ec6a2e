"""Whether a SQL text gives the same rows whenever its tables have the same rows.

It does unless it names something that depends on the time, the session or chance, or calls a function that is not known
to depend on its arguments alone: a user's function may read anything. The functions are those of Spark SQL.
"""

from __future__ import annotations

from laketasks.sql_fingerprint import Token, tokens


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Words that stand before a parenthesis without being functions, and types with arguments.
_NO_FUNCTIONS = _words(
    """
    all and any as between by case cube distinct else except exists filter from full group having in inner
    intersect interval is join lateral left like ilike rlike limit minus not offset on or order outer over
    partition pivot qualify range right rollup rows select semi set sets some then tablesample union unpivot
    using values when where window with within array binary char character dec decimal map numeric string struct
    varchar cross anti natural sort cluster distribute grouping
    """
)
_REPEATABLE = _words(
    """
    abs acos acosh add_months aes_decrypt aggregate any_value approx_count_distinct approx_percentile array
    array_agg array_append array_compact array_contains array_distinct array_except array_insert array_intersect
    array_join array_max array_min array_position array_prepend array_remove array_repeat array_size array_sort
    array_union arrays_overlap arrays_zip ascii asin asinh assert_true atan atan2 atanh avg base64 bigint bin
    bit_and bit_count bit_get bit_length bit_or bit_xor bitmap_and_agg bitmap_bit_position bitmap_bucket_number
    bitmap_construct_agg bitmap_count bitmap_or_agg bool_and bool_or boolean bround btrim cardinality cast cbrt
    ceil ceiling char_length character_length charindex chr coalesce collate collation collect_list collect_set
    concat concat_ws contains conv convert_timezone corr cos cosh cot count count_if count_min_sketch covar_pop
    covar_samp crc32 csc cume_dist date date_add date_diff date_format date_from_unix_date date_part date_sub
    date_trunc dateadd datediff datepart day dayname dayofmonth dayofweek dayofyear decode degrees dense_rank
    div double e element_at elt encode endswith equal_null every exp explode explode_outer expm1 extract
    factorial filter find_in_set first first_value flatten float floor forall format_number format_string
    from_csv from_json from_unixtime from_utc_timestamp from_xml get get_json_object getbit getdate_part
    greatest grouping_id hash hex histogram_numeric hll_sketch_agg hll_sketch_estimate hll_union hll_union_agg
    hour hypot if ifnull iff initcap inline inline_outer instr int is_valid_utf8 is_variant_null isnan isnotnull
    isnull json_array_length json_object_keys json_tuple kurtosis lag last last_day last_value lcase lead least
    len length levenshtein listagg ln locate log log10 log1p log2 lower lpad ltrim make_date make_dt_interval
    make_interval make_time make_timestamp make_timestamp_ltz make_timestamp_ntz make_valid_utf8
    make_ym_interval map map_concat map_contains_key map_entries map_filter map_from_arrays map_from_entries
    map_keys map_values map_zip_with mask max max_by md5 mean median min min_by minute mod mode month monthname
    months_between named_struct nanvl negative next_day nth_value ntile nullif nullifzero nvl nvl2 octet_length
    overlay parse_json parse_url percent_rank percentile percentile_approx percentile_cont percentile_disc pi
    pmod posexplode posexplode_outer position positive pow power printf quarter radians raise_error rank reduce
    regexp regexp_count regexp_extract regexp_extract_all regexp_instr regexp_like regexp_replace regexp_substr
    regr_avgx regr_avgy regr_count regr_intercept regr_r2 regr_slope regr_sxx regr_sxy regr_syy repeat replace
    reverse rint round row_number rpad rtrim schema_of_csv schema_of_json schema_of_variant
    schema_of_variant_agg schema_of_xml sec second sentences sequence sha sha1 sha2 shiftleft shiftright
    shiftrightunsigned sign signum sin sinh size skewness slice smallint sort_array soundex space split
    split_part sqrt stack startswith std stddev stddev_pop stddev_samp str_to_map string_agg strpos
    substr substring substring_index sum tan tanh timediff timestamp timestamp_micros timestamp_millis
    timestamp_seconds timestampadd timestampdiff tinyint to_binary to_char to_csv to_date to_json to_number
    to_time to_timestamp to_timestamp_ltz to_timestamp_ntz to_unix_timestamp to_utc_timestamp to_varchar
    to_variant_object to_xml transform transform_keys transform_values translate trim trunc try_add
    try_aes_decrypt try_avg try_cast try_divide try_element_at try_make_interval try_make_timestamp
    try_make_timestamp_ltz try_make_timestamp_ntz try_mod try_multiply try_parse_json try_parse_url try_subtract
    try_sum try_to_binary try_to_date try_to_number try_to_time try_to_timestamp try_url_decode
    try_validate_utf8 try_variant_get typeof ucase unbase64 unhex unix_date unix_micros unix_millis unix_seconds
    upper url_decode url_encode validate_utf8 var_pop var_samp variance variant_explode variant_explode_outer
    variant_get weekday weekofyear width_bucket window_time xpath xpath_boolean xpath_double xpath_float
    xpath_int xpath_long xpath_number xpath_short xpath_string xxhash64 year zeroifnull zip_with
    """
)
_WITH_ARGUMENTS = frozenset(["unix_timestamp", "to_unix_timestamp"])  # without any they are the present time
_VARYING_WORDS = _words(
    """
    current_catalog current_database current_date current_schema current_time current_timestamp current_timezone
    current_user localtime localtimestamp session_user tablesample user sysdate systimestamp getdate now curdate
    """
)
_VARYING_LITERALS = frozenset(["now", "today", "tomorrow", "yesterday"])


def is_repeatable(text: str) -> bool:
    """Return whether the rows of a SQL text depend on nothing but the rows of its tables.

    >>> is_repeatable("SELECT upper(a), count(*) FROM {x}.s.t WHERE d > DATE'2024-01-01' GROUP BY 1")
    True
    >>> is_repeatable("SELECT a FROM {x}.s.t WHERE d > current_date")
    False
    >>> is_repeatable("SELECT main.tools.mask(a) FROM {x}.s.t")
    False
    """
    found = list(tokens(text))
    following = [*found[1:], Token("", 0, 0)]
    before = [Token("", 0, 0), *found[:-1]]
    return not any(
        _varies(token, left, right, following[index + 1] if index + 1 < len(following) else right)
        for index, (token, left, right) in enumerate(zip(found, before, following, strict=True))
    )


def _varies(token: Token, left: Token, right: Token, second: Token) -> bool:
    word = token.text.strip("`").lower() if token.text.startswith("`") else token.text
    if token.text[0] in "'\"":
        return token.text[1:-1].strip().lower() in _VARYING_LITERALS
    if right.text == "(" and (token.is_word or token.text.startswith("`")):
        if left.text == ".":
            return True  # a function of a schema is a user's
        if word in _WITH_ARGUMENTS:
            return second.text == ")"
        return word not in _REPEATABLE and word not in _NO_FUNCTIONS
    return token.is_word and left.text != "." and right.text != "." and word in _VARYING_WORDS
