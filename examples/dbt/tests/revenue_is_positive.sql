select * from {{ ref('rpt_month') }}
where date = date '{{ env_var("BACKFILLD_DATE", "1900-01-01") }}' and revenue <= 0
