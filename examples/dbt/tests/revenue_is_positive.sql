select * from {{ ref('rpt_month') }}
where date = date '{{ var("date", "1900-01-01") }}' and revenue <= 0
